"""A writer: a GPT and its tokenizer, asked for answers.

    writer = GPTWriter(model, tokenizer, temperature=0)
    writer.write(["The "], n=1, seed=0, max_new_tokens=24)

Used from part 2 on, by whatever asks questions (insideout.data.suite).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from insideout.data.suite import Answer, Prompt
from insideout.errors import BadInput
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer


@dataclass(frozen=True)
class GPTWriter:
    """Continues texts. It has no notion of a conversation: that takes a model trained on them, and its format."""

    model: GPT
    tokenizer: BPETokenizer | CharacterTokenizer
    temperature: float = 1.0
    """0 writes the likeliest token each time; 1 draws as the model believes."""
    stop: int | None = None
    """The token that ends an answer. None: answers end where they are cut off."""
    at_once: int = 64
    """How many answers are written together."""

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        """n answers to each prompt, shorter than asked for where the context ends; answer i to prompt p has its own
        random numbers. Raises BadInput for a conversation, an empty prompt, or one that leaves no room."""
        texts = [self.ids_of(prompt) for prompt in prompts]
        room = min(max_new_tokens, self.model.config.context_length - max(map(len, texts), default=0))
        if n < 1 or room < 1:
            raise BadInput(
                f"{n} answers of {room} tokens cannot be written: ask for 1 of 1 at least, after prompts that leave "
                f"room in the context of {self.model.config.context_length} tokens."
            )
        rows = [ids for ids in texts for _ in range(n)]
        answers: list[Answer] = []
        for first in range(0, len(rows), self.at_once):
            some = rows[first : first + self.at_once]
            written = generate(self.model, some, room, temperature=self.temperature, stop=self.stop, seed=seed + first)
            answers += [self._answer(ids[len(prompt) :]) for prompt, ids in zip(some, written, strict=True)]
        return [answers[first : first + n] for first in range(0, len(answers), n)]

    def ids_of(self, prompt: Prompt) -> list[int]:
        """The tokens that the model is given."""
        if not isinstance(prompt, str):
            raise BadInput("This writer continues texts and was given a conversation: give it one as text.")
        ids = self.tokenizer.encode(prompt)
        if not ids:
            raise BadInput("A prompt is empty: give at least one character.")
        return ids

    def _answer(self, ids: list[int]) -> Answer:
        ended = self.stop is not None and ids[-1:] == [self.stop]
        text = self.tokenizer.decode(ids[:-1] if ended else ids)
        return Answer(text, tuple(ids), None if self.stop is None else ended)
