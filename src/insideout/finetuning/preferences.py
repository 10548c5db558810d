"""Pairs of answers as batches, and the objective of DPO and its family.

    document = answer_document(chat, prompt, "In the garden.")          the prompt is read, answer and stop are learned
    logprobs = answer_logprobs(model, batch)                            log π(y|x) of each document, (D,)
    objective = preference_objective("dpo", beta=0.1)                   on batches of pairs (PairBatch)

A pair lies in a batch as two documents, chosen and rejected, one after the other. Sums are over the answer's tokens and
its stop, and over nothing else. The reference never changes, so its log-probabilities are computed once, before the
training. Used in part 3, by the chapters on reward models, on DPO and its family.
Shapes: D documents, P = D / 2 pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from insideout.data.batch import Batch, Document, Segment, padded
from insideout.data.conversations import Pair
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning import losses
from insideout.finetuning.checks import check_positive, check_range
from insideout.finetuning.reward_model import agreement, sides
from insideout.training import distributed
from insideout.training.metrics import Metric
from insideout.training.objective import Objective
from insideout.transformer.loss import token_logprobs

__all__ = [
    "LOSSES", "PairBatch", "PairLoss", "answer_document", "answer_logprobs", "pair_documents", "pair_losses",
    "preference_objective", "reference_logprobs",
]  # fmt: skip

PairLoss = Literal["dpo", "ipo", "kto", "simpo", "orpo"]
LOSSES: tuple[PairLoss, ...] = get_args(PairLoss)
REFERENCE_FREE: tuple[PairLoss, ...] = ("simpo", "orpo")
AT_ONCE = 32
"""Documents that are read together where there is no gradient."""

METRICS = (
    Metric("accuracy", "pairs in the right order", unit="%", section="Accuracy", better="higher",
           words="Where the chosen answer gained more than the rejected one, beside the reference."),
    Metric("margin", "gain of the chosen less that of the rejected", unit="nats", section="Margin", better="higher"),
    Metric("chosen_logprob", "of the chosen answers", unit="nats an answer", section="Log-probabilities",
           better="higher", words="Both may fall while their difference rises: that is what the loss asks for."),
    Metric("rejected_logprob", "of the rejected answers", unit="nats an answer", section="Log-probabilities"),
)  # fmt: skip


@runtime_checkable
class Chat(Protocol):
    """A chat format: of ours (chat.py), or a Hub model's own (hub_chat.py)."""

    @property
    def pad_id(self) -> int: ...
    def prompt(self, messages: Any) -> list[int]: ...
    def document(self, messages: Any) -> list[Segment]: ...


def answer_document(chat: Chat, prompt: Any, answer: str, *, finished: bool = True) -> Document:
    """A prompt that is read and one answer, the last turn alone, that is learned with its stop after it.

    It ends with the stop, so that a score is read there. One that is not `finished` was cut off, and gets none.
    Raises BadInput as `check_messages` does.
    """
    before = chat.prompt(prompt)
    whole = chat.document([*prompt, Message("assistant", answer)])
    last = max(i for i, segment in enumerate(whole) if segment.learn)
    ids = [id for segment in whole[: last + 1] for id in segment.ids]
    if ids[: len(before)] != before:
        raise BadInput("With this chat format an answer's prompt reads otherwise alone than with the answer after it.")
    said = ids[len(before) :]
    return [Segment(before, learn=False), Segment(said if finished else said[:-1], learn=True)]


def pair_documents(chat: Chat, pairs: Sequence[Pair], context_length: int, where: str = "The pairs") -> list[Document]:
    """Two documents a pair, the chosen before the rejected.

    Raises BadInput, with the pair's number, where both sides are one, or where prompt and answer are longer than the
    context.
    """
    if not pairs:
        raise BadInput(f"{where} are none: give at least one.")
    found = []
    for number, pair in enumerate(pairs, 1):
        if pair.chosen == pair.rejected:
            raise BadInput(f"{where}, pair {number}: chosen and rejected are the same, and nothing can be learned from "
                           "it: leave it out.")  # fmt: skip
        for answer in (pair.chosen, pair.rejected):
            document = answer_document(chat, pair.prompt, answer)
            n = sum(len(segment.ids) for segment in document)
            if n > context_length:
                raise BadInput(f"{where}, pair {number} has {n} tokens with its prompt, and the model's context holds "
                               f"{context_length}: shorten it, or leave it out.")  # fmt: skip
            found.append(document)
    return found


def answer_logprobs(model: nn.Module, batch: Batch) -> Float[Tensor, " D"]:
    """log π(y|x) of each document, in nats: the sum over the tokens that are learned, the stop among them."""
    logits, learned = model(batch.ids, **batch.reading), batch.mask
    [said] = token_logprobs(logits[learned][None], batch.targets[learned][None])  # the answers' tokens alone
    return batch.sums(said.new_zeros(batch.ids.shape).masked_scatter(learned, said))


@torch.no_grad()
def reference_logprobs(model: nn.Module, documents: Sequence[Document], pad_id: int) -> Float[Tensor, " D"]:
    """log π_ref(y|x) of each document, dropout off, without a graph: computed once, since the reference stays."""
    training = model.training
    model.eval()
    device = next(model.parameters()).device
    order = sorted(range(len(documents)), key=lambda i: sum(len(segment.ids) for segment in documents[i]))
    found = torch.empty(len(documents))
    for first in range(0, len(order), AT_ONCE):  # of like lengths together: less padding
        some = order[first : first + AT_ONCE]
        found[some] = answer_logprobs(model, padded([documents[i] for i in some], pad_id).to(device)).float().cpu()
    model.train(training)
    return found


@dataclass(frozen=True)
class PairBatch:
    """Pairs to learn from, with what the reference says of them."""

    batch: Batch
    """Chosen and rejected answers, one after the other."""
    reference: Float[Tensor, " D"]
    """log π_ref of each."""
    others: Batch | None = None
    """For KTO: the same prompts, each with another one's answers."""
    others_reference: Float[Tensor, " D"] | None = None


def mismatched(documents: Sequence[Document]) -> list[Document]:
    """Each prompt with the next pair's answers. Raises BadInput for one pair alone."""
    found: list[Document] = []
    for pair, other in enumerate(losses.kto_mismatches(len(documents) // 2)):
        found += [[*documents[2 * pair + side][:-1], documents[2 * other + side][-1]] for side in (0, 1)]
    return found


def pair_losses(
    kind: PairLoss,
    policy: Float[Tensor, " D"],
    reference: Float[Tensor, " D"],
    lengths: Float[Tensor, " D"],
    reference_point: Float[Tensor, ""] | None = None,
    *,
    beta: float,
    label_smoothing: float = 0.0,
    gamma: float = 0.0,
) -> Float[Tensor, " P"]:
    """The loss of each pair, by name; each is a function of `losses`, where its paper is named.

    `beta` is ORPO's weight λ. `label_smoothing` is DPO's alone (cDPO), `gamma` SimPO's. KTO's is the mean of the
    losses of a pair's two answers. Raises BadInput as these functions do.
    """
    (chosen, rejected), (was_chosen, was_rejected) = sides(policy), sides(reference)
    n_chosen, n_rejected = sides(lengths)
    if kind == "dpo":
        return losses.dpo(chosen, rejected, was_chosen, was_rejected, beta=beta, label_smoothing=label_smoothing)
    if kind == "ipo":
        return losses.ipo(chosen, rejected, was_chosen, was_rejected, beta=beta)
    if kind == "simpo":
        return losses.simpo(chosen, rejected, n_chosen, n_rejected, beta=beta, gamma=gamma)
    if kind == "orpo":
        return losses.orpo(chosen, rejected, n_chosen, n_rejected, weight=beta)
    if reference_point is None:
        raise BadInput("KTO measures against a reference point: give it.")
    good = torch.arange(len(policy), device=policy.device) % 2 == 0
    each = losses.kto(policy, reference, good, reference_point, beta=beta)
    return each.view(-1, 2).mean(1)


def preference_objective(
    kind: PairLoss = "dpo", *, beta: float = 0.1, label_smoothing: float = 0.0, gamma: float = 0.0
) -> Objective:
    """What DPO and its family are trained for, on batches of `PairBatch`, a loss a pair.

    Raises BadInput for a loss that there is not, and for numbers out of range.
    """
    check_numbers(kind, beta, label_smoothing, gamma)

    def loss(model: nn.Module, pairs: PairBatch) -> tuple[Tensor, int, dict[str, float]]:
        batch, reference = pairs.batch, pairs.reference
        policy = answer_logprobs(model, batch)  # (D,)
        lengths = batch.sums(torch.ones_like(batch.ids, dtype=policy.dtype))
        point = reference_point(model, pairs) if kind == "kto" else None
        each = pair_losses(
            kind, policy, reference, lengths, point, beta=beta, label_smoothing=label_smoothing, gamma=gamma
        )
        return each.sum(), len(each), compared(policy.detach(), reference)

    return Objective(loss, METRICS, counted="pairs")


def check_numbers(kind: str, beta: float, label_smoothing: float, gamma: float) -> None:
    """Raises BadInput for a loss that there is not, a number out of range, and one that this loss has no use for."""
    if kind not in LOSSES:
        raise BadInput(f"There is no loss {kind!r} of pairs: choose one of {', '.join(LOSSES)}.")
    check_positive("beta", beta)
    if not 0 <= label_smoothing < 0.5:
        raise BadInput(f"label_smoothing is {label_smoothing}: it must be at least 0 and below 0.5, a share of errors.")
    check_range("gamma", gamma, 0.0, 1e6)
    for name, value, of in (("label_smoothing", label_smoothing, "dpo"), ("gamma", gamma, "simpo")):
        if value and kind != of:
            raise BadInput(f"{name} is of the loss {of} alone, and the loss is {kind}: leave it 0.")


def compared(policy: Float[Tensor, " D"], reference: Float[Tensor, " D"]) -> dict[str, float]:
    """Sums over the pairs of the metrics."""
    (chosen, rejected), (gain, other_gain) = sides(policy), sides(policy - reference)
    found = {
        "accuracy": agreement(gain, other_gain).sum(), "margin": (gain - other_gain).sum(),
        "chosen_logprob": chosen.sum(), "rejected_logprob": rejected.sum(),
    }  # fmt: skip
    return {name: float(value) for name, value in found.items()}


@torch.no_grad()
def reference_point(model: nn.Module, pairs: PairBatch) -> Float[Tensor, ""]:
    """KTO's z: of prompts with other ones' answers, over all the devices that train together."""
    if pairs.others is None or pairs.others_reference is None:
        raise BadInput("KTO measures against answers to other prompts, and this batch has none.")
    gain = answer_logprobs(model, pairs.others) - pairs.others_reference
    total, n = distributed.total([float(gain.sum()), float(len(gain))], gain.device)
    return gain.new_tensor(max(0.0, total / n))
