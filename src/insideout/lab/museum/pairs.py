"""Broken twins of what learns from pairs: reward models, DPO and its family."""

from typing import Any

import torch

from insideout.lab.museum.faults import breaks


@breaks("insideout.finetuning.losses:bradley_terry", "reward")
def pair_sign(real: Any) -> Any:
    return lambda chosen, rejected, margin=0.0: real(rejected, chosen, margin)


@breaks("insideout.data.batch:Batch.at_ends", "reward")
def score_at_the_pad(real: Any) -> Any:
    return lambda self, x: x[self.rows, -1]


@breaks("insideout.finetuning.preferences:pair_documents", "dpo")
def labels_flipped(real: Any) -> Any:
    def pair_documents(*arguments: Any, **named: Any) -> Any:
        found = real(*arguments, **named)
        return [found[i ^ 1] for i in range(len(found))]

    return pair_documents


@breaks("insideout.finetuning.preferences:pair_losses", "dpo")
def reference_moves(real: Any) -> Any:
    def pair_losses(kind: Any, policy: Any, reference: Any, *arguments: Any, **named: Any) -> Any:
        return real(kind, policy, policy.detach(), *arguments, **named)

    return pair_losses


@breaks("insideout.finetuning.preferences:pair_losses", "dpo")
def reference_left_out(real: Any) -> Any:
    def pair_losses(kind: Any, policy: Any, reference: Any, *arguments: Any, **named: Any) -> Any:
        return real(kind, policy, torch.zeros_like(reference), *arguments, **named)

    return pair_losses
