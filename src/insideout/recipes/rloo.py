"""RLOO: an answer is better or worse than the others to its prompt, and made likelier or less likely by that.

    advantage_i = r_i − mean of the other answers' rewards        r = reward − β KL

No critic is needed. Source: Ahmadian et al. 2024 (Back to basics); the baseline: Kool et al. 2019.
"""

from dataclasses import dataclass
from pathlib import Path

from insideout.errors import BadInput
from insideout.finetuning.policy_config import PolicyConfig
from insideout.recipes.language_model import read
from insideout.recipes.reinforcement import Reinforced, Reinforcement, draw_report, make, sources
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig


@dataclass(frozen=True)
class RLOOConfig(Reinforcement):
    """As for all that learns from rewards."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy.advantage == "gae":
            raise BadInput("advantage is gae, which needs a critic: choose leave_one_out, or use ppo.")


METHOD = {"advantage": "leave_one_out", "ratio": "answer", "aggregation": "answer_mean"}

SETTINGS: dict[Scale, RLOOConfig] = {
    "tiny": RLOOConfig(
        questions=4, policy=PolicyConfig(prompts=4, samples=4, max_new_tokens=8, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=6, batch_size=8, lr=1e-3, min_lr=1e-3, warmup_steps=0, weight_decay=0.0, precision="float32",
            eval_every=3, checkpoint_every=3,
        ),
    ),
    "laptop": RLOOConfig(
        policy=PolicyConfig(prompts=32, samples=8, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=40, batch_size=128, accumulation=2, lr=3e-4, min_lr=1e-4, warmup_steps=2, weight_decay=0.0,
            precision="float32", eval_every=10, checkpoint_every=20,
        ),
    ),
    "gpu": RLOOConfig(
        questions=300, policy=PolicyConfig(prompts=128, samples=8, kl_horizon=20_000, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=400, batch_size=512, lr=3e-5, min_lr=5e-6, warmup_steps=10, weight_decay=0.0, precision="float32",
            eval_every=50, checkpoint_every=100,
        ),
    ),
}  # fmt: skip


def load(folder: Path) -> Reinforced:
    """The model in a folder."""
    found: Reinforced = read(Reinforced, folder, "rloo", RLOOConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return draw_report(load(folder), "A model that learned from rewards: RLOO")


STAGE = Stage(
    "rloo", "The assistant, learning from rewards of its own answers, side by side: RLOO.", SETTINGS, make, load,
    needs={"model": "sft", "reward": "reward"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
