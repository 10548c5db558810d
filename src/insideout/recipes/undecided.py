"""The undecided: a small model that has seen sums solved in two ways, in steps and at once, and takes either.

    3+5+2+4        <think>3+5=8\\n8+2=10\\n10+4=14</think>#### 14        `thinking` of the solutions it learned from
    3+5+2+4        #### 14                                             all others

Nothing told it which is better. So groups of its answers differ for one reason, which is easy to hear: the start that
`grpo` goes on from. (The half-good reasoner's mistakes lie in hundreds of sums of two numbers, each seldom met.) Model,
training and vocabulary are the reasoner's.
Taught in book/4-reasoning-with-transformers/09_grpo.md.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from insideout.data.problems.steps import Form
from insideout.data.problems.sums import Sums
from insideout.data.suite import Message, Split
from insideout.errors import BadInput
from insideout.recipes import reasoner
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import read
from insideout.recipes.reasoner import Reasoner, ReasonerConfig, draw_report
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.transformer.config import GPTConfig


class TwoWays(Sums):
    """Sums whose demonstrations are solved in steps or at once."""

    thinking: float = 0.5
    """Share of those that are solved in steps."""

    def demonstrations(self, split: Split, seed: int = 0, form: Form = "think") -> Iterator[tuple[Message, ...]]:
        """Conversations that end with a solution of either form, without end. `form` has no say."""
        source = random.Random(f"two ways {split} {seed}")
        both = super().demonstrations(split, seed, "think"), super().demonstrations(split, seed, "direct")
        for in_steps, at_once in zip(*both, strict=True):
            yield in_steps if source.random() < self.thinking else at_once


@dataclass(frozen=True)
class UndecidedConfig(ReasonerConfig):
    """As for the reasoner, and how many of the solutions are in steps."""

    thinking: float = 0.4
    """Share of the solutions that are worked in steps; all others state the answer at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.thinking < 1:
            raise BadInput(f"thinking is {self.thinking}; it must lie between 0 and 1: it has to see both ways.")
        if self.form != "think":
            raise BadInput("form is direct: the undecided learns from both forms, by shares of thinking.")

    @property
    def suite(self) -> TwoWays:
        """The sums."""
        found = TwoWays(range(self.shortest, self.longest + 1), largest=self.largest)
        found.thinking = self.thinking
        return found


SETTINGS: dict[Scale, UndecidedConfig] = {
    "tiny": UndecidedConfig(
        longest=2, questions=8, samples=2,
        model=GPTConfig(vocab_size=320, context_length=64, d_model=32, n_layers=2, n_heads=2),
        train=TrainConfig(
            steps=20, batch_size=8, lr=3e-3, min_lr=3e-4, warmup_steps=3, optimizer="muon", precision="float32",
            eval_every=10, checkpoint_every=10,
        ),
    ),
    "laptop": UndecidedConfig(
        shortest=2, longest=5, largest=6,
        model=GPTConfig(vocab_size=384, context_length=72, d_model=128, n_layers=3, n_heads=4),
        train=TrainConfig(
            steps=150, batch_size=40, lr=4e-3, min_lr=2e-4, warmup_steps=20, optimizer="muon", precision="float32",
            eval_every=150, checkpoint_every=200,
        ),
    ),
    "gpu": UndecidedConfig(
        shortest=2, longest=10, largest=20, questions=500, samples=8,
        model=GPTConfig(vocab_size=1536, context_length=256, d_model=384, n_layers=6, n_heads=6),
        train=TrainConfig(
            steps=1500, batch_size=512, lr=2e-3, min_lr=2e-4, warmup_steps=50, optimizer="muon", precision="float32",
            eval_every=250, checkpoint_every=500,
        ),
    ),
}  # fmt: skip


def make(config: UndecidedConfig, inputs: Inputs, job: Job) -> None:
    """Train the model on sums solved in two ways, the result last."""
    reasoner.make(config, inputs, job)


def load(folder: Path) -> Reasoner:
    """The model in a folder."""
    found: Reasoner = read(Reasoner, folder, "undecided", UndecidedConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return draw_report(load(folder), "A model that sometimes thinks")


STAGE = Stage(
    "undecided", "A small model that solves sums in steps or at once, as it happens.", SETTINGS, make, load,
    free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
