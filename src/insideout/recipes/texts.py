"""What every stage that learns from text shares: its tokenizer, its held-out loss, and samples along the way."""

import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.files import cache_folder, save
from insideout.recipes.code import code_key
from insideout.recipes.runs import json_lines

if TYPE_CHECKING:
    from torch import nn

    from insideout.data.text.corpus import Corpus
    from insideout.data.text.tokens import TokenData, Tokens
    from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer


def make_tokenizer(
    kind: Literal["bpe", "character"], vocab_size: int, validation_fraction: float, corpus: "Corpus"
) -> "BPETokenizer | CharacterTokenizer":
    """The tokenizer of a corpus, learned once and kept beside the tokens.

    Merges are learned from the part that trains, so nothing of the held-out text shapes them. A character tokenizer
    lists all of the text's characters, since it has no other way to write one.
    """
    from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer, load_tokenizer

    if kind == "character":
        return CharacterTokenizer.train(corpus.chunks())
    code = code_key(["insideout.transformer.tokenizer:BPETokenizer.train"])
    name = f"bpe-{vocab_size}-{validation_fraction:g}-{corpus.fingerprint[:16]}-{code}.json"
    kept = cache_folder("data") / "tokenizers" / name
    if kept.is_file():
        try:
            return load_tokenizer(kept)
        except BadInput:
            kept.unlink(missing_ok=True)  # our own cache, damaged: learn it again
    tokenizer = BPETokenizer.train(training_text(corpus, validation_fraction), vocab_size)
    tokenizer.save(kept)
    return tokenizer


def training_text(corpus: "Corpus", validation_fraction: float) -> Iterator[str]:
    """The part of the text that trains, as `data.text.tokens.prepare` cuts it."""
    left = int((1 - validation_fraction) * corpus.n_characters)
    for chunk in corpus.chunks():  # to the end, which tells whether the text is still the one that was counted
        yield chunk[: max(0, left)]
        left -= len(chunk)


def bits_per_nat(data: "TokenData") -> float:
    """What turns a held-out loss in nats per token into bits per byte: 1 / (ln 2 · bytes per token)."""
    return 1 / (math.log(2) * data.validation_bytes_per_token)


def usable_prompt(prompt: str, default: str, tokenizer: Any, corpus: "Corpus") -> str:
    """The prompt of the samples, in characters that the tokenizer knows.

    The default one, where the text lacks a letter of it, gives way to how the text begins. Raises BadInput for another.
    """
    try:
        tokenizer.encode(prompt)
    except BadInput as error:
        if prompt != default:
            raise BadInput(f"sample_prompt is {prompt!r}, and the text lacks one of its characters: {error}") from None
        words = next(chunk for chunk in corpus.chunks() if chunk.strip()).split()
        return words[0][:8] + (" " if len(words) > 1 and " " in tokenizer.characters else "")
    return prompt


def held_out_loss(
    model: "nn.Module", tokens: "Tokens", context_length: int, batch_size: int, at_most: int = 0
) -> float:
    """Mean loss in nats over the held-out tokens, each predicted once; over about the first `at_most` if not 0."""
    import torch

    from insideout.data.text.tokens import windows
    from insideout.transformer.loss import next_token_loss

    device = next(model.parameters()).device
    batch_size = max(batch_size, 4096 // context_length)  # without gradients there is room for more
    n_batches = None if at_most == 0 else max(1, round(at_most / (context_length * batch_size)))
    batches: Iterator[Any] = islice(windows(tokens, context_length, batch_size), n_batches)
    total, count = 0.0, 0.0
    with torch.no_grad():
        for ids, targets in batches:
            loss, n = next_token_loss(model, (ids.to(device), targets.to(device)))
            total, count = total + float(loss), count + n
    return total / count


def sample(model: Any, tokenizer: Any, prompt: str, n_tokens: int, seed: int = 0) -> str:
    """What the model writes after the prompt, in full precision."""
    import torch

    from insideout.transformer.generation.generate import generate

    device = next(model.parameters()).device
    with torch.autocast(device.type, enabled=False):
        [ids] = generate(model, [tokenizer.encode(prompt)], n_tokens, temperature=0.8, top_p=0.95, seed=seed)
    return str(tokenizer.decode(ids))


class Samples:
    """samples.jsonl: what the model wrote, by step. A step that is taken again replaces the later ones."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, step: int, text: str) -> None:
        """Put one in its place. Raises BadInput where the disk does not take it."""
        kept = [record for record in json_lines(self.path) if record["step"] < step]
        lines = [json.dumps(record) + "\n" for record in [*kept, {"step": step, "text": text}]]
        save(self.path, "".join(lines))
