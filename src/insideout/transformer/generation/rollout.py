"""Rollouts: a model's own answers, each token with the log-probability it was drawn with. What RL learns from.

    token ~ p        logprob = log p(token)        p = softmax(logits / temperature), filtered

The distribution is recorded that the token was really drawn from, after temperature and filters: a policy gradient
divides by it. Tokens that were put and not drawn have none; an answer that met the limit is not called finished.
Used from part 3 of the book on. Source: Schulman et al. 2017, §3 (the ratio that is taken to these probabilities).
Shapes: N rows (prompt 0's samples, then prompt 1's), T positions, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from insideout.data.batch import Segment
from insideout.errors import BadInput
from insideout.transformer.generation.inputs import (
    SEEDS,
    Stop,
    check_room,
    check_sampling,
    listed,
    prompt_lists,
    stop_ids,
    token_id,
    whole,
)
from insideout.transformer.generation.reading import begin, only_reading, padded
from insideout.transformer.generation.sampling import check_scores, choose, filtered_probabilities, uniforms
from insideout.transformer.model import GPT

MOST = 10**6
"""Rows of one rollout."""
Forced = Callable[[int, list[int]], Sequence[int]]
"""(row, its answer so far) -> tokens that come next whatever the model says; none: it draws."""


@dataclass(frozen=True)
class Rollout:
    """Answers as ids; what belongs to a place of the text has the shape of `ids`."""

    ids: Int[Tensor, "N T"]
    """Prompt and answer; what lies beyond a row's length is 0 and means nothing."""
    starts: Int[Tensor, " N"]
    """Where the answer begins: the prompt's length."""
    lengths: Int[Tensor, " N"]
    """Where the text ends: tokens of prompt and answer."""
    logprobs: Float[Tensor, "N T"]
    """Log-probability of each drawn token under the distribution it was drawn from, in nats; 0 at all other places."""
    finished: Bool[Tensor, " N"]
    """Did the model end the answer with a stop token of its own? If not, it was cut off."""
    forced: Bool[Tensor, "N T"]
    """Tokens of the answer that were put, not drawn."""

    @property
    def drawn(self) -> Bool[Tensor, "N T"]:
        """The tokens that the model chose: the answer's, less those forced. What may be trained on."""
        place = torch.arange(self.ids.shape[1], device=self.ids.device)
        return (place >= self.starts[:, None]) & (place < self.lengths[:, None]) & ~self.forced

    def answer(self, row: int) -> list[int]:
        """One row's tokens after the prompt, the stop with them. Raises BadInput for a row that there is not."""
        row = whole("row", row, 0, len(self.ids) - 1)
        return self.ids[row, self.starts[row] : self.lengths[row]].tolist()

    def documents(self, rewards: Float[Tensor, "N T"] | None = None) -> list[list[Segment]]:
        """Each row as segments, to make a `Batch` of: the prompt and what was put are read, what was drawn is learned.

        `rewards` are what each token earned, where it stands.
        """
        if rewards is not None and tuple(getattr(rewards, "shape", ())) != tuple(self.ids.shape):
            raise BadInput(f"The rewards must have the shape of the ids, {tuple(self.ids.shape)}: one to each place.")
        found = []
        for row, (start, length) in enumerate(zip(self.starts.tolist(), self.lengths.tolist(), strict=True)):
            ids, logprobs = self.ids[row].tolist(), self.logprobs[row].tolist()
            document = [Segment(ids[:start], learn=False)]
            for put, places in groupby(range(start, length), key=self.forced[row].tolist().__getitem__):
                at = list(places)
                earned = None if rewards is None else rewards[row, at].tolist()
                drawn = None if put else [logprobs[i] for i in at]
                document.append(Segment([ids[i] for i in at], learn=not put, logprobs=drawn, rewards=earned))
            found.append(document)
        return found


class Script:
    """What is put instead of drawn, row by row."""

    def __init__(self, forced: Forced, n_rows: int, stops: frozenset[int], vocab_size: int) -> None:
        self.forced, self.stops, self.vocab_size = forced, stops, vocab_size
        self.answers: list[list[int]] = [[] for _ in range(n_rows)]
        self.waiting: list[list[int]] = [[] for _ in range(n_rows)]

    def has_more(self, row: int) -> bool:
        """Is there a token to put next? Asks, unless some are left of what it was given before."""
        if not self.waiting[row]:
            given = self.forced(row, list(self.answers[row]))
            tokens = [] if given is None else listed(given)
            if tokens is None:
                raise BadInput("forced must return a list of token ids, or None where nothing is put.")
            self.waiting[row] = [token_id("forced gave", token, self.vocab_size) for token in tokens]
        return bool(self.waiting[row])

    def play(self, row: int, token: int) -> tuple[int, bool, bool]:
        """The row's next token, given the one it drew; whether it was put; whether the answer goes on."""
        put = self.has_more(row)
        if put:
            token = self.waiting[row].pop(0)
        self.answers[row].append(token)
        return token, put, token not in self.stops or (not put and self.has_more(row))


def row_seeds(seed: int, n: int) -> list[int]:
    """Seeds for n rows, such that another seed gives every row other luck. Row r's does not depend on n."""
    return torch.randint(SEEDS - 1, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def rollout(
    model: GPT,
    prompts: Sequence[Sequence[int]] | Int[Tensor, "P T"],
    n: int,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: Stop = None,
    seed: int | Sequence[int] = 0,
    forced: Forced | None = None,
) -> Rollout:
    """`n` answers to each prompt, of up to `max_new_tokens` tokens; row i n + j is answer j to prompt i.

    A prompt is read once for all its answers. `stop` ends an answer (kept). temperature 0 takes the best token, with
    log-probability 0. Each row draws what it would draw alone: from a generator of its own, seeded by
    `row_seeds(seed, rows)`, or by the seeds given, one a row.
    `forced` is asked before each token, and after a stop that was drawn, with the row and its answer so far. The tokens
    it returns are put one after the other; they count as new tokens. A stop among them ends the answer unfinished.
    Dropout is off meanwhile. Raises BadInput as `generate` does.
    """
    check_sampling(temperature, top_k, top_p, min_p)
    vocab_size = model.config.vocab_size
    texts, stops = prompt_lists(prompts, vocab_size), stop_ids(stop, vocab_size)
    n, limit = whole("n", n, 1, MOST // len(texts)), whole("max_new_tokens", max_new_tokens, 1)
    check_room(texts, limit, model.config.context_length)
    luck = uniforms(checked_seeds(seed, n * len(texts)), limit)  # (N, limit)
    script = None if forced is None else Script(forced, n * len(texts), stops, vocab_size)
    written = empty(texts, n, limit, model.token_embedding.weight)  # made here: tensors that may take part in a loss
    device = written.ids.device
    with only_reading(model):
        reader, logits = begin(model, texts, limit, samples=n)  # (N, V)
        luck, ends = luck.to(device), torch.tensor(sorted(stops), dtype=torch.long, device=device)
        rows = torch.arange(len(luck), device=device)  # those still written
        for step in range(limit):
            check_scores(logits)
            probabilities = filtered_probabilities(logits, temperature, top_k, top_p, min_p)
            chosen = probabilities.argmax(-1) if temperature == 0 else choose(probabilities, luck[rows, step])
            logprob = probabilities.gather(-1, chosen[:, None]).squeeze(-1).log()  # (rows,)
            put, on = torch.zeros_like(rows, dtype=torch.bool), ~torch.isin(chosen, ends)
            if script is not None:
                played = [script.play(*each) for each in zip(rows.tolist(), chosen.tolist(), strict=True)]
                chosen, put, on = (torch.tensor(each, device=device) for each in zip(*played, strict=True))
            at = written.starts[rows] + step
            written.ids[rows, at], written.forced[rows, at] = chosen, put
            written.logprobs[rows, at] = logprob.masked_fill(put, 0)
            written.lengths[rows] = at + 1
            written.finished[rows] = ~on & ~put
            stay = on.nonzero().squeeze(1)
            if len(stay) == 0 or step == limit - 1:
                break
            if len(stay) < len(rows):  # answers that have ended are no longer read
                rows, chosen = rows[stay], chosen[stay]
                reader.keep(stay)
            logits = reader(chosen[:, None])[:, -1]  # (rows, V)
    longest = int(written.lengths.max())
    return replace(
        written, ids=written.ids[:, :longest], logprobs=written.logprobs[:, :longest],
        forced=written.forced[:, :longest],
    )  # fmt: skip


def checked_seeds(seed: int | Sequence[int], n_rows: int) -> list[int]:
    """One seed a row. Raises BadInput for another number of them, or one out of range."""
    several = listed(seed)
    if several is None:
        return row_seeds(whole("seed", seed, 0, SEEDS - 1), n_rows)
    if len(several) != n_rows:
        raise BadInput(f"There are {len(several)} seeds for {n_rows} rows: give one for each, or one for all.")
    return [whole("seed", each, 0, SEEDS - 1) for each in several]


def empty(texts: list[list[int]], n: int, limit: int, weight: Tensor) -> Rollout:
    """The prompts, with room for the answers, where the weights are."""
    prompts = padded(texts, weight.device).repeat_interleave(n, dim=0)  # (N, longest prompt)
    ids = F.pad(prompts, (0, limit))  # (N, T)
    starts = torch.tensor([len(text) for text in texts], device=ids.device).repeat_interleave(n)
    logprobs = torch.zeros(ids.shape, device=ids.device, dtype=torch.promote_types(weight.dtype, torch.float32))
    nothing = torch.zeros_like(ids, dtype=torch.bool)
    return Rollout(ids, starts, starts.clone(), logprobs, nothing[:, 0].clone(), nothing)
