"""A conversation as tokens, with what is learned carried beside: the assistant's words and the stop, nothing else.

    tokenizer = with_chat_tokens(tokenizer)                 and grow(model, tokenizer.vocab_size)
    chat = ChatFormat(tokenizer)
    chat.document(messages)                                 segments, to make a batch of
    chat.prompt(messages)                                   ids, up to where the answer begins

Every piece, what the template says and what somebody says, is made into ids by itself. So the mask is never searched
for among them, a boundary never lies inside a token, what a model learned to answer is what it is asked, and a user who
types a special token has typed plain text. Taught in book/3-fine-tuning-a-transformer/02_chat_formats.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from insideout.data.batch import Document, Segment
from insideout.data.suite import Message, Prompt
from insideout.errors import BadInput
from insideout.finetuning.checks import check_range
from insideout.finetuning.messages import check_messages
from insideout.finetuning.templates import OURS, PAD, Template, Turn
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.generation.writer import GPTWriter
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

__all__ = ["ChatFormat", "ChatWriter", "PlainWriter", "check_room", "learned_share", "with_chat_tokens"]

Ours = BPETokenizer | CharacterTokenizer | HubTokenizer
"""A tokenizer to which tokens can be added."""


def with_chat_tokens(tokenizer: Ours, template: Template = OURS) -> Ours:
    """The tokenizer with the special tokens that the template lacks in it, and a pad token of its own.

    The model needs a row for each: `vocabulary.grow(model, tokenizer.vocab_size)`.
    """
    missing = [token for token in template.special if token not in tokenizer.special_ids]
    pad_is_stop = tokenizer.pad_id is None or tokenizer.pad_id == tokenizer.special_ids.get(template.stop)
    if pad_is_stop and PAD not in tokenizer.special_ids:
        missing.append(PAD)
    if not missing and not pad_is_stop and tokenizer.end_id == tokenizer.special_ids[template.stop]:
        return tokenizer
    return tokenizer.with_special(missing, pad=PAD if pad_is_stop else None, end=template.stop)


@dataclass(frozen=True)
class ChatFormat:
    """A tokenizer and a template. Raises BadInput where the template's tokens are missing, or the pad is the stop."""

    tokenizer: Ours
    template: Template = OURS

    def __post_init__(self) -> None:
        known = self.tokenizer.special_ids
        missing = [token for token in self.template.special if token not in known]
        if missing:
            raise BadInput(
                f"The tokenizer has no token {missing[0]}, which the template {self.template.name} needs: add it by "
                "with_chat_tokens, and a row for it to the model by grow."
            )
        if self.tokenizer.pad_id is None or self.tokenizer.pad_id == self.stop_id:
            raise BadInput(
                "The pad token is missing or is the stop token: padding would hide the stop, and the model would not "
                "learn to end. with_chat_tokens adds one."
            )

    @property
    def stop_id(self) -> int:
        """The token that ends an answer."""
        return self.tokenizer.special_ids[self.template.stop]

    @property
    def pad_id(self) -> int:
        """The token that fills a batch up."""
        pad = self.tokenizer.pad_id
        assert pad is not None  # checked above
        return pad

    def document(self, messages: Any, *, prompt_weight: float = 0.0) -> list[Segment]:
        """A conversation to learn from: the assistant's words and its stop after them, in every turn.

        Messages are of role and content, as `Message` or as dicts.
        With a `prompt_weight`, what the user says is learned too, each token by so much.
        Raises BadInput as `check_messages` does.
        """
        check_range("prompt_weight", prompt_weight, 0.0, 1.0)
        checked = check_messages(messages, answered=True)
        found = self._opening(checked)
        for message in checked:
            found += self._turn(message, prompt_weight if message.role == "user" else message.role == "assistant")
        return [segment for segment in found if segment.ids]

    def prompt(self, messages: Any) -> list[int]:
        """Ids up to where the assistant's next answer begins. Raises BadInput as `check_messages` does."""
        checked = check_messages(messages, answered=False)
        found = self._opening(checked)
        for message in checked:
            found += self._turn(message, False)
        return [id for segment in found for id in segment.ids] + self._ids(self.template.assistant.before)

    def writer(self, model: GPT, temperature: float = 1.0) -> "ChatWriter":
        """The model, asked in this format."""
        return ChatWriter(model, self.tokenizer, temperature, template=self.template)

    def answer(self, ids: Sequence[int]) -> str:
        """The words of an answer's tokens, without the stop."""
        return self.tokenizer.decode([id for id in ids if id != self.stop_id])

    def _opening(self, messages: Sequence[Message]) -> list[Segment]:
        """What stands before the first turn."""
        opening = [Segment(self._ids(self.template.begin), learn=False)]
        if messages[0].role != "system" and self.template.default_system:
            opening += self._turn(Message("system", self.template.default_system), False)
        return opening

    def _turn(self, message: Message, learn: bool | float) -> list[Segment]:
        """One turn; the assistant's ends with the stop, as learned as its words."""
        turns: dict[str, Turn] = {
            "system": self.template.system, "user": self.template.user, "assistant": self.template.assistant,
        }  # fmt: skip
        around = turns[message.role]
        words = Segment(self._encoded(message.content), learn)  # what is typed is text, whatever it looks like
        stop = [Segment([self.stop_id], learn)] if message.role == "assistant" else []
        before, after = Segment(self._ids(around.before), learn=False), Segment(self._ids(around.after), learn=False)
        return [before, words, *stop, after]

    def _ids(self, text: str) -> list[int]:
        """Of what the template says: its special tokens are tokens."""
        return self._encoded(text, special=self.template.special) if text else []

    def _encoded(self, text: str, **special: Any) -> list[int]:
        """A piece's ids, without what a Hub model's tokenizer puts around every text."""
        around: dict[str, Any] = {"around": False} if isinstance(self.tokenizer, HubTokenizer) else {}
        return self.tokenizer.encode(text, **special, **around)


def check_room(ids: Sequence[int], context_length: int, n_new: int, where: str = "The prompt") -> None:
    """Raises BadInput for a prompt after which an answer of so many tokens has no room."""
    if len(ids) + n_new > context_length:
        raise BadInput(
            f"{where} has {len(ids)} tokens and its answer may have {n_new}, but the context holds {context_length}: "
            "shorten the conversation, or ask for less."
        )


def learned_share(documents: Iterable[Document]) -> float:
    """Which share of the tokens is learned: to be told before training begins, since a mask that is wrong runs as well.

    Raises BadInput where it is none.
    """
    learned, total = 0, 0
    for document in documents:
        learned += sum(len(segment.ids) for segment in document if segment.learn)
        total += sum(len(segment.ids) for segment in document)
    if not learned:
        raise BadInput("Not one token of these conversations is learned: they have no answers.")
    return learned / total


@dataclass(frozen=True)
class ChatWriter(GPTWriter):
    """A model and its chat format, asked for answers to conversations; never to a bare text."""

    template: Template = OURS

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", self.format.stop_id)

    @property
    def format(self) -> ChatFormat:
        """How it is spoken with."""
        return ChatFormat(self.tokenizer, self.template)

    def ids_of(self, prompt: Prompt) -> list[int]:
        """The tokens that the model is given. Raises BadInput for a bare text."""
        return self.format.prompt(check_messages(prompt, answered=False, where="The prompt"))


@dataclass(frozen=True)
class PlainWriter(GPTWriter):
    """A model that knows no conversation, asked in the only way it knows: the turns as one text, a line each."""

    def ids_of(self, prompt: Prompt) -> list[int]:
        """The tokens that the model is given."""
        if isinstance(prompt, str):
            return super().ids_of(prompt)
        turns = check_messages(prompt, answered=False, where="The prompt")
        return super().ids_of("".join(f"{turn.content}\n" for turn in turns))
