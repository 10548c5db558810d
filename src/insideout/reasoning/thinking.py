"""Conversations with thinking in them: `<think>` and `</think>` are tokens, where the assistant says them.

    tokenizer = with_think_tokens(tokenizer)                        and grow(model, tokenizer.vocab_size)
    ThinkingFormat(tokenizer).document(conversation)                to learn from
    ThinkingWriter(model, tokenizer).write(prompts, ...)            its answers show their thinking

In `ChatFormat` whatever somebody says is plain text. Here the two think tokens are tokens in what the assistant says,
and plain text in what a user types, so that nobody else can open or close its thinking. Used in part 4.
"""

from dataclasses import dataclass

from insideout.data.batch import Segment
from insideout.data.problems.steps import END_THINK, THINK
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning.chat import ChatFormat, ChatWriter, Ours, with_chat_tokens
from insideout.finetuning.templates import OURS, Template
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer

__all__ = ["ThinkingFormat", "ThinkingWriter", "think_ids", "with_think_tokens"]


def with_think_tokens(tokenizer: Ours, template: Template = OURS) -> Ours:
    """The tokenizer with what the template needs, and with the two think tokens.

    The model needs a row for each that is new: `vocabulary.grow(model, tokenizer.vocab_size)`.
    """
    whole = with_chat_tokens(tokenizer, template)
    missing = [token for token in (THINK, END_THINK) if token not in whole.special_ids]
    return whole.with_special(missing) if missing else whole


def think_ids(tokenizer: Ours | HubTokenizer) -> tuple[int, int]:
    """The ids of `<think>` and `</think>`. Raises BadInput for a tokenizer that lacks one of them."""
    known = tokenizer.special_ids
    missing = [token for token in (THINK, END_THINK) if token not in known]
    if missing:
        raise BadInput(
            f"The tokenizer has no token {missing[0]}, without which thinking has no beginning or no end: add it by "
            "with_think_tokens, and a row for it to the model by grow."
        )
    return known[THINK], known[END_THINK]


@dataclass(frozen=True)
class ThinkingFormat(ChatFormat):
    """A chat format whose assistant thinks. Raises BadInput where the tokenizer lacks the think tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        think_ids(self.tokenizer)

    def _turn(self, message: Message, learn: bool | float) -> list[Segment]:
        before, words, *rest = super()._turn(message, learn)
        if message.role == "assistant":
            words = Segment(self.tokenizer.encode(message.content, special=(THINK, END_THINK)), learn)
        return [before, words, *rest]


@dataclass(frozen=True)
class ThinkingWriter(ChatWriter):
    """A model of ours that thinks before it answers."""

    @property
    def format(self) -> ThinkingFormat:
        """How it is spoken with."""
        return ThinkingFormat(self.tokenizer, self.template)
