"""Answers to the exercises on pictures of one's own, as readers might give: right ones of other styles, and wrong ones.

Used by test_answers.py.
"""

import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def by_flooding(small, alike):
    number = [-1] * len(small)
    for row in range(len(small)):
        if number[row] < 0:
            waiting = [row]
            while waiting:
                at = waiting.pop()
                if number[at] < 0:
                    number[at] = row
                    rms = (small - small[at]).pow(2).mean(1).sqrt()
                    waiting += [b for b in range(len(small)) if rms[b] < alike]
    return number


def by_a_power_of_the_table(small, alike):
    near = ((small[:, None] - small).square().mean(-1) < alike**2).double()
    reached = torch.linalg.matrix_power(near, len(small)) > 0
    return [int(row.nonzero()[0]) for row in reached]


def by_sets(small, alike):
    sets = [{row} for row in range(len(small))]
    for a in range(len(small)):
        for b in range(a):
            if float(torch.dist(small[a], small[b])) / small.shape[1] ** 0.5 < alike:
                one, other = next(s for s in sets if a in s), next(s for s in sets if b in s)
                if one is not other:
                    sets.remove(other)
                    one |= other
    return [min(next(s for s in sets if row in s)) for row in range(len(small))]


def by_passing_numbers_on(small, alike):
    near = torch.cdist(small, small) / small.shape[1] ** 0.5 < alike
    number = torch.arange(len(small))
    for _ in range(len(small)):
        number = torch.where(near, number, len(small)).amin(1)
    return number


def from_near(rule, steps=None):
    def answer(small, alike):
        near = rule(small, alike).double()
        near = ((near + torch.eye(len(near))) > 0).double()
        reached = torch.linalg.matrix_power(near, steps or len(near)) > 0
        return [int(row.nonzero()[0]) for row in reached]

    return answer


def rms(small):
    return (small[:, None] - small).square().mean(-1).sqrt()


def one_pass(small, alike):
    number = []
    for row in range(len(small)):
        found = next((b for b in range(row) if rms(small)[row, b] < alike), None)
        number.append(row if found is None else number[found])
    return number


def against_the_first(small, alike):
    number, firsts = [], []
    for row in range(len(small)):
        found = next((b for b in firsts if rms(small)[row, b] < alike), None)
        firsts += [row] * (found is None)
        number.append(row if found is None else found)
    return number


ANSWERS["images.your_own_pictures.groups"] = {
    RIGHT: [by_flooding, by_a_power_of_the_table, by_sets, by_passing_numbers_on],
    WRONG: [
        from_near(lambda x, alike: rms(x) < alike, 1),
        from_near(lambda x, alike: torch.cdist(x, x) < alike),
        from_near(lambda x, alike: rms(x).square() < alike),
        from_near(lambda x, alike: (x[:, None] - x).abs().mean(-1) < alike),
        from_near(lambda x, alike: (x[:, None] - x).abs().amax(-1) < alike),
        from_near(lambda x, alike: rms(x) > alike),
        from_near(lambda x, alike: rms(x) < 3 * alike),
        one_pass,
        against_the_first,
        lambda x, alike: list(range(len(x))),
        lambda x, alike: [0] * len(x),
        lambda x, alike: [each + 1 for each in by_flooding(x, alike)],
        lambda x, alike: [len(set(by_flooding(x, alike)))] * len(x),
        lambda x, alike: len(set(by_flooding(x, alike))),
        lambda x, alike: [sorted(set(by_flooding(x, alike))).index(each) for each in by_flooding(x, alike)],
        lambda x, alike: [by_flooding(x, alike).count(each) for each in by_flooding(x, alike)],
        lambda x, alike: [max(b for b, n in enumerate(by_flooding(x, alike)) if n == m) for m in by_flooding(x, alike)],
    ],
}  # fmt: skip


def by_hand(drawn, train, held_out):
    own = [min(float((x - y).norm()) for y in train) for x in drawn]
    theirs = sorted(min(float((x - y).norm()) for y in train) for x in held_out)
    place = 0.05 * (len(theirs) - 1)
    low = int(place)
    after = theirs[min(low + 1, len(theirs) - 1)]
    limit = theirs[low] + (place - low) * (after - theirs[low])
    return [each < limit for each in own]


def distances(x, y):
    return (x[:, None] - y[None]).square().sum(-1).sqrt().min(dim=1)[0]


def in_root_mean_square(drawn, train, held_out):
    width = train.shape[1] ** 0.5
    return distances(drawn, train) / width < (distances(held_out, train) / width).quantile(0.05)


def with_one_table(drawn, train, held_out):
    near = distances(torch.cat([drawn, held_out]), train)
    return near[: len(drawn)] < near[len(drawn) :].quantile(0.05)


def as_a_list(drawn, train, held_out):
    limit = distances(held_out, train).quantile(0.05)
    return [bool(distances(one[None], train)[0] < limit) for one in drawn]


def against(share):
    return lambda d, t, h: distances(d, t) < distances(h, t).quantile(share)


def reduced(reduce):
    def answer(d, t, h):
        return reduce(torch.cdist(d, t)) < reduce(torch.cdist(h, t)).quantile(0.05)

    return answer


ANSWERS["images.your_own_pictures.copies"] = {
    RIGHT: [by_hand, in_root_mean_square, with_one_table, as_a_list],
    WRONG: [
        against(0.5), against(0.95), against(0.0), against(1.0),
        lambda d, t, h: distances(d, t) < distances(h, t).mean(),
        lambda d, t, h: distances(d, t) >= distances(h, t).quantile(0.05),
        reduced(lambda x: x.mean(1)),
        reduced(lambda x: x.amax(1)),
        reduced(lambda x: x.median(1).values),
        lambda d, t, h: distances(d, h) < distances(h, t).quantile(0.05),
        lambda d, t, h: distances(d, t) < distances(d, t).quantile(0.05),
        lambda d, t, h: distances(d, t) < distances(d, h).quantile(0.05),
        lambda d, t, h: distances(d, t) < distances(h, d).quantile(0.05),
        lambda d, t, h: distances(t, d) < distances(h, t).quantile(0.05),
        lambda d, t, h: float((distances(d, t) < distances(h, t).quantile(0.05)).double().mean()),
        lambda d, t, h: distances(d, t),
        lambda d, t, h: torch.zeros(len(d), dtype=torch.bool),
        lambda d, t, h: distances(d, t) < 0.01,
    ],
}  # fmt: skip
