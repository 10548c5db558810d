"""Exercises on Monte Carlo tree search: the child that PUCT chooses, and what is told to the states above.

Practised in book/4-reasoning-with-transformers/07_monte_carlo_tree_search.md; the module is
insideout/reasoning/search.py.
"""

import math
import random
from collections.abc import Callable, Sequence

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distribution

Counts = list[int]
Numbers = list[float]

# puct: visits, totals, priors, c -> the index of the child with the highest score


def draw_children(rng: random.Random, n: int = 2) -> tuple[Counts, Numbers, Numbers, float]:
    """n children, some of them never visited."""
    visits = [rng.choice((0, 0, 1, 2, 5, 12)) for _ in range(n)]
    totals = [sum(rng.random() for _ in range(k)) for k in visits]
    return visits, totals, distribution(rng, n), rng.choice((0.2, 0.7, 1.4, 3.0))


def means_of(visits: Counts, totals: Numbers) -> Numbers:
    return [total / k if k else 0.0 for k, total in zip(visits, totals, strict=True)]


def highest(scores: Sequence[float]) -> int:
    return max(range(len(scores)), key=scores.__getitem__)


def bonuses(visits: Counts, priors: Numbers, c: float, n_parent: float) -> Numbers:
    return [c * p * math.sqrt(n_parent) / (1 + k) for k, p in zip(visits, priors, strict=True)]


def by_puct(visits: Counts, totals: Numbers, priors: Numbers, c: float) -> int:
    rest = bonuses(visits, priors, c, sum(visits) + 1)
    return highest([q + u for q, u in zip(means_of(visits, totals), rest, strict=True)])


puct = Exercise(
    "reasoning.monte_carlo_tree_search.puct", stars=1, minutes=8, reference=by_puct, draw=draw_children, tolerance=0,
    edges=[([0, 0, 0], [0.0, 0.0, 0.0], [0.25, 0.5, 0.25], 1.0), ([4, 4], [2.0, 2.0], [0.5, 0.5], 1.0)],
    section="Which child?",
)  # fmt: skip


def scored(score: Callable[[float, int, float, float, int], float]) -> Callable[..., int]:
    """Chooses by score(mean, visits, prior, c, N)."""

    def pick(visits: Counts, totals: Numbers, priors: Numbers, c: float) -> int:
        n = sum(visits) + 1
        rows = zip(means_of(visits, totals), visits, priors, strict=True)
        return highest([score(q, k, p, c, n) for q, k, p in rows])

    return pick


puct.mistake(
    "The prior is not used: this is a bonus alike for all.", scored(lambda q, k, p, c, n: q + c * n**0.5 / (1 + k))
)
puct.mistake(
    "This is UCT: it knows no priors, and goes to what was never visited first.",
    scored(lambda q, k, p, c, n: math.inf if not k else q + c * math.sqrt(math.log(n) / k)),
)
puct.mistake("There is no bonus: the child of the highest mean is taken.", scored(lambda q, k, p, c, n: q))
puct.mistake("The mean is missing: only the bonus is left.", scored(lambda q, k, p, c, n: c * p * n**0.5 / (1 + k)))
puct.mistake("c is not used.", scored(lambda q, k, p, c, n: q + p * n**0.5 / (1 + k)))
puct.mistake("The root of N is missing.", scored(lambda q, k, p, c, n: q + c * p * n / (1 + k)))
puct.mistake(
    "The child's visits are under the root too.", scored(lambda q, k, p, c, n: q + c * p * math.sqrt(n / (1 + k)))
)
puct.mistake("The bonus does not fall as the child is visited.", scored(lambda q, k, p, c, n: q + c * p * n**0.5))
puct.mistake("The lowest score is taken.", scored(lambda q, k, p, c, n: -(q + c * p * n**0.5 / (1 + k))))
puct.mistake(
    "The child that was visited most is taken: that is for the end of the search.", lambda v, t, p, c: highest(v)
)
puct.mistake(
    "The total stands in place of the mean: divide it by the child's visits.",
    lambda visits, totals, priors, c: highest(
        [t + u for t, u in zip(totals, bonuses(visits, priors, c, sum(visits) + 1), strict=True)]
    ),
)
puct.mistake(
    "A child without visits is given a mean of 1: it is 0.",
    scored(lambda q, k, p, c, n: (q if k else 1.0) + c * p * n**0.5 / (1 + k)),
)

# back_up: parents, simulations -> the mean of every node

Parents = list[int | None]
Simulations = list[tuple[int, float]]


def draw_simulations(rng: random.Random, nodes: int = 3, simulations: int = 1) -> tuple[Parents, Simulations]:
    """A tree of so many nodes, its root anywhere, and what its simulations were worth."""
    order = rng.sample(range(nodes), nodes)
    parents: Parents = [None] * nodes
    for i in range(1, nodes):
        parents[order[i]] = order[max(0, i - rng.randint(1, 2))]
    return parents, [(rng.randrange(nodes), round(rng.uniform(0.1, 1.0), 2)) for _ in range(simulations)]


def path(parents: Parents, node: int | None) -> list[int]:
    """From a node up to the root. Raises ValueError where that goes round in a circle."""
    found: list[int] = []
    while node is not None:
        if node in found:
            raise ValueError("a node lies above itself")
        found.append(node)
        node = parents[node]
    return found


def told(
    parents: Parents, simulations: Simulations, way: Callable[[list[int]], Sequence[int]] = lambda each: each,
) -> tuple[Counts, Numbers]:  # fmt: skip
    """Visits and totals, where `way` says who of the path is told."""
    visits, totals = [0] * len(parents), [0.0] * len(parents)
    for node, worth in simulations:
        for each in way(path(parents, node)):
            visits[each] += 1
            totals[each] += worth
    return visits, totals


def backed_up(parents: Parents, simulations: Simulations) -> Numbers:
    return means_of(*told(parents, simulations))


back_up = Exercise(
    "reasoning.monte_carlo_tree_search.back_up", stars=2, minutes=12, reference=backed_up, draw=draw_simulations,
    edges=[([None], [(0, 0.5), (0, 1.0)]), ([None, 0, 1], []), ([None, 0, 1, 1], [(2, 1.0), (3, 0.5)])],
    section="A simulation",
)  # fmt: skip
back_up.mistake(
    "Only the node where a simulation ended is told: all above it are, too.",
    lambda parents, simulations: means_of(*told(parents, simulations, lambda each: each[:1])),
)
back_up.mistake(
    "The root is left out: it is above all others.",
    lambda parents, simulations: means_of(*told(parents, simulations, lambda each: each[:-1])),
)
back_up.mistake(
    "The node where a simulation ended is left out: it counts too.",
    lambda parents, simulations: means_of(*told(parents, simulations, lambda each: each[1:])),
)
back_up.mistake(
    "Only the node and its parent are told: go on up to the root.",
    lambda parents, simulations: means_of(*told(parents, simulations, lambda each: each[:2])),
)
back_up.mistake(
    "These are the totals: divide each by its visits.", lambda parents, simulations: told(parents, simulations)[1]
)
back_up.mistake(
    "These are the visits: the mean of what they were worth is asked for.",
    lambda parents, simulations: told(parents, simulations)[0],
)
back_up.mistake(
    "The sign changes at each level, as in a game against somebody: nobody plays against us here.",
    lambda parents, simulations: means_of(told(parents, simulations)[0], signed(parents, simulations)),
)
back_up.mistake(
    "The total is divided by the number of all simulations: divide by those that went through the node.",
    lambda parents, simulations: [total / max(len(simulations), 1) for total in told(parents, simulations)[1]],
)
back_up.mistake(
    "This is the best that was found below: the mean is asked for.",
    lambda parents, simulations: [
        max([worth for end, worth in simulations if node in path(parents, end)], default=0.0)
        for node in range(len(parents))
    ],
)
back_up.mistake(
    "Only the last simulation through a node counts: the earlier ones are overwritten.",
    lambda parents, simulations: [
        next((worth for end, worth in reversed(simulations) if node in path(parents, end)), 0.0)
        for node in range(len(parents))
    ],
)
back_up.mistake(
    "A node's own visit is counted before the first simulation: visits begin at 0.",
    lambda parents, simulations: [total / (k + 1) for k, total in zip(*told(parents, simulations), strict=True)],
)
back_up.mistake(
    "The worth fades on its way up: every node on the way gets all of it.",
    lambda parents, simulations: means_of(told(parents, simulations)[0], faded(parents, simulations)),
)


def signed(parents: Parents, simulations: Simulations) -> Numbers:
    totals = [0.0] * len(parents)
    for node, worth in simulations:
        for height, each in enumerate(path(parents, node)):
            totals[each] += worth * (-1) ** height
    return totals


def faded(parents: Parents, simulations: Simulations) -> Numbers:
    totals = [0.0] * len(parents)
    for node, worth in simulations:
        for height, each in enumerate(path(parents, node)):
            totals[each] += worth * 0.9**height
    return totals
