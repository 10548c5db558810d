"""Suites: the same questions from the same seed, splits that share none, verdicts that are never taken for a truth."""

import random
import subprocess
import sys
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.data.suite import SPLITS, Question, Suite, Verdict
from insideout.data.text.copying import Copying, passages
from insideout.errors import BadInput


class Sums(Suite):
    """Generated: a question's family is its pair of numbers, in either order."""

    name, parts = "sums", ("correct", "short", "distance")

    def __init__(self, largest: int = 60) -> None:
        self.largest = largest

    def propose(self, random: random.Random) -> Question:
        a, b = random.randint(0, self.largest), random.randint(0, self.largest)
        return Question(f"{a}+{b}=", a + b, kind="small" if a + b < 10 else "large", family=repr(sorted([a, b])))

    def judge(self, question: Question, answer: str) -> Verdict:
        read = int(answer) if answer.isdecimal() else None
        return Verdict({"correct": read == question.truth, "short": len(answer) < 4,
                        "distance": None if read is None else abs(read - question.truth)})  # fmt: skip


def text(n_paragraphs: int = 300) -> str:
    """Paragraphs of words, the last tenth unlike the rest but for a few that stand in both."""
    source = random.Random(0)
    words = ["".join(source.choices("abcdefgh", k=5)) for _ in range(200)]
    paragraphs = [" ".join(source.choices(words, k=30)) for _ in range(n_paragraphs)]
    return "\n\n".join(paragraphs + paragraphs[:3])


COPYING = Copying(text=text())
SUITES: dict[str, Suite] = {"sums": Sums(), "copying": COPYING, "short copying": Copying(6, 2, text=text())}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_splits_share_no_question_and_no_family(suite):
    drawn = {split: suite.draw(split, 20, seed) for split in SPLITS for seed in (0,)}
    for seed in range(1, 6):
        for split in SPLITS:
            drawn[split] += suite.draw(split, 20, seed)
    for name in ("prompt", "family"):
        held = {split: {getattr(question, name) for question in drawn[split]} for split in SPLITS}
        for one in SPLITS:
            for other in SPLITS:
                assert one == other or not held[one] & held[other]
    for split in SPLITS:
        assert all(suite.split_of(question) == split for question in drawn[split])


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_a_seed_gives_the_same_questions_and_more_of_them_begin_with_the_same(suite):
    first = suite.draw("test", 15, seed=3)
    assert first == suite.draw("test", 15, seed=3) and suite.draw("test", 25, seed=3)[:15] == first
    assert first != suite.draw("test", 15, seed=4)
    assert len({question.prompt for question in suite.draw("train", 40)}) == 40


def test_a_family_s_split_follows_from_itself_alone():
    """The shares hold, and another Python process would cut the same way."""
    suite = Sums(largest=10**6)
    questions = [suite.propose(random.Random(i)) for i in range(4000)]
    found = [suite.split_of(question) for question in questions]
    assert abs(found.count("train") / 4000 - 0.8) < 0.03 and abs(found.count("test") / 4000 - 0.1) < 0.02
    families = [question.family for question in questions[:50]]
    code = (
        "import sys\nfrom insideout.data.text.copying import Copying\n"
        "from insideout.data.suite import Question, Suite\n"
        "Copying.name, Copying.__init__ = 'sums', lambda self: None\n"
        "print([Suite.split_of(Copying(), Question('another prompt', family=each)) for each in sys.argv[1:]])"
    )
    other = subprocess.run([sys.executable, "-c", code, *families], check=True, capture_output=True, text=True)
    assert other.stdout.strip() == repr(found[:50])


def test_there_are_only_so_many_questions():
    assert len(Sums(largest=2).draw("train", 3)) == 3
    with pytest.raises(BadInput, match="no more than about"):
        Sums(largest=2).draw("train", 10)
    with pytest.raises(BadInput, match=r"no more than about \d+ test questions"):
        SUITES["copying"].draw("test", 10_000)
    with pytest.raises(BadInput, match="give at least 1"):
        SUITES["copying"].draw("test", 0)


def test_a_verdict_is_asked_for_its_parts():
    verdict = Verdict({"correct": False, "distance": None})
    assert verdict["correct"] is False and verdict["distance"] is None
    with pytest.raises(TypeError, match="correct, distance"):
        assert verdict
    for wrong in [{}, {"correct": float("nan")}]:
        with pytest.raises(BadInput):
            Verdict(wrong)


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_a_judge_names_the_parts_it_promised(suite):
    for question in suite.draw("test", 10):
        for answer in ("", " ", "12", " so it goes on", "\n\n"):
            assert tuple(suite.judge(question, answer).parts) == suite.parts


def test_copying_questions_by_hand():
    unseen = [f"a{i} b c d" for i in "xyzuvw"]  # the last tenth of the text
    known = ["one two three four", "five six seven eight"]
    suite = Copying(4, 2, text="\n\n".join([*known * 40, *(each.replace("a", "") for each in unseen)]))
    assert suite.passages["train"] == known
    assert sorted(suite.passages["development"] + suite.passages["test"]) == sorted(e.replace("a", "") for e in unseen)
    repeated, fresh = suite.draw("train", 2)
    assert (repeated.kind, fresh.kind) == ("repeated", "fresh") and repeated.family == fresh.family
    mine, other = known if repeated.family == known[0] else known[::-1]
    beginning, rest = " ".join(mine.split()[:2]), tuple(mine.split()[2:])
    assert repeated.prompt == f"{mine}\n\n{beginning}" and fresh.prompt == f"{other}\n\n{beginning}"
    assert repeated.truth == fresh.truth == rest


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 6), st.integers(0, 2**32))
def test_copying_counts_the_words_before_the_first_mistake(right, seed):
    suite = SUITES["copying"]
    question = next(islice(suite.stream("test", seed), 1))
    words = list(question.truth)
    if right < 6:
        words[right] += "x"
    answer = " " + " ".join(words) + " and so on"
    assert suite.judge(question, answer).parts == {"next_word": right > 0, "copied": right / 6}
    assert suite.judge(question, answer[1:])["copied"] == 0, "it goes on inside the prompt's last word"
    assert suite.judge(question, "\n" + answer)["copied"] == right / 6
    assert suite.judge(question, "")["next_word"] is False


def test_copying_keeps_training_passages_out_of_the_test():
    suite = COPYING
    held_out = text()[int(0.9 * len(text())) :]
    assert set(passages(held_out, 16)) & set(suite.passages["train"]), "the text repeats itself across the cut"
    assert suite.passages["test"] and suite.passages["development"]
    assert not set(passages(text()[: int(0.9 * len(text()))], 16)) & set(suite.passages["test"])
