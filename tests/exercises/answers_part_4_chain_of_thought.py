"""Answers that readers might give to the chapter on chains of thought: right in other styles, and plausibly wrong."""

from collections import Counter, defaultdict
from itertools import accumulate

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# marginal: chains with their answers -> the probability of each answer


def by_default(chains):
    found = defaultdict(float)
    for p, answers in chains:
        for answer in answers:
            found[answer] += p * answers[answer]
    return dict(found)


def by_comprehension(chains):
    names = {answer for _, answers in chains for answer in answers}
    return {name: sum(p * answers.get(name, 0) for p, answers in chains) for name in names}


def by_counter(chains):
    total = Counter()
    for p, answers in chains:
        total.update({answer: p * q for answer, q in answers.items()})
    return dict(total)


def by_pairs(chains):
    found = {}
    for answer, part in [(a, p * q) for p, answers in chains for a, q in answers.items()]:
        if answer in found:
            found[answer] += part
        else:
            found[answer] = part
    return found


def normalised(chains):
    found = by_default(chains)
    return {a: p / sum(found.values()) for a, p in found.items()}


def over_chains(chains):
    total = sum(p for p, _ in chains)
    return {a: p / total for a, p in by_default(chains).items()}


def best_of_each(chains):
    found = {}
    for p, answers in chains:
        for a, q in answers.items():
            found[a] = max(p * q, found.get(a, 0))
    return found


ANSWERS["reasoning.chain_of_thought.marginal"] = {
    RIGHT: [by_default, by_comprehension, by_counter, by_pairs],
    WRONG: [
        lambda chains: by_default([(1, answers) for _, answers in chains]),
        lambda chains: {a: p * q for p, answers in chains for a, q in answers.items()},
        lambda chains: {a: q for _, answers in chains for a, q in answers.items()},
        best_of_each,
        lambda chains: by_default(sorted(chains, key=lambda each: -each[0])[:1]),
        lambda chains: by_default(chains[:1]),
        normalised,
        over_chains,
        lambda chains: by_default([(p, dict.fromkeys(answers, 1)) for p, answers in chains]),
        lambda chains: {a: p / len(chains) for a, p in by_default(chains).items()},
        lambda chains: max(by_default(chains), key=by_default(chains).get, default=None),
        lambda chains: by_default([(p, {max(r, key=r.get): max(r.values())} if r else {}) for p, r in chains]),
        lambda chains: list(by_default(chains).values()),
        lambda chains: {a: sum(p + r[a] for p, r in chains if a in r) for a in by_default(chains)},
        lambda chains: {a: round(p, 1) for a, p in by_default(chains).items()},
        lambda chains: sum(by_default(chains).values()),
    ],
}

# first_wrong: numbers, steps -> the index of the first wrong step, or None


def by_truth(numbers, steps):
    sums = list(accumulate(numbers))
    truth = list(zip(sums, numbers[1:], sums[1:], strict=False))
    for i, step in enumerate(steps):
        if i >= len(truth) or truth[i] != tuple(step):
            return i
    return None


def by_next(numbers, steps):
    sums = [sum(numbers[: i + 1]) for i in range(len(numbers))]

    def bad(i):
        return i > len(numbers) - 2 or list(steps[i]) != [sums[i], numbers[i + 1], sums[i + 1]]

    return next((i for i in range(len(steps)) if bad(i)), None)


def by_rest(numbers, steps):
    so_far, *rest = numbers
    for i, (left, right, result) in enumerate(steps):
        if not rest:
            return i
        number = rest.pop(0)
        if left != so_far or right != number or result != left + right:
            return i
        so_far = result
    return None


def by_loop(numbers, steps):
    i = 0
    while i < len(steps):
        left, right, result = steps[i]
        ok = i + 1 < len(numbers) and left == sum(numbers[: i + 1]) and right == numbers[i + 1]
        if not ok or left + right != result:
            return i
        i += 1
    return None


def chained(numbers, steps):
    so_far = numbers[0]
    for i, (left, right, result) in enumerate(steps):
        if i + 1 >= len(numbers) or left != so_far or right != numbers[i + 1]:
            return i
        so_far = result
    return None


def no_left(numbers, steps):
    for i, (left, right, result) in enumerate(steps):
        if i + 1 >= len(numbers) or right != numbers[i + 1] or left + right != result:
            return i
    return None


def results_only(numbers, steps):
    sums = list(accumulate(numbers))[1:]
    for i, step in enumerate(steps):
        if i >= len(sums) or step[2] != sums[i]:
            return i
    return None


def raises(numbers, steps):
    total = numbers[0]
    for i, (left, right, result) in enumerate(steps):
        if left != total or right != numbers[i + 1] or result != left + right:
            return i
        total = result
    return None


ANSWERS["reasoning.chain_of_thought.first_wrong"] = {
    RIGHT: [by_truth, by_next, by_rest, by_loop],
    WRONG: [
        lambda numbers, steps: next((i for i, (a, b, c) in enumerate(steps) if a + b != c), None),
        lambda numbers, steps: [i for i, (a, b, c) in enumerate(steps) if a + b != c],
        lambda numbers, steps: None if (i := by_truth(numbers, steps)) is None else i + 1,
        lambda numbers, steps: len(steps) if (i := by_truth(numbers, steps)) is None else i,
        lambda numbers, steps: -1 if (i := by_truth(numbers, steps)) is None else i,
        lambda numbers, steps: by_truth(numbers, steps) or 0,
        lambda numbers, steps: by_truth(numbers, steps) or None,
        lambda numbers, steps: by_truth(numbers, steps[: len(numbers) - 1]),
        lambda numbers, steps: (
            len(steps) if by_truth(numbers, steps) is None and len(steps) < len(numbers) - 1
            else by_truth(numbers, steps)),
        chained,
        no_left,
        results_only,
        raises,
        lambda numbers, steps: by_truth(numbers, steps) is None,
        lambda numbers, steps: by_truth(numbers, steps) is not None,
        lambda numbers, steps: None if not steps or steps[-1][2] == sum(numbers) else len(steps) - 1,
        lambda numbers, steps: None if by_truth(numbers, steps) is None else tuple(steps[by_truth(numbers, steps)]),
        lambda numbers, steps: next((i for i, (a, b, c) in enumerate(steps) if b not in numbers), None),
    ],
}  # fmt: skip
