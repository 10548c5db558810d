"""Answers that readers might give to the introduction of part 3: right ones in other styles, and plausible wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math
from fractions import Fraction
from statistics import fmean

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# endings: answers, stop -> share, length


def by_hand(answers, stop):
    n = ended = length = 0
    for each in answers:
        n += 1
        length += len(each)
        if each[-1] == stop:
            ended += 1
            length -= 1
    return ended / n, length / n


def counting(answers, stop):
    return (
        fmean(each.count(stop) for each in answers),
        fmean(sum(id != stop for id in each) for each in answers),
    )


def changed(share=lambda x, n: x, length=lambda x, n: x):
    return lambda answers, stop: (
        share(by_hand(answers, stop)[0], len(answers)), length(by_hand(answers, stop)[1], len(answers))
    )  # fmt: skip


ANSWERS["finetuning.introduction.endings"] = {
    RIGHT: [
        by_hand,
        counting,
        lambda answers, stop: list(by_hand(answers, stop)),
        lambda answers, stop: (
            fmean(stop in each for each in answers),
            fmean(len(each) - (stop in each) for each in answers),
        ),
    ],
    WRONG: [
        lambda answers, stop: (by_hand(answers, stop)[0], fmean(map(len, answers))),
        lambda answers, stop: (by_hand(answers, stop)[0], fmean(len(each) - 1 for each in answers)),
        lambda answers, stop: by_hand(answers, stop)[::-1],
        lambda answers, stop: by_hand(answers, stop)[0],
        lambda answers, stop: by_hand(answers, stop)[1],
        lambda answers, stop: (by_hand(answers, stop)[0], fmean([len(e) - 1 for e in answers if stop in e] or [0])),
        lambda answers, stop: (by_hand(answers, stop)[0], fmean([len(e) for e in answers if stop not in e] or [0])),
        changed(share=lambda x, n: 1 - x),
        changed(share=lambda x, n: x * n),
        changed(share=lambda x, n: 100 * x),
        changed(length=lambda x, n: x * n),
        changed(share=lambda x, n: x * n, length=lambda x, n: x * n),
        lambda answers, stop: (fmean(id == stop for e in answers for id in e), by_hand(answers, stop)[1]),
        lambda answers, stop: (1.0, by_hand(answers, stop)[1]),
        lambda answers, stop: (by_hand(answers, stop)[0], max(map(len, answers)) + 1),
    ],
}

# choice: logprobs, right -> a share


def by_rank(logprobs, right):
    total = Fraction(0)
    for each, place in zip(logprobs, right, strict=True):
        if all(value <= each[place] for value in each):
            total += Fraction(1, sum(value == each[place] for value in each))
    return float(total / len(right))


def shares(rule):
    return lambda logprobs, right: fmean(float(rule(a, b)) for a, b in zip(logprobs, right, strict=True))


def argmax(each):
    return max(range(len(each)), key=each.__getitem__)


ANSWERS["finetuning.introduction.choice"] = {
    RIGHT: [
        by_rank,
        shares(lambda each, place: (each[place] == max(each)) / each.count(max(each))),
        shares(lambda each, place: (each[place] >= max(each)) / sum(x >= max(each) for x in each)),
        lambda logprobs, right: by_rank([[math.exp(x) for x in each] for each in logprobs], right),
    ],
    WRONG: [
        shares(lambda each, place: argmax(each) == place),
        shares(lambda each, place: sorted(range(len(each)), key=each.__getitem__)[-1] == place),
        shares(lambda each, place: each[place] >= max(each)),
        shares(lambda each, place: all(each[place] > x for k, x in enumerate(each) if k != place)),
        shares(lambda each, place: (each[place] == min(each)) / each.count(min(each))),
        shares(lambda each, place: min(range(len(each)), key=each.__getitem__) == place),
        shares(lambda each, place: each[place]),
        shares(lambda each, place: math.exp(each[place])),
        shares(lambda each, place: math.exp(each[place]) / sum(map(math.exp, each))),
        lambda logprobs, right: by_rank(logprobs, right) * len(right),
        lambda logprobs, right: 100 * by_rank(logprobs, right),
        lambda logprobs, right: 1 - by_rank(logprobs, right),
        lambda logprobs, right: -by_rank(logprobs, right),
        shares(lambda each, place: (each[place] == max(each)) * (1 if each.count(max(each)) == 1 else 0.5)),
        shares(lambda each, place: (each[place] == max(each)) * (1 if each.count(max(each)) == 1 else 1 / len(each))),
        lambda logprobs, right: by_rank(logprobs, [each - 1 for each in right]),
        lambda logprobs, right: [by_rank([a], [b]) for a, b in zip(logprobs, right, strict=True)],
    ],
}
