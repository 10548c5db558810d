"""A pretrained model and its own tokenizer, asked for answers: ours by its name, or any of `transformers`.

    model, tokenizer = hub.load("smollm2")                          our GPT with its weights
    model = AutoModelForCausalLM.from_pretrained(folder)            or theirs, of whatever architecture
    HubWriter(model, HubTokenizer(tokenizer)).write(prompts, n=4, seed=0, max_new_tokens=200)

Conversations are put into the model's own chat template; texts are continued. A model of `transformers` is read with
prompts of one length at a time: no row is ever padded, so that an answer is the same in a batch as alone, whatever the
model makes of padding. Each answer has random numbers of its own, the same as with our models.
Shapes: B rows, T positions, V vocabulary.
Taught in book/4-reasoning-with-transformers/13_other_models.md.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from insideout.data.suite import Answer, Prompt
from insideout.errors import BadInput, first_line
from insideout.finetuning.hub_chat import HubChat
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.generation.inputs import SEEDS, check_room, check_sampling, whole
from insideout.transformer.generation.rollout import rollout, row_seeds
from insideout.transformer.generation.sampling import choose, filtered_probabilities, uniforms
from insideout.transformer.model import GPT

__all__ = ["HubWriter"]


@dataclass(frozen=True)
class HubWriter:
    """Raises BadInput for a model that does not write from left to right, or whose answers never end."""

    model: Any
    """A GPT of ours, or a causal language model of `transformers`."""
    tokenizer: HubTokenizer
    temperature: float = 1.0
    """0 writes the likeliest token each time; 1 draws as the model believes."""
    at_once: int = 32
    """How many answers are written together."""

    def __post_init__(self) -> None:
        check_sampling(self.temperature)
        if getattr(getattr(self.model, "config", None), "is_encoder_decoder", False):
            raise BadInput("This model has an encoder and a decoder, and does not go on with a text: choose another.")
        if not self.tokenizer.stop_ids:
            raise BadInput("This model's tokenizer names no token that ends an answer: give it stop_ids.")

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        """n answers to each prompt; answer j to prompt i depends on the seed, i and j, not on the other prompts.

        Raises BadInput for a conversation where the model has no chat template, an empty prompt, or no room.
        """
        n, limit = whole("n", n, 1), whole("max_new_tokens", max_new_tokens, 1)
        texts = [self.ids_of(prompt) for prompt in prompts]
        if not texts:
            return []
        if self.context_length is not None:
            check_room(texts, limit, self.context_length)
        seeds = row_seeds(whole("seed", seed, 0, SEEDS - 1), n * len(texts))
        found: list[list[Answer]] = [[] for _ in texts]
        draw = self._drawn_from_ours if isinstance(self.model, GPT) else self._drawn_from_theirs
        for some in self._batches([len(text) for text in texts], n):
            drawn = draw([texts[i] for i in some], n, [seeds[i * n + j] for i in some for j in range(n)], limit)
            for i, first in zip(some, range(0, len(drawn), n), strict=True):
                found[i] = drawn[first : first + n]
        return found

    def ids_of(self, prompt: Prompt) -> list[int]:
        """The tokens that the model is given."""
        ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else self._chat.prompt(prompt)
        if not ids:
            raise BadInput("A prompt is empty: give at least one character.")
        return ids

    @property
    def context_length(self) -> int | None:
        """How many tokens the model can see, where it says so."""
        config = self.model.config
        ours = isinstance(self.model, GPT)
        return config.context_length if ours else getattr(config, "max_position_embeddings", None)

    @cached_property
    def _chat(self) -> HubChat:
        return HubChat(self.tokenizer)

    def _batches(self, lengths: Sequence[int], n: int) -> Iterator[list[int]]:
        """Prompts whose answers are written together; for a model of `transformers`, of one length."""
        ours, together = isinstance(self.model, GPT), max(1, self.at_once // n)
        order = range(len(lengths)) if ours else sorted(range(len(lengths)), key=lambda i: lengths[i])
        for _, alike in groupby(order, key=lambda i: 0 if ours else lengths[i]):
            some = list(alike)
            yield from (some[first : first + together] for first in range(0, len(some), together))

    def _drawn_from_ours(self, texts: list[list[int]], n: int, seeds: list[int], limit: int) -> list[Answer]:
        drawn = rollout(
            self.model, texts, n, limit, temperature=self.temperature, stop=self.tokenizer.stop_ids, seed=seeds
        )
        rows = range(len(seeds))
        chances = [drawn.logprobs[row, drawn.starts[row] : drawn.lengths[row]].tolist() for row in rows]
        return [self._answer(drawn.answer(row), chances[row], bool(drawn.finished[row])) for row in rows]

    @torch.no_grad()
    def _drawn_from_theirs(self, texts: list[list[int]], n: int, seeds: list[int], limit: int) -> list[Answer]:
        """One token of every row after the other, keys and values kept by the model itself."""
        device = next(self.model.parameters()).device
        luck = uniforms(seeds, limit).to(device)  # (B, limit), B = P n
        ends = torch.tensor(self.tokenizer.stop_ids, device=device)
        going = torch.ones(len(seeds), dtype=torch.bool, device=device)  # (B,)
        lengths = torch.zeros(len(seeds), dtype=torch.long, device=device)
        tokens, logprobs = [], []  # of (B,) each
        was_training = self.model.training
        self.model.eval()
        try:
            logits, state = self._begun(torch.tensor(texts, device=device), n)  # (B, V)
            for step in range(limit):
                probabilities = filtered_probabilities(logits.float(), self.temperature)
                chosen = probabilities.argmax(-1) if self.temperature == 0 else choose(probabilities, luck[:, step])
                tokens.append(chosen)
                logprobs.append(probabilities.gather(-1, chosen[:, None]).squeeze(-1).log())
                lengths += going
                going = going & ~torch.isin(chosen, ends)
                if step == limit - 1 or not bool(going.any()):
                    break
                logits, state = self._read(chosen[:, None], state)
        finally:
            self.model.train(was_training)
        drawn, chances = torch.stack(tokens, 1).tolist(), torch.stack(logprobs, 1).tolist()
        return [
            self._answer(drawn[row][:length], chances[row][:length], not bool(going[row]))
            for row, length in enumerate(lengths.tolist())
        ]

    def _begun(self, ids: Int[Tensor, "P T"], n: int) -> tuple[Float[Tensor, "B V"], Any]:
        """The prompts read, each once, for n answers; n times by a model that cannot copy what it keeps."""
        logits, state = self._read(ids, None)
        if n == 1:
            return logits, state
        if not hasattr(state, "batch_repeat_interleave"):
            return self._read(ids.repeat_interleave(n, dim=0), None)
        state.batch_repeat_interleave(n)
        return logits.repeat_interleave(n, dim=0), state

    def _read(self, ids: Int[Tensor, "B T"], state: Any) -> tuple[Float[Tensor, "B V"], Any]:
        """The scores of what follows, and what the model keeps of what it has read."""
        takes = inspect.signature(self.model.forward).parameters
        name = next((name for name in ("past_key_values", "cache_params", "state") if name in takes), None)
        if name is None:
            raise BadInput("This model keeps nothing of what it has read, as far as it says: load it with hub.load.")
        try:
            read = self.model(input_ids=ids, use_cache=True, **({} if state is None else {name: state}))
        except Exception as error:  # another library's model, which may raise anything
            raise BadInput(f"The model cannot read these tokens: {first_line(error)}.") from error
        return read.logits[:, -1], getattr(read, name)

    def _answer(self, ids: list[int], logprobs: list[float], finished: bool) -> Answer:
        text = self.tokenizer.decode(ids[:-1] if finished else ids)
        return Answer(text, tuple(ids), bool(finished), tuple(logprobs))
