"""A Hub model's own chat template, rendered by `transformers`, with what is learned carried beside.

    chat = HubChat(tokenizer)               a HubTokenizer whose model was tuned for conversations
    chat.document(messages), chat.prompt(messages)
    chat.writer(model).write(prompts, ...)

Their template is a program that gives a text, and the text alone does not say who speaks. But rendered once up to where
an answer begins and once with it, it shows the answer as what is new: its words, the stop, and what stands behind it.
A template of which that is not so is refused, since a mask over it would be a guess: if it rewrites earlier turns, says
an answer otherwise than it was given, gives it no stop, or gives the stop to the next turn.
Many such models pad with the stop. Here the rows are filled up with a special token that no conversation holds: what is
typed is text, so that any which the template does not write will do, and no token of padding is read or said.
Taught in book/3-fine-tuning-a-transformer/02_chat_formats.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from insideout.data.batch import Segment
from insideout.data.suite import Message, Prompt
from insideout.errors import BadInput, first_line
from insideout.finetuning.checks import check_range
from insideout.finetuning.messages import check_messages
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.generation.writer import GPTWriter
from insideout.transformer.model import GPT

__all__ = ["HubChat", "HubWriter"]

SAMPLE = [
    Message("user", "Where?"),
    Message("assistant", "There."),
    Message("user", "Sure?"),
    Message("assistant", "Yes."),
]


class Piece(NamedTuple):
    """A stretch of the rendered text."""

    text: str
    learn: bool | float
    typed: bool
    """By a person or a model: its special tokens are plain text."""


class HubChat:
    """Conversations in a Hub model's own format. Raises BadInput for a tokenizer without a chat template or a stop."""

    def __init__(self, tokenizer: HubTokenizer) -> None:
        if not getattr(tokenizer.theirs, "chat_template", None):
            raise BadInput(
                "This model's tokenizer has no chat template: it was not tuned for conversations. Choose one of ours: "
                "ours, alpaca, chatml or llama."
            )
        self.tokenizer = tokenizer
        self.stops = {tokenizer.decode([id]): id for id in tokenizer.stop_ids}
        if not self.stops:
            raise BadInput("This model's tokenizer names no token that ends an answer: give it stop_ids.")

    @cached_property
    def pad_id(self) -> int:
        """A token that fills rows up: the pad token, unless it is a stop, else one that the template never writes.

        Raises BadInput where there is none.
        """
        written = {id for segment in self.document(SAMPLE) for id in segment.ids}
        own = self.tokenizer.pad_id
        for id in ([] if own is None else [own]) + sorted(self.tokenizer.special_ids.values()):
            if id not in written and id not in self.tokenizer.stop_ids:
                return id
        raise BadInput(
            "Each special token of this model's tokenizer is in its chat template: none is left to pad with."
        )

    def writer(self, model: GPT, temperature: float = 1.0) -> "HubWriter":
        """The model, asked in this format."""
        return HubWriter(model, self.tokenizer, temperature, tuple(self.stops.values()), chat=self)

    def document(self, messages: Any, *, prompt_weight: float = 0.0) -> list[Segment]:
        """A conversation to learn from: the assistant's words and the stop after them, in every turn.

        With a `prompt_weight`, what the user says is learned too, each token by so much.
        Raises BadInput as `check_messages` does, and for a template in which answers cannot be told apart surely.
        """
        check_range("prompt_weight", prompt_weight, 0.0, 1.0)
        pieces = list(self._pieces(check_messages(messages, answered=True), prompt_weight))
        found = [Segment(self._ids(piece), piece.learn) for piece in pieces if piece.text]
        self._check_whole(pieces, [id for segment in found for id in segment.ids])
        return [segment for segment in found if segment.ids]

    def prompt(self, messages: Any) -> list[int]:
        """Ids up to where the assistant's next answer begins."""
        checked = check_messages(messages, answered=False)
        answered = max((i + 1 for i, message in enumerate(checked) if message.role == "assistant"), default=0)
        pieces = list(self._pieces(checked[:answered])) if answered else []
        before = "".join(piece.text for piece in pieces)
        asked = self._rendered(checked, prompt=True)
        pieces += typed_in(self._rest(asked, before), checked[answered:])
        return [id for piece in pieces for id in self._ids(piece)]

    def _pieces(self, messages: Sequence[Message], prompt_weight: float = 0.0) -> Iterator[Piece]:
        """The rendered conversation, cut where somebody begins and ends to speak."""
        so_far, first = "", 0
        for i, message in enumerate(messages):
            if message.role != "assistant":
                continue
            asked = self._rendered(messages[:i], prompt=True)
            answered = self._rendered(messages[: i + 1], prompt=False)
            yield from typed_in(self._rest(asked, so_far), messages[first:i], prompt_weight)
            yield from self._answer(self._rest(answered, asked), message.content.strip())
            so_far, first = answered, i + 1

    def _answer(self, text: str, words: str) -> Iterator[Piece]:
        """What the template makes of an answer: its words and the stop are learned, what stands behind it is not."""
        before, found, rest = text.partition(words)
        stop = min((stop for stop in self.stops if stop in rest), key=rest.index, default="")
        between, _, behind = rest.partition(stop) if stop else (rest, "", "")
        if not found or before.strip():
            raise BadInput(
                "The chat template says an answer in other words than it was given: its mask would be a guess."
            )
        if not stop or between.strip():
            raise BadInput(
                f"The chat template does not end an answer with {' or '.join(self.stops)}: a model that learns from it "
                "never stops. Choose one of our templates, or give the tokenizer the right stop_ids."
            )
        yield Piece(before, learn=False, typed=False)
        yield Piece(words, learn=True, typed=True)
        yield Piece(between + stop, learn=True, typed=False)
        yield Piece(behind, learn=False, typed=False)

    def _rest(self, longer: str, shorter: str) -> str:
        """What a longer conversation adds to a shorter one."""
        if not longer.startswith(shorter):
            raise BadInput(
                "The chat template rewrites what came before when a turn is added: what the model was asked and what "
                "it would learn from are two texts. Choose one of our templates."
            )
        return longer[len(shorter) :]

    def _rendered(self, messages: Sequence[Message], *, prompt: bool) -> str:
        turns = [message._asdict() for message in messages]
        try:
            return str(self.tokenizer.theirs.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompt))
        except Exception as error:  # a program of somebody else's, which may raise anything
            raise BadInput(f"The model's chat template cannot be rendered: {first_line(error)}.") from error

    def _ids(self, piece: Piece) -> list[int]:
        return self.tokenizer.encode(piece.text, special=not piece.typed, around=False) if piece.text else []

    def _check_whole(self, pieces: Sequence[Piece], ids: list[int]) -> None:
        """Made piece by piece, the ids must be those of the whole text, and one begin token at most opens it.

        It may stand before later turns too: in SmolLM2's ChatML it opens every one.
        """
        begin = self.tokenizer.begin_id
        if begin is not None and begin not in self.tokenizer.stop_ids and ids[:2] == [begin, begin]:
            raise BadInput("The chat template opens the conversation twice: two begin tokens stand in it.")
        if any(special in piece.text for piece in pieces if piece.typed for special in self.tokenizer.special_ids):
            return  # somebody typed a special token: as plain text here, and not in the whole
        if self.tokenizer.encode("".join(piece.text for piece in pieces), special=True, around=False) != ids:
            raise BadInput(
                "With this model's tokenizer a token runs over the boundary between the template and what was said, so "
                "that no mask is right: take a blank from the end or the beginning of a message, or another template."
            )


def typed_in(text: str, messages: Sequence[Message], prompt_weight: float = 0.0) -> Iterator[Piece]:
    """A stretch of the rendered text, cut around what these messages say. What a user says is learned by so much."""
    for message in messages:
        words = message.content.strip()
        before, found, text = text.partition(words)
        if not found:
            raise BadInput(f"The chat template leaves out or changes what the {message.role} says: {words[:40]!r}.")
        yield Piece(before, learn=False, typed=False)
        yield Piece(words, learn=prompt_weight if message.role == "user" else False, typed=True)
    yield Piece(text, learn=False, typed=False)


@dataclass(frozen=True)
class HubWriter(GPTWriter):
    """A pretrained model and its own chat format, asked for answers to conversations; never to a bare text."""

    chat: HubChat = field(kw_only=True)

    def ids_of(self, prompt: Prompt) -> list[int]:
        """The tokens that the model is given. Raises BadInput for a bare text."""
        return self.chat.prompt(check_messages(prompt, answered=False, where="The prompt"))
