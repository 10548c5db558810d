"""What each command of `insideout` does. A command's fields are its flags, their docstrings its help.

Nothing heavy is imported until a command runs.
"""

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from insideout import scales
from insideout.errors import BadInput
from insideout.recipes.config import PretrainConfig
from insideout.transformer.config import GPTConfig

RUNS = Path("runs")


@dataclass(frozen=True)
class Train:
    """Train a GPT on text, from scratch, and write a report."""

    config: Annotated[PretrainConfig, tyro.conf.arg(name="")] = field(default_factory=PretrainConfig)
    """The settings, by default those of the scale."""
    scale: scales.Scale = "laptop"
    """Which defaults to use: tiny (seconds), laptop (minutes on two cores) or gpu."""
    out: Path | None = None
    """Directory for the run. Default: runs/CORPUS-SCALE-N, with the next free N."""
    resume: bool = False
    """Go on with the run in --out, or with the newest in runs/."""

    def run(self) -> int:
        from insideout.recipes.pretrain import run_pretrain
        from insideout.recipes.progress import progress
        from insideout.recipes.runs import next_free
        from insideout.recipes.stage import adopt
        from insideout.training.interrupt import Interrupted

        os.environ["INSIDEOUT_SCALE"] = self.scale
        corpus = "+".join(Path(name).stem for name in self.config.corpus)
        out = self.out or next_free(RUNS, f"{corpus}-{self.scale}")
        try:
            with progress(title=f"A GPT on {corpus}") as show:
                run = run_pretrain(self.config, out, self.resume, show)
        except Interrupted as stopped:
            print(f"\nStopped after step {stopped.step:,}; everything is saved. Go on with:", file=sys.stderr)
            print(f"    {program()} train --resume --out {quoted(out)}", file=sys.stderr)
            return 130
        if int(os.environ.get("RANK", "0")) == 0:
            adopt(run)
            print(summary(run))
        return 0


@dataclass(frozen=True)
class Sample:
    """Let a trained model write."""

    prompt: str = "The "
    """How the text begins."""
    run_folder: Annotated[Path | None, tyro.conf.arg(name="run")] = None
    """The run's directory. Default: the newest in runs/."""
    max_new_tokens: int = 200
    """How many tokens to write; fewer where the context ends before."""
    temperature: float = 0.8
    """0 always takes the likeliest token; 1 draws as the model believes; more is wilder."""
    top_k: int | None = None
    """Draw from the k likeliest tokens only."""
    top_p: float | None = 0.95
    """Draw from the fewest tokens whose probabilities reach this."""
    min_p: float | None = None
    """Draw from tokens at least this many times as likely as the likeliest."""
    seed: int = 0
    """Another seed, another text."""

    def run(self) -> int:
        from insideout.recipes.runs import Run, newest_run

        run = Run(self.run_folder) if self.run_folder else newest_run(RUNS)
        tokenizer = run.tokenizer()
        model = run.model()
        prompt = tokenizer.encode(self.prompt)
        room = model.config.context_length - len(prompt)
        if not prompt or room < 1:
            raise BadInput(
                f"The prompt has {len(prompt)} tokens; it must have at least 1 and fewer than the context length "
                f"{model.config.context_length}."
            )
        if self.max_new_tokens < 1:
            raise BadInput(f"max_new_tokens is {self.max_new_tokens}; it must be at least 1.")
        from insideout.transformer.generation.generate import generate

        [ids] = generate(
            model, [prompt], min(self.max_new_tokens, room), temperature=self.temperature, top_k=self.top_k,
            top_p=self.top_p, min_p=self.min_p, seed=self.seed,
        )  # fmt: skip
        print(tokenizer.decode(ids))
        return 0


@dataclass(frozen=True)
class MakePlan:
    """Say what a training run will need: memory of each device, time and cost."""

    preset: str = "gpt2"
    """The model: gpt2, llama, qwen3, or that of a scale: tiny, laptop, gpu. Its sizes can be changed by flags."""
    parameters: float | None = None
    """Instead of a preset: about how many parameters; the plan chooses the sizes."""
    model: Annotated[GPTConfig, tyro.conf.arg(name="")] = field(default_factory=GPTConfig.gpt2)
    """The sizes, by default those of the preset."""
    device: str = "h100"
    """The kind: a100-40, a100-80, h100, h200, b200, l4, l40s, rtx4090, mi300x, tpu-v4, tpu-v5e, tpu-v5p or custom."""
    devices: int = 1
    """How many of them."""
    parallel: Literal["ddp", "fsdp", "tensor"] = "ddp"
    """What each device has: a copy of the model (ddp), a slice of each weight (fsdp) or some heads (tensor)."""
    batch_size: int = 8
    """Sequences in one forward pass on each device; with parallel tensor, on all of them together."""
    accumulation: int = 1
    """Forward passes whose gradients are added up before one update."""
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Number format of the matrix products."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """What updates the weights."""
    checkpoint_activations: bool = False
    """Recompute activations in the backward pass instead of keeping them."""
    tokens: float | None = None
    """To train on. Default: what the budget pays for, or else 20 for each parameter."""
    budget: float | None = None
    """Money to spend, in the currency of the price."""
    price: float | None = None
    """Of one device for an hour."""
    utilisation: float = 0.4
    """Share of the device's published peak speed that the run will reach."""
    tflops: float | None = None
    """With device custom: its peak speed in this precision, in 10^12 operations a second."""
    memory: float | None = None
    """With device custom: its memory in GiB."""
    bandwidth: float | None = None
    """With device custom: its memory bandwidth in GB a second."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from insideout.planner.devices import choose_device
        from insideout.planner.memory import Load
        from insideout.planner.plan import Setup, plan, table, to_dict

        load = Load(
            self.model, self.batch_size, self.accumulation, self.precision, self.optimizer,
            self.checkpoint_activations, self.parallel, self.devices,
        )  # fmt: skip
        device = choose_device(self.device, self.tflops, self.memory, self.bandwidth)
        made = plan(Setup(load, device, self.tokens, self.budget, self.price, self.utilisation))
        if self.json:
            import json

            print(json.dumps(to_dict(made), indent=1))
        else:
            from rich.console import Console

            Console(highlight=False).print(table(made))
        return 0


@dataclass(frozen=True)
class Doctor:
    """Look at Python, torch, device, precision and speed; name known trouble, each with its cure."""

    def run(self) -> int:
        from insideout.cli.doctor import examine

        findings = examine()
        width = max(len(each.name) for each in findings)
        for each in findings:
            print(f"{'✗' if each.cure else '✓'} {each.name:<{width}}  {each.found}")
            if each.cure:
                print(f"  {'':<{width}}  cure: {each.cure}")
        trouble = sum(bool(each.cure) for each in findings)
        print(f"\n{trouble} known trouble{'s' if trouble > 1 else ''}." if trouble else "\nNo known trouble.")
        return 0


@dataclass(frozen=True)
class Check:
    """Run a file of answers to exercises, or list the exercises and your progress."""

    file: Annotated[Path | None, tyro.conf.Positional] = None
    """A Python file that calls check(id, answer). Left out: list exercises and progress."""

    def run(self) -> int:
        if self.file is None:
            return self.show_progress()
        if not self.file.is_file():
            raise BadInput(f"There is no file {self.file}: give a Python file that calls check(id, answer).")
        import runpy

        runpy.run_path(str(self.file), run_name="__main__")
        return 0

    def show_progress(self) -> int:
        from insideout.exercises import all_exercises
        from insideout.exercises.progress import progress

        kept = progress()
        exercises = all_exercises()
        solved = 0
        for each in exercises:
            entry: dict[str, Any] = kept.get(each.id, {})
            solved += bool(entry.get("solved"))
            mark = "✓" if entry.get("solved") else "✗" if entry else "○"
            print(f"{mark} {each.id:<24} {each.stars}  {each.minutes:>2} min")
        print(f"\n{solved} of {len(exercises)} solved.")
        return 0


@dataclass(frozen=True)
class MakeRecipe:
    """Make a recipe's result, unless it is stored already, and print where it is."""

    name: Annotated[str, tyro.conf.Positional]
    """Which recipe; `insideout recipes` lists them."""
    scale: scales.Scale = "laptop"
    """At which scale."""

    def run(self) -> int:
        from insideout.recipes.stage import recipe
        from insideout.training.interrupt import Interrupted

        os.environ["INSIDEOUT_SCALE"] = self.scale
        try:
            print(recipe(self.name).path)
        except Interrupted as stopped:
            print(f"\nStopped after step {stopped.step:,}; the same command goes on from there.", file=sys.stderr)
            return 130
        return 0


@dataclass(frozen=True)
class Recipes:
    """List the recipes, and which results are stored."""

    scale: scales.Scale = "laptop"
    """At which scale."""

    def run(self) -> int:
        from insideout.recipes.stage import RECIPES, finished, place

        os.environ["INSIDEOUT_SCALE"] = self.scale
        for name, each in RECIPES.items():
            path = place(name, self.scale)
            print(f"{name:<12} {each.about}\n{'':<12} {path if finished(path) else 'not made yet'}")
        return 0


def summary(run: Any) -> str:
    """How a run ended, where its report is, and three things to do next."""
    result = run.result()
    lines = [
        f"\nTrained {run.about['n_parameters']:,} parameters in {result['seconds']:.0f} s at "
        f"{result['tokens_per_second']:,.0f} tokens/s.",
        f"Held-out loss {result['validation_loss']:.3f} nats per token, {result['bits_per_byte']:.3f} bits per byte.",
        f"\nReport: {run.report}",
        "\nNext:",
        f'    {program()} sample --run {quoted(run.path)} --prompt "To read a file, "',
        f"    {program()} train --corpus PATH      your own text: a .txt, a .jsonl or a folder",
        "    make book                        the book, with this model in it"
        if Path("Makefile").is_file()
        else f"    {program()} check                the exercises",
    ]
    return "\n".join(lines)


def program() -> str:
    """How to call this command from where the person stands: its name when it is on the PATH, else its path."""
    called = Path(sys.argv[0])
    if called.name != "insideout" or (shutil.which("insideout") and Path(str(shutil.which("insideout"))) == called):
        return "insideout"
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(called)


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    import shlex

    return shlex.quote(str(path))
