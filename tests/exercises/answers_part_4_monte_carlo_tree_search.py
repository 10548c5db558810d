"""Answers that readers might give to the chapter on Monte Carlo tree search: right in other styles, plausibly wrong."""

import math

import numpy as np

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# puct: visits, totals, priors, c -> the index of the child with the highest score


def by_numpy(visits, totals, priors, c):
    n, w, p = map(np.asarray, (visits, totals, priors))
    q = np.where(n > 0, w / np.maximum(n, 1), 0.0)
    return int(np.argmax(q + c * p * np.sqrt(n.sum() + 1) / (1 + n)))


def by_loop(visits, totals, priors, c):
    best, at = -math.inf, 0
    for i in range(len(visits)):
        q = totals[i] / visits[i] if visits[i] > 0 else 0
        found = q + c * priors[i] * (1 + sum(visits)) ** 0.5 / (visits[i] + 1)
        if found > best:
            best, at = found, i
    return at


def by_list(visits, totals, priors, c):
    root = math.sqrt(sum(visits) + 1)
    scores = [t / max(n, 1) + c * p * root / (n + 1) for n, t, p in zip(visits, totals, priors, strict=True)]
    return scores.index(max(scores))


def by_sorting(visits, totals, priors, c):
    def key(i):
        return -(totals[i] / max(1, visits[i]) + priors[i] * c * math.sqrt(1 + sum(visits)) / (1 + visits[i]))

    return sorted(range(len(visits)), key=key)[0]


def chosen(score):
    def pick(visits, totals, priors, c):
        total = sum(visits) + 1
        rows = list(zip(visits, totals, priors, strict=True))
        scores = [score(w / n if n else 0.0, n, p, c, total) for n, w, p in rows]
        return scores.index(max(scores))

    return pick


ANSWERS["reasoning.monte_carlo_tree_search.puct"] = {
    RIGHT: [by_numpy, by_loop, by_list, by_sorting],
    WRONG: [
        chosen(lambda q, n, p, c, N: q),
        chosen(lambda q, n, p, c, N: p),
        chosen(lambda q, n, p, c, N: n),
        chosen(lambda q, n, p, c, N: c * p * math.sqrt(N) / (1 + n)),
        chosen(lambda q, n, p, c, N: q + p * math.sqrt(N) / (1 + n)),
        chosen(lambda q, n, p, c, N: q + c * math.sqrt(N) / (1 + n)),
        chosen(lambda q, n, p, c, N: q + c * p * N / (1 + n)),
        chosen(lambda q, n, p, c, N: q + c * p * math.sqrt(N / (1 + n))),
        chosen(lambda q, n, p, c, N: q + c * p * math.sqrt(N)),
        chosen(lambda q, n, p, c, N: q + c * math.sqrt(math.log(N) / n) if n else math.inf),
        chosen(lambda q, n, p, c, N: -q - c * p * math.sqrt(N) / (1 + n)),
        chosen(lambda q, n, p, c, N: q * n + c * p * math.sqrt(N) / (1 + n)),
        chosen(lambda q, n, p, c, N: (q if n else 1) + c * p * math.sqrt(N) / (n + 1)),
        chosen(lambda q, n, p, c, N: (q if n else 0.5) + c * p * math.sqrt(N) / (n + 1)),
        lambda visits, totals, priors, c: max(
            t / max(n, 1) + c * p * math.sqrt(sum(visits) + 1) / (n + 1)
            for n, t, p in zip(visits, totals, priors, strict=True)
        ),
        lambda visits, totals, priors, c: 0,
    ],
}

# back_up: parents, simulations -> the mean of every node


def upward(parents, simulations):
    n, w = [0] * len(parents), [0] * len(parents)
    for node, worth in simulations:
        n[node] += 1
        w[node] += worth
        while parents[node] is not None:
            node = parents[node]
            n[node] += 1
            w[node] += worth
    return [w[i] / n[i] if n[i] else 0 for i in range(len(n))]


def by_worths(parents, simulations):
    seen = {i: [] for i in range(len(parents))}
    for node, worth in simulations:
        at = node
        while at is not None:
            seen[at].append(worth)
            at = parents[at]
    return [sum(each) / len(each) if each else 0.0 for each in seen.values()]


def by_recursion(parents, simulations):
    n, w = np.zeros(len(parents)), np.zeros(len(parents))

    def tell(node, worth):
        if node is None:
            return
        n[node] += 1
        w[node] += worth
        tell(parents[node], worth)

    for node, worth in simulations:
        tell(node, worth)
    return (w / np.maximum(n, 1)).tolist()


def running(parents, simulations):
    n, q = [0] * len(parents), [0.0] * len(parents)
    for node, worth in simulations:
        while node is not None:
            n[node] += 1
            q[node] += (worth - q[node]) / n[node]
            node = parents[node]
    return q


def collected(parents, simulations, stop=None, first=0, combine=None, factor=1.0):
    seen = [[] for _ in parents]
    for node, worth in simulations:
        way = []
        while node is not None:
            way.append(node)
            node = parents[node]
        for height, each in list(enumerate(way))[first:stop]:
            seen[each].append(worth * factor**height)
    combine = combine or (lambda each: sum(each) / len(each))
    return [combine(each) if each else 0.0 for each in seen]


ANSWERS["reasoning.monte_carlo_tree_search.back_up"] = {
    RIGHT: [upward, by_worths, by_recursion, running],
    WRONG: [
        lambda parents, simulations: collected(parents, simulations, stop=1),
        lambda parents, simulations: collected(parents, simulations, stop=2),
        lambda parents, simulations: collected(parents, simulations, stop=-1),
        lambda parents, simulations: collected(parents, simulations, first=1),
        lambda parents, simulations: collected(parents, simulations, combine=sum),
        lambda parents, simulations: collected(parents, simulations, combine=len),
        lambda parents, simulations: collected(parents, simulations, combine=max),
        lambda parents, simulations: collected(parents, simulations, combine=min),
        lambda parents, simulations: collected(parents, simulations, combine=lambda each: each[-1]),
        lambda parents, simulations: collected(parents, simulations, combine=lambda each: each[0]),
        lambda parents, simulations: collected(parents, simulations, combine=lambda each: sum(each) / (1 + len(each))),
        lambda parents, simulations: collected(
            parents, simulations, combine=lambda each: sum(each) / max(1, len(simulations))
        ),
        lambda parents, simulations: collected(parents, simulations, factor=-1),
        lambda parents, simulations: collected(parents, simulations, factor=0.9),
        lambda parents, simulations: upward(parents, simulations)[0],
        lambda parents, simulations: upward(parents, simulations)[::-1],
    ],
}
