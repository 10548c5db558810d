"""`insideout train`: the stage `pretrain`, in a folder of its own: a GPT on text, from scratch."""

import re
from pathlib import Path
from typing import Any

from insideout.cli.commands.run import Word, run_stage
from insideout.cli.commands.shared import RUNS, program, quoted


def main(given: list[str]) -> int:
    """Train as the flags say."""
    from insideout.recipes.pretrain import STAGE

    about = "Train a GPT on text, from scratch, and write a report."
    return run_stage(STAGE, given, Word("train", about, RUNS, name, after))


def name(config: Any) -> str:
    """What the run's folder is called: its texts, in letters that every system allows, and not too many."""
    words = "+".join(Path(each).stem for each in config.corpus)
    return re.sub(r"[^\w.+-]+", "_", words).strip("._")[:60] or "text"


def after(run: Any) -> str:
    """How a run ended, where its report is, and three things to do next."""
    result = run.result()
    speed = result["tokens_per_second"]
    lines = [
        f"\nTrained {run.about['n_parameters']:,} parameters in {result['seconds']:.0f} s"
        + (f" at {speed:,.0f} tokens/s." if speed else "."),
        f"Held-out loss {result['validation_loss']:.3f} nats per token, {result['bits_per_byte']:.3f} bits per byte.",
        f"\nReport: {run.report}",
        "\nNext:",
        f"    {program()} sample --run {quoted(run.path)} --prompt {quoted(prompt(run))}",
        f"    {program()} train --corpus PATH      your own text: a .txt, a .jsonl or a folder",
        "    make book                        the book, with this model in it"
        if Path("Makefile").is_file()
        else f"    {program()} check                the exercises",
    ]
    return "\n".join(lines)


def prompt(run: Any) -> str:
    """A prompt that the run's tokenizer knows, and that leaves room to write."""
    wished = "To read a file, "
    known = run.config.tokenizer == "bpe" and run.config.corpus == ("python-docs",)
    if known and len(run.tokenizer().encode(wished)) < run.config.model.context_length:
        return wished
    return str(run.config.sample_prompt)
