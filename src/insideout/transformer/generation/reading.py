"""How a writer gets the scores of the next token: three ways, with one answer.

    reader, logits = begin(model, prompts, n_new)         the prompts are read: what may follow each, (B, V)
    logits = reader(chosen[:, None])[:, -1]               one more token of each row

`WholeText` reads everything again for each token. `Cached` keeps keys and values and gives the model the new tokens
alone. The `Decoder` does what `Cached` does, in fewer operations, for models that it knows.
Taught in book/2-building-a-transformer/09_kv_cache.md. Shapes: P prompts, B rows, T new tokens, V vocabulary.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from insideout.transformer.generation.cache import KVCache
from insideout.transformer.generation.decoder import Decoder, can_decode
from insideout.transformer.model import GPT

BRANCHES = 8
"""Rows that share one copy of their prompt, at most. In attention each looks at the others' slots too, to no avail."""


@runtime_checkable
class Reader(Protocol):
    """What has read some rows, and can read on."""

    def __call__(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Read T more tokens of every row: the scores of what follows each."""

    def keep(self, rows: Int[Tensor, " n"]) -> None:
        """Go on with these of the present rows."""

    def forget(self, n: int) -> None:
        """Drop the last `n` tokens that every row has read."""


class WholeText:
    """Reads the whole text again for every token: the slow way, kept to be compared with."""

    def __init__(self, model: GPT, texts: Sequence[Sequence[int]]) -> None:
        self.model, self.texts = model, [list(text) for text in texts]
        self.device = model.token_embedding.weight.device

    def __call__(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        for text, new in zip(self.texts, ids.tolist(), strict=True):
            text += new
        return self.read(ids.shape[1])

    def read(self, n: int) -> Float[Tensor, "B n V"]:
        """Scores of what follows each row's last `n` tokens."""
        logits = self.model(padded(self.texts, self.device))
        return torch.stack([row[len(text) - n : len(text)] for row, text in zip(logits, self.texts, strict=True)])

    def keep(self, rows: Int[Tensor, " n"]) -> None:
        self.texts = [self.texts[row] for row in rows.tolist()]

    def forget(self, n: int) -> None:
        self.texts = [text[: len(text) - n] for text in self.texts]


class Cached:
    """Reads new tokens alone, with the model's own forward pass and a cache of what was before."""

    def __init__(self, model: GPT, cache: KVCache) -> None:
        self.model, self.cache = model, cache

    def __call__(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        logits: Tensor = self.model(ids, self.cache)
        return logits

    def keep(self, rows: Int[Tensor, " n"]) -> None:
        self.cache.select(rows)

    def forget(self, n: int) -> None:
        self.cache.set_lengths((self.cache.lengths - n).tolist())


def begin(
    model: GPT, prompts: Sequence[Sequence[int]], n_new: int, *, samples: int = 1, use_cache: bool = True
) -> tuple[Reader, Float[Tensor, "B V"]]:
    """Read the prompts once: a reader with room for `n_new` tokens more, and the scores of the first of them.

    From each prompt `samples` rows go on, side by side: rows 0 to samples - 1 from the first, and so on.
    """
    weight, lengths = model.token_embedding.weight, [len(prompt) for prompt in prompts]
    each = torch.arange(len(prompts), device=weight.device)
    rows = each.repeat_interleave(samples)  # (B,): which prompt a row begins with
    if not use_cache:
        whole = WholeText(model, [prompts[row] for row in rows.tolist()])
        return whole, whole.read(1)[:, -1]
    fast = can_decode(model)
    n_slots = max(lengths) + (0 if fast else n_new)  # the Decoder has slots of its own
    cache = KVCache(model.config, len(prompts), n_slots, weight.device, weight.dtype)
    logits = model(padded(prompts, weight.device), cache)  # (P, longest, V): the prefill
    logits = logits[each, torch.tensor(lengths, device=weight.device) - 1][rows]  # (B, V)
    cache.set_lengths(lengths)
    if not fast:
        if samples > 1:
            cache.select(rows)
        return Cached(model, cache), logits
    copies = -(-samples // BRANCHES)  # of a prompt
    branches = -(-samples // copies)  # of a copy
    if copies > 1:
        cache.select(each.repeat_interleave(copies))
    decoder = Decoder(model, cache, n_new, branches)
    if copies * branches > samples:
        decoder.keep(torch.arange(len(prompts) * copies * branches).view(len(prompts), -1)[:, :samples].flatten())
    return decoder, logits


def padded(texts: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "B T"]:
    """Texts of different lengths as one tensor, filled up on the right with 0: nothing before it reads that."""
    longest = max(map(len, texts))
    return torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts], device=device)


@contextlib.contextmanager
def only_reading(*models: nn.Module) -> Iterator[None]:
    """No gradients, no dropout, numbers as the weights have them; afterwards each module is in the mode it was in."""
    modules = [module for model in models for module in model.modules()]
    modes = [module.training for module in modules]
    device = next(models[0].parameters()).device.type
    try:
        for model in models:
            model.eval()
        with torch.inference_mode(), torch.autocast(device, enabled=False):
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
