"""Writing text: score the next token, choose one, append it, again.

Every sequence of a batch gets the tokens that it would get alone with its own seed: row b draws from a
generator seeded with `seed + b`, so a batch of prompts and each prompt on its own agree.
Taught in book/2-building-a-transformer/06_complete_model.md and 09_kv_cache.md.
"""

from collections.abc import Sequence

from jaxtyping import Int
from torch import Tensor

from insideout.transformer.generation.inputs import (
    SEEDS,
    Stop,
    check_room,
    check_sampling,
    prompt_lists,
    stop_ids,
    whole,
)
from insideout.transformer.generation.reading import begin, only_reading
from insideout.transformer.generation.sampling import check_scores, choose, filtered_probabilities, uniforms
from insideout.transformer.model import GPT


def generate(
    model: GPT,
    ids: Sequence[Sequence[int]] | Int[Tensor, "B T"],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: Stop = None,
    seed: int = 0,
    use_cache: bool = True,
) -> list[list[int]]:
    """Continue each prompt by up to `max_new_tokens` tokens; returns prompts and continuations as lists of ids.

    temperature 0 is greedy. `stop` ends a sequence at that token (kept). Prompts may differ in length.
    `use_cache=False` reads the whole text again for every token: the slow way, kept to be compared with.
    The model writes in eval mode and in its weights' own numbers, whatever mode or autocast it is called in.
    Raises BadInput for an empty prompt, an unknown id, a setting out of range, a text longer than the context, or a
    model whose scores are not finite.
    """
    check_sampling(temperature, top_k, top_p, min_p)
    texts, stops = prompt_lists(ids, model.config.vocab_size), stop_ids(stop, model.config.vocab_size)
    limit, seed = whole("max_new_tokens", max_new_tokens, 0), whole("seed", seed, 0, SEEDS - len(texts))
    check_room(texts, limit, model.config.context_length)
    if limit == 0:
        return texts
    luck = uniforms(range(seed, seed + len(texts)), limit)  # (B, limit)
    with only_reading(model):
        reader, logits = begin(model, texts, limit, use_cache=use_cache)  # (B, V)
        luck, writing = luck.to(logits.device), set(range(len(texts)))
        for step in range(limit):
            check_scores(logits)
            if temperature == 0:
                chosen = logits.argmax(-1)  # (B,)
            else:
                chosen = choose(filtered_probabilities(logits, temperature, top_k, top_p, min_p), luck[:, step])
            for row, token in enumerate(chosen.tolist()):
                if row in writing:
                    texts[row].append(token)
                    if token in stops:
                        writing.remove(row)
            if not writing or step == limit - 1:
                break
            logits = reader(chosen[:, None])[:, -1]
    return texts
