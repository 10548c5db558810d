"""What every stage that learns from pairs has in common: its settings, where the pairs come from, and their order.

Used by `reward` and by `dpo`.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from insideout.data.conversations import Pair, read_pairs
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.files import content_of, expanded
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs
from insideout.recipes.pairs import Compared, load
from insideout.training.config import TrainConfig

if TYPE_CHECKING:
    from insideout.data.batch import Document
    from insideout.finetuning.preferences import Chat


@dataclass(frozen=True)
class PairTuning:
    """What every stage that learns from pairs can be told: what it goes on from, which pairs, and how it is trained."""

    model: str = ""
    """What to go on from: the folder of a run of ours that answers. Empty: the recipe sft."""
    data: str = ""
    """Pairs: the path of a .jsonl of prompt, chosen and rejected, or the folder of a run of pairs. Empty: the recipe
    pairs."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts pairs."""


@dataclass(frozen=True)
class Learned:
    """Pairs as documents, chosen and rejected one after the other, all checked."""

    train: "list[Document]"
    held_out: "list[Document]"
    known: list[Compared] | None
    """The held-out pairs with their truth, where it is known: of the town."""
    prompt: "Sequence[Message]"
    """The first held-out prompt, whose answer is looked at."""


def pairs_for(config: PairTuning, inputs: Inputs) -> tuple[list[Pair], list[Pair], list[Compared] | None]:
    """(pairs to learn from, held-out ones, these with their truth). A tenth of a file's prompts is held out.

    All pairs of a prompt stay together, so that none is in both. Raises BadInput for what cannot be used.
    """
    stored = inputs.get("data")
    if stored is None and (expanded(config.data, "data") / "config.json").is_file():
        stored = load(expanded(config.data, "data"))
    if stored is not None:
        return [each.pair for each in stored.train], [each.pair for each in stored.held_out], stored.held_out
    given = read_pairs(expanded(config.data, "data"))
    prompts = list(dict.fromkeys(each.prompt for each in given))
    if len(prompts) < 2:
        raise BadInput(f"{config.data} has pairs of one prompt alone: give at least 2, since a tenth is held out.")
    random.Random(0).shuffle(prompts)
    apart = set(prompts[: max(1, len(prompts) // 10)])
    return [each for each in given if each.prompt not in apart], [each for each in given if each.prompt in apart], None


def learned(config: PairTuning, inputs: Inputs, chat: "Chat", context_length: int) -> Learned:
    """The pairs as documents. Raises BadInput, with the pair's number, for one that is longer than the context."""
    from insideout.finetuning.preferences import pair_documents

    train, held_out, known = pairs_for(config, inputs)
    where = config.data or "The recipe's pairs"
    return Learned(
        pair_documents(chat, train, context_length, where),
        pair_documents(chat, held_out, context_length, f"{where}, held out"), known, held_out[0].prompt,
    )  # fmt: skip


def chosen_pairs(documents: "Sequence[Document]", size: int, place: int, seed: int) -> list[int]:
    """Numbers of the documents of the pairs at the n-th place: all pairs once an epoch, in an order of its own."""
    n = len(documents) // 2
    found = []
    for at in range(place * size, (place + 1) * size):
        epoch, i = divmod(at, n)
        first = 2 * order(n, f"{seed} {epoch}")[i]
        found += [first, first + 1]
    return found


@lru_cache(maxsize=4)
def order(n: int, seed: str) -> tuple[int, ...]:
    """0 to n − 1, shuffled."""
    numbers = list(range(n))
    random.Random(seed).shuffle(numbers)
    return tuple(numbers)


def sources(config: PairTuning) -> dict[str, str]:
    """Fingerprints of the model and of the pairs, where they are of no recipe."""
    found = {"model": trained(config.model).fingerprint} if config.model else {}
    if config.data:
        path = expanded(config.data, "data")
        if (path / "config.json").is_file():
            found["data"] = load(path).fingerprint
        else:
            read_pairs(path)  # a damaged line is told before the model that is to be tuned is made
            found["data"] = hashlib.sha256(content_of(path)).hexdigest()
    return found
