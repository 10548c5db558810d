"""Exercises on the KV cache and on speculative decoding.

Practised in book/2-building-a-transformer/09_kv_cache.md; the modules are insideout/transformer/generation/cache.py and
speculative.py. Sources: Vaswani et al. 2017, §3.2; Leviathan et al. 2023; Chen et al. 2023.
Shapes: B batch, H heads, S cached keys, D head width, V vocabulary.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distinct, tensor, tensor_of

# memory: how many bytes the cache of a batch of texts takes


def draw_model(rng: random.Random) -> tuple[int, ...]:
    """Layers, heads, key-value heads, head width, rows, tokens, window, bytes a number; the first seven all differ."""
    n_layers, n_kv_heads, d_head, n_rows, n_tokens, window = distinct(rng, 6, 2, 60)
    return n_layers, n_kv_heads * rng.choice((2, 4)), n_kv_heads, d_head, n_rows, n_tokens, window, rng.choice((2, 4))


def bytes_held(
    n_layers: int, n_heads: int, n_kv_heads: int, d_head: int, n_rows: int, n_tokens: int, window: int, size: int
) -> int:
    return 2 * n_layers * n_rows * n_kv_heads * min(n_tokens, window) * d_head * size


memory = Exercise(
    "transformer.kv_cache.memory", stars=1, minutes=5, reference=bytes_held, draw=draw_model, tolerance=0,
    edges=[(2, 12, 3, 5, 7, 4, 11, 2), (2, 12, 3, 5, 7, 11, 4, 2), (2, 3, 3, 5, 1, 4, 4, 1), (1, 1, 1, 1, 1, 1, 1, 1)],
    section="A window",
)  # fmt: skip
memory.mistake(
    "Only one of keys and values is counted: the cache holds both.",
    lambda layers, heads, groups, d, rows, n, window, size: layers * rows * groups * min(n, window) * d * size,
)
memory.mistake(
    "This counts a key for every query head; with grouped queries only n_kv_heads have keys and values.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * heads * min(n, window) * d * size,
)
memory.mistake(
    "All tokens are counted; beyond the window nobody reads them, and they can be dropped.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * n * d * size,
)
memory.mistake(
    "The whole window is counted, even where the text is shorter: it holds no more tokens than there are.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * window * d * size,
)
memory.mistake(
    "The layers are missing: each keeps keys and values of its own.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * rows * groups * min(n, window) * d * size,
)
memory.mistake(
    "The rows of the batch are missing: each is a text of its own.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * groups * min(n, window) * d * size,
)
memory.mistake(
    "These are numbers, not bytes: multiply by the bytes of a number.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * min(n, window) * d,
)
memory.mistake(
    "The head width is missing: a key is d_head numbers.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * min(n, window) * size,
)
memory.mistake(
    "The key-value heads are missing: each of them keeps keys and values.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * min(n, window) * d * size,
)
memory.mistake(
    "The tokens are missing: each that can still be read has a key and a value.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * d * size,
)
memory.mistake(
    "The larger of tokens and window is counted: what is held is the smaller.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * max(n, window) * d * size,
)
memory.mistake(
    "What lies beyond the window is counted: that is what can be dropped.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * max(n - window, 0) * d * size,
)
memory.mistake(
    "The window is counted over all texts together: each text has its own.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * groups * min(rows * n, window) * d * size,
)
memory.mistake(
    "This is the size of the pattern, tokens × tokens: the cache keeps keys and values, and no scores.",
    lambda layers, heads, groups, d, rows, n, window, size: layers * rows * heads * min(n, window) ** 2 * size,
)
memory.mistake(
    "The bytes are multiplied by 8: these are bits.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * min(n, window) * d * size * 8,
)
memory.mistake(
    "The heads are divided by the key-value heads: that is how many queries share a key. Count n_kv_heads.",
    lambda layers, heads, groups, d, rows, n, window, size: (
        2 * layers * rows * (heads // groups) * min(n, window) * d * size
    ),
)
memory.mistake(
    "Queries are kept too: they are read once, by their own token, and can be forgotten.",
    lambda layers, heads, groups, d, rows, n, window, size: (
        layers * rows * (heads + 2 * groups) * min(n, window) * d * size
    ),
)
memory.mistake(
    "The window is taken to begin anew when it is full: it slides, and then holds `window` tokens.",
    lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * (n % window) * d * size,
)


# step: attention of one new token, the keys and values before it taken from the cache


def draw_step(rng: random.Random, B: int, H: int, S: int, D: int) -> tuple[Tensor, ...]:
    """The new token's q, k, v, (B, H, 1, D), and the cached keys and values, (B, H, S, D)."""
    new = [tensor(rng, B, H, 1, D, deviation=3.0) for _ in range(3)]
    past = [tensor(rng, B, H, S, D, deviation=3.0) for _ in range(2)]
    return *new, *past


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1) @ v


def step_of(q: Tensor, k: Tensor, v: Tensor, past_k: Tensor, past_v: Tensor) -> Tensor:
    return attend(q, torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2))


step = Exercise(
    "transformer.kv_cache.step", stars=2, minutes=10, reference=step_of, draw=draw_step, section="Inside the model",
    tolerance=1e-5,
)  # fmt: skip
step.mistake(
    "The new token does not read itself: its own key and value belong to what it reads.",
    lambda q, k, v, past_k, past_v: attend(q, past_k, past_v),
)
step.mistake(
    "A square causal mask is laid on one row: the newest query counts as the first, and reads only key 0.",
    lambda q, k, v, past_k, past_v: past_v[:, :, :1],
)
step.mistake("The cache is not read: this token sees itself alone.", lambda q, k, v, past_k, past_v: v)
step.mistake(
    "The scores are not divided by √D.",
    lambda q, k, v, past_k, past_v: step_of(q * q.shape[-1] ** 0.5, k, v, past_k, past_v),
)
step.mistake(
    "The new value is joined in front of the old ones and the new key behind them: they no longer match.",
    lambda q, k, v, past_k, past_v: attend(q, torch.cat([past_k, k], dim=2), torch.cat([v, past_v], dim=2)),
)
step.mistake(
    "The scores are divided by D: divide by its root.",
    lambda q, k, v, past_k, past_v: step_of(q / q.shape[-1] ** 0.5, k, v, past_k, past_v),
)
step.mistake(
    "The scores are multiplied by √D: divide.",
    lambda q, k, v, past_k, past_v: step_of(q * q.shape[-1], k, v, past_k, past_v),
)
step.mistake(
    "The softmax runs over the wrong axis, along which there is one query: each key gets the weight 1.",
    lambda q, k, v, past_k, past_v: past_v.sum(dim=2, keepdim=True) + v,
)
step.mistake(
    "The softmax is missing: the scores themselves weigh the values.",
    lambda q, k, v, past_k, past_v: (
        q @ torch.cat([past_k, k], dim=2).transpose(-2, -1) / q.shape[-1] ** 0.5 @ torch.cat([past_v, v], dim=2)
    ),
)
step.mistake(
    "All values weigh the same: the query is not used.",
    lambda q, k, v, past_k, past_v: torch.cat([past_v, v], dim=2).mean(dim=2, keepdim=True),
)
step.mistake(
    "The oldest key and value are dropped for the new ones: a cache without a window keeps them all.",
    lambda q, k, v, past_k, past_v: step_of(q, k, v, past_k[:, :, 1:], past_v[:, :, 1:]),
)
step.mistake(
    "The keys are mixed, not the values.",
    lambda q, k, v, past_k, past_v: step_of(q, k, k, past_k, past_k),
)
step.mistake("Keys and values have changed places.", lambda q, k, v, past_k, past_v: step_of(q, v, k, past_v, past_k))
step.mistake(
    "Two softmaxes are taken and added: the new token and the cache must share one.",
    lambda q, k, v, past_k, past_v: attend(q, past_k, past_v) + v,
)
step.mistake(
    "The scores are divided by the root of the number of keys: divide by √D, the width of a head.",
    lambda q, k, v, past_k, past_v: step_of(q * (q.shape[-1] / past_k.shape[2]) ** 0.5, k, v, past_k, past_v),
)
step.mistake(
    "The scores are divided by the root of the number of keys, the new one among them: divide by √D.",
    lambda q, k, v, past_k, past_v: step_of(q * (q.shape[-1] / (past_k.shape[2] + 1)) ** 0.5, k, v, past_k, past_v),
)
step.mistake(
    "The softmax runs over the heads: it must run over the keys, the last axis.",
    lambda q, k, v, past_k, past_v: (
        (q @ torch.cat([past_k, k], dim=2).transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=1)
        @ torch.cat([past_v, v], dim=2)
    ),
)
step.mistake(
    "These are the weights: mix the values by them.",
    lambda q, k, v, past_k, past_v: (q @ torch.cat([past_k, k], dim=2).transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(
        dim=-1
    ),
)
step.mistake(
    "The axis of the one query is gone: the output is (B, H, 1, D).",
    lambda q, k, v, past_k, past_v: step_of(q, k, v, past_k, past_v)[:, :, 0],
)
step.mistake(
    "The heads are averaged: each keeps its own output.",
    lambda q, k, v, past_k, past_v: step_of(q, k, v, past_k, past_v).mean(dim=1, keepdim=True),
)


# outcome: how the next token is distributed, if a refused draft is replaced by a draw from r


def draw_distributions(rng: random.Random, V: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Three distributions over a small vocabulary, (V,) each: p, q and r."""
    return tensor(rng, V).softmax(-1), tensor(rng, V).softmax(-1), tensor(rng, V).softmax(-1)


def what_comes_out(p: Tensor, q: Tensor, r: Tensor) -> Tensor:
    kept = torch.minimum(p, q)
    return kept + (1 - kept.sum()) * r


outcome = Exercise(
    "transformer.kv_cache.outcome", stars=2, minutes=12, reference=what_comes_out, draw=draw_distributions,
    edges=[
        (tensor_of([0.5, 0.5, 0.0]), tensor_of([0.25, 0.25, 0.5]), tensor_of([0.5, 0.5, 0.0])),
        (tensor_of([0.25, 0.75]), tensor_of([0.25, 0.75]), tensor_of([1.0, 0.0])),
    ],
    section="Build it again: a draft and a judge",
)  # fmt: skip
outcome.mistake(
    "The weight of r is the probability that a draft is kept; it must be that of a refusal.",
    lambda p, q, r: torch.minimum(p, q) + torch.minimum(p, q).sum() * r,
)
outcome.mistake(
    "The refusals are missing: what is drafted and kept sums to less than 1.", lambda p, q, r: torch.minimum(p, q)
)
outcome.mistake(
    "Each token gets r in proportion to its own refusals. A refused x may be replaced by any token.",
    lambda p, q, r: torch.minimum(p, q) + (q - torch.minimum(p, q)) * r,
)
outcome.mistake(
    "The probability of keeping x is taken for the probability that x is drafted and kept: multiply by q.",
    lambda p, q, r: (p / q).clamp(max=1) + (1 - torch.minimum(p, q).sum()) * r,
)
outcome.mistake("Nothing is ever kept: this is r alone, as if every draft were refused.", lambda p, q, r: r + 0 * p)
outcome.mistake(
    "The refused token is added with its full probability q: what is kept and what is refused share the draft.",
    lambda p, q, r: q + (1 - torch.minimum(p, q).sum()) * r,
)
outcome.mistake(
    "This is p, which comes out when a refused draft is replaced by what is left of p: here it is replaced from r.",
    lambda p, q, r: torch.minimum(p, q) + (p - q).clamp(min=0),
)
outcome.mistake(
    "The larger of p and q is taken: a draft is kept with probability min(1, p/q), so the smaller comes out.",
    lambda p, q, r: torch.maximum(p, q) + (1 - torch.minimum(p, q).sum()) * r,
)
outcome.mistake(
    "p and q have changed places in the ratio: a draft from q is kept with probability min(1, p/q).",
    lambda p, q, r: q * (q / p).clamp(max=1) + (1 - (q * (q / p).clamp(max=1)).sum()) * r,
)
outcome.mistake(
    "The draft is weighed with p: it is drawn from q.",
    lambda p, q, r: p * (p / q).clamp(max=1) + (1 - (p * (p / q).clamp(max=1)).sum()) * r,
)
outcome.mistake(
    "r is added in full: it comes in only where a draft is refused.", lambda p, q, r: torch.minimum(p, q) + r
)
outcome.mistake(
    "The result was divided by its sum, without r: what is refused is replaced from r.",
    lambda p, q, r: torch.minimum(p, q) / torch.minimum(p, q).sum(),
)
outcome.mistake(
    "The probability of a refusal is taken for each token, 1 − min(p, q): it is one number, 1 − Σ min(p, q).",
    lambda p, q, r: torch.minimum(p, q) + (1 - torch.minimum(p, q)) * r,
)
outcome.mistake(
    "The probability of keeping is averaged over the vocabulary: weigh each token with q.",
    lambda p, q, r: torch.minimum(p, q) + (1 - (p / q).clamp(max=1).mean()) * r,
)
outcome.mistake(
    "Σ |p − q| counts what is refused twice, once where q is larger and once where p is: take 1 − Σ min(p, q).",
    lambda p, q, r: torch.minimum(p, q) + (p - q).abs().sum() * r,
)
outcome.mistake(
    "What is kept is distributed like min(p, q), not like q: likely drafts of the draft alone are refused more often.",
    lambda p, q, r: torch.minimum(p, q).sum() * q + (1 - torch.minimum(p, q).sum()) * r,
)
outcome.mistake(
    "What is kept is distributed like min(p, q), not like p: a token that q never drafts is never kept.",
    lambda p, q, r: torch.minimum(p, q).sum() * p + (1 - torch.minimum(p, q).sum()) * r,
)
outcome.mistake(
    "Each token gets r by its own chance of being refused: a refused draft may be replaced by any token, so weigh "
    "with q and add up first.",
    lambda p, q, r: torch.minimum(p, q) + (1 - (p / q).clamp(max=1)) * r,
)
outcome.mistake(
    "The refusals are replaced by what is left of p, and that does not sum to 1: here they are replaced from r.",
    lambda p, q, r: torch.minimum(p, q) + (1 - torch.minimum(p, q).sum()) * (p - q).clamp(min=0),
)


# tokens: expected tokens for one call of the target, if each draft is kept with the same probability


def draw_acceptance(rng: random.Random) -> tuple[float, int]:
    """The probability that a draft is kept, and how many are drafted."""
    return rng.uniform(0.3, 0.9), rng.randrange(2, 8)


def tokens_a_call(acceptance: float, n_draft: int) -> float:
    return sum(acceptance**i for i in range(n_draft + 1))


tokens = Exercise(
    "transformer.kv_cache.tokens", stars=2, minutes=10, reference=tokens_a_call, draw=draw_acceptance,
    edges=[(0.0, 3), (0.5, 1)], section="How many tokens a call gives",
)  # fmt: skip
tokens.mistake(
    "The drafts are counted as if each were kept on its own; after a refusal the later ones are lost.",
    lambda acceptance, n_draft: 1 + acceptance * n_draft,
)
tokens.mistake(
    "The token that the call gives in any case is missing.",
    lambda acceptance, n_draft: tokens_a_call(acceptance, n_draft) - 1,
)
tokens.mistake(
    "The sum stops one draft too early: all n_draft may be kept.",
    lambda acceptance, n_draft: tokens_a_call(acceptance, n_draft - 1),
)
tokens.mistake(
    "This is the sum without end, 1 / (1 − acceptance): only n_draft tokens are drafted.",
    lambda acceptance, n_draft: 1 / (1 - acceptance),
)
tokens.mistake(
    "The sum goes one draft too far: n_draft are drafted, and the target adds one token.",
    lambda acceptance, n_draft: tokens_a_call(acceptance, n_draft + 1),
)
tokens.mistake(
    "This is the last term alone, the probability that all drafts are kept: add up those of each length.",
    lambda acceptance, n_draft: acceptance**n_draft,
)
tokens.mistake(
    "Either all drafts are kept or none: the first few may be kept as well.",
    lambda acceptance, n_draft: 1 + n_draft * acceptance**n_draft,
)
tokens.mistake(
    "The probabilities are weighed with the count once more: the sum over i of P(at least i) is the mean already.",
    lambda acceptance, n_draft: sum((i + 1) * acceptance**i for i in range(n_draft + 1)),
)
tokens.mistake(
    "The case in which all drafts are kept is missing: it gives n_draft + 1 tokens.",
    lambda acceptance, n_draft: sum((i + 1) * acceptance**i * (1 - acceptance) for i in range(n_draft)),
)
tokens.mistake(
    "The chance of a refusal is taken for that of keeping.",
    lambda acceptance, n_draft: tokens_a_call(1 - acceptance, n_draft),
)
tokens.mistake(
    "The token that the call gives in any case is counted twice: the sum from i = 0 on has it already.",
    lambda acceptance, n_draft: 1 + tokens_a_call(acceptance, n_draft),
)
tokens.mistake(
    "The drafts are counted as if each were kept on its own, and the target's own token is missing.",
    lambda acceptance, n_draft: acceptance * n_draft,
)
tokens.mistake(
    "The target's own token is counted as if it might be refused: it always comes.",
    lambda acceptance, n_draft: acceptance * (n_draft + 1),
)
tokens.mistake(
    "This is the sum without end, and without the target's own token: only n_draft tokens are drafted.",
    lambda acceptance, n_draft: acceptance / (1 - acceptance),
)
tokens.mistake(
    "The probability that i are kept is taken as that of exactly i, without the refusal after them: the mean is the "
    "sum of P(at least i).",
    lambda acceptance, n_draft: sum(i * acceptance**i for i in range(1, n_draft + 1)),
)
tokens.mistake(
    "After i kept drafts the target adds a token of its own: i + 1 come out, and n_draft + 1 where all are kept.",
    lambda acceptance, n_draft: sum(i * acceptance**i * (1 - acceptance) for i in range(n_draft + 1)),
)
tokens.mistake(
    "The first token is counted as if it might be refused: a call gives one in any case.",
    lambda acceptance, n_draft: acceptance * tokens_a_call(acceptance, n_draft),
)
