"""Experience: answers that the policy drew, with all that was known when they were drawn. What RL learns from.

    prompts, G answers to each  ->  ids, where to learn, log π_old, log π_ref, scores, values  ->  advantages

A row is one prompt and one answer, built from the rollout's own tokens: nothing is decoded and read again. Learned is
what was drawn, the stop with it, and neither prompt nor padding. What belongs to a token stands at the position that
says it, as in every `Batch`. What must hold of it is asserted as it is made.
Taught in book/3-fine-tuning-a-transformer/12_training_dynamics.md. Used by REINFORCE, RLOO, PPO and, in part 4, GRPO.
Sources: Ziegler et al. 2019; Ouyang et al. 2022, §3.5; truncated answers: Yu et al. 2025 (DAPO), §3.4.
Shapes: N answers, T positions, P prompts, G answers to each (N = P G; a prompt's answers stand together).
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from insideout.data.batch import IGNORE, Batch, padded
from insideout.data.suite import Question
from insideout.errors import BadInput
from insideout.finetuning.lora import adapters, adapters_off
from insideout.transformer.generation.reading import only_reading
from insideout.transformer.generation.rollout import Rollout
from insideout.transformer.loss import token_logprobs
from insideout.transformer.model import GPT

__all__ = [
    "Experience", "Reference", "Reward", "adapter_off", "batch_of", "frozen_copy", "judged_by", "logprobs_of",
    "scored_by",
]  # fmt: skip

Reward = Callable[[Sequence[Question], Sequence[str], Batch], Sequence[float] | Tensor]
"""(the question, the words of the answer, and prompt and answer as tokens), of N answers -> N numbers."""
Reference = Callable[[Batch], Tensor]
"""A batch -> log π_ref of its targets, (N, T) in nats, 0 elsewhere."""
AT_ONCE = 64
"""Rows that are read together where no gradient is wanted."""


@dataclass(frozen=True, eq=False)
class Experience:
    """Answers and what is to be learned from them."""

    batch: Batch
    """A row an answer. Its logprobs are those that the tokens were drawn with."""
    learned: Bool[Tensor, "N T"]
    """Where the policy learns: what was drawn, less the answers that are left out."""
    scores: Float[Tensor, " N"]
    """The reward of each answer as a whole, less what being cut off costs."""
    reference_logprobs: Float[Tensor, "N T"]
    advantages: Float[Tensor, "N T"]
    values: Float[Tensor, "N T"] | None = None
    """What the critic expected when the tokens were drawn,"""
    returns: Float[Tensor, "N T"] | None = None
    """and what it is to learn."""
    gold: Float[Tensor, " N"] | None = None
    """The true reward, where it is known: to be looked at, never learned from."""
    beta: float = 0.0
    """The price of a nat of KL when they were drawn."""
    alike: float | None = None
    """Of the round's prompts, the share whose answers were all worth the same: compared with each other they teach
    nothing."""
    fresh: bool = False
    """The policy is still the one that drew them: every ratio is 1."""

    @property
    def drawn(self) -> Bool[Tensor, "N T"]:
        """Every token of the answers, also of those left out."""
        return self.batch.mask

    @property
    def finished(self) -> Bool[Tensor, " N"]:
        """Which answers ended by themselves."""
        assert self.batch.finished is not None  # batch_of
        return self.batch.finished

    def take(self, rows: Sequence[int], fresh: bool = False) -> "Experience":
        """These answers, in this order, in columns that are no more than they need."""
        at = torch.tensor(list(rows), device=self.scores.device)
        batch = self.batch.take(rows)
        width = int((batch.starts + batch.lengths).max())
        held: dict[str, Any] = {name: getattr(batch, name) for name in COLUMNS}
        columns: dict[str, Any] = {name: None if x is None else x[:, :width] for name, x in held.items()}
        own: dict[str, Any] = {name: getattr(self, name) for name in TENSORS}
        taken: dict[str, Any] = {
            name: None if x is None else x[at] if x.dim() == 1 else x[at, :width] for name, x in own.items()
        }
        return replace(self, batch=replace(batch, **columns), fresh=fresh, **taken)

    def to(self, device: torch.device | str) -> "Experience":
        """The same on another device."""
        own: dict[str, Any] = {name: getattr(self, name) for name in TENSORS}
        moved: dict[str, Any] = {name: None if x is None else x.to(device) for name, x in own.items()}
        return replace(self, batch=self.batch.to(device), **moved)

    def state(self) -> dict[str, Any]:
        """All of it as tensors and values of JSON, for a checkpoint."""
        inside = {f"batch.{field.name}": getattr(self.batch, field.name) for field in fields(self.batch)}
        own = {name: getattr(self, name) for name in (*TENSORS, *NUMBERS)}
        return inside | own

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> "Experience":
        """What `state` gave. Raises BadInput for anything else."""
        try:
            inside = {name.removeprefix("batch."): x for name, x in state.items() if name.startswith("batch.")}
            return Experience(Batch(**inside), **{name: state[name] for name in (*TENSORS, *NUMBERS) if name in state})
        except (KeyError, TypeError) as error:
            raise BadInput("The answers that the checkpoint kept are damaged: go on from the one before it.") from error


COLUMNS = ("ids", "targets", "segments", "positions", "weights", "logprobs", "rewards")
NUMBERS = ("beta", "alike", "fresh")
TENSORS = ("learned", "scores", "reference_logprobs", "advantages", "values", "returns", "gold")


def batch_of(drawn: Rollout, pad_id: int, stops: Collection[int]) -> Batch:
    """The rollout's answers, a row each; what was drawn is learned, and nothing else.

    Raises BadInput where a row is not, token by token, what was drawn, or where a mask lacks the stop.
    """
    batch = padded(drawn.documents(), pad_id, finished=drawn.finished.tolist()).to(drawn.ids.device)
    check_replay(batch, drawn, stops)
    return batch


def check_replay(batch: Batch, drawn: Rollout, stops: Collection[int]) -> None:
    """Is what will be learned exactly what was drawn, the stop with it? Else BadInput."""
    width = drawn.ids.shape[1]
    said = torch.zeros_like(drawn.drawn)
    said[:, :-1] = drawn.drawn[:, 1:]  # the position before a token says it
    following = torch.roll(drawn.ids, -1, 1)
    same = (
        batch.ids.shape[1] == width
        and torch.equal(batch.mask, said)
        and torch.equal(batch.targets[said], following[said])
        and batch.logprobs is not None
        and torch.equal(batch.logprobs[said], torch.roll(drawn.logprobs, -1, 1)[said].to(batch.logprobs.dtype))
    )
    if not same:
        raise BadInput("The answers to be learned from are not those that were drawn: keep their tokens and the mask.")
    last = (drawn.lengths - 2)[:, None]  # which says the last token
    ends = batch.targets.gather(1, last).squeeze(1)[drawn.finished].tolist()
    if not set(ends) <= set(stops):
        raise BadInput("An answer ended by itself, and its mask lacks the stop token: the policy would not learn it.")


def parts(n: int) -> list[slice]:
    """n rows, so many at a time as are read together."""
    return [slice(first, first + AT_ONCE) for first in range(0, n, AT_ONCE)]


@torch.no_grad()
def logprobs_of(model: GPT, batch: Batch, temperature: float = 1.0) -> Float[Tensor, "N T"]:
    """log π of each target, in nats, as it is drawn at this temperature; 0 where there is no target. No gradient."""
    with only_reading(model):
        found = [
            token_logprobs(model(batch.ids[some]) / temperature, batch.targets[some]) for some in parts(len(batch.ids))
        ]
    return torch.cat(found)  # made out here: a tensor that may take part in a loss


def frozen_copy(policy: GPT, temperature: float = 1.0) -> Reference:
    """The policy as it is now, as a model of its own."""
    kept = copy.deepcopy(policy).eval().requires_grad_(False)

    def reference(batch: Batch) -> Tensor:
        return logprobs_of(kept, batch, temperature)

    return reference


def adapter_off(policy: GPT, temperature: float = 1.0) -> Reference:
    """The policy with its adapters off: no second model. Raises BadInput for one that has none."""
    if not adapters(policy):
        raise BadInput("The policy has no adapter that could be switched off: take a frozen copy as the reference.")

    def reference(batch: Batch) -> Tensor:
        with adapters_off(policy):
            return logprobs_of(policy, batch, temperature)

    return reference


def judged_by(judge: Callable[[Question, str], float]) -> Reward:
    """A reward from the words of an answer: a rule, a verifier, a gold judge."""

    def reward(questions: Sequence[Question], texts: Sequence[str], batch: Batch) -> list[float]:
        return [judge(question, text) for question, text in zip(questions, texts, strict=True)]

    return reward


def scored_by(score: Callable[[Batch], Tensor]) -> Reward:
    """A reward from the tokens: a reward model of the policy's own tokenizer, `RewardModel.score`."""

    @torch.no_grad()
    def reward(questions: Sequence[Question], texts: Sequence[str], batch: Batch) -> Tensor:
        rows = range(len(texts))
        return torch.cat([score(batch.take(rows[some])) for some in parts(len(texts))])

    return reward


def checked_scores(given: Sequence[float] | Tensor, n: int, device: torch.device) -> Float[Tensor, " N"]:
    """The scores of n answers as a tensor. Raises BadInput for another number of them, or one that is not finite."""
    scores = torch.as_tensor(given, dtype=torch.float32).detach().to(device)
    if scores.shape != (n,):
        raise BadInput(f"The reward gave {tuple(scores.shape)} numbers for {n} answers: it must give one to each.")
    if not bool(scores.isfinite().all()):
        row = int((~scores.isfinite()).nonzero()[0])
        raise BadInput(f"The reward of answer {row} is {float(scores[row])}: it must be a finite number.")
    return scores


def totals(x: Float[Tensor, "N T"], batch: Batch) -> Float[Tensor, " N"]:
    """Σ of x over the tokens that each answer drew."""
    return torch.where(batch.targets != IGNORE, x, 0).sum(-1)
