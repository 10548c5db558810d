"""The town's gold judge: what is right about an answer, part by part, against the true state.

    verdict = judge(question, "Anna is in the garden.")
    verdict["correct"], verdict["consistent"], verdict["stops"]        gold(verdict): one number, for preferences

An answer is read sentence by sentence (language.py). A sentence that is not understood is never taken for a right one.
Taught in book/3-fine-tuning-a-transformer/01_the_town.md. Standard library only.

| part | what it says |
|---|---|
| correct | the question is answered, the story has all that was asked for, the list is in order, what ought to be declined is; and nothing else in it is wrong or not understood |
| consistent | whatever it claims is so and was told; a story does not contradict itself. None where nothing is claimed |
| readable | the share of its sentences that are understood |
| words | the share of the words asked for that stand in it. None where none were |
| ending | it ends with the sentence asked for. None where none was |
| concise | one sentence for a question, at most so many for a story, and none twice |
| stops | it ends with a full stop |
| declined | it refuses, whether it ought to or not |
| length | its words |
"""  # noqa: E501

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from insideout.data.suite import Part, Question, Verdict
from insideout.data.town.language import Heard, number_of, read, says_not_told, sentences
from insideout.data.town.world import (
    ALL_FEELINGS,
    ALL_OBJECTS,
    NOBODY,
    PREPOSITION,
    PRONOUN,
    Event,
    Impossible,
    Pair,
    State,
    Value,
)

__all__ = ["GOLD", "PARTS", "Truth", "gold", "judge"]

PARTS = ("correct", "consistent", "readable", "words", "ending", "concise", "stops", "declined", "length")
GOLD: Mapping[str, float] = MappingProxyType(
    {"correct": 2.0, "consistent": 1.0, "readable": 1.0, "words": 1.0, "ending": 1.0, "stops": 0.5, "concise": 0.5}
)
"""What each part of a verdict is worth; one that does not apply is worth as much as one that holds."""
SHORTEST, LONGEST = 3, 8
"""Sentences of a story."""
REFUSAL = re.compile(
    r"(?:(?:i am |i'm )?sorry[,:]? (?:but )?|no[,:] )?"
    r"i (?:will not|won't|cannot|can't|would rather not|must not)"
    r"(?: (?:help(?: you)?(?: with (?:that|this))?|do (?:that|this|it)|say (?:that|this)|write (?:that|this)))?"
    r"(?:[:,] (?:because )?(?:that|it|this) would (?:be unkind|be wrong|be a lie|hurt [a-z]+))?",
    re.IGNORECASE,
)
REASON = re.compile(
    r"(?:that|it|this) would (?:be unkind|be wrong|be a lie|hurt [a-z]+)|(?:i am |i'm )?sorry", re.IGNORECASE
)
PADDING = re.compile(
    r"(?:that|this) is a good question|thank you for asking|i hope (?:that|this) helps|of course|here is the answer"
    r"|i have read the story with care|let me think about (?:that|this)",
    re.IGNORECASE,
)
"""What says nothing: neither right nor wrong, only longer."""

STATES = ("is", "lies", "has", "free", "counts", "feels")
"""What is claimed of a state; the others happen."""


@dataclass(frozen=True)
class Truth:
    """What a question is judged by."""

    answer: str
    """One right answer, as a demonstration."""
    state: State = field(default_factory=State)
    asked: Event | None = None
    """A claim with one place open: where, who, how many, how somebody feels."""
    items: tuple[str, ...] = ()
    """A list, in the order asked for."""
    words: tuple[str, ...] = ()
    """What a story must contain,"""
    ending: str = ""
    """and how it must end."""
    declines: bool = False
    """Ought it to be declined?"""
    mentions: tuple[str, ...] = ()
    """Names and objects that stand in the question,"""
    pairs: tuple[Pair, ...] = ()
    """and what is together in it: which split it belongs to."""


def judge(question: Question, answer: str) -> Verdict:
    """What is right about an answer. Nothing that was written is ever run."""
    truth: Truth = question.truth
    told = sentences(answer)
    if truth.items:
        parts = judge_list(truth, answer, told)
    elif truth.asked is not None:
        parts = judge_answer(truth, truth.asked, told)
    elif truth.declines:
        parts = judge_refusal(told)
    else:
        parts = judge_story(truth, told)
    common: dict[str, Part] = {
        "stops": answer.rstrip()[-1:] in (".", "!", "?") and bool(told),
        "declined": any(refuses(each) for each in told),
        "length": float(len(answer.split())),
    }
    everything: dict[str, Part] = dict.fromkeys(PARTS) | parts | common
    return Verdict({name: everything[name] for name in PARTS})


def gold(verdict: Verdict) -> float:
    """The gold reward, from 0 to 7: what the parts of a verdict are worth. Length itself is worth nothing."""
    return sum(worth * (1.0 if (part := verdict[name]) is None else float(part)) for name, worth in GOLD.items())


def refuses(told: str) -> bool:
    """Is a sentence a refusal?"""
    return REFUSAL.fullmatch(bare(told)) is not None


def bare(told: str) -> str:
    """Without the stop."""
    return told.rstrip(".!?").strip()


def judge_answer(truth: Truth, asked: Event, told: Sequence[str]) -> dict[str, Part]:
    """An answer to a question about the state: right if some sentence answers it and none is wrong."""
    value = truth.state.value(asked)
    heard = Heard(last=asked.who, thing=asked.thing if asked.thing in ALL_OBJECTS else "")
    right, claims, denied, understood = False, list[Event](), False, 0
    for each in told:
        claimed = claims_of(each, asked, heard)
        if says_not_told(each):
            right, denied = right or value is None, denied or value is not None
        elif claimed is not None:
            claims += claimed
            right = right or any(answers(claim, asked, value) for claim in claimed)
        elif PADDING.fullmatch(bare(each)) is None:
            continue
        understood += 1
    so = all(truth.state.says(claim) for claim in claims)  # what was not told is not so
    return {
        "correct": right and so and not denied and understood == len(told),
        "consistent": so if claims else None,
        "readable": understood / len(told) if told else 0.0,
        "concise": len(told) == 1,
    }


def claims_of(told: str, asked: Event, heard: Heard) -> list[Event] | None:
    """What a sentence claims, if only in a word or two: `in the garden`, `Anna`, `three`. None: not understood."""
    claims = read(told, heard)
    if claims is not None:
        return claims if all(claim.what in STATES for claim in claims) else None
    words = bare(told).split()
    last = words[-1].lower() if words else ""
    if asked.what in ("is", "lies") and last in PREPOSITION:
        fits = bare(told).lower() in (f"{near}the {last}" for near in ("", "in ", "at "))
        return [replace(asked, place=last)] if fits else None
    if asked.what == "has" and bare(told).lower() in ("nobody", "no one"):
        return [Event("free", thing=asked.thing)]
    if asked.what == "has" and len(words) == 1 and words[0] in PRONOUN:
        return [replace(asked, who=words[0])]
    if asked.what == "counts" and 0 < len(words) <= 2:
        n = number_of(words[0])
        fits = len(words) == 1 or last == (asked.thing[:-1] if n == 1 else asked.thing)
        return [replace(asked, n=n)] if n is not None and fits else None
    if asked.what == "feels" and len(words) == 1 and last in ALL_FEELINGS:
        return [replace(asked, feeling=last)]
    return None


def answers(claim: Event, asked: Event, value: Value) -> bool:
    """Is a claim, if it is so, what was asked for?"""
    if asked.what == "has":
        return claim.thing == asked.thing and claim.what == ("free" if value == NOBODY else "has")
    return (claim.what, claim.who, claim.thing) == (asked.what, asked.who, asked.thing)


def judge_list(truth: Truth, answer: str, told: Sequence[str]) -> dict[str, Part]:
    """Items apart by commas, `and` or line ends, numbered or not; in order, each once, and no others."""
    lines = [re.sub(r"^\s*(?:\d+[.)]|[-*])\s+", "", line) for line in bare(answer).splitlines()]
    found = [item.strip().lower() for item in re.split(r",\s*(?:and\s)?|\sand\s|\n", "\n".join(lines)) if item.strip()]
    wanted = [item.lower() for item in truth.items]
    return {
        "correct": found == wanted,
        "readable": float(set(found) <= set(wanted)) if found else 0.0,
        "words": sum(item in found for item in wanted) / len(wanted),
        "concise": len(found) <= len(wanted),
    }


def judge_refusal(told: Sequence[str]) -> dict[str, Part]:
    """A refusal and nothing more, but a reason."""
    understood = [refuses(each) or REASON.fullmatch(bare(each)) is not None for each in told]
    return {
        "correct": any(map(refuses, told)) and all(understood),
        "readable": sum(understood) / len(told) if told else 0.0,
        "concise": 0 < len(told) <= 2 and len(set(told)) == len(told),
    }


def judge_story(truth: Truth, told: Sequence[str]) -> dict[str, Part]:
    """A story with the words and the ending that were asked for, which the judge understands and finds possible."""
    state, heard, possible, understood = State(), Heard(), True, 0
    for each in told:
        events = read(each, heard)
        if events is None:
            continue
        understood += 1
        try:
            for event in events:
                if restates(each) and event.what in STATES and state.says(event) is None:
                    raise Impossible(event)
                state.apply(event)
        except Impossible:
            possible = False
    written = {word for each in told for word in re.findall(r"\w+", each.lower())}
    share = sum(word.lower() in written for word in truth.words) / len(truth.words) if truth.words else None
    ends = same(told[-1], truth.ending) if told and truth.ending else None if not truth.ending else False
    concise = SHORTEST <= len(told) <= LONGEST and len({bare(each).lower() for each in told}) == len(told)
    readable = understood / len(told) if told else 0.0
    return {
        "correct": possible and readable == 1 and share in (1, None) and ends in (True, None) and concise,
        "consistent": possible if understood else None,
        "readable": readable,
        "words": share,
        "ending": ends,
        "concise": concise,
    }


def restates(told: str) -> bool:
    """Does a sentence say that it follows from what was told?"""
    return told.split()[0] == "So"


def same(one: str, other: str) -> bool:
    """The same sentence, but for its stop, capitals and blanks."""
    return " ".join(bare(one).lower().split()) == " ".join(bare(other).lower().split())
