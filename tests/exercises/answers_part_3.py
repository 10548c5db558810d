"""Answers that readers might give to exercises of part 3: right ones in other styles, and plausible wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math
import re

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# 01 the town: state


def rewound(events):
    """From the end backwards: where was it last put, and who had it?"""

    def at(who, n):
        return next(e[2] for e in reversed(events[:n]) if e[0] in ("is", "goes") and e[1] == who)

    found = {}
    for thing in [e[1] for e in events if e[0] == "lies"]:
        i, last = [(i, e) for i, e in enumerate(events) if thing in e[1:3]][-1]
        found[thing] = {
            "lies": lambda e=last: e[2],
            "takes": lambda e=last: at(e[1], len(events)),
            "leaves": lambda e=last, i=i: at(e[1], i),
            "gives": lambda e=last: at(e[3], len(events)),
        }[last[0]]()
    return found


class Town:
    def __init__(self):
        self.at, self.has, self.things = {}, {}, set()

    def carried(self, events, moves=True, given=True, left=True, taken=True, everyone=False):
        for e in events:
            if e[0] in ("is", "goes"):
                self.at[e[1]] = e[2]
                for thing, who in self.has.items():
                    if who == e[1] and moves:
                        self.at[thing] = e[2]
            elif e[0] == "lies":
                self.at[e[1]] = e[2]
                self.things.add(e[1])
            elif e[0] == "takes" and taken:
                self.has[e[2]] = e[1]
            elif e[0] == "leaves" and left:
                self.has.pop(e[2], None)
            elif e[0] == "gives" and given:
                self.has[e[2]] = e[3]
        return {name: place for name, place in self.at.items() if everyone or name in self.things}


def recursive(events):
    place, holder = {}, {}

    def where(name):
        return where(holder[name]) if name in holder else place[name]

    things = []
    for what, a, b, *c in events:
        if what == "leaves":
            place[b] = where(a)
            holder.pop(b)
        elif what in ("takes", "gives"):
            holder[b] = c[0] if c else a
        else:
            place[a] = b
            if what == "lies":
                things.append(a)
    return {thing: where(thing) for thing in things}


ANSWERS["finetuning.the_town.state"] = {
    RIGHT: [
        rewound,
        recursive,
        lambda events: Town().carried(events),
        lambda events: dict(reversed(list(recursive(events).items()))),
    ],
    WRONG: [
        lambda events: Town().carried(events, moves=False),
        lambda events: Town().carried(events, given=False),
        lambda events: Town().carried(events, left=False),
        lambda events: Town().carried(events, taken=False),
        lambda events: Town().carried(events, everyone=True),
        lambda events: Town().carried([e for e in events if e[0] != "goes"]),
        lambda events: Town().carried([e for e in events if e[0] != "takes"]),
        lambda events: Town().carried([e for e in events if e[0] != "leaves"]),
        lambda events: Town().carried([e for e in events if e[0] != "gives"]),
        lambda events: Town().carried(events[:5]),
        lambda events: Town().carried(events[:-1]) if len(events) > 9 else {},
        lambda events: {e[1]: e[2] for e in events if e[0] in ("lies", "is")},
        lambda events: {e[1]: e[2] for e in events if e[0] == "lies"},
        lambda events: list(recursive(events).values()),
        lambda events: dict.fromkeys(recursive(events)),
        lambda events: {},
        lambda events: {place: thing for thing, place in recursive(events).items()},
    ],
}

# 01 the town: judge


def judged(words_of, right):
    return lambda answers, value, values: [right(words_of(each), value, values) for each in answers]


def cut(answer):
    return re.split(r"\W+", answer.lower())


def by_pattern(answers, value, values):
    found = []
    for answer in answers:
        said = {each for each in values if re.search(rf"\b{each}\b", answer, re.IGNORECASE)}
        found.append(said == {value})
    return found


def stripped(answers, value, values):
    found = []
    for answer in answers:
        words = [word.strip(".,:!?").lower() for word in answer.split()]
        found.append(value in words and all(word == value or word not in values for word in words))
    return found


ANSWERS["finetuning.the_town.judge"] = {
    RIGHT: [
        by_pattern,
        stripped,
        judged(cut, lambda words, v, vs: v in words and len(set(words) & set(vs)) == 1),
        lambda answers, v, vs: np.array(by_pattern(answers, v, vs)),
        lambda answers, v, vs: torch.tensor(by_pattern(answers, v, vs)),
    ],
    WRONG: [
        lambda answers, v, vs: [v in each for each in answers],
        lambda answers, v, vs: [v in each.lower() for each in answers],
        lambda answers, v, vs: [v in each.casefold() and not any(o in each.casefold() for o in vs if o != v)
                                for each in answers],
        judged(cut, lambda words, v, vs: v in words),
        judged(cut, lambda words, v, vs: bool(set(vs) & set(words))),
        judged(cut, lambda words, v, vs: not any(o in words for o in vs if o != v)),
        judged(cut, lambda words, v, vs: [word for word in words if word][-1:] == [v]),
        judged(cut, lambda words, v, vs: sum(word in vs for word in words) == 1 and v in words),
        judged(str.split, lambda words, v, vs: v in words and len(set(words) & set(vs)) == 1),
        judged(lambda a: a.lower().split(), lambda words, v, vs: v in words and len(set(words) & set(vs)) == 1),
        lambda answers, v, vs: [not each for each in by_pattern(answers, v, vs)],
        lambda answers, v, vs: [each.lower().strip(".") == v for each in answers],
        lambda answers, v, vs: [each.lower().rstrip(".!").endswith(v) for each in answers],
        lambda answers, v, vs: [True for each in by_pattern(answers, v, vs) if each],
        lambda answers, v, vs: sum(by_pattern(answers, v, vs)),
        lambda answers, v, vs: [re.search(rf"\b{v}\b", each) is not None for each in answers],
        lambda answers, v, vs: [each * ok for each, ok in zip(answers, by_pattern(answers, v, vs), strict=True)],
    ],
}  # fmt: skip

# 01 the town: ceiling


def odds(gaps, longer, s, b):
    return np.array(gaps) * s + np.array(longer) * b


def sigmoid(x):
    return torch.sigmoid(torch.as_tensor(x, dtype=torch.float64)).numpy()


def best(gaps, longer, s, b):
    p = sigmoid(odds(gaps, longer, s, b))
    return np.maximum(p, 1 - p).mean()


ANSWERS["finetuning.the_town.ceiling"] = {
    RIGHT: [
        best,
        lambda g, n, s, b: float(best(g, n, s, b)),
        lambda g, n, s, b: torch.sigmoid(torch.tensor(odds(g, n, s, b)).abs()).mean(),
        lambda g, n, s, b: 0.5 + np.abs(np.tanh(odds(g, n, s, b) / 2)).mean() / 2,
        lambda g, n, s, b: sum(1 / (1 + math.exp(-abs(s * x + b * k))) for x, k in zip(g, n, strict=True)) / len(n),
    ],
    WRONG: [
        lambda g, n, s, b: sigmoid(odds(g, n, s, b)).mean(),
        lambda g, n, s, b: max(sigmoid(odds(g, n, s, b)).mean(), 1 - sigmoid(odds(g, n, s, b)).mean()),
        lambda g, n, s, b: best(g, [0] * len(n), s, b),
        lambda g, n, s, b: best([0] * len(g), n, s, b),
        lambda g, n, s, b: 1 - best(g, n, s, b),
        lambda g, n, s, b: sigmoid(np.abs(odds(g, n, s, b).mean())),
        lambda g, n, s, b: sigmoid(np.abs(odds(g, n, s, b))).sum(),
        lambda g, n, s, b: sigmoid(np.abs(s * (np.array(g) + b * np.array(n)))).mean(),
        lambda g, n, s, b: best(g, n, 1, b),
        lambda g, n, s, b: best(g, n, 1 / s, b),
        lambda g, n, s, b: best(g, n, s, -b),
        lambda g, n, s, b: sigmoid(np.abs(np.array(g) * s) + np.abs(np.array(n) * b)).mean(),
        lambda g, n, s, b: (sigmoid(odds(g, n, s, b)) ** 2 + sigmoid(-odds(g, n, s, b)) ** 2).mean(),
        lambda g, n, s, b: np.maximum(sigmoid(odds(g, n, s, b)), sigmoid(-odds(g, n, s, b))).max(),
        lambda g, n, s, b: sigmoid(np.abs(odds(g, n, s, b))),
        lambda g, n, s, b: np.median(sigmoid(np.abs(odds(g, n, s, b)))),
        lambda g, n, s, b: (odds(g, n, s, b) > 0).mean(),
    ],
}
