"""The town's English: every way in which an event is told, and the reading of it back.

    Voice(random).say(Event("takes", who="Anna", thing="ball"))    "Anna picked up the ball."
    read("She picked up the ball.", Heard(last="Anna"))             [Event("takes", who="Anna", thing="ball")]

What is written and what is read come from one table, so that the judge understands every wording that the town uses,
in the past tense and in the present. A sentence outside it reads as None: not understood, which is neither right nor
wrong.
Taught in book/3-fine-tuning-a-transformer/01_the_town.md. Standard library only.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from insideout.data.town.world import (
    ALL_FEELINGS,
    ALL_OBJECTS,
    GOODS,
    NUMBERS,
    PREPOSITION,
    PRONOUN,
    Event,
)

WORDINGS: dict[str, tuple[str, ...]] = {
    "is": ("{who} was {at}.",),
    "lies": ("There was {thing} {at}.", "{thing} was {at}.", "{thing} lay {at}."),
    "has": ("{who} had {thing}.",),
    "free": ("Nobody had {thing}.",),
    "counts": ("{who} had {goods}.",),
    "feels": ("{who} was {feeling}.", "{who} felt {feeling}."),
    "goes": ("{who} went to {place}.", "{who} walked to {place}.", "{who} ran to {place}.", "{who} came to {place}."),
    "takes": ("{who} took {thing}.", "{who} picked up {thing}.", "{who} got {thing}."),
    "leaves": ("{who} put down {thing}.", "{who} left {thing} there.", "{who} put {thing} down there."),
    "gives": ("{who} gave {thing} to {other}.", "{who} gave {other} {thing}.", "{who} handed {thing} to {other}."),
    "gains": ("{who} found {more}.", "{who} bought {more}.", "{who} got {more}."),
    "loses": ("{who} {lost} {fewer}.",),
    "hands": ("{who} gave {fewer} to {other}.", "{who} gave {other} {fewer}."),
}  # fmt: skip
"""How an event is told."""
RESTATED: dict[str, tuple[str, ...]] = {
    "is": ("Now {who} was {at}.", "So {who} was {at}."),
    "lies": ("Now {thing} was {at}.", "So {thing} was {at}."),
    "has": ("Now {who} had {thing}.", "So {who} had {thing}."),
    "free": ("Now nobody had {thing}.",),
    "counts": ("Now {who} had {goods}.", "So {who} had {goods}."),
}
"""How it is said again what follows."""
ALSO_READ: dict[str, tuple[str, ...]] = {
    "is": ("{who} stayed {at}.", "{who} could be found {at}."),
    "lies": ("{thing} could be found {at}.",),
    "has": ("{who} held {thing}.", "{thing} was with {who}.", "{who} was holding {thing}.", "{thing} was {owner}."),
    "free": ("No one had {thing}.", "{thing} was with nobody.", "{thing} was with no one."),
    "feels": ("{who} was feeling {feeling}.",),
    "lies has": ("{thing} was {at} with {who}.", "{thing} was with {who} {at}.", "{who} had {thing} {at}."),
    "is has": ("{who} was {at} with {thing}.",),
}
"""Wordings that are understood though the town does not use them; some say two things."""
PRESENT = {
    "was": "is", "had": "has", "felt": "feels", "lay": "lies", "held": "holds", "stayed": "stays",
    "could be found": "can be found",
}  # fmt: skip
OPENINGS = r"(?:then|later|after that,?|now|so|soon|next,?|finally,?|in the end,?|yes,|well,|at first,?) "
NOT_TOLD = (
    "It is not told.",
    "The story does not say.",
)
"""How the town says that it was not told; others are read too."""
_NOT_TOLD = re.compile(
    r"(?:(?:it|that|this) (?:is|was) not (?:told|said|known)"
    r"|(?:the (?:story|text)|it|the story that i read) (?:does not|doesn't|did not|didn't) (?:say|tell)(?: (?:us|me))?"
    r"(?: (?:where|who|how|that|it|this)[a-z ]*)?"
    r"|(?:i|we) (?:do not|don't|cannot|can't) (?:know|tell|say)(?: (?:that|it|this))?"
    r"|(?:i|we) (?:was|were|am|are) not told(?: (?:that|this))?|not told|unknown)",
    re.IGNORECASE,
)


def article(word: str) -> str:
    """a or an, before a word."""
    return "an" if word[0] in "aeiou" else "a"


def counted(n: int, goods: str, more: str = "") -> str:
    """`no apples`, `one apple`, `two more apples`."""
    return " ".join(filter(None, (NUMBERS[n], more, goods[:-1] if n == 1 else goods)))


FIRST = {"gains": ("{who} found {fewer}.", "{who} bought {fewer}.", "{who} got {fewer}.")}
"""How it is told of somebody who had none."""


def in_present(text: str) -> str:
    """`was` becomes `is`, and so on: how answers are worded."""
    for past, present in PRESENT.items():
        text = re.sub(rf"\b{past}\b", present, text)
    return text


def sentence(text: str) -> str:
    """With a capital at its beginning."""
    return text[:1].upper() + text[1:]


@dataclass
class Voice:
    """Whoever tells: varies the wording, says "a ball" only once, and "she" where it is clear who is meant."""

    random: random.Random
    named: set[str] = field(default_factory=set)
    """Objects that were mentioned."""
    subject: str = ""
    """Of whom the last sentence told, if a pronoun would surely be understood so."""
    pronouns: float = 0.4
    """How often one is used where it may be."""

    def say(self, event: Event, wordings: Mapping[str, tuple[str, ...]] = WORDINGS) -> str:
        """One sentence."""
        known = event.thing in self.named or event.thing not in ALL_OBJECTS
        choices = wordings[event.what]
        if event.what == "lies" and wordings is WORDINGS:
            choices = choices[1:] if known else choices[:1]
        wording = self.random.choice(choices)
        who = event.who
        if who and who == self.subject and self.random.random() < self.pronouns:
            who = PRONOUN[who]
        text = self.filled(wording, event, who, "the" if known else article(event.thing))
        self.named.add(event.thing)
        alike = event.other and PRONOUN[event.other] == PRONOUN[event.who]
        self.subject = "" if alike else event.who
        return sentence(text)

    def filled(self, wording: str, event: Event, who: str, a: str) -> str:
        """The wording with an event's words."""
        slots = {"who": who, "thing": f"{a} {event.thing}", "other": event.other, "feeling": event.feeling}
        slots["owner"] = f"{event.who}'s"
        if event.place:
            slots |= {"place": f"the {event.place}", "at": f"{PREPOSITION[event.place]} the {event.place}"}
        if event.n is not None:
            slots |= {
                "goods": counted(event.n, event.thing), "more": counted(event.n, event.thing, "more"),
                "fewer": counted(event.n, event.thing), "lost": GOODS[event.thing],
            }  # fmt: skip
        return wording.format(**slots)


@dataclass
class Heard:
    """What a reader has in mind: whom a pronoun means."""

    last: str = ""
    """The person of whom was told last."""
    thing: str = ""
    """The object that `it` means."""


SLOTS = {
    "who": r"(?P<who>[a-z]+)",
    "thing": r"(?:(?:a|an|the) (?P<thing>[a-z]+)|(?P<it>it))",
    "other": r"(?P<other>[a-z]+)",
    "owner": r"(?P<who>[a-z]+)'s",
    "place": r"the (?P<place>[a-z]+)",
    "at": r"(?P<near>in|at) the (?P<place>[a-z]+)",
    "feeling": r"(?P<feeling>[a-z]+)",
    "goods": r"(?P<n>\d{1,2}|[a-z]+) (?P<goods>[a-z]+)",
    "more": r"(?P<n>\d{1,2}|[a-z]+) more (?P<goods>[a-z]+)",
    "fewer": r"(?P<n>\d{1,2}|[a-z]+) (?P<goods>[a-z]+)",
    "lost": r"(?P<lost>ate|lost)",
}


@cache
def patterns() -> tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]:
    """Every wording as a pattern of text without its stop, and of what it tells."""
    found = []
    for table in (WORDINGS, FIRST, ALSO_READ):
        for told, wordings in table.items():
            for wording in wordings:
                pattern = re.sub(r"\{(\w+)\}", lambda slot: SLOTS[slot[1]], wording.removesuffix("."))
                for past, present in PRESENT.items():
                    pattern = re.sub(rf"(?<!<)\b{past}\b", f"(?:{past}|{present})", pattern)
                found.append((tuple(told.split()), re.compile(pattern, re.IGNORECASE)))
    return tuple(found)


def sentences(text: str) -> list[str]:
    """A text cut after each full stop, exclamation or question mark that a blank follows; line ends cut too."""
    return [each for each in re.split(r"(?<=[.!?])\s+|\s*\n\s*", text.strip()) if each]


def says_not_told(text: str) -> bool:
    """Does a sentence say that it was not told?"""
    return _NOT_TOLD.fullmatch(text.rstrip(".!").strip()) is not None


def read(text: str, heard: Heard) -> list[Event] | None:
    """What a sentence tells; None where it is not understood. `heard` moves on to whom it tells of."""
    text = text.strip().rstrip(".!").strip()
    bare = re.sub(rf"^{OPENINGS}", "", text, flags=re.IGNORECASE)
    for told, pattern in patterns():
        for found in (pattern.fullmatch(bare), pattern.fullmatch(text) if bare != text else None):
            events = None if found is None else understood(told, found.groupdict(), heard)
            if events is not None:
                return events
    return None


def understood(told: tuple[str, ...], words: dict[str, str | None], heard: Heard) -> list[Event] | None:
    """The events of a match, if its words are of the kinds that belong there."""
    given = {name: word.lower() for name, word in words.items() if word is not None}
    event = Event(told[0])
    if "who" in given:
        who = person(words["who"] or "", heard)
        if who is None:
            return None
        event = replace(event, who=who)
    if "other" in given:
        other = (words["other"] or "").capitalize()
        if other not in PRONOUN:
            return None
        event = replace(event, other=other)
    if "thing" in given or "it" in given:
        thing = given.get("thing", heard.thing)
        if thing not in ALL_OBJECTS:
            return None
        event = replace(event, thing=thing)
    if "place" in given:
        if given["place"] not in PREPOSITION or given.get("near", PREPOSITION[given["place"]]) not in ("in", "at"):
            return None
        event = replace(event, place=given["place"])
    if "feeling" in given:
        if given["feeling"] not in ALL_FEELINGS:
            return None
        event = replace(event, feeling=given["feeling"])
    if "n" in given:
        goods = next((each for each in (given["goods"], f"{given['goods']}s") if each in GOODS), None)
        n = number_of(given["n"])
        if goods is None or n is None or given.get("lost", GOODS[goods]) != GOODS[goods]:
            return None
        if (n == 1) != (given["goods"] != goods):  # "one apples", "two apple"
            return None
        event = replace(event, thing=goods, n=n)
    if event.who:
        heard.last = event.who
    if event.thing in ALL_OBJECTS:
        heard.thing = event.thing
    return list(parts_of(event, told))


def parts_of(event: Event, told: tuple[str, ...]) -> Iterator[Event]:
    """A sentence may say two things: where an object is and who has it."""
    for what in told:
        if what == "lies":
            yield Event("lies", thing=event.thing, place=event.place)
        elif what == "is":
            yield Event("is", who=event.who, place=event.place)
        elif what == "has":
            yield Event("has", who=event.who, thing=event.thing)
        else:
            yield replace(event, what=what)


def person(word: str, heard: Heard) -> str | None:
    """Who is meant by a name or a pronoun; None where nobody can be."""
    name = word.capitalize()
    if name in PRONOUN:
        return name if word == name else None  # a name without its capital is none
    if word.lower() in ("she", "he") and heard.last and PRONOUN[heard.last] == word.lower():
        return heard.last
    return None


def number_of(word: str) -> int | None:
    """The number that a word or digits say."""
    if word.isdecimal():
        return int(word)
    return 0 if word.lower() in ("zero", "no") else NUMBERS.index(word.lower()) if word.lower() in NUMBERS else None
