"""PPO: a critic foresees the reward at each token, and what goes better than foreseen is made likelier, within a clip.

    advantage_t = Σ (γλ)^k δ_{t+k}      δ_t = r_t + γ V_{t+1} − V_t      r_t = −β k1_t, and the reward at the stop

Sources: Schulman et al. 2017 (PPO); Ouyang et al. 2022, §3.5; details: Huang et al. 2024 (The N implementation details
of RLHF with PPO).
"""

from dataclasses import dataclass, field
from pathlib import Path

from insideout.errors import BadInput
from insideout.finetuning.policy_config import CriticConfig, PolicyConfig
from insideout.recipes.language_model import read
from insideout.recipes.reinforcement import Reinforced, Reinforcement, draw_report, make, sources
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig


@dataclass(frozen=True)
class PPOConfig(Reinforcement):
    """As for all that learns from rewards, and a critic."""

    critic: CriticConfig = field(default_factory=CriticConfig)
    """What the critic is for, and how it learns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy.advantage != "gae":
            raise BadInput(f"advantage is {self.policy.advantage}, which has no use for a critic: use rloo, or gae.")


SETTINGS: dict[Scale, PPOConfig] = {
    "tiny": PPOConfig(
        questions=4, policy=PolicyConfig(prompts=4, samples=4, max_new_tokens=8, epochs=2, advantage="gae"),
        train=TrainConfig(
            steps=8, batch_size=8, lr=1e-3, min_lr=1e-3, warmup_steps=0, weight_decay=0.0, precision="float32",
            eval_every=4, checkpoint_every=3,
        ),
    ),
    "laptop": PPOConfig(
        policy=PolicyConfig(prompts=64, samples=4, epochs=2, advantage="gae"),
        train=TrainConfig(
            steps=100, batch_size=128, lr=3e-4, min_lr=1e-4, warmup_steps=4, weight_decay=0.0, precision="float32",
            eval_every=20, checkpoint_every=40,
        ),
    ),
    "gpu": PPOConfig(
        questions=300, policy=PolicyConfig(prompts=512, samples=2, epochs=2, advantage="gae", kl_horizon=20_000),
        train=TrainConfig(
            steps=800, batch_size=256, lr=3e-5, min_lr=5e-6, warmup_steps=20, weight_decay=0.0, precision="float32",
            eval_every=100, checkpoint_every=200,
        ),
    ),
}  # fmt: skip


def load(folder: Path) -> Reinforced:
    """The model in a folder."""
    found: Reinforced = read(Reinforced, folder, "ppo", PPOConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return draw_report(load(folder), "A model that learned from rewards: PPO")


STAGE = Stage(
    "ppo", "The assistant, learning from rewards of its own answers with a critic: PPO.", SETTINGS, make, load,
    needs={"model": "sft", "reward": "reward"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
