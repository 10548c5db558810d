"""The town's world: people, places, objects, goods and feelings; what may happen, and what follows from it.

    state = State()
    state.apply(Event("is", who="Anna", place="kitchen"))
    state.apply(Event("takes", who="Anna", thing="ball"))     the ball is where Anna is
    state.says(Event("lies", thing="ball", place="kitchen"))  True; False; or None, where it was not told

A state holds what was told and what follows from it, nothing else: so "it is not told" is as true or false an answer as
any other. Some names and objects, and some pairs (an object and a place, a person and a feeling …), are held out: they
belong to the development or the test split. No question that is trained on has any of them; the names and objects come
up in the stories that a base model reads, the pairs nowhere.
Taught in book/3-fine-tuning-a-transformer/01_the_town.md. Standard library only.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache

from insideout.data.suite import SPLITS, Split

__all__ = ["Event", "Impossible", "State"]

KNOWN_SHE = "Anna Clara Dora Ella Emma Fiona Greta Hanna Ida Julia Kate Laura Lena Maria Nina Nora Olga Paula Rita Sara"
KNOWN_HE = "Adam Ben Carl David Emil Felix Fred Hugo Ivan Jack John Leo Lukas Martin Max Nico Oscar Paul Peter Simon"
BEGINNINGS = (
    "Al An Be Da De Do Fa Fe Fi Ga Ha Jo Ka Ke Ki La Le Li Lo Lu Ma Me Mi Mo Na Ne Ni No Pa Po Ra Re Ri Ro Sa Se Si So "
    "Ta Te Ti To Va Ve Vi Wa Wi Za"
)
SHE_ENDS, HE_ENDS = "na la ra ta mi sa lia nia ria da", "no lo ro to mon rik vin bert kus dan"
"""Names are put together from these, hundreds of them: who meets so many learns to copy a name, and not to know it."""
OBJECTS = {
    "train": "bag ball basket bell belt blanket boat book boot bottle bowl box brush bucket candle cap carpet cart "
    "chain chair chest coat comb cork crown cup cushion desk dish doll drum fan feather fiddle flag flute "
    "fork frame glass glove guitar hammer hat helmet hook horn jacket jar jug kettle kite knife ladder lamp "
    "lantern letter lid lock magnet marble mask mat medal mirror mug nail napkin needle nest net notebook "
    "paddle painting pan parcel pen pencil penny pillow pin pipe pitcher plate pot pump purse puzzle racket "
    "ribbon ring rod rope rug ruler sack saddle saw scarf shawl shield shirt shoe shovel sock sofa sponge "
    "spoon stick stool string table tent ticket tool towel toy tray trunk tube vase wagon wallet wheel "
    "whistle wire",
    "development": "anchor broom clock compass curtain hose kennel locket pebble sandal violin",
    "test": "axe barrel camera dagger globe key map pulley rattle sled trumpet umbrella",
}
PLACES = {
    "in": "attic barn cellar garden hall kitchen library office park shop tower yard",
    "at": "bridge lake market river school station",
}
EATEN = "apples cakes eggs nuts pears plums"
KEPT = "buttons coins cards shells stamps stones"
FEELINGS = "afraid angry bored calm cold happy hungry lonely proud sad thirsty tired"
NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

Pair = tuple[str, str]


def split_of_hash(text: str) -> Split:
    """Where something belongs, by a hash of it: one in ten is kept for development, one for the test."""
    point = hashlib.sha256(text.encode()).digest()[0] / 256
    return "test" if point < 0.1 else "development" if point < 0.2 else "train"


def names(known: str, ends: str) -> dict[Split, list[str]]:
    """The names of each split: those that are known, for training, and all that can be put together."""
    made = [f"{first}{last}" for first in BEGINNINGS.split() for last in ends.split()]
    made = [each for each in made if each not in known.split()]
    found = {split: [each for each in made if split_of_hash(each) == split] for split in SPLITS}
    return found | {"train": known.split() + found["train"]}


SHE, HE = names(KNOWN_SHE, SHE_ENDS), names(KNOWN_HE, HE_ENDS)
PRONOUN = {name: "she" for some in SHE.values() for name in some}
PRONOUN |= {name: "he" for some in HE.values() for name in some}
PREPOSITION = {place: word for word, places in PLACES.items() for place in places.split()}
GOODS = dict.fromkeys(EATEN.split(), "ate") | dict.fromkeys(KEPT.split(), "lost")
"""Things that are counted, in the plural, and how one has fewer of them."""
HELD: dict[str, Split] = {}
"""The words that are held out, each with its split."""
for _split in SPLITS[1:]:
    HELD |= dict.fromkeys([*SHE[_split], *HE[_split], *OBJECTS[_split].split()], _split)
ALL_OBJECTS = frozenset(word for words in OBJECTS.values() for word in words.split())
ALL_FEELINGS = frozenset(FEELINGS.split())


@cache
def split_of_pair(pair: Pair) -> Split:
    """Where a pair belongs, by a hash of its words."""
    return split_of_hash(" ".join(pair))


def split_of(words: Iterable[str], pairs: Iterable[Pair]) -> Split:
    """Where a text belongs: test if anything of the test stands in it, else development, else training."""
    found = {HELD.get(word, "train") for word in words} | {split_of_pair(pair) for pair in pairs}
    return "test" if "test" in found else "development" if "development" in found else "train"


@dataclass(frozen=True)
class Event:
    """Something that happens, or that is said to be so."""

    what: str
    """is, lies, has, free, counts, feels: so it is. goes, takes, leaves, gives, gains, loses, hands: it changes."""
    who: str = ""
    thing: str = ""
    """An object, or goods in the plural."""
    place: str = ""
    other: str = ""
    """To whom something is given."""
    n: int | None = None
    feeling: str = ""


Value = str | int | None


class Impossible(ValueError):
    """What cannot be so, after what was told before."""


NOBODY = "nobody"


@dataclass
class State:
    """What is known of the town."""

    place: dict[str, str] = field(default_factory=dict)
    """Of people, and of objects that nobody has."""
    holder: dict[str, str] = field(default_factory=dict)
    """Of objects: who has it, or NOBODY."""
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of a person and goods."""
    feeling: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "State":
        """Another one that may go on differently."""
        return State(dict(self.place), dict(self.holder), dict(self.counts), dict(self.feeling))

    def place_of(self, subject: str) -> str | None:
        """Where a person or an object is; None where it was not told."""
        holder = self.holder.get(subject, NOBODY)
        return self.place.get(subject if holder == NOBODY else holder)

    def value(self, asked: Event) -> Value:
        """What an event's open place must hold to be true; None where it was not told."""
        if asked.what in ("is", "lies"):
            return self.place_of(asked.who or asked.thing)
        if asked.what == "has":
            return self.holder.get(asked.thing)
        if asked.what == "counts":
            return self.counts.get((asked.who, asked.thing))
        return self.feeling.get(asked.who)

    def says(self, claim: Event) -> bool | None:
        """Is it so? None: it was not told."""
        known = self.value(replace(claim, what="has") if claim.what == "free" else claim)
        return None if known is None else known == value_of(claim)

    def apply(self, event: Event) -> None:
        """Let it happen. Raises Impossible where it cannot, after what was told."""
        if event.what in ("is", "lies", "has", "free", "counts"):
            if self.says(event) is False:
                raise Impossible(event)
            self._believe(event)
        elif event.what == "feels":
            self.feeling[event.who] = event.feeling
        elif event.what == "goes":
            need(self.place.get(event.who) != event.place, event)
            self.place[event.who] = event.place
        elif event.what in ("takes", "leaves", "gives"):
            self._move(event)
        else:
            self._count(event)

    def _believe(self, event: Event) -> None:
        if event.what == "is":
            self.place[event.who] = event.place
        elif event.what == "lies":
            self.place.setdefault(self._carrier(event.thing), event.place)
        elif event.what == "counts":
            self.counts[event.who, event.thing] = number(event)
        elif event.what == "free":
            self.holder[event.thing] = NOBODY
        else:
            where = self.place.pop(event.thing, None)  # it was told where it is, and now with whom
            need(where is None or self.place.get(event.who, where) == where, event)
            if where is not None:
                self.place[event.who] = where
            self.holder[event.thing] = event.who

    def _carrier(self, thing: str) -> str:
        holder = self.holder.get(thing, NOBODY)
        return thing if holder == NOBODY else holder

    def _move(self, event: Event) -> None:
        who, thing = event.who, event.thing
        if event.what == "takes":
            need(self.holder.get(thing, NOBODY) == NOBODY, event)
            self._meet(who, thing, event)
            self.holder[thing] = who
            self.place.pop(thing, None)
            return
        need(self.holder.get(thing, who) == who and thing not in self.place, event)
        if event.what == "leaves":
            self.holder[thing] = NOBODY
            if who in self.place:
                self.place[thing] = self.place[who]
        else:
            need(event.other != who, event)
            self._meet(who, event.other, event)
            self.holder[thing] = event.other

    def _meet(self, one: str, other: str, event: Event) -> None:
        """Both are at one place: where one of them was told to be, so is the other."""
        places = {self.place[each] for each in (one, other) if each in self.place}
        need(len(places) < 2, event)
        for place in places:
            self.place[one] = self.place[other] = place

    def _count(self, event: Event) -> None:
        mine, theirs = (event.who, event.thing), (event.other, event.thing)
        n = number(event)
        if event.what == "hands":
            need(event.other != event.who, event)
            self._meet(event.who, event.other, event)
        if mine in self.counts:
            left = self.counts[mine] + (n if event.what == "gains" else -n)
            need(left >= 0, event)
            self.counts[mine] = left
        if event.what == "hands" and theirs in self.counts:
            self.counts[theirs] += n

    def pairs(self) -> set[Pair]:
        """What is together now: objects with places, people with feelings and with goods."""
        found = {
            (thing, place) for thing in {*self.holder, *self.place} - PRONOUN.keys() if (place := self.place_of(thing))
        }
        return found | set(self.feeling.items()) | set(self.counts)


def need(condition: bool, event: Event) -> None:
    """Raises Impossible unless the condition holds."""
    if not condition:
        raise Impossible(event)


def number(event: Event) -> int:
    """The event's number."""
    need(event.n is not None, event)
    return event.n or 0


def value_of(claim: Event) -> Value:
    """What a claim says of its subject."""
    values: dict[str, Value] = {
        "is": claim.place, "lies": claim.place, "has": claim.who, "free": NOBODY, "counts": claim.n,
        "feels": claim.feeling,
    }  # fmt: skip
    return values[claim.what]
