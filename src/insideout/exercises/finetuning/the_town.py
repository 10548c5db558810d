"""Exercises on the town: the state of a story, a judge of short answers, the ceiling of noisy choices.

Practised in book/3-fine-tuning-a-transformer/01_the_town.md; the modules are insideout/data/town.
Source: Bradley and Terry 1952 (the ceiling). Standard library only.
"""

import math
import random
import re
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import vector

# state: events -> where each object is

PEOPLE = ("Anna", "Ben", "Clara")
THINGS = ("ball", "kite", "drum", "rope")
PLACES = ("hall", "barn", "park", "lake", "attic", "school")

Told = tuple[str, ...]


def draw_events(rng: random.Random) -> tuple[list[Told]]:
    """Events that are possible one after the other, each kind among them."""
    place = {who: rng.choice(PLACES) for who in PEOPLE}
    lies = {thing: rng.choice(list(place.values())) for thing in rng.sample(THINGS, 2)}
    holder: dict[str, str] = {}
    events: list[Told] = [("is", who, place[who]) for who in PEOPLE]
    events += [("lies", thing, at) for thing, at in lies.items()]
    for _ in range(rng.randint(6, 14)):
        possible: list[Told] = [("goes", who, at) for who in PEOPLE for at in PLACES[:4] if place[who] != at]
        possible = rng.sample(possible, 2)
        possible += [("takes", who, t) for t, at in lies.items() for who in PEOPLE if place[who] == at]
        held = [*holder.items()]
        possible += [("leaves", who, t) for t, who in held]
        possible += [
            ("gives", who, t, other) for t, who in held for other in PEOPLE
            if other != who and place[other] == place[who]
        ] * 3  # fmt: skip
        event = rng.choice(possible)
        what, who, thing = event[:3]
        if what == "goes":
            place[who] = thing
        elif what == "takes":
            holder[thing] = who
            del lies[thing]
        elif what == "leaves":
            lies[thing] = place[who]
            del holder[thing]
        else:
            holder[thing] = event[3]
        events.append(event)
    return (events,)


def follow(
    events: Sequence[Told], *, follows: bool = True, gives: bool = True, leaves: str = "here", drops: bool = False,
    deaf: str = "",
) -> tuple[dict[str, str], dict[str, str], list[str]]:  # fmt: skip
    """Places, holders and objects at the end; the switches are mistakes."""
    place: dict[str, str] = {}
    holder: dict[str, str] = {}
    things: list[str] = []
    for what, subject, *rest in events:
        if what == deaf:
            continue
        if what in ("is", "goes", "lies"):
            place[subject] = rest[0]
            things += [subject] if what == "lies" else []
        elif what == "takes":
            holder[rest[0]] = subject
        elif what == "gives":
            if gives:
                holder[rest[0]] = rest[1]
        else:
            place[rest[0]] = place[subject] if leaves == "here" else place[rest[0]]
            if leaves != "holds":
                holder.pop(rest[0], None)
        if drops and what == "goes":
            for thing in [t for t, who in holder.items() if who == subject]:
                del holder[thing]
        if not follows and what in ("takes", "gives"):
            place[rest[0]] = place[subject]
    if not follows:
        holder.clear()
    return place, holder, things


def places_at_the_end(events: Sequence[Told], **mistaken: Any) -> dict[str, str]:
    place, holder, things = follow(events, **mistaken)
    return {thing: place[holder.get(thing, thing)] for thing in things}


state = Exercise(
    "finetuning.the_town.state", stars=1, minutes=10, reference=places_at_the_end, draw=draw_events, tolerance=0,
    section="A state, and what happens to it",
)  # fmt: skip
for diagnosis, mistaken in {
    "An object that is held stays where it was taken: it must go where its holder goes.": {"follows": False},
    "A gift changes nothing: after it, the other one has the object.": {"gives": False},
    "What is left lies where it once was picked up: it lies where the one who leaves it is.": {"leaves": "there"},
    "What is left still goes with the one who left it.": {"leaves": "holds"},
    "Whoever goes drops what they have: they keep it.": {"drops": True},
    "Nobody goes anywhere: `goes` is overlooked.": {"deaf": "goes"},
    "Nothing is taken: `takes` is overlooked.": {"deaf": "takes"},
}.items():
    state.mistake(diagnosis, lambda events, mistaken=mistaken: places_at_the_end(events, **mistaken))


@state.mistake("This is where each object was told to lie at first: what happens after that moves it.")
def at_first(events: Sequence[Told]) -> dict[str, str]:
    return {event[1]: event[2] for event in events if event[0] == "lies"}


@state.mistake("The people are in it too: asked for are the objects.")
def people_too(events: Sequence[Told]) -> dict[str, str]:
    place, _, _ = follow(events)
    return {**{who: at for who, at in place.items() if who in PEOPLE}, **places_at_the_end(events)}


@state.mistake("This is who has each object: asked for is where it is.")
def holders(events: Sequence[Told]) -> dict[str, str]:
    place, holder, things = follow(events)
    return {thing: holder.get(thing, place[thing]) for thing in things}


@state.mistake("Only what is held has a place here: an object that lies somewhere has one too.")
def only_held(events: Sequence[Told]) -> dict[str, str]:
    place, holder, things = follow(events)
    return {thing: place[holder[thing]] for thing in things if thing in holder}


@state.mistake("Only what lies somewhere is in it: an object that is held is where its holder is.")
def only_lying(events: Sequence[Told]) -> dict[str, str]:
    place, holder, things = follow(events)
    return {thing: place[thing] for thing in things if thing not in holder}


# judge: answers, value, values -> is each right?

VALUES = ("hall", "barn", "park", "lake", "tower", "yard", "river", "shop")
LONGER = {"hall": "hallway", "barn": "barns", "park": "parking", "lake": "flake", "tower": "towering",
          "yard": "vineyard", "river": "driver", "shop": "bishop"}  # fmt: skip


def draw_answers(rng: random.Random) -> tuple[list[str], str, list[str]]:
    """Answers of every kind, the right word, and all words that could be right."""
    values = rng.sample(VALUES, 5)
    value, other, third = values[:3]
    inside = LONGER[value]
    answers = [
        f"In the {value}.", f"It is in the {value.upper()}", f"{value}", f"{value.capitalize()}.", f"In the {other}.",
        f"In the {inside}.", f"In the {value} or the {other}.", f"The {other} is near the {value}.", "",
        f"She went from the {value}\nto the {third}!", f"In the {value}, I think.", f"In the {LONGER[other]}.",
        f"Not here, but in the {value}: near a {LONGER[other]}.", f"The {value} and the {other.upper()}.",
        f"The {value}, yes, the {value}.",
    ]  # fmt: skip
    rng.shuffle(answers)
    rng.shuffle(values)
    return answers, value, values


def words(answer: str) -> list[str]:
    return re.findall(r"[a-z]+", answer.lower())


def is_right(answer: str, value: str, values: Sequence[str]) -> bool:
    return set(words(answer)) & set(values) == {value}


def all_right(answers: Sequence[str], value: str, values: Sequence[str]) -> list[bool]:
    return [is_right(answer, value, values) for answer in answers]


def ends_with(answer: str, value: str) -> bool:
    return words(answer)[-1:] == [value]


judge = Exercise(
    "finetuning.the_town.judge", stars=2, minutes=10, reference=all_right, draw=draw_answers, tolerance=0,
    section="Break it: a careless judge",
)  # fmt: skip
Single = Callable[[str, str, Sequence[str]], bool]
WRONG_JUDGES: dict[str, Single] = {
    "The value is looked for as letters, not as a word: `hat` stands in `that`.": lambda a, v, vs: (
        v in a.lower() and not (set(words(a)) & set(vs) - {v})
    ),
    "Other values are looked for as letters, not as words: `river` stands in `driver`.": lambda a, v, vs: (
        v in words(a) and not any(each in a.lower() for each in vs if each != v)
    ),
    "Letters are looked for, and other values are overlooked: this is the careless judge.": lambda a, v, vs: (
        v in a.lower()
    ),
    "Both the value and the others are looked for as letters: cut the answer into words first.": lambda a, v, vs: (
        v in a.lower() and not any(each in a.lower() for each in vs if each != v)
    ),
    "Other values are overlooked: an answer that names two places says nothing.": lambda a, v, vs: v in words(a),
    "Capitals make a difference: `HALL` is the hall.": lambda a, v, vs: (
        set(re.findall(r"[A-Za-z]+", a)) & set(vs) == {v}
    ),
    "The answer must equal the value: it may be a sentence.": lambda a, v, vs: words(a) == [v],
    "Only the last word counts: the value may stand anywhere.": lambda a, v, vs: ends_with(a, v),
    "Only the last word counts for the value: it may stand anywhere.": lambda a, v, vs: (
        ends_with(a, v) and is_right(a, v, vs)
    ),
    "The answer is cut at blanks alone: a stop or a comma belongs to no word.": lambda a, v, vs: (
        set(a.lower().split()) & set(vs) == {v}
    ),
    "True and False have changed places.": lambda a, v, vs: not is_right(a, v, vs),
    "An answer that names no value at all counts as right.": lambda a, v, vs: not set(words(a)) & set(vs) - {v},
    "A value that is said twice counts as wrong: it is still the only one.": lambda a, v, vs: (
        [word for word in words(a) if word in vs] == [v]
    ),
    "The first value in the answer decides: a second one makes it wrong.": lambda a, v, vs: (
        [word for word in words(a) if word in vs][:1] == [v]
    ),
    "The last value in the answer decides: another one makes it wrong.": lambda a, v, vs: (
        [word for word in words(a) if word in vs][-1:] == [v]
    ),
    "Any value is taken for the right one.": lambda a, v, vs: bool(set(words(a)) & set(vs)),
}
for diagnosis, single in WRONG_JUDGES.items():
    judge.mistake(
        diagnosis, lambda answers, value, values, single=single: [single(each, value, values) for each in answers]
    )

# ceiling: gaps, longer, sharpness, bias -> mean of max(p, 1 − p)


def draw_pairs(rng: random.Random, N: int = 2) -> tuple[list[float], list[int], float, float]:
    """Differences of gold and of length for N pairs, and the annotator; now and then a very sharp one."""
    sharpness = rng.choice((rng.uniform(0.3, 2.0), rng.uniform(0.3, 2.0), 400.0))
    return vector(rng, N, 2.0), [rng.randint(-8, 8) for _ in range(N)], sharpness, rng.uniform(0.05, 0.4)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def log_odds(gaps: Sequence[float], longer: Sequence[int], sharpness: float, bias: float) -> list[float]:
    return [sharpness * gap + bias * more for gap, more in zip(gaps, longer, strict=True)]


def best_agreement(gaps: Sequence[float], longer: Sequence[int], sharpness: float, bias: float) -> float:
    return fmean(logistic(abs(x)) for x in log_odds(gaps, longer, sharpness, bias))


def chances(gaps: Sequence[float], longer: Sequence[int], sharpness: float, bias: float) -> list[float]:
    return [logistic(x) for x in log_odds(gaps, longer, sharpness, bias)]


ceiling = Exercise(
    "finetuning.the_town.ceiling", stars=2, minutes=10, reference=best_agreement, draw=draw_pairs,
    edges=[([0.0, 0.0], [0, 0], 1.0, 0.3), ([900.0, -900.0], [3, -4], 1.0, 0.1)], section="Measure it: annotators",
)  # fmt: skip
ceiling.mistake("This is how often the first is chosen: where that is rarer than half, guess the other.",
                lambda g, n, s, b: fmean(chances(g, n, s, b)))  # fmt: skip
ceiling.mistake("First the larger of p and 1 − p for each pair, then the mean: here it is the other way round.",
                lambda g, n, s, b: max(fmean(chances(g, n, s, b)), 1 - fmean(chances(g, n, s, b))))  # fmt: skip
ceiling.mistake("The length is overlooked: whoever knows the annotator knows what it likes.",
                lambda g, n, s, b: best_agreement(g, n, s, 0.0))  # fmt: skip
ceiling.mistake("The gold reward is overlooked.", lambda g, n, s, b: best_agreement(g, n, 0.0, b))
ceiling.mistake("This is the smaller of p and 1 − p: how often the best guess is wrong.",
                lambda g, n, s, b: 1 - best_agreement(g, n, s, b))  # fmt: skip
ceiling.mistake("The sharpness multiplies the length too: it belongs to the gold reward.",
                lambda g, n, s, b: best_agreement(g, n, s, s * b))  # fmt: skip
ceiling.mistake("The sharpness is missing: it multiplies the gold reward.",
                lambda g, n, s, b: best_agreement(g, n, 1.0, b))  # fmt: skip
ceiling.mistake("The gold reward is divided by the sharpness: a sharper annotator is to be surer.",
                lambda g, n, s, b: best_agreement(g, n, 1 / s, b))  # fmt: skip
ceiling.mistake("The longer answer is liked less: the bias has the wrong sign.",
                lambda g, n, s, b: best_agreement(g, n, s, -b))  # fmt: skip
ceiling.mistake("p² + (1 − p)² is how often two such annotators agree: the best guess does not toss a coin.",
                lambda g, n, s, b: fmean(p * p + (1 - p) * (1 - p) for p in chances(g, n, s, b)))  # fmt: skip
ceiling.mistake(
    "This is how often the gold judge is right: the best guess knows the liking for length too.",
    lambda g, n, s, b: fmean(
        p if gap > 0 else 1 - p if gap < 0 else 0.5 for p, gap in zip(chances(g, n, s, b), g, strict=True)
    ),
)
ceiling.mistake("The absolute values are taken one by one: gold reward and length may speak against each other.",
                lambda g, n, s, b: best_agreement([abs(x) for x in g], [abs(x) for x in n], s, b))  # fmt: skip
ceiling.mistake("The mean of the log-odds was taken first: the chances come first, then the mean.",
                lambda g, n, s, b: logistic(abs(fmean(log_odds(g, n, s, b)))))  # fmt: skip
ceiling.mistake("This is the sum: divide by the number of pairs.",
                lambda g, n, s, b: len(g) * best_agreement(g, n, s, b))  # fmt: skip
ceiling.mistake(
    "This is the standard normal's curve: the model of Bradley and Terry has the logistic function.",
    lambda g, n, s, b: fmean(0.5 + 0.5 * math.erf(abs(x) / 2**0.5) for x in log_odds(g, n, s, b)),
)
ceiling.mistake("e^−x overflows where x is far below 0: use |x|.",
                lambda g, n, s, b: fmean(
                    max(p, 1 - p) for p in (1 / (1 + math.exp(-x)) for x in log_odds(g, n, s, b))))  # fmt: skip
