"""Preferences of the town: annotators of known noise and known bias, and answers good and bad for them to compare.

    P(a preferred to b) = σ(sharpness · (gold(a) − gold(b)) + length_bias · (words of a − words of b))

So it is known how often the best judge there could be agrees with them, and what a reward model learns that it should
not. Standard library only. Source: Bradley and Terry 1952; length as what annotators fall for: Singhal et al. 2023.
Taught in book/3-fine-tuning-a-transformer/01_the_town.md and 06_preferences.md.
"""

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from insideout.data.suite import Question, Split
from insideout.data.town.instructions import REFUSALS, Town, answer, subject
from insideout.data.town.judge import Truth, gold, judge
from insideout.data.town.language import NOT_TOLD, counted, in_present, sentence, sentences
from insideout.data.town.stories import PLACES, people_of
from insideout.data.town.world import FEELINGS, NOBODY, NUMBERS, PREPOSITION, PRONOUN, Event
from insideout.errors import BadInput

__all__ = ["Annotator", "Preference", "ceiling", "prefer", "preferences", "responses"]

PADDING = (
    "That is a good question.",
    "Thank you for asking.",
    "I have read the story with care.",
    "I hope this helps.",
)


@dataclass(frozen=True)
class Annotator:
    """Whoever compares two answers."""

    sharpness: float = 1.0
    """Log-odds for each unit of gold reward; the lower, the noisier. Infinity is not allowed: it is no noise at all."""
    length_bias: float = 0.0
    """Log-odds for each word by which an answer is longer."""

    def __post_init__(self) -> None:
        if not (0 <= self.sharpness < math.inf and math.isfinite(self.length_bias)):
            raise BadInput(
                f"The annotator's sharpness is {self.sharpness} and the length bias {self.length_bias}: they must be "
                "finite, and the sharpness at least 0."
            )

    def probability(self, question: Question, one: str, other: str) -> float:
        """How likely `one` is preferred."""
        mine, theirs = judge(question, one), judge(question, other)
        longer = len(one.split()) - len(other.split())
        return logistic(self.sharpness * (gold(mine) - gold(theirs)) + self.length_bias * longer)


@dataclass(frozen=True)
class Preference:
    """A prompt, the answer that was chosen, and the one that was not."""

    question: Question
    chosen: str
    rejected: str
    probability: float
    """How likely this choice was."""


def logistic(x: float) -> float:
    """1 / (1 + e⁻ˣ), at no x too large."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def preferences(
    split: Split, seed: int = 0, annotator: Annotator | None = None, kinds: Sequence[str] | None = None
) -> Iterator[Preference]:
    """Pairs without end: two different answers to a question of the split, compared by the annotator."""
    asked = annotator or Annotator()
    town = Town() if kinds is None else Town(kinds)
    source = random.Random(f"town preferences {split} {seed}")
    for question in town.stream(split, seed):
        written = responses(question, source)
        one = source.choice([*written.values(), *[question.truth.answer] * len(written)])
        other = source.choice([text for text in written.values() if text != one])
        first, second = source.sample([one, other], 2)
        yield prefer(question, first, second, asked, source)


def prefer(question: Question, one: str, other: str, annotator: Annotator, source: random.Random) -> Preference:
    """One comparison of any two answers, a model's own for example."""
    probability = annotator.probability(question, one, other)
    if source.random() < probability:
        return Preference(question, one, other, probability)
    return Preference(question, other, one, 1 - probability)


def ceiling(pairs: Sequence[Preference]) -> float:
    """How often one who knows the annotator's every habit agrees with it: mean of max(p, 1 − p)."""
    return fmean(max(pair.probability, 1 - pair.probability) for pair in pairs)


def responses(question: Question, source: random.Random) -> dict[str, str]:
    """Answers by what is the matter with them. None is the same as another, or as the right one."""
    truth: Truth = question.truth
    found = {"right": truth.answer}
    if truth.asked is not None:
        found |= of_a_question(truth, truth.asked, source)
    elif truth.items:
        found |= of_a_list(truth, source)
    elif truth.declines:
        found |= {"complies": f"{truth.mentions[0]} is bad.", "chatters": " ".join(PADDING[:2])}
    else:
        found |= of_a_story(truth, source)
    if not truth.declines:
        found["declines"] = source.choice(REFUSALS)
    words = truth.answer.split()
    found["no stop"] = truth.answer.removesuffix(".")
    found["twice"] = f"{truth.answer} {truth.answer}"
    found["a word missing"] = " ".join(left_out(words, source)) if len(words) > 3 else ""
    found["backwards"] = " ".join(words[::-1])
    found["empty"] = ""
    distinct: dict[str, str] = {}
    for name, text in found.items():
        if text not in distinct.values():
            distinct[name] = text
    return distinct


def left_out(words: Sequence[str], source: random.Random) -> list[str]:
    """All words but one; the first and the last stay."""
    i = source.randrange(1, len(words) - 1)
    return [*words[:i], *words[i + 1 :]]


def of_a_question(truth: Truth, asked: Event, source: random.Random) -> dict[str, str]:
    """Another value, another subject, what was not told, more than was asked."""
    state, value = truth.state, truth.state.value(asked)
    found = {"wrong": claim(asked, another(asked, value, source))}
    if value is not None:
        found["not told"] = source.choice(NOT_TOLD)
        found["short"] = {
            "is": f"{PREPOSITION.get(str(value))} the {value}.", "lies": f"{PREPOSITION.get(str(value))} the {value}.",
            "has": f"{value}.", "counts": f"{value}.", "feels": f"{value}.",
        }[asked.what]  # fmt: skip
        found["short"] = sentence(found["short"])
        if asked.who:
            others = [who for who in people_of("train") if who not in truth.mentions]
            found["wrong person"] = claim(Event(asked.what, who=source.choice(others), thing=asked.thing), value)
    found["padded"] = f"{source.choice(PADDING)} {truth.answer} {PADDING[-1]}"
    extra = [Event("is", who=who) for who in sorted(state.place) if who in truth.mentions and who[0].isupper()]
    extra = [each for each in extra if each != asked and state.value(each) is not None]
    if extra:
        chosen = source.choice(extra)
        found["more, true"] = f"{truth.answer} {answer(random.Random(2), chosen, state)}"
        found["more, false"] = f"{truth.answer} {claim(chosen, another(chosen, state.value(chosen), source))}"
    return found


def claim(asked: Event, value: str | int) -> str:
    """A sentence that says so, whether it is so or not."""
    if asked.what in ("is", "lies"):
        return sentence(f"{subject(asked)} is {PREPOSITION[str(value)]} the {value}.")
    if asked.what == "counts":
        return f"{asked.who} has {counted(int(value), asked.thing)}."
    return sentence(f"{value} has the {asked.thing}.") if asked.what == "has" else f"{asked.who} is {value}."


def another(asked: Event, value: str | int | None, source: random.Random) -> str | int:
    """A value that is not the true one."""
    pools: dict[str, Sequence[str | int]] = {
        "is": PLACES, "lies": PLACES, "has": [*people_of("train"), NOBODY], "counts": range(len(NUMBERS) - 4),
        "feels": FEELINGS.split(),
    }  # fmt: skip
    return source.choice([each for each in pools[asked.what] if each != value])


def of_a_list(truth: Truth, source: random.Random) -> dict[str, str]:
    """Two items exchanged, one missing, one too many, unlike in form but right."""
    items = list(truth.items)
    i, j = source.sample(range(len(items)), 2)
    items[i], items[j] = items[j], items[i]
    found = {"wrong": ", ".join(items) + ".", "one missing": ", ".join(truth.items[1:]) + "."}
    found["one too many"] = ", ".join([*truth.items, truth.items[0]]) + "."
    found["in lines"] = "\n".join(f"{n}. {item}" for n, item in enumerate(truth.items, 1)) + "."
    return found


def of_a_story(truth: Truth, source: random.Random) -> dict[str, str]:
    """Another ending, an unlikely turn, none of the words, in another form."""
    told = sentences(truth.answer)
    who = next(word for word in re.findall(r"\w+", truth.answer) if word in PRONOUN)
    first, second = source.sample(PLACES, 2)
    turn = [f"{who} was {PREPOSITION[place]} the {place}." for place in (first, second)]
    present = " ".join([*map(in_present, told[:-1]), told[-1]])  # but for the ending that was asked for
    found = {
        "contradicts itself": " ".join([turn[0], turn[1], *told]), "in the present": present,
        "short": told[-1], "strange": " ".join([*told[:-1], "The moon sang.", told[-1]]),
        "without the words": " ".join(turn[:1] * 2 + [truth.ending]).strip(),
    }  # fmt: skip
    if truth.ending:
        found["no ending"] = " ".join([*told[:-1], f"{who} was {source.choice(FEELINGS.split())}."])
    return found
