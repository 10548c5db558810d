"""Answers that readers might give to the chapter on the journey: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogue, and then by another way. Used by test_answers.py.
"""

from collections import Counter
from graphlib import TopologicalSorter

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# to_make: needs, stored, wanted -> names


def by_recursion(needs, stored, wanted, done=None):
    done = [] if done is None else done
    if wanted not in stored and wanted not in done:
        for each in needs[wanted]:
            by_recursion(needs, stored, each, done)
        done.append(wanted)
    return done


def by_a_stack(needs, stored, wanted):
    order, stack, stored = [], [(wanted, False)], set(stored)
    while stack:
        name, ready = stack.pop()
        if name in stored or name in order:
            continue
        if ready:
            order.append(name)
        else:
            stack.append((name, True))
            stack += [(each, False) for each in needs[name][::-1]]
    return order


def by_a_dict(needs, stored, wanted):
    known = dict.fromkeys(stored, True)
    made = {}

    def make(name):
        if known.get(name):
            return
        list(map(make, needs[name]))
        if not known.get(name):
            known[name] = True
            made[name] = None

    make(wanted)
    return list(made)


def by_generators(needs, stored, wanted):
    seen = set(stored)

    def walk(name):
        if name not in seen:
            for each in needs[name]:
                yield from walk(each)
            if name not in seen:
                seen.add(name)
                yield name

    return tuple(walk(wanted))


def by_joining(needs, stored, wanted):
    def walk(name):
        return [] if name in stored else [*(made for each in needs[name] for made in walk(each)), name]

    return list(dict.fromkeys(walk(wanted)))


def all_of(needs, wanted):
    return by_recursion(needs, (), wanted)


def met_first(needs, stored, wanted):
    order, waiting = [], [wanted]
    while waiting:
        name = waiting.pop(0)
        if name not in stored and name not in order:
            order.append(name)
            waiting += needs[name]
    return order


def twice(needs, stored, wanted):
    if wanted in stored:
        return []
    found = []
    for each in needs[wanted]:
        found += twice(needs, stored, each)
    return [*found, wanted]


def deep_first(needs, stored, wanted, order=None):
    order = [] if order is None else order
    if wanted in stored or wanted in order:
        return order
    order.append(wanted)
    for each in needs[wanted]:
        deep_first(needs, stored, each, order)
    return order


def from_the_last(needs, stored, wanted, done=None):
    done = [] if done is None else done
    if wanted not in stored and wanted not in done:
        for each in needs[wanted][::-1]:
            from_the_last(needs, stored, each, done)
        done += [wanted]
    return done


def every_stage(needs, stored, wanted):
    done = []
    for name in needs:
        by_recursion(needs, stored, name, done)
    return done


ANSWERS["reasoning.the_journey.to_make"] = {
    RIGHT: [by_recursion, by_a_stack, by_a_dict, by_generators, by_joining],
    WRONG: [
        lambda needs, stored, wanted: all_of(needs, wanted),
        lambda needs, stored, wanted: [each for each in all_of(needs, wanted) if each not in set(stored)],
        lambda needs, stored, wanted: list(reversed(by_recursion(needs, stored, wanted))),
        from_the_last,
        lambda needs, stored, wanted: [each for each in by_recursion(needs, stored, wanted) if each != wanted],
        every_stage,
        twice,
        deep_first,
        lambda needs, stored, wanted: sorted(by_a_stack(needs, stored, wanted)),
        lambda needs, stored, wanted: (
            [] if wanted in stored else [*(each for each in needs[wanted] if each not in stored), wanted]
        ),
        met_first,
        lambda needs, stored, wanted: met_first(needs, stored, wanted)[::-1],
        lambda needs, stored, wanted: sorted(by_a_stack(needs, stored, wanted), reverse=True),
        lambda needs, stored, wanted: list(set(by_a_stack(needs, stored, wanted))),
        lambda needs, stored, wanted: list(TopologicalSorter(needs).static_order()),
        lambda needs, stored, wanted: [wanted],
        lambda needs, stored, wanted: by_recursion(needs, stored, wanted) or [wanted],
        lambda needs, stored, wanted: len(by_recursion(needs, stored, wanted)),
        lambda needs, stored, wanted: {each: needs[each] for each in by_recursion(needs, stored, wanted)},
        lambda needs, stored, wanted: None,
    ],
}

# gave_and_took: before, after -> (gave, took, difference)


def by_counter(before, after):
    kinds = Counter(zip(before, after, strict=True))
    n = len(before)
    gave, took = kinds[False, True] / n, kinds[True, False] / n
    return gave, took, gave - took


def by_sums(before, after):
    n, both = len(before), sum(a and b for a, b in zip(before, after, strict=True))
    return (sum(after) - both) / n, (sum(before) - both) / n, (sum(after) - sum(before)) / n


def by_signs(before, after):
    signs = [int(b) - int(a) for a, b in zip(before, after, strict=True)]
    return [signs.count(1) / len(signs), signs.count(-1) / len(signs), sum(signs) / len(signs)]


def by_numpy(before, after):
    import numpy as np

    a, b = np.array(before, dtype=bool), np.array(after, dtype=bool)
    return (b & ~a).mean(), (a & ~b).mean(), b.mean() - a.mean()


def by_torch(before, after):
    import torch

    d = torch.tensor(after, dtype=torch.float64) - torch.tensor(before, dtype=torch.float64)
    return float((d > 0).double().mean()), float((d < 0).double().mean()), float(d.mean())


def pick(before, after, gave=None, took=None, net=None):
    g, t, d = by_counter(before, after)
    return (g if gave is None else gave), (t if took is None else took), (d if net is None else net)


def divided(part, whole):
    return part / whole if whole else 0.0


ANSWERS["reasoning.the_journey.gave_and_took"] = {
    RIGHT: [by_counter, by_sums, by_signs, by_numpy, by_torch],
    WRONG: [
        lambda a, b: pick(a, b, gave=divided(by_counter(a, b)[0] * len(a), a.count(False))),
        lambda a, b: pick(a, b, took=divided(by_counter(a, b)[1] * len(a), a.count(True))),
        lambda a, b: by_counter(b, a),
        lambda a, b: [len(a) * each for each in by_counter(a, b)],
        lambda a, b: pick(a, b, gave=max(by_counter(a, b)[2], 0), took=max(-by_counter(a, b)[2], 0)),
        lambda a, b: pick(a, b, net=by_counter(a, b)[0] + by_counter(a, b)[1]),
        lambda a, b: pick(a, b, net=(sum(a) - sum(b)) / len(a)),
        lambda a, b: pick(a, b, gave=sum(b) / len(b), net=sum(b) / len(b) - by_counter(a, b)[1]),
        lambda a, b: pick(a, b, took=b.count(False) / len(b), net=by_counter(a, b)[0] - b.count(False) / len(b)),
        lambda a, b: [divided(each, sum(by_counter(a, b)[:2])) for each in by_counter(a, b)],
        lambda a, b: (by_counter(a, b)[1], by_counter(a, b)[0], by_counter(a, b)[2]),
        lambda a, b: pick(a, b, net=0.0),
        lambda a, b: by_counter(a, b)[:2],
        lambda a, b: (sum(a) / len(a), sum(b) / len(b), (sum(b) - sum(a)) / len(a)),
        lambda a, b: pick(a, b, gave=divided(by_counter(a, b)[0] * len(a), sum(b))),
        lambda a, b: [100 * each for each in by_counter(a, b)],
        lambda a, b: by_counter(a, b)[2],
        lambda a, b: None,
    ],
}
