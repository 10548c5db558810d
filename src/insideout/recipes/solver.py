"""GRPO as the last stage of the one model's life: the thinker, learning from which of its answers are right.

The same method and the same program as `grpo`, which begins with the undecided, a model that knows nothing but sums.
This one began with stories of the town, answers its questions, and may forget them.
Taught in book/4-reasoning-with-transformers/14_the_journey.md.
"""

from dataclasses import dataclass
from pathlib import Path

from insideout.finetuning.policy_config import PolicyConfig
from insideout.recipes import grpo
from insideout.recipes.grpo import METHOD, GRPOConfig, draw_report
from insideout.recipes.grpo import Solver as OfSums
from insideout.recipes.grpo import sources as grpo_sources
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import read
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig


@dataclass(frozen=True)
class SolverConfig(GRPOConfig):
    """What it goes on from, which problems are asked, and how it learns."""

    model: str = ""
    """What to go on from: the folder of a run of ours that answers. Empty: the recipe thinker."""


SETTINGS: dict[Scale, SolverConfig] = {
    "tiny": SolverConfig(
        questions=8, check_samples=2,
        policy=PolicyConfig(prompts=4, samples=4, max_new_tokens=24, beta=0.01, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=4, batch_size=16, lr=1e-3, min_lr=1e-3, warmup_steps=1, weight_decay=0.0, precision="float32",
            eval_every=2, checkpoint_every=2,
        ),
    ),
    "laptop": SolverConfig(
        policy=PolicyConfig(prompts=16, samples=8, max_new_tokens=60, beta=0.01, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=60, batch_size=128, lr=2e-4, min_lr=2e-5, warmup_steps=5, weight_decay=0.0, precision="float32",
            eval_every=20, checkpoint_every=10,
        ),
    ),
    "gpu": SolverConfig(
        questions=500, check_samples=8,
        policy=PolicyConfig(prompts=128, samples=16, max_new_tokens=120, beta=0.01, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=300, batch_size=2048, lr=1e-4, min_lr=3e-5, warmup_steps=20, weight_decay=0.0, precision="float32",
            eval_every=50, checkpoint_every=100,
        ),
    ),
}  # fmt: skip


class Solver(OfSums):
    """A thinker that learned from which of its answers were right."""

    suites = ("instructions", "sums")  # type: ignore[assignment]
    """What it can be asked."""


def make(config: SolverConfig, inputs: Inputs, job: Job) -> None:
    """Learn from which answers are right, the result last."""
    grpo.make(config, inputs, job)


def sources(config: SolverConfig) -> dict[str, str]:
    """Fingerprints of what it reads from elsewhere."""
    return grpo_sources(config)


def load(folder: Path) -> Solver:
    """The model in a folder."""
    found: Solver = read(Solver, folder, "solver", SolverConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return draw_report(load(folder))


STAGE = Stage(
    "solver", "The thinker, learning from which of its answers are right: GRPO.", SETTINGS, make, load,
    needs={"model": "thinker"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
