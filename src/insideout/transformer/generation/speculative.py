"""Speculative decoding: a small model drafts a few tokens, the large one checks them all in one call.

    keep the drafted token x with probability min(1, p(x) / q(x))
    at the first one refused, draw from (p − q)₊ / Σ (p − q)₊ instead; if all are kept, draw one more from p

p is the large model's distribution, the target, and q the draft's. What comes out is distributed as p, whatever q is:
q(x) min(1, p(x)/q(x)) + P(refused) (p(x) − q(x))₊ / Σ (p − q)₊ = min(p(x), q(x)) + (p(x) − q(x))₊ = p(x).

Taught in book/2-building-a-transformer/09_kv_cache.md. Sources: Leviathan et al. 2023; Chen et al. 2023.
Shapes: B batch, K drafted tokens, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.generation.inputs import SEEDS, check_sampling, prompt_lists, whole
from insideout.transformer.generation.reading import only_reading, padded
from insideout.transformer.generation.sampling import check_scores, choose, filtered_probabilities
from insideout.transformer.model import GPT


@dataclass(frozen=True)
class Speculated:
    """What was written, and how well the draft did."""

    ids: list[list[int]]
    """Prompts and continuations."""
    accepted: list[list[int]]
    """For each row, how many drafts every call of the target accepted. A call gives one token more than it accepts."""
    n_draft: int

    @property
    def acceptance(self) -> float:
        """The share of the drafts looked at that were accepted; what follows a refused one is not looked at."""
        kept = [n for row in self.accepted for n in row]
        return sum(kept) / max(1, sum(min(n + 1, self.n_draft) for n in kept))

    @property
    def tokens_per_call(self) -> float:
        """Tokens that one call of the target gives, on average."""
        kept = [n for row in self.accepted for n in row]
        return 1 + sum(kept) / max(1, len(kept))


def accept(
    p: Float[Tensor, "B K_and_1 V"],
    q: Float[Tensor, "B K V"],
    drafted: Int[Tensor, "B K"],
    uniforms: Float[Tensor, "B K_and_1"],
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """How many drafts each row keeps, and the token that follows them.

    p has one place more than q: what the target says after the last draft.
    """
    k = drafted.shape[1]
    chosen = drafted[..., None]  # (B, K, 1)
    ratio = (p[:, :k].gather(-1, chosen) / q.gather(-1, chosen)).squeeze(-1)  # (B, K)
    kept = (uniforms[:, :k] < ratio).long().cumprod(-1).sum(-1)  # (B,): all before the first refusal
    rows = torch.arange(len(p), device=p.device)
    at, drafts = p[rows, kept], F.pad(q, (0, 0, 0, 1))[rows, kept]  # (B, V) each; q is 0 after the last draft
    rest = (at - drafts).clamp(min=0)  # not normalised: `choose` does without
    rest = torch.where(rest.sum(-1, keepdim=True) > 0, rest, at)  # p = q but for rounding
    return kept, choose(rest, uniforms[:, k])


def speculate(
    target: GPT,
    draft: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    n_draft: int = 4,
    temperature: float = 1.0,
    seed: int = 0,
) -> Speculated:
    """Continue each prompt by `max_new_tokens` tokens, distributed as the target alone would write them.

    temperature 0 gives the target's greedy text. Prompts may differ in length. Row b draws from a generator seeded with
    `seed + b`. Both models are in eval mode meanwhile.
    Raises BadInput for an empty prompt, settings out of range, models of other vocabularies or devices, too long a
    text, or scores that are not finite.
    """
    texts = checked(target, draft, prompts, max_new_tokens, n_draft, temperature)
    seed, batch = whole("seed", seed, 0, SEEDS - len(texts)), len(texts)
    device, width = target.token_embedding.weight.device, max(map(len, texts))
    known = torch.tensor([len(prompt) for prompt in texts], device=device)  # (B,): tokens that are settled
    ends = known + max_new_tokens
    room = width + max_new_tokens + n_draft  # what is drafted at the end may reach beyond it
    text = F.pad(padded(texts, device), (0, room + 1 - width))  # (B, room + 1)
    rows = torch.arange(batch, device=device)
    generators = [torch.Generator().manual_seed(seed + row) for row in range(batch)]
    kept: list[list[int]] = [[] for _ in texts]
    with only_reading(target, draft):
        caches = []
        for model in (target, draft):  # read all but the last token of each prompt
            cache = KVCache(model.config, batch, room, device, model.token_embedding.weight.dtype)
            if width > 1:
                model(text[:, : width - 1], cache)
            cache.set_lengths((known - 1).tolist())
            caches.append(cache)
        while bool((known < ends).any()):
            uniform = torch.stack([torch.rand(2 * n_draft + 1, generator=g) for g in generators]).to(device)
            q = []
            for step in range(n_draft):  # draft: each token from the one before
                logits = draft(text[rows, known + step - 1][:, None], caches[1])[:, -1]  # (B, V)
                check_scores(logits)
                q.append(filtered_probabilities(logits, temperature))
                text[rows, known + step] = choose(q[-1], uniform[:, step])
            places = known[:, None] - 1 + torch.arange(n_draft + 1, device=device)  # (B, K+1): last known token, drafts
            read = text[rows[:, None], places]
            logits = target(read, caches[0])  # (B, K+1, V): the one call
            check_scores(logits)
            p = filtered_probabilities(logits, temperature)
            n, token = accept(p, torch.stack(q, dim=1), read[:, 1:], uniform[:, n_draft:])
            if bool((n == n_draft).any()):
                draft(read[:, -1:], caches[1])  # its own last token, which it has not read yet
            text[rows, known + n] = token
            for row in (known < ends).nonzero().flatten().tolist():
                kept[row].append(int(n[row]))
            known = torch.minimum(known + n + 1, ends)
            for cache in caches:
                cache.set_lengths((known - 1).tolist())  # what was refused is forgotten
    return Speculated([text[row, :end].tolist() for row, end in enumerate(ends.tolist())], kept, n_draft)


def checked(
    target: GPT, draft: GPT, prompts: Sequence[Sequence[int]], max_new_tokens: int, n_draft: int, temperature: float
) -> list[list[int]]:
    """The prompts as lists, where all that was asked for can be done."""
    check_sampling(temperature)
    n_new, n_draft = whole("max_new_tokens", max_new_tokens, 1), whole("n_draft", n_draft, 1)
    if target.config.vocab_size != draft.config.vocab_size:
        raise BadInput(
            f"The draft has {draft.config.vocab_size} tokens and the target {target.config.vocab_size}: both must use "
            "the same tokenizer."
        )
    places = [model.token_embedding.weight.device for model in (target, draft)]
    if places[0] != places[1]:
        raise BadInput(f"The target is on {places[0]} and the draft on {places[1]}: move one to the other.")
    texts = prompt_lists(prompts, target.config.vocab_size)
    longest = max(map(len, texts)) + n_new + n_draft
    limit = min(target.config.context_length, draft.config.context_length)
    if longest > limit:
        raise BadInput(
            f"Prompt, new tokens and drafts make {longest} tokens, and a model has room for {limit}: ask for less."
        )
    return texts
