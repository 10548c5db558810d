"""Settings of learning from rewards: how answers are drawn, weighed and learned from. Imports no torch.

Used by finetuning/policy_training.py, which says what the choices make, and by the stages `ppo`, `rloo` and `grpo`.
"""

from dataclasses import dataclass
from typing import Literal

from insideout.errors import BadInput
from insideout.training.config import check_types

__all__ = ["CriticConfig", "PolicyConfig", "updates_of"]


@dataclass(frozen=True)
class PolicyConfig:
    """How answers are drawn, weighed and learned from."""

    prompts: int = 16
    """Prompts of a round, on each device."""
    samples: int = 4
    """Answers to each prompt."""
    epochs: int = 1
    """How often each answer of a round is learned from."""
    max_new_tokens: int = 96
    """Tokens of an answer, at most."""
    temperature: float = 1.0
    """Of the distribution that is drawn from, and learned in."""
    advantage: Literal["gae", "leave_one_out", "group_mean", "group_std", "raw"] = "leave_one_out"
    """By how much an answer went better than expected: by a critic, or by the other answers to its prompt. raw: the
    reward as it is, so that with rewards of 0 and 1 the right answers alone are learned, as in RAFT."""
    ratio: Literal["token", "answer", "geometric"] = "token"
    """Of new to old probability: each token's, the whole answer's, or the mean of its tokens' (geometric)."""
    aggregation: Literal["token_mean", "answer_mean", "constant"] = "token_mean"
    """Every token counts alike, or every answer; constant: the sum over max_new_tokens for each answer."""
    ratio_clip: float = 0.2
    """How far below 1 the ratio is followed,"""
    ratio_clip_high: float = 0.2
    """and how far above."""
    kl: Literal["reward", "k2", "k3"] = "reward"
    """Where the distance from the reference is paid: in the reward (k1), or in the loss, by k2 or k3."""
    beta: float = 0.05
    """The price of a nat of KL; with a target_kl, at the beginning."""
    target_kl: float = 0.0
    """Nats an answer that beta is steered towards. 0: beta stays."""
    kl_horizon: int = 2000
    """Answers over which beta is steered: the fewer, the faster."""
    entropy_bonus: float = 0.0
    """What a nat of entropy of a token is worth."""
    truncated: Literal["penalise", "leave_out", "score"] = "penalise"
    """What becomes of answers that were cut off: they pay the penalty, teach nothing, or are scored like others."""
    penalty: float = 1.0
    """What it costs to be cut off."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("prompts", "samples", "epochs", "max_new_tokens", "kl_horizon"):
            self._require(name, 1 <= getattr(self, name) <= 10**6, "at least 1, and at most a million")
        self._require("temperature", self.temperature > 0, "above 0: the likeliest answer alone teaches nothing")
        self._require("ratio_clip", 0 < self.ratio_clip < 1, "above 0 and below 1")
        self._require("ratio_clip_high", self.ratio_clip_high > 0, "above 0")
        for name in ("beta", "target_kl", "entropy_bonus", "penalty"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        if self.advantage not in ("gae", "raw"):
            words = f"at least 2, since {self.advantage} compares answers to one prompt"
            self._require("samples", self.samples >= 2, words)
        if self.target_kl and not self.beta:
            raise BadInput("target_kl is set and beta is 0: steering multiplies beta, so give one to begin with.")
        if self.target_kl and self.kl_horizon < self.prompts * self.samples:
            raise BadInput(
                f"kl_horizon is {self.kl_horizon}, less than the {self.prompts * self.samples} answers of a round: "
                "make it larger, or beta would jump."
            )
        if self.ratio != "token" and self.aggregation != "answer_mean":
            raise BadInput(
                f"ratio is {self.ratio} and aggregation {self.aggregation}: an answer's one ratio would count once for "
                "each of its tokens. Choose aggregation answer_mean, or ratio token."
            )

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise BadInput(f"{name} is {getattr(self, name)}; it must be {what}.")


@dataclass(frozen=True)
class CriticConfig:
    """What the critic is for, and how it learns."""

    gamma: float = 1.0
    """What a reward is worth one token earlier."""
    lam: float = 0.95
    """GAE: 1 trusts what came of it, 0 the critic."""
    value_coefficient: float = 0.5
    """Of the critic's loss beside the policy's."""
    value_clip: float = 0.0
    """How far a value may move from the old one before its loss no longer falls. 0: no clipping."""
    whiten: bool = True
    """Give the advantages of a round (on each device) the mean 0 and the deviation 1."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"{name} is {getattr(self, name)}; it must lie between 0 and 1.")
        if self.value_coefficient <= 0 or self.value_clip < 0:
            raise BadInput("value_coefficient must be above 0, and value_clip at least 0.")


def updates_of(config: PolicyConfig, n_rows: int, accumulation: int) -> int:
    """How many updates go once through a round. Raises BadInput where that is no whole number."""
    n, each = config.prompts * config.samples, n_rows * accumulation
    if n % each:
        raise BadInput(
            f"A round has {config.prompts} · {config.samples} = {n} answers and an update is made from {each}: choose "
            "batch_size and accumulation such that updates go evenly into a round."
        )
    return n // each
