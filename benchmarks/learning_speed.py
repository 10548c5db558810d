"""Learning speed, measured side by side in one run: how far a small CPU recipe gets, and ours in the same wall time.

tinyshakespeare by characters. Both are the command `insideout train` with nothing but its flags, REFERENCE and OURS
below; part 2, chapter 12 of the book explains each of them. The reference is the well-known small recipe (4 layers, 4
heads, d_model 128, context 64, batch 12, 2,000 steps, AdamW, float32). Ours has at most 1.0M parameters and is given
the seconds that the reference took, as many steps as fit, decided by timing a few steps first.

The first 90% of the text train, the last 10% are the test: measured once, at the end, over all of their characters, in
windows of each model's own context and once more in windows of the reference's. Settings are to be chosen with
--choose, which hides the test: the last tenth of the first 90% is held out then, and changed flags may be given after
`--`. On that split four changes of OURS were tried, one seed and 80 seconds each: --muon-lr 0.035, --lr 5e-3,
--batch-size 6, --logit-cap 0. All ended within 0.013 nats of each other, and OURS was left as it was.
With --minutes 10 a larger model of the same kind is trained alone for that long.

Writes into benchmarks/results, learning_speed.json or learning_speed_minutes.json; --quick and --choose write nothing.
"""

import argparse
import contextlib
import io
import json
import re
import statistics
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import torch

from insideout.cli.main import main as insideout
from insideout.data.text.corpus import load_corpus
from insideout.data.text.tokens import prepare
from insideout.machine import machine
from insideout.recipes.runs import Run
from insideout.recipes.texts import held_out_loss

MOST_PARAMETERS, MUST_REACH, MUST_REACH_IN_MINUTES = 1_000_000, 1.60, 1.47
COMMON = "--tokenizer character --eval-every 0 --checkpoint-every 0 --sample-tokens 0 --validation-tokens 2048"
REFERENCE = (
    "--d-model 128 --n-layers 4 --n-heads 4 --context-length 64 --batch-size 12 --positions learned --norm layernorm "
    "--mlp gelu --no-qk-norm --optimizer adamw --lr 1e-3 --min-lr 1e-4 --warmup-steps 100 --decay cosine --beta2 0.99 "
    "--weight-decay 0.1 --precision float32"
)
OURS = (
    "--d-model 128 --n-layers 4 --n-heads 2 --context-length 256 --batch-size 8 --rope-base 1000 --no-tie-embeddings "
    "--zero-init-outputs --logit-cap 15 --pair-rows 1450 --token-shift --short-until 0.75 --optimizer muon --lr 7e-3 "
    "--muon-lr 0.02 --min-lr 0 --decay linear --warmup-steps 20 --weight-decay 0 --clip 0"
)
LONGER = (
    f"{OURS} --d-model 192 --n-layers 5 --n-heads 3 --context-length 512 --batch-size 4 --dropout 0.1 --lr 4.2e-3 "
    "--muon-lr 0.012"
)
REFERENCE_STEPS = 2000


def by_name(flags: str) -> dict[str, list[str]]:
    """Flags with their values, by name; the later of two equal ones, or of one and its --no-, replaces the other."""
    words: dict[str, list[str]] = {}
    for group in re.findall(r"--\S+(?: [^-]\S*)?", flags):
        name, *value = group.split()
        words[name.replace("--no-", "--")] = [name, *value]
    return words


def trained(flags: str, steps: int, seed: int, corpus: str, folder: Path) -> Run:
    """What `insideout train` makes with these flags."""
    words = by_name(f"{COMMON} {flags}")
    warmup = min(int(words["--warmup-steps"][1]), steps)
    words["--warmup-steps"] = ["--warmup-steps", str(warmup)]
    given = [each for group in words.values() for each in group]
    out = Path(tempfile.mkdtemp(dir=folder)) / "run"
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            insideout(
                ["train", "--corpus", corpus, "--steps", str(steps), "--seed", str(seed), *given, "--out", str(out)]
            )
        except SystemExit as left:
            if left.code:
                raise RuntimeError(told.getvalue()[-2000:]) from None
    return Run(out)


def seconds_of(run: Run) -> float:
    """How long it trained."""
    return float((run.result() or {})["seconds"])


def steps_that_fit(flags: str, seconds: float, corpus: str, folder: Path) -> int:
    """How many steps fit into `seconds`, from a rehearsal of up to a minute after a first short guess."""
    each = 0.1
    for rehearsal in (3.0, min(60.0, seconds / 2)):
        steps = max(20, int(rehearsal / each))
        each = seconds_of(trained(flags, steps, 1234, corpus, folder)) / steps
    return max(1, int(0.95 * seconds / each))  # a clock that is a little too slow must not give us time


def measured(name: str, flags: str, steps: int, seed: int, corpus: str, folder: Path) -> dict[str, Any]:
    """Train one model; its loss on all of what was held out, and what it took."""
    run = trained(flags, steps, seed, corpus, folder)
    model, tokenizer = run.model(), run.tokenizer()
    data = prepare(load_corpus([corpus]), tokenizer, folder / "tokens")
    context = model.config.context_length
    row = {
        "seconds": seconds_of(run), "steps": steps, "parameters": model.n_parameters, "context": context,
        "tokens": (run.result() or {})["tokens_seen"], "loss": held_out_loss(model, data.validation, context, 32, 0),
        "loss_at_context_64": held_out_loss(model, data.validation, 64, 32, 0),
        "held_out_characters": len(data.validation),
    }  # fmt: skip
    print(name, json.dumps(row), flush=True)
    return row


def against(seeds: int, steps: int, changed: str, corpus: str, folder: Path) -> dict[str, Any]:
    """Both, for every seed: ours in the seconds that the reference took."""
    rows = []
    for seed in range(seeds):
        theirs = measured("reference", REFERENCE, steps, seed, corpus, folder)
        flags = f"{OURS} {changed}"
        fit = steps_that_fit(flags, theirs["seconds"], corpus, folder)
        rows.append({"reference": theirs, "ours": measured("ours", flags, fit, seed, corpus, folder)})
    losses = {name: [row[name]["loss"] for row in rows] for name in ("reference", "ours")}
    ratios = [row["ours"]["seconds"] / row["reference"]["seconds"] for row in rows]
    small = all(row["ours"]["parameters"] <= MOST_PARAMETERS for row in rows)
    return {
        "loss": {name: statistics.mean(values) for name, values in losses.items()},
        "seconds ours over reference": ratios, "must reach": MUST_REACH,
        "reached": small and max(losses["ours"]) <= MUST_REACH and max(ratios) <= 1,
        "flags": {"reference": REFERENCE, "ours": OURS}, "seeds": rows,
    }  # fmt: skip


def alone(minutes: float, changed: str, corpus: str, folder: Path) -> dict[str, Any]:
    """The larger model, for so many minutes."""
    flags = f"{LONGER} {changed}"
    steps = steps_that_fit(flags, 60 * minutes, corpus, folder)
    row = measured("longer", flags, steps, 0, corpus, folder)
    reached = row["loss"] <= MUST_REACH_IN_MINUTES and row["seconds"] <= 60 * minutes
    return {"minutes": minutes, "must reach": MUST_REACH_IN_MINUTES, "reached": reached, "flags": LONGER, "run": row}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, 0, 1, ... of both")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch's threads")
    parser.add_argument("--quick", type=int, default=0, help="this many steps of the reference: a trial, not recorded")
    parser.add_argument("--minutes", type=float, default=0, help="instead: a larger model for so long, no reference")
    parser.add_argument("--choose", action="store_true", help="hide the test; hold out the end of what is left")
    parser.add_argument("changed", nargs="*", help="after --: flags of `insideout train`, in place of ours")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    changed = " ".join(arguments.changed)
    with tempfile.TemporaryDirectory() as name:
        folder, corpus = Path(name), "tinyshakespeare"
        if arguments.choose:
            text = load_corpus([corpus]).text()
            corpus = str(folder / "first.txt")
            Path(corpus).write_text(text[: int(0.9 * len(text))], encoding="utf-8")
        if arguments.minutes:
            found = alone(arguments.minutes, changed, corpus, folder)
        else:
            found = against(arguments.seeds, arguments.quick or REFERENCE_STEPS, changed, corpus, folder)
    record = {"what": "test loss in nats per character, tinyshakespeare", **found}
    record |= {"machine": machine(), "threads": torch.get_num_threads(), "date": date.today().isoformat()}
    print(json.dumps(record, indent=2))
    if not (arguments.quick or arguments.choose or changed):
        file = "learning_speed_minutes.json" if arguments.minutes else "learning_speed.json"
        path = Path(__file__).parent / "results" / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
