"""The town's stories: a few people, a few things, what happens to them, told with its true state kept.

    story = tell(random, people=["Anna", "Ben"], objects=["ball"])
    story.text        "Anna was in the kitchen. There was a ball in the kitchen. She took the ball. ..."
    story.state       where everything is at its end

Short on purpose: one or two people, one or two objects or one kind of goods, and what follows is often said again. That
is what a small model can learn from.
Taught in book/3-fine-tuning-a-transformer/01_the_town.md. Standard library only.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from insideout.data.suite import SPLITS, Split
from insideout.data.town.language import FIRST, RESTATED, WORDINGS, Voice, sentence
from insideout.data.town.world import (
    EATEN,
    FEELINGS,
    GOODS,
    HE,
    KEPT,
    NOBODY,
    NUMBERS,
    OBJECTS,
    PREPOSITION,
    SHE,
    Event,
    Pair,
    State,
    split_of,
)

__all__ = ["Story", "stories", "tell"]

PLACES = tuple(PREPOSITION)
LARGEST = 6
"""Of how many goods a story begins with."""


def people_of(split: Split) -> list[str]:
    """Names that belong to a split."""
    return SHE[split] + HE[split]


def objects_of(split: Split) -> list[str]:
    """Objects that belong to a split."""
    return OBJECTS[split].split()


EVERYBODY = [name for split in SPLITS for name in people_of(split)]
EVERYTHING = [name for split in SPLITS for name in objects_of(split)]


@dataclass
class Story:
    """Sentences, and what is true after the last."""

    sentences: list[str] = field(default_factory=list)
    state: State = field(default_factory=State)
    pairs: set[Pair] = field(default_factory=set)
    """What was together at any time."""
    people: list[str] = field(default_factory=list)
    things: list[str] = field(default_factory=list)
    """Objects or goods."""
    events: list[Event] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The sentences."""
        return " ".join(self.sentences)

    @property
    def split(self) -> Split:
        """Where it belongs."""
        return split_of(self.told, self.pairs)

    @property
    def told(self) -> list[str]:
        """Which of its people and things its sentences name: one of the cast may never come up."""
        words = set(re.findall(r"\w+", self.text))
        return [each for each in (*self.people, *self.things) if each in words]

    def add(self, voice: Voice, event: Event, again: bool = False) -> None:
        """Let something happen, or say again that it is so, and tell it. Raises Impossible where it cannot."""
        had_none = event.what == "gains" and self.state.counts.get((event.who, event.thing)) == 0
        self.state.apply(event)
        self.sentences.append(voice.say(event, RESTATED if again else FIRST if had_none else WORDINGS))
        self.events.append(event)
        self.pairs |= self.state.pairs()


def tell(
    source: random.Random, people: Sequence[str], things: Sequence[str], n_events: int | None = None,
    restate: float = 0.7,
) -> Story:  # fmt: skip
    """A story about these people and things: objects, or one kind of goods.

    `restate`: how often it is said again what has just changed.
    """
    story, voice = Story(people=list(people), things=list(things)), Voice(source)
    places = source.sample(PLACES, 3)
    for event in beginnings(source, people, things, places):
        story.add(voice, event)
    for _ in range(source.choice((0, 1, 1, 2)) if n_events is None else n_events):
        possible = [*happenings(source, story, places)]
        if not possible:
            break
        kinds = sorted({event.what for event in possible})  # a kind first: there are many places to go to
        weights = [WEIGHTS[kind] for kind in kinds]
        kind = source.choices(kinds, weights)[0]
        event = source.choice([each for each in possible if each.what == kind])
        story.add(voice, event)
        follows = [*consequences(story.state, event)]
        if follows and source.random() < restate:
            story.add(voice, source.choice(follows), again=True)
    return story


WEIGHTS = {"goes": 3, "takes": 4, "leaves": 2, "gives": 4, "gains": 3, "loses": 3, "hands": 4, "feels": 1}


def beginnings(
    source: random.Random, people: Sequence[str], things: Sequence[str], places: Sequence[str]
) -> list[Event]:
    """How things stand at first. Not all is told."""
    found = [Event("is", who=who, place=source.choice(places[:2])) for who in people if source.random() < 0.75]
    known = {event.who: event.place for event in found}
    for thing in things:
        if thing in GOODS:
            tellers = people if source.random() < 0.7 else people[:1]
            found += [Event("counts", who=who, thing=thing, n=source.randint(0, LARGEST)) for who in tellers]
        elif source.random() < 0.5:
            found.append(Event("has", who=source.choice(people), thing=thing))
        else:
            place = source.choice([*known.values()] or [places[0]]) if source.random() < 0.7 else places[1]
            found.append(Event("lies", thing=thing, place=place))
    found += [
        Event("feels", who=who, feeling=source.choice(FEELINGS.split())) for who in people if source.random() < 0.25
    ]
    if all(event.what == "feels" for event in found):
        found.append(Event("is", who=people[0], place=places[0]))
    source.shuffle(found)
    return found


def happenings(source: random.Random, story: Story, places: Sequence[str]) -> Iterator[Event]:
    """All that may happen next, and leaves no doubt about where anything is."""
    state, people = story.state, story.people
    last = story.events[-1]
    for who in people:
        here = state.place.get(who)
        if last.what != "goes":
            yield from (Event("goes", who=who, place=place) for place in places if place != here)
        if who not in state.feeling:
            yield Event("feels", who=who, feeling=source.choice(FEELINGS.split()))
        others = [other for other in people if other != who and state.place.get(other) == here]
        for thing in story.things:
            if thing in GOODS:
                yield from trades(source, state, who, thing, others)
                continue
            holder = state.holder.get(thing, NOBODY)
            if holder == who:
                if here and last.what != "takes":
                    yield Event("leaves", who=who, thing=thing)
                if last.what != "gives":
                    yield from (Event("gives", who=who, thing=thing, other=other) for other in others)
            elif holder == NOBODY and here and state.place_of(thing) == here and last.what != "leaves":
                yield Event("takes", who=who, thing=thing)


def trades(source: random.Random, state: State, who: str, goods: str, others: Sequence[str]) -> Iterator[Event]:
    """How the number of somebody's goods may change."""
    held = state.counts.get((who, goods))
    if held is None:
        return
    if held + 4 < len(NUMBERS):
        yield Event("gains", who=who, thing=goods, n=source.randint(1, 4))
    if held:
        yield Event("loses", who=who, thing=goods, n=source.randint(1, min(held, 4)))
        n = source.randint(1, min(held, 4))
        for other in others:
            if state.counts.get((other, goods), len(NUMBERS)) + n < len(NUMBERS):
                yield Event("hands", who=who, thing=goods, n=n, other=other)


def consequences(state: State, event: Event) -> Iterator[Event]:
    """What has just changed, as one would say it again."""
    if event.what == "goes":
        yield Event("is", who=event.who, place=event.place)
        for thing, holder in state.holder.items():
            if holder == event.who:
                yield Event("lies", thing=thing, place=event.place)
    elif event.what in ("takes", "gives"):
        yield Event("has", who=event.other or event.who, thing=event.thing)
    elif event.what == "leaves":
        yield Event("lies", thing=event.thing, place=state.place[event.thing])
    elif event.what in ("gains", "loses", "hands"):
        for who in filter(None, (event.who, event.other)):
            yield Event("counts", who=who, thing=event.thing, n=state.counts[who, event.thing])


HOLDING_OUT = ("name", "object", "pair")
"""What a text of the development or the test split may have that training has not; each as often."""


def cast(source: random.Random, split: Split, held_out: str = "pair") -> tuple[list[str], list[str]]:
    """People and things: one name or object that only this split has, or none, so that a pair must be its own."""
    people = source.sample(people_of("train"), source.choice((1, 2, 2)))
    goods = source.random() < 0.35 and held_out != "object"
    things = [source.choice([*GOODS])] if goods else source.sample(objects_of("train"), source.choice((1, 1, 1, 2)))
    if split == "train":
        return people, things
    if held_out == "name":
        people[source.randrange(len(people))] = source.choice(people_of(split))
    elif held_out == "object":
        things[source.randrange(len(things))] = source.choice(objects_of(split))
    return people, things


def story_of(source: random.Random, split: Split) -> Story:
    """A story whose pairs belong to a split. It may tell of anybody and anything."""
    while True:
        people = source.sample(EVERYBODY, source.choice((1, 2, 2)))
        goods = source.random() < 0.35
        things = [source.choice([*GOODS])] if goods else source.sample(EVERYTHING, source.choice((1, 1, 1, 2)))
        story = tell(source, people, things)
        if split_of((), story.pairs) == split:
            return story


def stories(split: Split, seed: int = 0) -> Iterator[str]:
    """Stories and a few plain facts, without end: a text for pretraining, with nothing in it that asks or answers.

    Every name and object comes up in it, as in the text that a large model reads: else their tokens would mean nothing.
    What is held out here is pairs. A held-out name stands in no question that is trained on.
    """
    source = random.Random(f"town stories {split} {seed}")
    while True:
        yield fact(source) if source.random() < 0.1 else story_of(source, split).text


def fact(source: random.Random) -> str:
    """Something that is always so: a sum, what comes next, the order of two words."""
    kind = source.randrange(3)
    if kind == 0:
        a, b = source.randint(1, 6), source.randint(1, 6)
        return sentence(f"{NUMBERS[a]} and {NUMBERS[b]} are {NUMBERS[a + b]}.")
    if kind == 1:
        a, b = sorted(source.sample(range(1, 13), 2))
        return sentence(f"{NUMBERS[b]} is more than {NUMBERS[a]}.")
    first, second = sorted(source.sample((EATEN + " " + KEPT).split(), 2))
    return f"In the alphabet, {first} come before {second}."
