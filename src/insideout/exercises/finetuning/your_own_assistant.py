"""Exercises on data of one's own: families of near-duplicates, and the checkpoint that development loss chooses.

Practised in book/3-fine-tuning-a-transformer/21_your_own_assistant.md. Standard library only.
"""

import random
from collections.abc import Callable
from itertools import pairwise

from insideout.exercises.catalogue import Exercise

Pairs = list[tuple[int, int]]
Losses = list[float]

# families: n, pairs -> for each text the smallest number in its family


def draw_pairs(rng: random.Random) -> tuple[int, Pairs]:
    """A chain whose links are given out of order, a family of two, and texts by themselves."""
    n = rng.randint(8, 10)
    order = list(range(n))
    rng.shuffle(order)
    chain, two = order[:4], order[4:6]
    pairs = [*pairwise(chain), (two[0], two[1])]
    pairs = [pair if rng.random() < 0.5 else pair[::-1] for pair in pairs]
    rng.shuffle(pairs)
    return n, pairs


def joined(n: int, pairs: Pairs) -> list[int]:
    family = list(range(n))
    for i, j in pairs:
        small, large = sorted((family[i], family[j]))
        family = [small if each == large else each for each in family]
    return family


families = Exercise(
    "finetuning.your_own_assistant.families", stars=2, minutes=12, reference=joined, draw=draw_pairs,
    edges=[(3, []), (5, [(3, 4), (1, 2), (2, 3)]), (6, [(4, 5), (0, 5), (1, 4)])], section="Split by families",
)  # fmt: skip


def one_pass(n: int, pairs: Pairs) -> list[int]:
    family = list(range(n))
    for i, j in pairs:
        family[i] = family[j] = min(family[i], family[j])
    return family


def neighbours(n: int, pairs: Pairs) -> list[int]:
    return [min([i, *(a + b - i for a, b in pairs if i in (a, b))]) for i in range(n)]


def once_removed(n: int, pairs: Pairs) -> list[int]:
    near = neighbours(n, pairs)
    return [near[each] for each in near]


def largest(n: int, pairs: Pairs) -> list[int]:
    family = joined(n, pairs)
    return [max(i for i in range(n) if family[i] == each) for each in family]


def numbered(n: int, pairs: Pairs) -> list[int]:
    family = joined(n, pairs)
    names = sorted(set(family))
    return [names.index(each) for each in family]


def sizes(n: int, pairs: Pairs) -> list[int]:
    family = joined(n, pairs)
    return [family.count(each) for each in family]


def forward_only(n: int, pairs: Pairs) -> list[int]:
    family = list(range(n))
    for i, j in pairs:
        family[j] = family[i]
    return family


def second_named(n: int, pairs: Pairs) -> list[int]:
    family = list(range(n))
    for i, j in pairs:
        old, new = family[i], family[j]
        family = [new if each == old else each for each in family]
    return family


def first_named(n: int, pairs: Pairs) -> list[int]:
    family = list(range(n))
    for i, j in pairs:
        old, new = family[j], family[i]
        family = [new if each == old else each for each in family]
    return family


FAMILY_MISTAKES: list[tuple[str, Callable[[int, Pairs], list[int]]]] = [
    (
        "Only the two of each pair are renamed: everybody in the other's family must move too.",
        one_pass,
    ),
    ("Each text knows its own twins only: a twin of a twin belongs to the family.", neighbours),
    ("It follows twins of twins, and no further: families may be longer chains.", once_removed),
    ("Families are named by their largest number: by the smallest.", largest),
    ("Families are counted one after another: each is named by the smallest number in it.", numbered),
    ("These are the families' sizes.", sizes),
    ("The second of a pair takes the first one's name, and its family stays behind.", forward_only),
    ("Families are named by whoever stands second in a pair: by the smallest number.", second_named),
    ("Families are named by whoever stands first in a pair: by the smallest number.", first_named),
    ("The pairs are not used: every text is a family of its own.", lambda n, pairs: list(range(n))),
    ("All texts are put into one family.", lambda n, pairs: [0] * n),
    (
        "Texts without a twin are left out: each is a family of its own.",
        lambda n, pairs: [each for i, each in enumerate(joined(n, pairs)) if any(i in pair for pair in pairs)],
    ),
    (
        "This is the set of families: return one name for each text.",
        lambda n, pairs: sorted(set(joined(n, pairs))),
    ),
    ("The numbers begin at 0: here they begin at 1.", lambda n, pairs: [each + 1 for each in joined(n, pairs)]),
    ("The last pair is not used.", lambda n, pairs: joined(n, pairs[:-1])),
    ("The first pair is not used.", lambda n, pairs: joined(n, pairs[1:])),
]
for diagnosis, made in FAMILY_MISTAKES:
    families.mistake(diagnosis, made)


# patience: losses, patience -> (the checkpoint that is kept, how many evaluations were made)


def draw_losses(rng: random.Random) -> tuple[Losses, int]:
    """A fall with a tie and a bump in it, a rise that lasts longer than patience, and a lower loss after the end."""
    patience = rng.choice([2, 3])
    losses, x = [], rng.uniform(3.0, 4.0)
    for _ in range(rng.randint(2, 4)):
        losses.append(x)
        x -= rng.uniform(0.2, 0.4)
    low = losses[-1]
    losses += [low + 0.3 * (k + 1) for k in range(patience - 1)]  # a bump that patience outlasts
    losses += [low - 0.15, low - 0.15]  # a new lowest, and a tie with it
    losses += [low + rng.uniform(0.05, 0.5) - 0.06 * k for k in range(patience + rng.randint(0, 2))]
    return [round(each, 2) for each in [*losses, low - 0.4, low - 0.35]], patience


def kept(losses: Losses, patience: int) -> tuple[int, int]:
    best = 0
    for i, loss in enumerate(losses):
        if loss < losses[best]:
            best = i
        if i - best >= patience:
            return best, i + 1
    return best, len(losses)


patience = Exercise(
    "finetuning.your_own_assistant.patience", stars=2, minutes=10, reference=kept, draw=draw_losses,
    edges=[([3.0, 2.0, 1.0], 2), ([1.0], 1), ([1.0, 2.0, 0.5], 1), ([2.0, 2.0, 2.0, 1.0], 2),
           ([3.0, 4.0, 2.0, 3.0, 3.0], 2)],
    section="Break it: graded on what it has seen",
)  # fmt: skip


def stopping(stop: Callable[[Losses, int, int, int], bool], lower: Callable[[float, float], bool] = float.__lt__) -> (
    Callable[[Losses, int], tuple[int, int]]
):  # fmt: skip
    """Another rule of when to stop, or of what counts as lower."""

    def made(losses: Losses, patience: int) -> tuple[int, int]:
        best = 0
        for i, loss in enumerate(losses):
            if lower(loss, losses[best]):
                best = i
            if stop(losses, i, best, patience):
                return best, i + 1
        return best, len(losses)

    return made


def counted_in_all(losses: Losses, patience: int) -> tuple[int, int]:
    best, bad = 0, 0
    for i, loss in enumerate(losses):
        if loss < losses[best]:
            best = i
        elif i:
            bad += 1
        if bad >= patience:
            return best, i + 1
    return best, len(losses)


def against_before(losses: Losses, patience: int) -> tuple[int, int]:
    bad = 0
    for i in range(1, len(losses)):
        bad = bad + 1 if losses[i] >= losses[i - 1] else 0
        if bad >= patience:
            return losses.index(min(losses[: i + 1])), i + 1
    return losses.index(min(losses)), len(losses)


PATIENCE_MISTAKES: list[tuple[str, Callable[[Losses, int], object]]] = [
    (
        "The lowest of all is chosen, also of those after the stop: nobody has seen them.",
        lambda x, p: (x.index(min(x)), kept(x, p)[1]),
    ),
    ("It never stops.", lambda x, p: (x.index(min(x)), len(x))),
    ("The last one seen is kept: the lowest.", lambda x, p: (kept(x, p)[1] - 1, kept(x, p)[1])),
    ("It stops one evaluation too late.", stopping(lambda x, i, best, p: i - best > p)),
    ("It stops one evaluation too early.", stopping(lambda x, i, best, p: i > best and i - best >= p - 1)),
    ("An equal loss counts as lower.", stopping(lambda x, i, best, p: i - best >= p, float.__le__)),
    ("Bad evaluations are counted in all: only those in a row since the lowest.", counted_in_all),
    ("Each loss is compared with the one before it: with the lowest so far.", against_before),
    ("One evaluation is missing: count the last one.", lambda x, p: (kept(x, p)[0], kept(x, p)[1] - 1)),
    ("The checkpoint is counted from 1: from 0.", lambda x, p: (kept(x, p)[0] + 1, kept(x, p)[1])),
    ("Only the checkpoint is returned: (chosen, seen).", lambda x, p: kept(x, p)[0]),
    ("The two are in the wrong order: (chosen, seen).", lambda x, p: kept(x, p)[::-1]),
    ("The loss is returned: its number is asked for.", lambda x, p: (x[kept(x, p)[0]], kept(x, p)[1])),
    ("The highest loss is kept: the lowest.", lambda x, p: (x.index(max(x[: kept(x, p)[1]])), kept(x, p)[1])),
    (
        "It stops at the first loss that is not lower, whatever patience is.",
        stopping(lambda x, i, best, p: i > best),
    ),
    (
        "The last of equal lowest losses is kept: an equal one is not lower, so the first.",
        lambda x, p: (
            max(i for i in range(kept(x, p)[1]) if x[i] == min(x[: kept(x, p)[1]])),
            kept(x, p)[1],
        ),
    ),
    (
        "The checkpoint where it stopped, less patience, is kept: right unless the losses ended before.",
        lambda x, p: (max(0, kept(x, p)[1] - 1 - p), kept(x, p)[1]),
    ),
]  # fmt: skip
for said, wrong in PATIENCE_MISTAKES:
    patience.mistake(said, wrong)
