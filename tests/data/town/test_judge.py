"""The gold judge, on answers that were damaged in known ways, and on right ones in other words."""

import random
from itertools import islice, pairwise

import pytest

from insideout.data.suite import Message, Question
from insideout.data.town.instructions import WEIGHTS, Town
from insideout.data.town.judge import GOLD, PARTS, Truth, gold, judge
from insideout.data.town.language import sentences
from insideout.data.town.preferences import responses
from insideout.data.town.stories import stories
from insideout.data.town.world import Event, State

SAYS: dict[str, dict[str, object]] = {
    # what was done to the right answer -> what the verdict must say
    "right": {"correct": True, "consistent": {True, None}, "stops": True, "concise": True, "readable": 1.0},
    "wrong": {"correct": False},
    "wrong person": {"correct": False, "consistent": False},
    "not told": {"correct": False, "consistent": None},
    "short": {"correct": {True, False}},
    "padded": {"correct": True, "concise": False, "readable": 1.0},
    "more, true": {"correct": True, "concise": False, "consistent": True},
    "more, false": {"correct": False, "concise": False, "consistent": False},
    "declines": {"correct": False, "declined": True},
    "complies": {"correct": False, "declined": False},
    "chatters": {"correct": False, "declined": False},
    "no stop": {"correct": True, "stops": False},
    "twice": {"concise": False},
    "backwards": {"correct": False},
    "empty": {"correct": False, "stops": False, "readable": 0.0, "length": 0},
    "one missing": {"correct": False},
    "one too many": {"correct": False, "concise": False},
    "in lines": {"correct": True, "concise": True},
    "contradicts itself": {"correct": False, "consistent": False},
    "in the present": {"correct": True, "consistent": True},
    "strange": {"correct": False, "consistent": True},
    "without the words": {"correct": False, "concise": False},
    "no ending": {"correct": False, "ending": False},
}


def expected(kind, name):
    """What is said in general, and of some kinds of question."""
    says = dict(SAYS[name])
    if name == "short" and kind != "story":
        says["correct"] = True
    if name == "short" and kind == "story":
        says = {"correct": False, "concise": False}
    if name == "wrong" and kind not in ("list", "story"):
        says["consistent"] = False
    if kind == "list" and name in ("wrong", "one too many", "twice", "backwards"):
        says["readable"] = {0.0, 1.0}
    return says


@pytest.mark.parametrize("kind", WEIGHTS)
def test_answers_that_were_damaged(kind):
    """Every way of damaging an answer, on many questions: the parts say what was done, and gold falls."""
    source, seen = random.Random(0), set()
    for question in islice(Town([kind]).stream("train", 3), 40):
        written = responses(question, source)
        best = gold(judge(question, written["right"]))
        assert best == sum(GOLD.values())
        for name, text in written.items():
            if name == "a word missing":  # what is left may be right by chance: `She has the ball` without `the`
                continue
            verdict = judge(question, text)
            for part, wanted in expected(kind, name).items():
                allowed = wanted if isinstance(wanted, set) else {wanted}
                assert verdict[part] in allowed, f"{name}: {text!r} after {question.prompt}: {dict(verdict.parts)}"
            if name not in ("right", "short", "in lines", "in the present"):
                assert gold(verdict) < best, f"{name}: {text!r}"
            seen.add(name)
    assert len(seen) >= 6


@pytest.mark.parametrize("kind", ["where", "who", "how many", "feeling"])
def test_a_word_missing_makes_a_claim_unreadable(kind):
    for question in islice(Town([kind]).stream("train", 4), 40):
        words = question.truth.answer.split()
        for i in range(1, len(words) - 1):
            verdict = judge(question, " ".join([*words[:i], *words[i + 1 :]]))
            assert verdict["correct"] is False and verdict["consistent"] is None and verdict["readable"] == 0


@pytest.mark.parametrize("kind", WEIGHTS)
def test_answers_to_another_question_are_not_right(kind):
    questions = list(islice(Town([kind]).stream("test", 5), 30))
    for one, other in pairwise(questions):
        values = [
            each.truth.state.value(each.truth.asked) if each.truth.asked else each.prompt for each in (one, other)
        ]
        if values[0] == values[1] or kind == "decline":
            continue  # rightly right
        assert judge(one, other.truth.answer)["correct"] is False


def asked(asked, **state):
    return Question((Message("user", "..."),), Truth("", State(**state), asked), "where")


HALL = {"place": {"Anna": "hall", "Ben": "barn"}, "holder": {"ball": "Anna"}}
WHERE_ANNA = asked(Event("is", who="Anna"), **HALL)
WHERE_BALL = asked(Event("lies", thing="ball"), **HALL)
WHO = asked(Event("has", thing="ball"), **HALL)
COUNT = asked(Event("counts", who="Ben", thing="apples"), counts={("Ben", "apples"): 3, ("Anna", "apples"): 1})
NONE = asked(Event("counts", who="Ben", thing="apples"), counts={("Ben", "apples"): 0})
FEELS = asked(Event("feels", who="Anna"), feeling={"Anna": "happy"})
UNTOLD = asked(Event("is", who="Carl"), **HALL)
FREE = asked(Event("has", thing="ball"), place={"ball": "hall"}, holder={"ball": "nobody"})


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        (WHERE_ANNA, ["Anna is in the hall.", "She is in the hall.", "Anna was in the hall.", "In the hall.",
                      "The hall.", "She is in the hall with the ball.",
                      "Now Anna is in the hall.", "Anna is at the hall.", "Anna stays in the hall."]),
        (WHERE_BALL, ["The ball is in the hall.", "It is in the hall.", "In the hall.", "The ball lies in the hall.",
                      "The ball is with Anna in the hall.", "Anna has the ball in the hall.",
                      "It is in the hall with Anna."]),
        (WHO, ["Anna has the ball.", "Anna has it.", "Anna.", "The ball is with Anna.", "Anna holds the ball.",
               "The ball is Anna's.", "Anna is holding it."]),
        (COUNT, ["Ben has three apples.", "He has three apples.", "Ben has 3 apples.", "Three apples.", "3", "Three."]),
        (NONE, ["Ben has no apples.", "He has zero apples.", "0.", "No apples."]),
        (FEELS, ["Anna is happy.", "She feels happy.", "Happy.", "She is feeling happy."]),
        (UNTOLD, ["It is not told.", "The story does not say.", "I do not know.", "We are not told.",
                  "The story doesn't say where he is.", "That is not said."]),
        (FREE, ["Nobody has the ball.", "No one has it.", "Nobody.", "No one."]),
    ],
)  # fmt: skip
def test_right_answers_in_other_words_are_right(question, answers):
    for answer in answers:
        verdict = judge(question, answer)
        assert verdict["correct"] is True and verdict["consistent"] in (True, None), f"{answer}: {dict(verdict.parts)}"


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        (WHERE_ANNA, ["Ben is in the hall.", "He is in the hall.", "Anna is in the barn.", "anna in hall.", "The barn.",
                      "Anna is in the hall or in the barn.", "Anna is not in the hall.", "It is not told.",
                      "Anna is in the hall. It is not told.", "Where is Anna?", "Ben is in the barn.",
                      "hall hall hall."]),
        (WHERE_BALL, ["Anna has it.", "The bell is in the hall.", "Anna is in the hall."]),
        (WHO, ["Ben has the ball.", "Ben.", "Nobody has the ball.", "Anna has a bell.", "She has it. Ben has it."]),
        (COUNT, ["Ben has four apples.", "Anna has three apples.", "Ben has three pears.", "Ben has 33 apples.",
                 "Ben has three apple.", "Three pears.", "Anna has one apple.", "Ben had three. Ben has four apples."]),
        (FEELS, ["Anna is sad.", "Anna is in the happy.", "Anna is happy and sad."]),
        (UNTOLD, ["Carl is in the hall.", "In the hall.", "Anna is in the hall.", "Nobody."]),
        (FREE, ["Anna has the ball.", "It is not told."]),
    ],
)  # fmt: skip
def test_wrong_answers_are_not_right(question, answers):
    for answer in answers:
        assert judge(question, answer)["correct"] is False, answer


def story(words=(), ending=""):
    return Question((Message("user", "..."),), Truth("...", words=words, ending=ending), "story")


@pytest.mark.parametrize(
    ("text", "consistent"),
    [
        ("Anna was in the hall. There was a ball in the hall. Anna took the ball.", True),
        ("Anna was in the hall. There was a ball in the barn. Anna took the ball.", False),
        ("Anna had a ball. Ben took the ball. Ben was sad.", False),
        ("Anna had a ball. Ben gave the ball to Anna. Ben was sad.", False),
        ("Anna was in the hall. Ben was in the barn. Anna had a ball. Anna gave Ben the ball.", False),
        ("Anna had a ball. Anna gave Ben the ball. Now Ben had the ball.", True),
        ("Anna had a ball. Anna gave Ben the ball. Now Anna had the ball.", False),
        ("Anna was in the hall. Anna went to the barn. Now she was in the hall.", False),
        ("Anna was in the hall. She had a ball. She went to the barn. So the ball was in the barn.", True),
        ("Ben had two apples. Ben ate three apples. Ben was sad.", False),
        ("Ben had two apples. Ben found three more apples. So Ben had five apples.", True),
        ("Ben had two apples. Ben found three more apples. So Ben had six apples.", False),
        ("Anna was in the hall. Anna went to the hall. Anna was sad.", False),
        ("Anna was in the hall. Anna put down the ball. So Ben was in the hall.", False),
        ("Anna was in the hall. So Anna went to the barn. Anna was sad.", True),
        ("Anna was sad. Anna was in the hall. So Anna went to the barn.", True),
        ("Ben had two apples. So Ben ate three apples. Ben was sad.", False),
    ],
)
def test_stories_that_contradict_themselves(text, consistent):
    verdict = judge(story(), text)
    assert verdict["consistent"] is consistent and verdict["correct"] is consistent and verdict["readable"] == 1


def test_no_answer_is_too_strange_to_be_judged():
    """A model that learns from the judge writes whatever it likes: sentences in any order, begun anyhow."""
    source = random.Random(0)
    for text in islice(stories("train", 5), 200):
        said = [source.choice(("", "So ", "Now ")) + each for each in sentences(text)]
        source.shuffle(said)
        assert 0 <= gold(judge(story(), " ".join(said))) <= 7


def test_words_and_endings_of_stories():
    text = "Anna was in the hall. There was a ball in the hall. Anna was happy."
    right = judge(story(("ball", "hall", "happy"), "Anna was happy."), text)
    assert right["correct"] and right["words"] == 1 and right["ending"]
    less = judge(story(("ball", "barn"), "Anna was sad."), text)
    assert not less["correct"] and less["words"] == 0.5 and less["ending"] is False
    assert judge(story(("all",)), text)["words"] == 0, "words, not letters"
    assert judge(story(), text)["words"] is None and judge(story(), text)["ending"] is None
    long = " ".join(f"Anna went to the {place}." for place in ("hall", "barn", "park", "hall", "barn", "park", "hall",
                                                               "barn", "park"))  # fmt: skip
    assert judge(story(), long)["concise"] is False and judge(story(), long)["consistent"] is True


def test_gold_by_hand():
    assert gold(judge(WHERE_ANNA, "Anna is in the hall.")) == 7
    assert gold(judge(WHERE_ANNA, "Anna is in the hall")) == 6.5
    assert gold(judge(WHERE_ANNA, "It is not told.")) == 5, "wrong, but claims nothing"
    assert gold(judge(WHERE_ANNA, "Anna is in the barn.")) == 4, "neither correct nor consistent"
    assert gold(judge(WHERE_ANNA, "Hall in the Anna is.")) == 4, "not understood"
    assert gold(judge(WHERE_ANNA, "")) == 3
    assert tuple(judge(WHERE_ANNA, "").parts) == PARTS
