"""Broken twins of what learns from pairs: reward models, DPO and its family."""

from typing import Any

import torch

from insideout.lab.museum.faults import breaks


@breaks(
    "insideout.finetuning.losses:bradley_terry", "the pair loss has the wrong sign", "reward",
    symptom="The loss falls and so does the share of pairs in the right order, to nearly 0.",
    source="a classic; twinkle PR #112 is of its kind",
)  # fmt: skip
def pair_sign(real: Any) -> Any:
    return lambda chosen, rejected, margin=0.0: real(rejected, chosen, margin)


@breaks(
    "insideout.data.batch:Batch.at_ends", "the score is read at the last pad", "reward",
    symptom="One answer has two scores: alone another one than beside longer answers.",
    source="transformers #35352, #35909, #24265; trl #2778; reward-bench #137",
)  # fmt: skip
def score_at_the_pad(real: Any) -> Any:
    return lambda self, x: x[self.rows, -1]


@breaks(
    "insideout.finetuning.preferences:pair_documents", "chosen and rejected are swapped in the data", "dpo",
    symptom="Pairs come out in their order, more and more of them, and right answers become fewer: what is called "
    "chosen is what is wrong.",
    source="a classic: a column that is named otherwise in another data set",
)  # fmt: skip
def labels_flipped(real: Any) -> Any:
    def pair_documents(*arguments: Any, **named: Any) -> Any:
        found = real(*arguments, **named)
        return [found[i ^ 1] for i in range(len(found))]

    return pair_documents


@breaks(
    "insideout.finetuning.preferences:pair_losses", "the reference is the policy of this step", "dpo",
    symptom="The loss is 0.693 at every step and never moves, while the margin grows without end: there is nothing "
    "that could be gained enough.",
    source="a classic: a copy that shares its weights",
)  # fmt: skip
def reference_moves(real: Any) -> Any:
    def pair_losses(kind: Any, policy: Any, reference: Any, *arguments: Any, **named: Any) -> Any:
        return real(kind, policy, policy.detach(), *arguments, **named)

    return pair_losses


@breaks(
    "insideout.finetuning.preferences:pair_losses", "the reference is left out of the loss", "dpo",
    symptom="The first loss is not 0.693: log-probabilities are compared themselves, and not what was gained.",
    source="of the kind of ms-swift PR #10167, where another loss was taken in silence",
)  # fmt: skip
def reference_left_out(real: Any) -> Any:
    def pair_losses(kind: Any, policy: Any, reference: Any, *arguments: Any, **named: Any) -> Any:
        return real(kind, policy, torch.zeros_like(reference), *arguments, **named)

    return pair_losses
