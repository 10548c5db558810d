"""Pretraining, the main job: text -> tokens -> a GPT that predicts the next one -> a run directory with a report.

    bits per byte = loss / (ln 2 · bytes per token)

so that runs with different tokenizers can be compared. Part 2 of the book uses its result, the recipe `pretrain`.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput
from insideout.machine import accelerator, choose_device, machine
from insideout.recipes.config import PretrainConfig, to_dict
from insideout.recipes.key import code_version
from insideout.recipes.runs import FORMAT, Run, json_lines
from insideout.scales import scale
from insideout.training.events import Event, Measured, Note, Sample
from insideout.training.metrics import Metric, together
from insideout.words import duration

if TYPE_CHECKING:
    from torch import nn

    from insideout.data.text.corpus import Corpus
    from insideout.data.text.tokens import Tokens
    from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

__all__ = ["PretrainConfig", "run_pretrain"]

MAY_CHANGE = ("corpus", "device", "sample_prompt", "sample_tokens", "validation_tokens", "train")
"""Settings a resumed run may change; the corpus only in name, and of `train` the loop checks what may."""

METRICS = (
    Metric("loss", "training loss", unit="nats per token", section="Loss"),
    Metric(
        "validation_loss", "held-out loss", unit="nats per token", section="Loss",
        words="Training loss is the mean over each step's batch; held-out loss is over the same part of the text each "
        "time, which is never trained on.",
    ),
    Metric("bits_per_byte", "bits per byte"),
)  # fmt: skip
"""What this stage shows beside what the loop measures by itself."""


def run_pretrain(
    config: PretrainConfig, out: Path, resume: bool = False, on_event: Callable[[Event], None] | None = None
) -> Run:
    """Train a GPT as the config says, write everything into `out`, the report last.

    `on_event` is told what happens (training.events), samples among it. Raises BadInput before anything is written
    where the input or the settings cannot be used, and training.loop.Interrupted on Ctrl-C, after saving.
    """
    import torch

    from insideout.data.fetch import cache_folder
    from insideout.data.text.corpus import load_corpus
    from insideout.data.text.tokens import prepare, sample_batch
    from insideout.files import write_whole
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective
    from insideout.training.resume import check_folder
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    check_out(out, resume)
    tell = on_event or (lambda event: None)
    device = distributed.start(choose_device(config.device))
    tell(Note(f"Reading {', '.join(config.corpus)}"))
    corpus = load_corpus(config.corpus)
    if resume:
        check_same(Run(out), config, corpus)
    tell(Note(f"Learning the tokens of {corpus.n_bytes / 1e6:.1f} MB of text"))
    tokenizer = make_tokenizer(config, corpus)
    vocab_size = tokenizer.vocab_size
    model_config = dataclasses.replace(config.model, vocab_size=vocab_size)
    length = model_config.context_length
    data = prepare(corpus, tokenizer, cache_folder() / "tokens", config.validation_fraction, length)
    bits = 1 / (math.log(2) * data.validation_bytes_per_token)  # of loss in nats per token to bits per byte
    prompt = tokenizer.encode(config.sample_prompt)
    if len(prompt) + config.sample_tokens > length:
        raise BadInput("sample_prompt and sample_tokens together exceed the context length: make one smaller.")
    torch.manual_seed(config.train.seed)
    model = GPT(model_config)

    going_on = resume and (out / "checkpoints").is_dir()
    check_folder(out, going_on)
    if distributed.is_main():
        (out / "result.json").unlink(missing_ok=True)  # a run that goes on is not finished
        about = {
            "format": FORMAT,
            "config": to_dict(config),
            "vocab_size": vocab_size,
            "n_parameters": model.n_parameters,
            "tokenizer_fingerprint": tokenizer.fingerprint,
            "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint, "bytes": corpus.n_bytes},
            "tokens": {"train": len(data.train), "validation": len(data.validation)},
            "bytes_per_token": data.validation_bytes_per_token,
            "code_version": code_version(),
            "scale": scale(),
            "machine": machine(accelerator(device)),
            "threads": torch.get_num_threads(),
        }
        tokenizer.save(out / "tokenizer.json")
        write_whole(out / "config.json", (json.dumps(about, indent=1, ensure_ascii=False) + "\n").encode())

    samples = Samples(out / "samples.jsonl")
    latest_sample: list[str] = []

    def batch_at(step: int, micro_step: int) -> Any:
        rank = distributed.data_rank(config.train.parallel)
        return sample_batch(data.train, step, config.train.batch_size, length, config.train.seed, micro_step, rank)

    def validate(model: "nn.Module") -> dict[str, float]:
        latest_sample[:] = [sample(model, tokenizer, prompt, config.sample_tokens)] if config.sample_tokens else []
        loss = held_out_loss(model, data.validation, length, config.train.batch_size, config.validation_tokens)
        return {"validation_loss": loss, "bits_per_byte": loss * bits}

    def show(event: Event) -> None:
        tell(event)
        if isinstance(event, Measured) and latest_sample:
            samples.add(event.step, latest_sample[0])
            tell(Sample(event.step, latest_sample[0], config.sample_prompt))

    result = train(
        model, Objective(next_token_loss, METRICS), batch_at, config.train, out=out, validate=validate,
        on_event=show, resume=going_on, device=device,
    )  # fmt: skip
    run = Run(out)
    tell(Note("Measuring all of the held-out text"))
    model.eval()
    loss = held_out_loss(model, data.validation, length, config.train.batch_size, 0)  # by all: each may hold a slice
    if distributed.is_main():
        per_step = config.train.batch_size * config.train.accumulation * distributed.data_ranks(config.train.parallel)
        seen = result.step * per_step * length
        ended = dataclasses.asdict(result) | {
            "validation_loss": loss,
            "bits_per_byte": loss * bits,
            "tokens_seen": seen,
            "tokens_per_second": seen / result.seconds if result.seconds else None,
        }
        write_whole(out / "result.json", (json.dumps(ended, indent=1) + "\n").encode())
        report(run)
    distributed.barrier()
    return run


def report(run: Run) -> Path:
    """Write the run's report.html; return its path."""
    from insideout.recipes.report import Card, Section, figure, table, write_report

    about, config, result = run.about, run.config, run.result() or {}
    name = ", ".join(Path(each).name or each for each in config.corpus)
    per_step = config.train.batch_size * config.train.accumulation * config.model.context_length
    seen = result.get("tokens_seen")
    passes = f", {seen / about['tokens']['train']:.2g} times the training text" if seen else ""
    chance = math.log(about["vocab_size"])
    steps = f"{result.get('step', len(run.metrics())):,} of {config.train.steps:,} steps"
    cards = (
        Card("bits per byte", figure(result.get("bits_per_byte"), 3), "on all held-out text"),
        Card("held-out loss", figure(result.get("validation_loss"), 3), f"nats per token; chance is {chance:.2f}"),
        Card("tokens per second", figure(result.get("tokens_per_second"), 0), "held-out measurements included"),
        Card("time", duration(result.get("seconds")), steps),
    )
    sizes = (
        ("parameters", f"{about['n_parameters']:,}"),
        ("vocabulary", f"{about['vocab_size']:,} tokens ({config.tokenizer})"),
        ("text", f"{about['corpus']['bytes']:,} bytes, {about['bytes_per_token']:.2f} bytes per token"),
        ("sha256 of the text", about["corpus"]["fingerprint"]),
        ("training tokens", f"{about['tokens']['train']:,}"),
        ("held-out tokens", f"{about['tokens']['validation']:,}"),
        ("tokens per step", f"{per_step:,}"),
        ("tokens seen", f"{seen:,}{passes}" if seen else "–"),
    )
    return write_report(
        run, together(METRICS, "tokens"), title=f"A GPT trained on {name}",
        lead=f"{about['n_parameters']:,} parameters, at {about['scale']} scale. Transformers from the Inside Out.",
        cards=cards, sections=[Section("Sizes", table(sizes))],
    )  # fmt: skip


def check_out(out: Path, resume: bool) -> None:
    """A new run needs a folder that is absent, empty, or holds no more than a run that made no step."""
    from insideout.training.resume import check_folder

    if resume:
        if not (out / "config.json").is_file():
            raise BadInput(f"There is no run in {out} to resume: leave out --resume to start one.")
        return
    check_folder(out, resume=False)
    own = {"config.json", "tokenizer.json", "metrics.jsonl", "checkpoints", "samples.jsonl"}
    others = [path.name for path in out.iterdir() if path.name not in own] if out.is_dir() else []
    if others:
        raise BadInput(f"{out} is in use: it holds {sorted(others)[0]}. Choose another folder by --out.")


def check_same(before: Run, config: PretrainConfig, corpus: "Corpus") -> None:
    """A resumed run goes on with the text and the settings it began with."""
    if before.about.get("corpus", {}).get("fingerprint") != corpus.fingerprint:
        raise BadInput(f"The run in {before.path} was trained on another text: give the --corpus it began with.")
    for field in dataclasses.fields(config):
        then, now = getattr(before.config, field.name), getattr(config, field.name)
        if field.name not in MAY_CHANGE and then != now:
            which, then, now = difference(field.name, then, now)
            raise BadInput(f"The run in {before.path} has {which} {then}, not {now}: resume it with {then}.")


def difference(name: str, then: Any, now: Any) -> tuple[str, Any, Any]:
    """The first setting that differs, looked for inside a config that holds others."""
    if dataclasses.is_dataclass(then):
        for field in dataclasses.fields(then):
            if getattr(then, field.name) != getattr(now, field.name):
                return field.name, getattr(then, field.name), getattr(now, field.name)
    return name, then, now


def make_tokenizer(config: PretrainConfig, corpus: "Corpus") -> "BPETokenizer | CharacterTokenizer":
    """The tokenizer of a corpus, learned once and kept beside the tokens.

    Merges are learned from the part that trains, so nothing of the held-out text shapes them. A character tokenizer
    lists all of the text's characters, since it has no other way to write one.
    """
    from insideout.data.fetch import cache_folder
    from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer, load_tokenizer

    if config.tokenizer == "character":
        return CharacterTokenizer.train(corpus.chunks())
    held_out = config.validation_fraction
    name = f"bpe-{config.model.vocab_size}-{held_out:g}-{corpus.fingerprint[:16]}-{code_version()}.json"
    kept = cache_folder() / "tokenizers" / name
    if kept.is_file():
        try:
            return load_tokenizer(kept)
        except BadInput:
            kept.unlink(missing_ok=True)  # our own cache, damaged: learn it again
    tokenizer = BPETokenizer.train(training_text(corpus, held_out), config.model.vocab_size)
    tokenizer.save(kept)
    return tokenizer


def training_text(corpus: "Corpus", validation_fraction: float) -> Iterator[str]:
    """The part of the text that trains, as `data.tokens.prepare` cuts it."""
    left = int((1 - validation_fraction) * corpus.n_characters)
    for chunk in corpus.chunks():
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


def held_out_loss(
    model: "nn.Module", tokens: "Tokens", context_length: int, batch_size: int, at_most: int = 0
) -> float:
    """Mean loss in nats over the held-out tokens, each predicted once; over about the first `at_most` if not 0."""
    import torch

    from insideout.data.text.tokens import windows
    from insideout.transformer.loss import next_token_loss

    device = next(model.parameters()).device
    batch_size = max(batch_size, 4096 // context_length)  # without gradients there is room for more
    n_batches = None if at_most == 0 else max(1, round(at_most / (context_length * batch_size)))
    batches: Iterator[Any] = islice(windows(tokens, context_length, batch_size), n_batches)
    total, count = 0.0, 0.0
    with torch.no_grad():
        for ids, targets in batches:
            loss, n = next_token_loss(model, (ids.to(device), targets.to(device)))
            total, count = total + float(loss), count + n
    return total / count


def sample(model: Any, tokenizer: Any, prompt: list[int], n_tokens: int, seed: int = 0) -> str:
    """What the model writes after the prompt, in full precision."""
    import torch

    from insideout.transformer.generation.generate import generate

    device = next(model.parameters()).device
    with torch.autocast(device.type, enabled=False):
        [ids] = generate(model, [prompt], n_tokens, temperature=0.8, top_p=0.95, seed=seed)
    return str(tokenizer.decode(ids))


class Samples:
    """samples.jsonl: what the model wrote, by step. A step that is taken again replaces the later ones."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, step: int, text: str) -> None:
        from insideout.files import write_whole

        kept = [record for record in json_lines(self.path) if record["step"] < step]
        lines = [json.dumps(record) + "\n" for record in [*kept, {"step": step, "text": text}]]
        write_whole(self.path, "".join(lines).encode())
