"""Exercises on other models: examples that cannot know the answer, and tries that are counted once.

Practised in book/4-reasoning-with-transformers/13_other_models.md; of the modules that it teaches,
insideout/reasoning/server_writer.py does the second.
"""

import random
from collections.abc import Sequence

from insideout.exercises.catalogue import Exercise

Pool = list[tuple[str, str, str]]
Told = tuple[int | None, int, float]

# few_shot: pool, question, template, n -> the prompt


def draw_pool(rng: random.Random) -> tuple[Pool, str, str, int]:
    """A pool in which what must not be shown comes early, and what may be shown is more than is asked for."""
    templates = ["finds", "loses", "gives", "doubles"]
    asked = rng.choice(templates)
    others = [each for each in templates if each != asked]
    question = f"Question {rng.randint(10, 99)}?"
    numbers = rng.sample(range(100, 999), 8)
    pool = [(f"Question {number}?", rng.choice(others), f"{number} + 1 = {number + 1}") for number in numbers[:5]]
    pool.insert(rng.randint(0, 1), (question, rng.choice(others), "the same, told otherwise"))
    pool.insert(rng.randint(0, 2), (f"Question {numbers[6]}?", asked, "a twin"))
    return pool, question, asked, rng.randint(2, 3)


def prompt(examples: Sequence[tuple[str, str]], question: str) -> str:
    return "".join(f"Q: {q}\nA: {s}\n\n" for q, s in examples) + f"Q: {question}\nA:"


def honest(pool: Pool, question: str, template: str, n: int) -> str:
    return prompt([(q, s) for q, t, s in pool if q != question and t != template][:n], question)


few_shot = Exercise(
    "reasoning.other_models.few_shot", stars=2, minutes=12, reference=honest, draw=draw_pool,
    edges=[([("Q1?", "a", "1"), ("Q2?", "b", "2")], "Q1?", "a", 3), ([], "Q1?", "a", 2),
           ([("Q1?", "b", "1"), ("Q2?", "a", "2")], "Q1?", "a", 2), ([("Q2?", "b", "2")], "Q1?", "a", 0)],
    section="Eight ways to ask",
)  # fmt: skip
few_shot.mistake(
    "The question itself may be among these examples: leave it out.",
    lambda pool, question, template, n: prompt([(q, s) for q, t, s in pool if t != template][:n], question),
)
few_shot.mistake(
    "Examples of the question's own template are shown: with other numbers they are its twins.",
    lambda pool, question, template, n: prompt([(q, s) for q, t, s in pool if q != question][:n], question),
)
few_shot.mistake(
    "Nothing is left out here: neither the question nor its template may be shown.",
    lambda pool, question, template, n: prompt([(q, s) for q, t, s in pool][:n], question),
)
few_shot.mistake(
    "An entry is left out only if both are the same: one is enough.",
    lambda pool, question, template, n: prompt(
        [(q, s) for q, t, s in pool if not (q == question and t == template)][:n], question
    ),
)
few_shot.mistake(
    "n are taken first and then some are left out, so that there are too few: leave out first.",
    lambda pool, question, template, n: prompt(
        [(q, s) for q, t, s in pool[:n] if q != question and t != template], question
    ),
)
few_shot.mistake(
    "All that may be shown is shown: n are wanted.",
    lambda pool, question, template, n: honest(pool, question, template, len(pool)),
)
few_shot.mistake(
    "The last n are taken: the first are wanted.",
    lambda pool, question, template, n: prompt(
        ([(q, s) for q, t, s in pool if q != question and t != template] or [("", "")])[-n:], question
    ),
)
few_shot.mistake(
    "The prompt ends with a blank behind `A:`: the answer begins with it.",
    lambda pool, question, template, n: honest(pool, question, template, n) + " ",
)
few_shot.mistake(
    "The question itself is missing at the end.",
    lambda pool, question, template, n: honest(pool, question, template, n).rpartition("Q: ")[0],
)
few_shot.mistake(
    "Nothing asks for an answer: the prompt ends with `A:`, on a line of its own.",
    lambda pool, question, template, n: honest(pool, question, template, n).removesuffix("\nA:"),
)
few_shot.mistake(
    "There is no empty line between the examples.",
    lambda pool, question, template, n: honest(pool, question, template, n).replace("\n\n", "\n"),
)
few_shot.mistake(
    "The template stands where the solution belongs.",
    lambda pool, question, template, n: prompt(
        [(q, t) for q, t, s in pool if q != question and t != template][:n], question
    ),
)

# retried: tries, wait, most -> tokens, failed, waited


def draw_tries(rng: random.Random) -> tuple[list[int | None], float, int]:
    """Two or three that fail, then an answer, and more after it; as many tries as are needed, or too few."""
    failures = rng.randint(2, 4)
    tries: list[int | None] = [*[None] * failures, rng.randint(5, 40), rng.randint(41, 80), None]
    return tries, rng.choice([0.5, 1.5, 2.0]), failures + rng.choice([-1, 0, 1, 2])


def once(tries: list[int | None], wait: float, most: int) -> Told:
    failed, waited = 0, 0.0
    for i, tokens in enumerate(tries[:most]):
        waited += wait * 2 ** (i - 1) if i else 0.0
        if tokens is not None:
            return tokens, failed, waited
        failed += 1
    return None, failed, waited


retried = Exercise(
    "reasoning.other_models.retried", stars=2, minutes=12, reference=once, draw=draw_tries,
    edges=[([7], 1.0, 3), ([None, 0, 5], 1.0, 3), ([None, None, None], 0.5, 3), ([None, None, 4], 2.0, 1),
           ([None, None, None, 9], 1.0, 4), ([None, None, None, 9], 1.0, 2)],
    section="A server",
)  # fmt: skip


def waits(made: int, wait: float) -> float:
    """In all, before so many tries."""
    return wait * (2 ** max(0, made - 1) - 1)


def made(tries: list[int | None], most: int) -> int:
    """How many tries there are."""
    first = next((i for i, each in enumerate(tries[:most]) if each is not None), None)
    return len(tries[:most]) if first is None else first + 1


retried.mistake(
    "The wait is as long each time: it doubles.",
    lambda tries, wait, most: (*once(tries, wait, most)[:2], wait * (made(tries, most) - 1)),
)
retried.mistake(
    "The wait grows by as much each time: it doubles.",
    lambda tries, wait, most: (*once(tries, wait, most)[:2], wait * sum(range(made(tries, most)))),
)
retried.mistake(
    "There is a wait before the first try too.",
    lambda tries, wait, most: (*once(tries, wait, most)[:2], waits(made(tries, most) + 1, wait)),
)
retried.mistake(
    "One waits after every failure, also after the last, when nothing is tried again.",
    lambda tries, wait, most: (*once(tries, wait, most)[:2], waits(once(tries, wait, most)[1] + 1, wait)),
)
retried.mistake(
    "The first wait is twice too long: the second try comes after `wait` seconds.",
    lambda tries, wait, most: (*once(tries, wait, most)[:2], 2 * waits(made(tries, most), wait)),
)
retried.mistake(
    "Only the last wait is told: they are summed.",
    lambda tries, wait, most: (
        *once(tries, wait, most)[:2], wait * 2 ** (made(tries, most) - 2) if made(tries, most) > 1 else 0.0,
    ),
)  # fmt: skip
retried.mistake("The try that gave the answer is counted among those that failed.", lambda tries, wait, most: (
    once(tries, wait, most)[0], made(tries, most), once(tries, wait, most)[2]
))  # fmt: skip
retried.mistake(
    "It goes on after an answer, and counts the tokens of all: an answer ends it, and is counted once.",
    lambda tries, wait, most: (
        sum(each for each in tries[:most] if each is not None) or None, tries[:most].count(None),
        waits(len(tries[:most]), wait),
    ),
)  # fmt: skip
retried.mistake(
    "One try too many is made.", lambda tries, wait, most: once(tries, wait, most + 1)
)  # fmt: skip
retried.mistake("One try too few is made.", lambda tries, wait, most: once(tries, wait, most - 1))
retried.mistake("`most` has no say here: after so many tries it is given up.", lambda tries, wait, most: once(
    tries, wait, len(tries)
))  # fmt: skip
retried.mistake(
    "An answer of 0 tokens is taken for a failure: ask whether it is None.",
    lambda tries, wait, most: once([each or None for each in tries], wait, most),
)
retried.mistake(
    "Where it is given up there are no tokens: None, not 0.",
    lambda tries, wait, most: (once(tries, wait, most)[0] or 0, *once(tries, wait, most)[1:]),
)
