"""Writing text: score the next token, choose one, append it, again.

    p = softmax(logits / temperature), cut to top_k, top_p or min_p

Every sequence of a batch gets the tokens that it would get alone with its own seed: row b draws from a
generator seeded with `seed + b`, so a batch of prompts and each prompt on its own agree.
Sources: Holtzman et al. 2020 (top-p); Nguyen et al. 2024 (min-p). Shapes: B batch, T positions, V vocabulary.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from insideout.errors import BadInput
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.generation.decoder import Decoder, can_decode
from insideout.transformer.generation.lookup import MOST, Row, continue_by_lookup
from insideout.transformer.model import GPT


def filtered_probabilities(
    logits: Float[Tensor, "B V"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "B V"]:
    """The distribution that is drawn from. Rows sum to 1; the most likely token always stays.

    top_k keeps the k most likely tokens, top_p the fewest whose probabilities reach p, min_p those at least
    min_p times as likely as the best. They apply in this order, each on the renormalised rest.
    """
    probabilities = (logits.float() / temperature).softmax(dim=-1)
    if top_k is not None:
        kth = probabilities.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        probabilities = probabilities.where(probabilities >= kth, 0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    if top_p is not None:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        reached_before = ordered.cumsum(-1) - ordered >= top_p  # the tokens ahead already reach p
        reached_before[:, 0] = False
        dropped = torch.zeros_like(reached_before).scatter(-1, order, reached_before)
        probabilities = probabilities.masked_fill(dropped, 0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    if min_p is not None:
        best = probabilities.max(-1, keepdim=True).values
        probabilities = probabilities.where(probabilities >= min_p * best, 0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    return probabilities


def choose(probabilities: Float[Tensor, "B V"], uniform: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """The token whose stretch of the cumulative distribution holds the uniform number."""
    cumulative = probabilities.double().cumsum(-1)
    point = uniform.double()[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True).squeeze(1).clamp(max=probabilities.shape[1] - 1)


def _check(temperature: float, top_k: int | None, top_p: float | None, min_p: float | None, lookup: int) -> None:
    if temperature < 0:
        raise BadInput(f"temperature is {temperature}; it must be 0 (greedy) or more.")
    if top_k is not None and top_k < 1:
        raise BadInput(f"top_k is {top_k}; it must be at least 1.")
    if lookup < 0:
        raise BadInput(f"lookup is {lookup}; it must be 0 (no drafts) or more.")
    for name, value in (("top_p", top_p), ("min_p", min_p)):
        if value is not None and not 0 < value <= 1:
            raise BadInput(f"{name} is {value}; it must be above 0 and at most 1.")


@torch.inference_mode()
def generate(
    model: GPT,
    ids: Sequence[Sequence[int]] | Int[Tensor, "B T"],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: int | Sequence[int] | None = None,
    seed: int = 0,
    use_cache: bool = True,
    lookup: int = MOST,
) -> list[list[int]]:
    """Continue each prompt by up to `max_new_tokens` tokens; returns prompts and continuations as lists of ids.

    temperature 0 is greedy. `stop` ends a sequence at that token (kept). Prompts may differ in length.
    `use_cache=False` reads the whole text again for every token: the slow way, kept to be compared with.
    `lookup`: where a `Decoder` writes greedily and the text repeats itself, up to so many tokens of a row are drafted
    from the text and checked in one call (`transformer.lookup`); 0 writes one token a call. Same text always.
    Raises BadInput for an empty prompt, an unknown id, a setting out of range, or a text longer than the context.
    """
    _check(temperature, top_k, top_p, min_p, lookup)
    prompts = [[int(i) for i in row] for row in (ids.tolist() if isinstance(ids, Tensor) else ids)]
    lengths = [len(prompt) for prompt in prompts]
    if not prompts or min(lengths) == 0:
        raise BadInput("A prompt is empty: give at least one token.")
    if any(not 0 <= i < model.config.vocab_size for prompt in prompts for i in prompt):
        raise BadInput(f"A prompt holds an id outside the vocabulary of {model.config.vocab_size} tokens.")
    room = max(lengths) + max_new_tokens
    if room > model.config.context_length:
        raise BadInput(
            f"The prompt's {max(lengths)} tokens and {max_new_tokens} new ones exceed the context length "
            f"{model.config.context_length}: ask for at most {model.config.context_length - max(lengths)}."
        )
    if max_new_tokens < 1:
        return prompts
    stops = {stop} if isinstance(stop, int) else set(stop or ())
    weight = model.token_embedding.weight
    batch, width = len(prompts), max(lengths)
    text = torch.zeros(batch, room, dtype=torch.long, device=weight.device)
    for row, prompt in enumerate(prompts):
        text[row, : len(prompt)] = torch.tensor(prompt, device=weight.device)
    uniforms = torch.stack(
        [torch.rand(max_new_tokens, generator=torch.Generator().manual_seed(seed + row)) for row in range(batch)]
    ).to(weight.device)  # (B, max_new_tokens)
    rows, last = torch.arange(batch, device=weight.device), torch.tensor(lengths, device=weight.device) - 1
    aligned = min(lengths) == width
    cache = KVCache(model.config, batch, room, weight.device, weight.dtype) if use_cache else None
    decoder: Decoder | None = None
    was_training = model.training
    model.eval()
    try:
        finished = torch.zeros(batch, dtype=torch.bool, device=weight.device)
        ends = [n + max_new_tokens for n in lengths]
        for step in range(max_new_tokens):
            if decoder is not None:
                packed = None if aligned else decoder.pack(last.tolist(), [1] * batch)
                logits = decoder(text[:, width + step - 1] if aligned else text[rows, last], packed)  # (B, V)
            elif cache is None:
                logits = model(text[:, : width + step])[rows, last]
            elif step == 0:
                logits = model(text[:, :width], cache)[rows, last]
                cache.set_lengths(lengths)
                if temperature == 0 and lookup and can_decode(model):
                    texts = [Row(prompt, end, stops) for prompt, end in zip(prompts, ends, strict=True)]
                    for each, token in zip(texts, logits.argmax(-1).tolist(), strict=True):
                        each.add([token])
                    continue_by_lookup(Decoder(model, cache), texts, lookup)
                    return [each.ids for each in texts]
                if can_decode(model):
                    decoder, cache = Decoder(model, cache), None
            else:
                new = text[:, width + step - 1, None] if aligned else text[rows, last][:, None]  # (B, 1)
                logits = model(new, cache)[:, -1]
            if temperature == 0:
                chosen = logits.argmax(-1)
            else:
                chosen = choose(filtered_probabilities(logits, temperature, top_k, top_p, min_p), uniforms[:, step])
            last = last + 1
            if aligned:
                text[:, width + step] = chosen  # the same place in every row: a slice, cheaper than indices
            else:
                text[rows, last] = chosen
            if stops:
                for row, token in enumerate(chosen.tolist()):
                    if token in stops and not finished[row]:
                        finished[row], ends[row] = True, lengths[row] + step + 1
                if bool(finished.all()):
                    break
    finally:
        model.train(was_training)
    return [text[row, :end].tolist() for row, end in enumerate(ends)]
