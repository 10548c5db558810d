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
from insideout.transformer.generation.rollout import rollout, row_seeds

__all__ = ["continued", "opening_ids"]


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
    seeds, found = row_seeds(seed, n * len(texts)), list[list[Answer]]()
    together = max(1, writer.at_once // n)
    for first in range(0, len(texts), together):
        some = texts[first : first + together]
        drawn = rollout(
            writer.model, some, n, min(max_new_tokens, room), temperature=writer.temperature, stop=writer.stop,
            seed=seeds[first * n : (first + len(some)) * n],
        )  # fmt: skip
        for p, ids in enumerate(put[first : first + together]):
            answers = []
            for row in range(p * n, (p + 1) * n):
                new, finished = drawn.answer(row), bool(drawn.finished[row])
                logprobs = drawn.logprobs[row, drawn.starts[row] : drawn.lengths[row]].tolist()
                text = writer.tokenizer.decode([*ids, *(new[:-1] if finished else new)])
                answers.append(Answer(text, (*ids, *new), finished, (*[0.0] * len(ids), *logprobs)))
            found.append(answers)
    return found
