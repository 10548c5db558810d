"""Answers that readers might give to the chapter on budget forcing: right in other styles, and plausibly wrong."""

import functools
import operator

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# close: drawn, end, most -> the thinking with its end, and whether it was cut


def by_index(drawn, end, most):
    if end in drawn:
        inside, cut = drawn[: drawn.index(end)], False
    else:
        inside, cut = drawn, True
    if len(inside) > most:
        inside, cut = inside[:most], True
    return [*inside, end], cut


def by_filter(drawn, end, most):
    inside = [token for token in drawn if token != end]
    return [*inside[:most], end], end not in drawn or len(inside) > most


def by_loop(drawn, end, most):
    kept = []
    for token in drawn:
        if token == end:
            return [*kept, end], False
        if len(kept) == most:
            break
        kept.append(token)
    kept.append(end)
    return kept, True


def by_length(drawn, end, most):
    ended = drawn[-1:] == [end]
    n = len(drawn) - ended
    return [*drawn[: min(n, most)], end], not (ended and n <= most)


ANSWERS["reasoning.budget_forcing.close"] = {
    RIGHT: [by_index, by_filter, by_loop, by_length],
    WRONG: [
        lambda drawn, end, most: by_length(drawn, end, max(0, most - 1)),
        lambda drawn, end, most: ([*drawn[:most], end], by_length(drawn, end, most)[1]),
        lambda drawn, end, most: (drawn[: most + 1], by_length(drawn, end, most)[1]),
        lambda drawn, end, most: (drawn[:most], len(drawn) > most),
        lambda drawn, end, most: ([*drawn, end], False),
        lambda drawn, end, most: (by_length(drawn, end, most)[0], len(drawn) > most),
        lambda drawn, end, most: (by_length(drawn, end, most)[0], len([t for t in drawn if t != end]) > most),
        lambda drawn, end, most: (by_length(drawn, end, most)[0], len([t for t in drawn if t != end]) >= most),
        lambda drawn, end, most: (by_length(drawn, end, most)[0], end not in drawn),
        lambda drawn, end, most: (by_length(drawn, end, most)[0], end in drawn),
        lambda drawn, end, most: (by_length(drawn, end, most)[0], not by_length(drawn, end, most)[1]),
        lambda drawn, end, most: by_length(drawn, end, most)[0],
        lambda drawn, end, most: (by_length(drawn, end, most)[0][:-1], by_length(drawn, end, most)[1]),
        lambda drawn, end, most: by_length(drawn, end, most)[::-1],
        lambda drawn, end, most: by_length(drawn, end, most + 1),
        lambda drawn, end, most: ([t for t in drawn if t != end] + [end], by_length(drawn, end, most)[1]),
        lambda drawn, end, most: ([end], True),
    ],
}

# wait: stretches, end, word, least, max_waits -> the thinking, and how often the word was put


def by_while(stretches, end, word, least, max_waits):
    i, thinking = 0, list(stretches[0][:-1])
    while len(thinking) < least and i < max_waits:
        i += 1
        thinking += word + stretches[i][:-1]
    return thinking, i


def by_iterator(stretches, end, word, least, max_waits):
    coming = iter(stretches)
    thinking, waits = next(coming)[:-1], 0
    while not (len(thinking) >= least or waits == max_waits):
        thinking = [*thinking, *word, *next(coming)[:-1]]
        waits += 1
    return thinking, waits


def by_recursion(stretches, end, word, least, max_waits):
    first, *rest = stretches
    inside = [token for token in first if token != end]
    if len(inside) >= least or max_waits == 0:
        return inside, 0
    after, waits = by_recursion(rest, end, word, least - len(inside) - len(word), max_waits - 1)
    return inside + word + after, waits + 1


def by_for(stretches, end, word, least, max_waits):
    thinking = []
    for waits, stretch in enumerate(stretches):
        thinking += [token for token in stretch if token != end]
        if len(thinking) >= least or waits == max_waits:
            return thinking, waits
        thinking += word
    return thinking, len(stretches)


def with_ends(stretches, end, word, least, max_waits):
    i, thinking = 0, list(stretches[0])
    while len(thinking) < least and i < max_waits:
        i += 1
        thinking += word + stretches[i]
    return thinking, i


def ends_inside(stretches, end, word, least, max_waits):
    _thinking, waits = by_while(stretches, end, word, least, max_waits)
    found = []
    for i in range(waits + 1):
        found += stretches[i][:-1] + ([end, *word] if i < waits else [])
    return found, waits


def own_only(stretches, end, word, least, max_waits):
    i, thinking, own = 0, list(stretches[0][:-1]), len(stretches[0]) - 1
    while own < least and i < max_waits:
        i += 1
        own += len(stretches[i]) - 1
        thinking += word + stretches[i][:-1]
    return thinking, i


def always(stretches, end, word, least, max_waits):
    return by_while(stretches, end, word, 10**6, max_waits)


def without_words(stretches, end, word, least, max_waits):
    waits = by_while(stretches, end, word, least, max_waits)[1]
    return functools.reduce(operator.iadd, (each[:-1] for each in stretches[: waits + 1]), []), waits


ANSWERS["reasoning.budget_forcing.wait"] = {
    RIGHT: [by_while, by_iterator, by_recursion, by_for],
    WRONG: [
        with_ends,
        ends_inside,
        own_only,
        always,
        without_words,
        lambda s, end, word, least, most: by_while(s, end, word, least, len(s) - 1),
        lambda s, end, word, least, most: by_while(s, end, word, least, min(most + 1, len(s) - 1)),
        lambda s, end, word, least, most: by_while(s, end, word, least, max(0, most - 1)),
        lambda s, end, word, least, most: by_while(s, end, word, least + 1, most),
        lambda s, end, word, least, most: by_while(s, end, word, least - 1, most),
        lambda s, end, word, least, most: by_while(s, end, word, least, most)[0],
        lambda s, end, word, least, most: by_while(s, end, word, least, most)[1],
        lambda s, end, word, least, most: by_while(s, end, word, least, most)[::-1],
        lambda s, end, word, least, most: (by_while(s, end, word, least, most)[0] + word, by_while(
            s, end, word, least, most)[1]),
        lambda s, end, word, least, most: (by_while(s, end, word, least, most)[0], by_while(
            s, end, word, least, most)[1] + 1),
        lambda s, end, word, least, most: (s[by_while(s, end, word, least, most)[1]][:-1], by_while(
            s, end, word, least, most)[1]),
        lambda s, end, word, least, most: (s[0][:-1], 0),
        lambda s, end, word, least, most: (by_while(s, end, word, least, most)[0] + [end], by_while(
            s, end, word, least, most)[1]),
    ],
}  # fmt: skip
