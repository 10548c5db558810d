"""A writer: a GPT and its tokenizer, asked for answers.

    writer = GPTWriter(model, tokenizer, temperature=0)
    writer.write(["The "], n=1, seed=0, max_new_tokens=24)

Used from part 2 on, by whatever asks questions (insideout.data.suite).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from insideout.data.suite import Answer, Prompt
from insideout.errors import BadInput
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.generation.rollout import Rollout, rollout, row_seeds
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer


@dataclass(frozen=True)
class GPTWriter:
    """Continues texts. It has no notion of a conversation: that takes a model trained on them, and its format."""

    model: GPT
    tokenizer: BPETokenizer | CharacterTokenizer | HubTokenizer
    temperature: float = 1.0
    """0 writes the likeliest token each time; 1 draws as the model believes."""
    stop: int | tuple[int, ...] | None = None
    """The token, or tokens, that end an answer. None: answers end where they are cut off."""
    at_once: int = 64
    """How many answers are written together."""

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        """n answers to each prompt, shorter than asked for where the context ends; each has random numbers of its own.

        Raises BadInput for a conversation, an empty prompt, or one that leaves no room in the context.
        """
        texts = [self.ids_of(prompt) for prompt in prompts]
        room = self.model.config.context_length - max(map(len, texts), default=0)
        if n < 1 or max_new_tokens < 1 or room < 1:
            raise BadInput(
                f"{n} answers of {min(max_new_tokens, room)} tokens cannot be written: ask for 1 of 1 at least, after "
                f"prompts that leave room in the context of {self.model.config.context_length} tokens."
            )
        seeds = row_seeds(seed, n * len(texts))
        answers: list[list[Answer]] = []
        together = max(1, self.at_once // n)  # prompts
        for first in range(0, len(texts), together):
            some = texts[first : first + together]
            drawn = rollout(
                self.model, some, n, min(max_new_tokens, room), temperature=self.temperature, stop=self.stop,
                seed=seeds[first * n : (first + len(some)) * n],
            )  # fmt: skip
            answers += [[self._answer(drawn, p * n + i) for i in range(n)] for p in range(len(some))]
        return answers

    def ids_of(self, prompt: Prompt) -> list[int]:
        """The tokens that the model is given."""
        if not isinstance(prompt, str):
            raise BadInput("This writer continues texts and was given a conversation: give it one as text.")
        ids = self.tokenizer.encode(prompt)
        if not ids:
            raise BadInput("A prompt is empty: give at least one character.")
        return ids

    def _answer(self, drawn: Rollout, row: int) -> Answer:
        ids, finished = drawn.answer(row), bool(drawn.finished[row])
        logprobs = drawn.logprobs[row, drawn.starts[row] : drawn.lengths[row]].tolist()
        text = self.tokenizer.decode(ids[:-1] if finished else ids)
        return Answer(text, tuple(ids), None if self.stop is None else finished, tuple(logprobs))
