"""Exercises on a model's life: which stages are still to be made, and what a stage gave and took.

Practised in book/4-reasoning-with-transformers/14_the_journey.md; the modules are insideout/recipes/stage.py and
insideout/recipes/journey.py.
"""

import random
from collections.abc import Iterable, Mapping, Sequence

from insideout.exercises.catalogue import Exercise

# to_make: needs, stored, wanted -> the stages to be made, in order

Needs = Mapping[str, Sequence[str]]
NAMES = ("base", "sft", "pairs", "reward", "ppo", "dpo", "thinker", "solver", "student")


def draw_life(rng: random.Random) -> tuple[dict[str, list[str]], list[str], str]:
    """A graph of six to nine stages, some of them stored, and one that is wanted."""
    names = list(NAMES[: rng.randint(6, 9)])
    rng.shuffle(names)
    needs: dict[str, list[str]] = {}
    for i, name in enumerate(names):
        needs[name] = rng.sample(names[:i], min(i, rng.choice((1, 1, 2, 2, 3))))
    shuffled = dict(sorted(needs.items(), key=lambda each: rng.random()))
    return shuffled, [name for name in names[:-1] if rng.random() < 0.25], names[-1]


def made_for(needs: Needs, stored: Iterable[str], wanted: str, *, backwards: bool = False) -> list[str]:
    """Those that are not stored, each after all that it needs, nothing twice."""
    found: list[str] = []

    def visit(name: str) -> None:
        if name in stored or name in found:
            return
        for each in reversed(needs[name]) if backwards else needs[name]:
            visit(each)
        found.append(name)

    visit(wanted)
    return found


LIFE = {"base": [], "sft": ["base"], "pairs": ["sft"], "dpo": ["sft", "pairs"]}

to_make = Exercise(
    "reasoning.the_journey.to_make", stars=2, minutes=12, reference=made_for, draw=draw_life, tolerance=0,
    edges=[
        (LIFE, [], "dpo"), (LIFE, ["sft"], "dpo"), (LIFE, ["dpo"], "dpo"), (LIFE, [], "base"),
        (LIFE, ["pairs"], "dpo"),
    ],
    section="What is stored is not made again",
)  # fmt: skip
to_make.mistake(
    "What is stored is made again.",
    lambda needs, stored, wanted: made_for(needs, (), wanted),
)
to_make.mistake(
    "Below a stage that is stored nothing is needed: do not look at what it began with.",
    lambda needs, stored, wanted: [name for name in made_for(needs, (), wanted) if name not in stored],
)
to_make.mistake(
    "The order is turned around: a stage comes after what it needs.",
    lambda needs, stored, wanted: made_for(needs, stored, wanted)[::-1],
)
to_make.mistake(
    "What is needed is visited from the last to the first: take it in the order in which it stands.",
    lambda needs, stored, wanted: made_for(needs, stored, wanted, backwards=True),
)
to_make.mistake(
    "The wanted stage is missing: it is made too, unless it is stored.",
    lambda needs, stored, wanted: made_for(needs, stored, wanted)[:-1],
)
to_make.mistake(
    "Stages are made that nobody needs: begin with the wanted one.",
    lambda needs, stored, wanted: list(dict.fromkeys(each for name in needs for each in made_for(needs, stored, name))),
)


def everything_needed(needs: Needs, stored: Sequence[str], wanted: str) -> list[str]:
    """With repetitions."""
    if wanted in stored:
        return []
    return [*(each for name in needs[wanted] for each in everything_needed(needs, stored, name)), wanted]


to_make.mistake("A stage that two others need is made twice.", everything_needed)


def before_what_it_needs(needs: Needs, stored: Sequence[str], wanted: str) -> list[str]:
    """Each noted when it is met."""
    found: list[str] = []

    def visit(name: str) -> None:
        if name not in stored and name not in found:
            found.append(name)
            for each in needs[name]:
                visit(each)

    visit(wanted)
    return found


to_make.mistake(
    "A stage is noted when it is met, before what it needs: note it after the visits.", before_what_it_needs
)
to_make.mistake(
    "Only what the wanted stage itself needs is looked at: that may need something in its turn.",
    lambda needs, stored, wanted: (
        [] if wanted in stored else [name for name in (*needs[wanted], wanted) if name not in stored]
    ),
)
to_make.mistake(
    "The names are sorted: the order is given by what each needs.",
    lambda needs, stored, wanted: sorted(made_for(needs, stored, wanted)),
)

# gave_and_took: right before, right after, of the same questions -> (gave, took, difference)

Rights = Sequence[bool]


def draw_rights(rng: random.Random, T: int = 6) -> tuple[list[bool], list[bool]]:
    """Right or wrong, before and after a stage, of the same questions."""
    n = T + 6
    before = [rng.random() < 0.5 for _ in range(n)]
    after = [not each if rng.random() < 0.4 else each for each in before]
    return before, after


def shares(before: Rights, after: Rights) -> tuple[float, float, float]:
    """Shares of all questions: won, lost, and won less lost."""
    n = len(before)
    gave = sum(b and not a for a, b in zip(before, after, strict=True)) / n
    took = sum(a and not b for a, b in zip(before, after, strict=True)) / n
    return gave, took, gave - took


def over(part: float, whole: float) -> float:
    """A share; 0 of nothing."""
    return part / whole if whole else 0.0


gave_and_took = Exercise(
    "reasoning.the_journey.gave_and_took", stars=1, minutes=8, reference=shares, draw=draw_rights,
    edges=[
        ([True, False, True], [True, False, True]), ([False, False], [True, True]), ([True], [False]),
        ([True, True, False, False], [False, False, True, True]),
    ],
    section="What a stage gave, and what it took",
)  # fmt: skip


def other(
    before: Rights, after: Rights, gave: float | None = None, took: float | None = None, net: float | None = None
) -> tuple[float, float, float]:
    """The right results but for those that are given."""
    right = shares(before, after)
    return tuple(own if given is None else given for given, own in zip((gave, took, net), right, strict=True))  # type: ignore[return-value]


def wrong(rights: Rights) -> int:
    """How many are wrong."""
    return sum(not each for each in rights)


gave_and_took.mistake(
    "Gave is a share of the questions that were wrong before: divide by all of them.",
    lambda before, after: other(before, after, gave=over(shares(before, after)[0] * len(before), wrong(before))),
)
gave_and_took.mistake(
    "Took is a share of the questions that were right before: divide by all of them.",
    lambda before, after: other(before, after, took=over(shares(before, after)[1] * len(before), sum(before))),
)
gave_and_took.mistake(
    "Gave and took are turned around: what was wrong and is right now was given.",
    lambda before, after: shares(after, before),
)
gave_and_took.mistake(
    "These are numbers of questions: divide by how many there are.",
    lambda before, after: tuple(each * len(before) for each in shares(before, after)),
)
gave_and_took.mistake(
    "Only the totals are compared, so that what was won hides what was lost: look at question by question.",
    lambda before, after: other(
        before, after, gave=max(shares(before, after)[2], 0.0), took=max(-shares(before, after)[2], 0.0)
    ),
)
gave_and_took.mistake(
    "The difference is what was won and lost together: take gave less took.",
    lambda before, after: other(before, after, net=sum(shares(before, after)[:2])),
)
gave_and_took.mistake(
    "The sign of the difference is wrong: it is above 0 where more was won than lost.",
    lambda before, after: other(before, after, net=-shares(before, after)[2]),
)
gave_and_took.mistake(
    "Gave is all that is right after the stage: leave out what was right before.",
    lambda before, after: other(
        before, after, gave=sum(after) / len(after), net=sum(after) / len(after) - shares(before, after)[1]
    ),
)
gave_and_took.mistake(
    "Took is all that is wrong after the stage: leave out what was wrong before.",
    lambda before, after: other(
        before, after, took=wrong(after) / len(after), net=shares(before, after)[0] - wrong(after) / len(after)
    ),
)
gave_and_took.mistake(
    "Shares of the questions that changed: divide by all questions.",
    lambda before, after: tuple(over(each, sum(shares(before, after)[:2])) for each in shares(before, after)),
)
