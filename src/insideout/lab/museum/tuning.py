"""Broken twins of supervised tuning: what is learned, in which order it is read, and how the weights are moved."""

import math
from typing import Any

import torch

from insideout.data.batch import IGNORE, Segment
from insideout.lab.museum.faults import breaks

COLUMNS = "insideout.data.batch:columns_of"
DOCUMENT = "insideout.finetuning.chat:ChatFormat.document"


@breaks(
    COLUMNS, "the loss mask is one place late", "sft",
    symptom="The loss falls to nearly nothing and answers are wrong from their first letter on: that one was never "
    "learned, and all the others follow from it.",
    source="minimind #395; mlx-lm-lora #80; OpenRLHF #294",
)  # fmt: skip
def mask_off_by_one(real: Any) -> Any:
    def columns_of(document: Any) -> Any:
        found = real(document)
        ids, learned = found["ids"], found["targets"] != IGNORE
        late = torch.cat([learned.new_zeros(1), learned[:-1]])
        late[-1] = False  # behind the last token nothing stands
        following = torch.cat([ids[1:], ids.new_zeros(1)])
        return found | {"targets": following.where(late, IGNORE), "weights": late.float()}

    return columns_of


@breaks(
    DOCUMENT, "the pad token is the stop token, and pads are masked", "sft",
    symptom="Everything looks well but the share of answers that end by themselves: it is 0, and each answer runs on "
    "until it is cut off.",
    source="mlabonne/llm-course #33; unsloth #416; DeepSeek-Coder #163; trl #734",
)  # fmt: skip
def pad_is_stop(real: Any) -> Any:
    def document(self: Any, messages: Any, **named: Any) -> Any:
        found = real(self, messages, **named)
        return [Segment(each.ids, False) if list(each.ids) == [self.stop_id] else each for each in found]

    return document


@breaks(
    DOCUMENT, "the prompt is learned too", "sft",
    symptom="The loss stays high, at what random letters cost, and the share of learned tokens is 100%.",
    source="marin #7237; trl PR #4201",
)  # fmt: skip
def prompt_learned(real: Any) -> Any:
    def document(self: Any, messages: Any, **named: Any) -> Any:
        return [Segment(each.ids, True) for each in real(self, messages, **named)]

    return document


@breaks(
    COLUMNS, "targets are shifted twice", "sft",
    symptom="Answers begin with their second letter and leave out every other one: the letter after the next was "
    "learned, and no loss shows it.",
    source="the mirror image of ms-swift PR #8436; a classic where the model shifts by itself",
)  # fmt: skip
def shifted_twice(real: Any) -> Any:
    def columns_of(document: Any) -> Any:
        found = real(document)
        again = torch.cat([found["targets"][1:], found["targets"].new_full((1,), IGNORE)])
        return found | {"targets": again, "weights": (again != IGNORE).float()}

    return columns_of


@breaks(
    "insideout.transformer.model:GPT.mask", "attention sees what it is to foretell", "sft",
    symptom="The loss falls to nothing, in training and on held-out data, and nearly every answer is wrong.",
    source="a classic: a mask that is lost between two ways to compute attention",
)  # fmt: skip
def sees_ahead(real: Any) -> Any:
    def mask(self: Any, positions: Any, n_keys: int, segments: Any = None) -> Any:
        if segments is None:
            return real(self, positions, n_keys, segments)  # while writing there is nothing ahead
        return segments[:, None, :, None] == segments[:, None, None, :]

    return mask


@breaks(
    "insideout.data.batch:Batch.reading", "packed documents see each other", "sft",
    symptom="The loss falls more slowly, and right answers lag behind it: alone, a word stands where it never stood.",
    source="trl #1230; LlamaFactory #2289; functionary #265; nanochat PR #400",
)  # fmt: skip
def documents_leak(real: Any) -> Any:
    return property(lambda self: {})


@breaks(
    "insideout.training.schedule:learning_rate", "the learning rate is a hundred times too large", "sft",
    symptom="Within a few steps the loss jumps above where it began, and the gradient is clipped ever after.",
    source="a classic: a decimal point, or the rate of an adapter for a whole model",
)  # fmt: skip
def lr_too_large(real: Any) -> Any:
    return lambda step, config: 100 * real(step, config)


@breaks(
    "insideout.finetuning.lora:Adapter.__init__", "LoRA's B does not begin at 0", "lora",
    symptom="The first loss is far above that of the model that was gone on from: it was damaged before it learned.",
    source="Hu et al. 2021, §4.1, say why B begins at 0",
)  # fmt: skip
def lora_b_not_zero(real: Any) -> Any:
    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for part, weight in self.B.items():
                width = self.A[part].shape[0]
                weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(width))

    return __init__
