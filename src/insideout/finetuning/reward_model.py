"""A reward model: a GPT whose head gives one number, which says how good a text is.

    model = RewardModel.of(gpt)                     the language model's trunk, a head of one row in place of its own
    model.score(batch)                              (D,): a number for each document of the batch
    loss = −log σ(r_chosen − r_rejected − margin) + w (r_chosen + r_rejected)²

The score is read where a text ends, at the token after which nothing is said: an answer's stop. So it is the same alone
and in any batch, whatever is padded on whichever side, and whatever is packed beside it. Only differences of scores are
learned: a score by itself means nothing, and whoever uses one as a reward may shift it.
The new head starts small: its scores begin near 0, and the loss near ln 2, that of who knows nothing. Were it 0, the
first update would teach the trunk nothing. A pair lies in a batch as two documents, chosen and rejected, one after the
other.
Taught in book/3-fine-tuning-a-transformer/07_reward_model.md and 13_over_optimisation.md. PPO's critic is built alike.
Sources: Stiennon et al. 2020, §3.4; Ouyang et al. 2022, eq. 1; ensembles: Coste et al. 2023. Shapes: B rows, T
positions, D documents, P pairs.
"""

import copy
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from insideout.data.batch import Batch
from insideout.errors import BadInput
from insideout.estimates import Bin, brier, calibration_error, reliability
from insideout.finetuning.checks import check_range, check_shapes
from insideout.finetuning.losses import bradley_terry, centring
from insideout.training.metrics import Metric
from insideout.training.objective import Objective
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT

__all__ = ["Calibration", "Ensemble", "RewardModel", "agreement", "calibration", "check_tokenizer", "reward_objective"]

FIRST = 0.1
"""Deviation of the first scores, for states of mean square 1."""

METRICS = (
    Metric("accuracy", "pairs in the right order", unit="%", section="Accuracy", better="higher"),
    Metric("margin", "chosen less rejected", section="Scores", better="higher",
           words="Only differences mean something; how far the mean drifts, centring decides."),
    Metric("score", "mean score", section="Scores", live=False),
)  # fmt: skip


class RewardModel(nn.Module):
    """A GPT with a head of one row: ids (B, T) -> a number at every position (B, T). `score` reads it at the ends."""

    def __init__(self, gpt: GPT) -> None:
        """Takes a GPT whose head has one row, as it is. `of` makes one of a language model."""
        super().__init__()
        if gpt.head.weight.shape[0] != 1:
            raise BadInput(f"This head gives {gpt.head.weight.shape[0]} numbers and not one: use RewardModel.of(gpt).")
        self.gpt = gpt

    @classmethod
    def of(cls, gpt: GPT, seed: int = 0) -> "RewardModel":
        """A copy of a language model with a new, small head, drawn from the seed. The model itself stays as it is."""
        trunk, width = copy.deepcopy(gpt), gpt.config.d_model
        new = torch.randn(1, width, generator=torch.Generator().manual_seed(seed)) * FIRST / width**0.5
        weight = gpt.token_embedding.weight
        trunk.head = nn.Linear(width, 1, bias=False, device="meta")
        trunk.head.weight = nn.Parameter(new.to(weight.device, weight.dtype))
        return cls(trunk.requires_grad_(True))

    @property
    def config(self) -> GPTConfig:
        """The trunk's sizes; of its vocabulary, only what is read."""
        return self.gpt.config

    @property
    def n_parameters(self) -> int:
        """How many numbers it learns."""
        return self.gpt.n_parameters

    def forward(self, ids: Int[Tensor, "B T"], segments: Int[Tensor, "B T"] | None = None) -> Float[Tensor, "B T"]:
        """What the head says at every position. Raises BadInput for a text longer than the context."""
        return self.gpt(ids, segments=segments)[..., 0]

    @torch.no_grad()
    def score(self, batch: Batch) -> Float[Tensor, " D"]:
        """A number for each document, dropout off, without a graph. Raises BadInput as `forward` does."""
        training = self.training
        self.eval()
        try:
            return at_ends(self, batch)
        finally:
            self.train(training)


def at_ends(model: nn.Module, batch: Batch) -> Float[Tensor, " D"]:
    """Each document's score, read where its last token was read."""
    return batch.at_ends(model(batch.ids, **batch.reading)).float()


def reward_objective(*, margin: float = 0.0, centring_weight: float = 0.0) -> Objective:
    """Bradley–Terry, with a margin by which the chosen answer must be ahead, and with scores held near 0.

    Its batches are of documents in pairs, the chosen before the rejected. Raises BadInput for numbers below 0.
    """
    check_range("margin", margin, 0.0, 1e6)
    check_range("centring_weight", centring_weight, 0.0, 1e6)

    def loss(model: nn.Module, batch: Batch) -> tuple[Tensor, int, dict[str, float]]:
        chosen, rejected = sides(at_ends(model, batch))
        total = bradley_terry(chosen, rejected, margin).sum()
        if centring_weight:
            total = total + centring_weight * centring(chosen, rejected).sum()
        c, r = chosen.detach(), rejected.detach()
        found = {"accuracy": agreement(c, r).sum(), "margin": (c - r).sum(), "score": ((c + r) / 2).sum()}
        return total, len(c), {name: float(value) for name, value in found.items()}

    return Objective(loss, METRICS, counted="pairs")


def sides(x: Float[Tensor, " D"]) -> tuple[Float[Tensor, " P"], Float[Tensor, " P"]]:
    """(of the chosen, of the rejected), from a number a document."""
    if len(x) % 2:
        raise BadInput(f"A batch of pairs has {len(x)} documents: it must be an even number, chosen and rejected.")
    return x[0::2], x[1::2]


def agreement(chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"]) -> Float[Tensor, " P"]:
    """1 where the chosen answer is ahead, 0 where it is behind, one half where they tie: a constant score has 0.5."""
    check_shapes(chosen=chosen, rejected=rejected)
    return (chosen > rejected).float() + 0.5 * (chosen == rejected).float()


class Calibration(NamedTuple):
    """Is who is 80% sure right in 80 of 100 pairs?"""

    bins: list[Bin]
    """Confidence against accuracy, from 0.5 to 1."""
    error: float
    """Expected calibration error."""
    brier: float
    """Mean squared distance of the confidence from the truth. Knowing nothing gives 0.25."""


def calibration(chosen: Float[Tensor, " P"], rejected: Float[Tensor, " P"], n_bins: int = 10) -> Calibration:
    """How far the confidences σ(|r_chosen − r_rejected|) are true, on pairs that were not learned from.

    Raises BadInput where there are none.
    """
    check_shapes(chosen=chosen, rejected=rejected)
    confidences = (chosen - rejected).double().abs().sigmoid().tolist()
    right = (chosen > rejected).tolist()
    return Calibration(
        reliability(confidences, right, n_bins),
        calibration_error(confidences, right, n_bins),
        brier(confidences, right),
    )


class Ensemble(nn.Module):
    """Several reward models as one: their mean, their minimum, or the mean less their spread.

    Where they disagree, none of them has seen such text, and a policy that looks for high scores will go there.
    Source: Coste et al. 2023 (Reward model ensembles help mitigate overoptimization).
    """

    def __init__(
        self, models: Sequence[RewardModel], how: Literal["mean", "min", "cautious"] = "mean", caution: float = 1.0
    ) -> None:
        """`caution` is how many of their standard deviations `cautious` takes off. Raises BadInput for fewer than 2."""
        super().__init__()
        if len(models) < 2:
            raise BadInput(f"An ensemble of {len(models)}: give it at least 2 reward models, trained from other seeds.")
        if how not in ("mean", "min", "cautious"):
            raise BadInput(f"An ensemble is of the mean, the min or cautious, and not {how!r}.")
        check_range("caution", caution, 0.0, 1e6)
        self.models = nn.ModuleList(models)
        self.how, self.caution = how, caution

    @torch.no_grad()
    def scores(self, batch: Batch) -> Float[Tensor, "M D"]:
        """What each of the M models says. Each has a zero of its own: shift them alike before they are compared."""
        return torch.stack([model.score(batch) for model in self.models])  # type: ignore[operator]

    @torch.no_grad()
    def score(self, batch: Batch) -> Float[Tensor, " D"]:
        """One number for each document."""
        each = self.scores(batch)  # (M, D)
        if self.how == "min":
            return each.min(0).values
        return each.mean(0) - (self.caution * each.std(0, correction=0) if self.how == "cautious" else 0)


def check_tokenizer(ours: Any, policy: Any) -> None:
    """Raises BadInput unless a reward model's tokenizer is that of the policy: else it would read other words."""
    if ours.fingerprint != policy.fingerprint:
        raise BadInput(
            "The reward model has another tokenizer than the model whose answers it is to score, so that it would read "
            "other words: train it from that model, by `insideout reward --model`."
        )
