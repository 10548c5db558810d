"""Exercises on chains of thought: an answer's probability through all of its chains, and the first step that is wrong.

Practised in book/4-reasoning-with-transformers/01_chain_of_thought.md; the module is insideout/reasoning/opening.py.
"""

import random
from collections.abc import Sequence

from insideout.exercises.catalogue import Exercise

Chains = list[tuple[float, dict[str, float]]]
Steps = list[tuple[int, int, int]]

# marginal: chains with their answers -> the probability of each answer


def draw_chains(rng: random.Random) -> tuple[Chains]:
    """Several chains, with probabilities that need not add up to 1; answers come after more than one of them."""
    kinds = [str(n) for n in rng.sample(range(10, 30), 4)]
    chains: Chains = []
    for _ in range(rng.randint(2, 5)):
        some = rng.sample(kinds, rng.randint(1, 3))
        chains.append((round(rng.uniform(0.05, 0.4), 2), {each: round(rng.uniform(0.1, 0.5), 2) for each in some}))
    return (chains,)


def summed(chains: Chains) -> dict[str, float]:
    found: dict[str, float] = {}
    for p, answers in chains:
        for answer, q in answers.items():
            found[answer] = found.get(answer, 0.0) + p * q
    return found


marginal = Exercise(
    "reasoning.chain_of_thought.marginal", stars=1, minutes=8, reference=summed, draw=draw_chains,
    edges=[([],), ([(0.5, {"14": 1.0}), (0.5, {"14": 0.5, "15": 0.5})],), ([(0.3, {})],)],
    section="An answer through its chains",
)  # fmt: skip


@marginal.mistake("The probability of the chain is missing: each term is P(a | r) times P(r).")
def _(chains: Chains) -> dict[str, float]:
    return summed([(1.0, answers) for _, answers in chains])


@marginal.mistake("Only the last chain that leads to an answer counts: add up all of them.")
def _(chains: Chains) -> dict[str, float]:
    return {answer: p * q for p, answers in chains for answer, q in answers.items()}


@marginal.mistake("Only the best chain of each answer counts: add up all of them.")
def _(chains: Chains) -> dict[str, float]:
    found: dict[str, float] = {}
    for p, answers in chains:
        for answer, q in answers.items():
            found[answer] = max(found.get(answer, 0.0), p * q)
    return found


@marginal.mistake("Only the likeliest chain is followed: all of them lead to answers.")
def _(chains: Chains) -> dict[str, float]:
    return summed([max(chains, key=lambda each: each[0])]) if chains else {}


@marginal.mistake("The result was made to add up to 1: what other chains would give is missing, and stays missing.")
def _(chains: Chains) -> dict[str, float]:
    found = summed(chains)
    return {answer: p / sum(found.values()) for answer, p in found.items()}


@marginal.mistake("The probabilities of chain and answer are added: the two are multiplied.")
def _(chains: Chains) -> dict[str, float]:
    found: dict[str, float] = {}
    for p, answers in chains:
        for answer, q in answers.items():
            found[answer] = found.get(answer, 0.0) + p + q
    return found


@marginal.mistake("The chains' probabilities are added up alone: after a chain an answer has only P(a | r).")
def _(chains: Chains) -> dict[str, float]:
    return summed([(p, dict.fromkeys(answers, 1.0)) for p, answers in chains])


@marginal.mistake("The mean over the chains is taken: they are weighed by their probabilities, and not divided again.")
def _(chains: Chains) -> dict[str, float]:
    return {answer: p / len(chains) for answer, p in summed(chains).items()}


@marginal.mistake("The likeliest answer is returned: the probability of each is asked for.")
def _(chains: Chains) -> str | None:
    found = summed(chains)
    return max(found, key=found.__getitem__) if found else None


@marginal.mistake("Each chain counts for its likeliest answer alone: it counts for all of its answers.")
def _(chains: Chains) -> dict[str, float]:
    return summed(
        [(p, dict([max(answers.items(), key=lambda each: each[1])]) if answers else {}) for p, answers in chains]
    )


# first_wrong: numbers, steps -> the index of the first wrong step, or None


def draw_steps(rng: random.Random) -> tuple[list[int], Steps]:
    """A sum, and steps of it: right, or spoiled somewhere, with what follows from it; perhaps too few or too many."""
    numbers = [rng.randint(1, 9) for _ in range(rng.randint(3, 6))]
    steps: Steps = []
    total = numbers[0]
    spoiled = rng.randrange(len(numbers) - 1) if rng.random() < 0.7 else None
    for i, number in enumerate(numbers[1:]):
        result = total + number + (rng.choice((-2, -1, 1, 2)) if i == spoiled else 0)
        steps.append((total, number, result))
        total = result
    if rng.random() < 0.2:
        steps = steps[:-1]
    elif rng.random() < 0.3:
        steps.append((total, numbers[-1], total + numbers[-1]))
    if rng.random() < 0.2 and steps:
        i = rng.randrange(len(steps))
        left, right, _ = steps[i]
        steps[i] = (left, right + 1, left + right + 1)
    return numbers, steps


def first(numbers: Sequence[int], steps: Steps) -> int | None:
    total = numbers[0]
    for i, step in enumerate(steps):
        if i + 1 >= len(numbers) or tuple(step) != (total, numbers[i + 1], total + numbers[i + 1]):
            return i
        total += numbers[i + 1]
    return None


def wrong_arithmetic(numbers: Sequence[int], steps: Steps) -> list[int]:
    return [i for i, (left, right, result) in enumerate(steps) if left + right != result]


first_wrong = Exercise(
    "reasoning.chain_of_thought.first_wrong", stars=2, minutes=12, reference=first, draw=draw_steps,
    edges=[
        ([3, 5, 2], [(3, 5, 8), (8, 2, 10)]), ([3, 5, 2], [(3, 5, 9), (9, 2, 11)]), ([3, 5, 2], []),
        ([3, 5, 2], [(3, 5, 8), (7, 3, 10)]), ([3, 5, 2], [(4, 4, 8), (8, 2, 10)]),
        ([3, 5, 2], [(3, 5, 8), (8, 3, 11)]), ([3, 5, 2], [(3, 5, 8), (9, 2, 11)]),
        ([3, 5], [(3, 5, 8), (8, 5, 13)]), ([3, 5, 2], [(3, 5, 8), (8, 2, 11)]), ([3, 5, 2], [(3, 5, 8)]),
    ],
    section="One wrong step",
)  # fmt: skip


@first_wrong.mistake("Only the arithmetic is looked at: a step may add rightly what nobody asked for.")
def _(numbers: list[int], steps: Steps) -> int | None:
    return next(iter(wrong_arithmetic(numbers, steps)), None)


@first_wrong.mistake("The index counts from 1: the first step has the index 0.")
def _(numbers: list[int], steps: Steps) -> int | None:
    found = first(numbers, steps)
    return None if found is None else found + 1


@first_wrong.mistake("Where nothing is wrong, None is asked for, not the number of steps.")
def _(numbers: list[int], steps: Steps) -> int:
    found = first(numbers, steps)
    return len(steps) if found is None else found


@first_wrong.mistake("Where nothing is wrong, None is asked for, not −1.")
def _(numbers: list[int], steps: Steps) -> int:
    found = first(numbers, steps)
    return -1 if found is None else found


@first_wrong.mistake("A step too many passes: with no number left to add it is wrong.")
def _(numbers: list[int], steps: Steps) -> int | None:
    return first(numbers, steps[: len(numbers) - 1])


@first_wrong.mistake("Steps that are missing count as wrong: a chain that stops early has no wrong step.")
def _(numbers: list[int], steps: Steps) -> int | None:
    found = first(numbers, steps)
    return len(steps) if found is None and len(steps) < len(numbers) - 1 else found


@first_wrong.mistake("Only results are compared with the true sums: the numbers that are added must be right too.")
def _(numbers: list[int], steps: Steps) -> int | None:
    total = numbers[0]
    for i, (_, _, result) in enumerate(steps):
        if i + 1 >= len(numbers):
            return i
        total += numbers[i + 1]
        if result != total:
            return i
    return None


@first_wrong.mistake("The step's own result is taken for the sum so far, and its left number is not looked at.")
def _(numbers: list[int], steps: Steps) -> int | None:
    for i, (left, right, result) in enumerate(steps):
        if i + 1 >= len(numbers) or right != numbers[i + 1] or left + right != result:
            return i
    return None


@first_wrong.mistake("The last wrong step is returned: the first one is asked for.")
def _(numbers: list[int], steps: Steps) -> int | None:
    total, found = numbers[0], None
    for i, step in enumerate(steps):
        if i + 1 >= len(numbers) or tuple(step) != (total, numbers[i + 1], total + numbers[i + 1]):
            found = i
        total += numbers[i + 1] if i + 1 < len(numbers) else 0
    return found


@first_wrong.mistake("True and False are returned: the index of the step is asked for.")
def _(numbers: list[int], steps: Steps) -> bool:
    return first(numbers, steps) is None


@first_wrong.mistake("Only the last step is compared with the true sum: the first wrong one is asked for.")
def _(numbers: list[int], steps: Steps) -> int | None:
    return None if not steps or steps[-1][2] == sum(numbers) else len(steps) - 1
