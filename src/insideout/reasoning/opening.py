r"""Answers whose beginning is given: the model goes on from there.

    continued(writer, prompts, ["<think>", "#### "], seed=0, max_new_tokens=40)        in steps, or at once
    continued(writer, [prompt], ["<think>3+5=9\n"], ...)                               from a step that is wrong

An opening may be text, in which the two think tokens are tokens, or ids. It is part of the answer, and of its tokens;
what was put and not drawn has the log-probability 0. So one model can be asked in two forms, and compared with itself;
and what it reads in its own thinking can be changed, to see whether it matters.
Taught in book/4-reasoning-with-transformers/01_chain_of_thought.md. Source: Lanham et al. 2023, §2 (chains that are
changed, and continued).
"""

from collections.abc import Sequence

from insideout.data.problems.steps import END_THINK, THINK
from insideout.data.suite import Answer, Prompt
from insideout.errors import BadInput
from insideout.finetuning.chat import ChatWriter
from insideout.transformer.generation.inputs import Stop
from insideout.transformer.generation.rollout import rollout, row_seeds
from insideout.transformer.generation.writer import GPTWriter

__all__ = ["continued", "go_on", "opening_ids"]


def opening_ids(writer: ChatWriter, opening: str | Sequence[int]) -> list[int]:
    """The tokens of an opening."""
    if not isinstance(opening, str):
        return list(opening)
    known = [token for token in (THINK, END_THINK) if token in writer.tokenizer.special_ids]
    return writer.tokenizer.encode(opening, special=known)


def continued(
    writer: ChatWriter, prompts: Sequence[Prompt], openings: Sequence[str | Sequence[int]], seed: int,
    max_new_tokens: int, *, n: int = 1,
) -> list[list[Answer]]:  # fmt: skip
    """n answers to each prompt, each beginning with the prompt's opening and at most `max_new_tokens` longer.

    Raises BadInput where prompts and openings are not as many, an opening ends the answer, or no room is left.
    """
    if len(prompts) != len(openings):
        raise BadInput(f"There are {len(prompts)} prompts and {len(openings)} openings: give one opening to each.")
    put = [opening_ids(writer, opening) for opening in openings]
    stop = writer.stop if isinstance(writer.stop, tuple) else (writer.stop,)
    if any(token in stop for ids in put for token in ids):
        raise BadInput("An opening holds the token that ends an answer, so that nothing could follow: leave it out.")
    texts = [writer.ids_of(prompt) + ids for prompt, ids in zip(prompts, put, strict=True)]
    room = writer.model.config.context_length - max(map(len, texts), default=0)
    if n < 1 or max_new_tokens < 1 or room < 1:
        raise BadInput(
            f"{n} answers with {min(max_new_tokens, room)} more tokens cannot be written: ask for 1 of 1 at least, "
            f"after openings that leave room in the context of {writer.model.config.context_length} tokens."
        )
    new = go_on(writer, texts, min(max_new_tokens, room), writer.stop, row_seeds(seed, n * len(texts)), n)
    return [[answer_of(writer, ids, *row) for row in new[p * n : (p + 1) * n]] for p, ids in enumerate(put)]


def answer_of(
    writer: GPTWriter, put: Sequence[int], new: Sequence[int], logprobs: Sequence[float], finished: bool
) -> Answer:
    """What was put and what was drawn, as one answer."""
    text = writer.tokenizer.decode([*put, *(new[:-1] if finished else new)])
    return Answer(text, (*put, *new), finished, (*[0.0] * len(put), *logprobs))


Drawn = tuple[list[int], list[float], bool]
"""New tokens, the log-probability of each, and whether they end with a stop of the model's own."""


def go_on(
    writer: GPTWriter, texts: Sequence[list[int]], max_new_tokens: int, stop: Stop, seeds: Sequence[int], n: int = 1
) -> list[Drawn]:
    """n continuations of each text, of tokens; row i n + j is continuation j of text i, and draws by its own seed."""
    found: list[Drawn] = []
    together = max(1, writer.at_once // n)
    for first in range(0, len(texts), together):
        some = list(texts[first : first + together])
        drawn = rollout(
            writer.model, some, n, max_new_tokens, temperature=writer.temperature, stop=stop,
            seed=list(seeds[first * n : (first + len(some)) * n]),
        )  # fmt: skip
        for row in range(len(some) * n):
            logprobs = drawn.logprobs[row, drawn.starts[row] : drawn.lengths[row]].tolist()
            found.append((drawn.answer(row), logprobs, bool(drawn.finished[row])))
    return found
