"""Broken twins of supervised tuning: what is learned, in which order it is read, and how the weights are moved."""

import math
from typing import Any

import torch

from insideout.data.batch import IGNORE, Segment
from insideout.lab.museum.faults import breaks

COLUMNS = "insideout.data.batch:columns_of"
DOCUMENT = "insideout.finetuning.chat:ChatFormat.document"


@breaks(COLUMNS, "sft")
def mask_off_by_one(real: Any) -> Any:
    def columns_of(document: Any) -> Any:
        found = real(document)
        ids, learned = found["ids"], found["targets"] != IGNORE
        late = torch.cat([learned.new_zeros(1), learned[:-1]])
        late[-1] = False  # behind the last token nothing stands
        following = torch.cat([ids[1:], ids.new_zeros(1)])
        return found | {"targets": following.where(late, IGNORE), "weights": late.float()}

    return columns_of


@breaks(DOCUMENT, "sft")
def pad_is_stop(real: Any) -> Any:
    def document(self: Any, messages: Any, **named: Any) -> Any:
        found = real(self, messages, **named)
        return [Segment(each.ids, False) if list(each.ids) == [self.stop_id] else each for each in found]

    return document


@breaks(DOCUMENT, "sft")
def prompt_learned(real: Any) -> Any:
    def document(self: Any, messages: Any, **named: Any) -> Any:
        return [Segment(each.ids, True) for each in real(self, messages, **named)]

    return document


@breaks(COLUMNS, "sft")
def shifted_twice(real: Any) -> Any:
    def columns_of(document: Any) -> Any:
        found = real(document)
        again = torch.cat([found["targets"][1:], found["targets"].new_full((1,), IGNORE)])
        return found | {"targets": again, "weights": (again != IGNORE).float()}

    return columns_of


@breaks("insideout.transformer.model:GPT.mask", "sft")
def sees_ahead(real: Any) -> Any:
    def mask(self: Any, positions: Any, n_keys: int, segments: Any = None) -> Any:
        if segments is None:
            return real(self, positions, n_keys, segments)  # while writing there is nothing ahead
        return segments[:, None, :, None] == segments[:, None, None, :]

    return mask


@breaks("insideout.data.batch:Batch.reading", "sft")
def documents_leak(real: Any) -> Any:
    return property(lambda self: {})


@breaks("insideout.training.schedule:learning_rate", "sft")
def lr_too_large(real: Any) -> Any:
    return lambda step, config: 100 * real(step, config)


@breaks("insideout.finetuning.lora:Adapter.__init__", "lora")
def lora_b_not_zero(real: Any) -> Any:
    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for part, weight in self.B.items():
                width = self.A[part].shape[0]
                weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(width))

    return __init__
