"""Word problems and sums: read back and solved by other means; what is held out; the judge and its labels, mutated."""

import random
import re
from itertools import islice

import pytest

from insideout.data.problems import Sums, WordProblems, verdict
from insideout.data.problems.steps import FORMS, pieces, read_step, solution, steps_in
from insideout.data.problems.word_problems import HAPPENINGS
from insideout.data.suite import SPLITS
from insideout.errors import BadInput

SUITE = WordProblems(distractors=2)
DRAWN = {split: SUITE.draw(split, 150, seed=1) for split in SPLITS}
EVERY = [question for questions in DRAWN.values() for question in questions]
N, G, X, Y = r"(?P<n>\d+)", r"(?P<g>[a-z]+?)s?", r"(?:Then )?(?P<x>[A-Z][a-z]+)", r"(?P<y>[A-Z][a-z]+)"


def solved(text):
    """The answer, by simulating every sentence; a person of whom nothing is known starts with None."""
    has: dict[tuple[str, str], int] = {}
    *told, asked = re.split(r"(?<=[.?])\s+", text.strip())

    def change(who, goods, by):
        if (who, goods) in has:
            has[who, goods] += by

    for sentence in told:
        if found := re.fullmatch(rf"{X} had {N} (more|fewer) {G} than {Y}\.", sentence):
            n = int(found["n"]) * (1 if found[3] == "more" else -1)
            has[found["x"], found["g"]] = has[found["y"], found["g"]] + n
        elif found := re.fullmatch(rf"{X} had (twice|half) as many {G} as {Y}\.", sentence):
            other = has[found["y"], found["g"]]
            assert found[2] == "twice" or other % 2 == 0
            has[found["x"], found["g"]] = other * 2 if found[2] == "twice" else other // 2
        elif found := re.fullmatch(rf"{X} had {N} {G}\.", sentence):
            has[found["x"], found["g"]] = int(found["n"])
        elif found := re.fullmatch(rf"{X} (?:found|bought|got) {N} more {G}\.", sentence):
            change(found["x"], found["g"], int(found["n"]))
        elif found := re.fullmatch(rf"{X} (?:ate|lost) {N} {G}\.", sentence):
            change(found["x"], found["g"], -int(found["n"]))
        else:
            found = re.fullmatch(rf"{X} gave {N} {G} to {Y}\.", sentence)
            found = found or re.fullmatch(rf"{X} gave {Y} {N} {G}\.", sentence)
            assert found, sentence
            change(found["x"], found["g"], -int(found["n"]))
            change(found["y"], found["g"], int(found["n"]))
    if found := re.fullmatch(rf"How many {G} does {X} have(?: now)?\?", asked):
        return has[found["x"], found["g"]]
    found = re.fullmatch(rf"How many {G} do {X} and {Y} have (?:together|in all)\?", asked)
    assert found, asked
    return has[found["x"], found["g"]] + has[found["y"], found["g"]]


def test_every_answer_is_what_the_words_say():
    for question in EVERY:
        assert solved(question.prompt[0].content) == question.truth.answer, question


def test_the_steps_hold_and_lead_to_the_answer_within_the_numbers():
    for question in EVERY:
        truth = question.truth
        assert all(step.holds for step in truth.steps) and truth.steps[-1].result == truth.answer
        assert all(1 <= number <= 20 for step in truth.steps for number in (step.left, step.right, step.result))
        assert all(a.result in (b.left, b.right) for a, b in zip(truth.steps, truth.steps[1:], strict=False))
        assert question.kind == f"{len(truth.steps)} step{'s' if len(truth.steps) > 1 else ''}"


def test_structures_of_the_test_are_in_no_training_question():
    structures = {split: {q.truth.structure for q in some if len(q.truth.steps) > 1} for split, some in DRAWN.items()}
    assert all(len(some) > 60 for some in structures.values())
    assert not structures["train"] & structures["test"] and not structures["train"] & structures["development"]
    assert not structures["development"] & structures["test"]
    assert {question.kind for question in DRAWN["test"]} == {question.kind for question in DRAWN["train"]}
    single = {split: {q.family for q in some if len(q.truth.steps) == 1} for split, some in DRAWN.items()}
    assert not single["train"] & single["test"] and single["test"]


def test_lengths_may_be_held_out():
    suite = WordProblems([1, 2, 3], held_out_steps=[3])
    kinds = {split: {question.kind for question in suite.draw(split, 100)} for split in SPLITS}
    assert kinds["train"] == {"1 step", "2 steps"}
    assert kinds["development"] == kinds["test"] == {"1 step", "2 steps", "3 steps"}
    three = {split: {q.family for q in suite.draw(split, 150) if q.kind == "3 steps"} for split in SPLITS[1:]}
    assert not three["development"] & three["test"]


def test_everything_happens_and_distractors_are_as_many_as_said():
    seen = {what for question in EVERY for what in question.truth.structure}
    assert seen == {*HAPPENINGS, "with", "both"}
    assert {question.truth.n_distractors for question in EVERY} == {0, 1, 2}
    without = WordProblems(distractors=0).draw("test", 50)
    assert all(question.truth.n_distractors == 0 for question in without)
    for question in without:  # then every number that is told is needed
        told = [int(n) for n in re.findall(r"\d+", question.prompt[0].content)]
        assert sorted(told) == sorted(question.truth.numbers)


def test_no_answer_is_so_frequent_that_guessing_it_pays():
    answers = [question.truth.answer for question in EVERY]
    assert max(map(answers.count, set(answers))) < 0.2 * len(answers)


@pytest.mark.parametrize("form", FORMS)
def test_solutions_are_strictly_right_and_their_steps_too(form):
    for question in EVERY[::5]:
        text = SUITE.solution(question, form)
        assert SUITE.judge(question, text).parts == dict.fromkeys(SUITE.parts, True)
        n = 0 if form == "direct" else len(question.truth.steps)
        assert SUITE.steps_right(question, text) == [True] * n
        assert "".join(piece.text for piece in pieces(text)) == text


def test_a_solution_fits_in_its_tokens_even_letter_by_letter():
    assert all(len(SUITE.solution(q)) - 14 <= SUITE.max_new_tokens for q in EVERY), "think marks are a token each"


def test_demonstrations_are_conversations_with_the_solution():
    for form, turns in ((form, next(SUITE.demonstrations("train", 3, form))) for form in FORMS):
        question = next(SUITE.stream("train", 3))
        assert turns[:-1] == question.prompt and turns[-1] == ("assistant", SUITE.solution(question, form))
    text = WordProblems(chat=False, cue="Think.")
    question = next(text.stream("train", 3))
    assert question.prompt.endswith(" Think.\n")
    assert next(text.demonstrations("train", 3))[0].content == question.prompt.rstrip("\n")


def test_the_judge_sees_every_changed_answer():
    source = random.Random(0)
    for question in EVERY[::3]:
        right = SUITE.solution(question)
        gold = question.truth.answer
        other = source.choice([n for n in range(30) if n != gold])
        wrong = right.replace(f"#### {gold}", f"#### {other}")
        assert SUITE.judge(question, wrong).parts == {
            "strict": False, "lenient": False, "format": True, "readable": True,
        }  # fmt: skip
        stated_otherwise = f"{right.partition('####')[0]}That makes {gold} in the end, I think"
        verdict_ = SUITE.judge(question, stated_otherwise).parts
        assert (verdict_["strict"], verdict_["lenient"], verdict_["format"]) == (False, True, False)
        unclosed = right.replace("</think>", "")
        assert not any(SUITE.judge(question, unclosed).parts.values())
        assert not any(SUITE.judge(question, "").parts.values())
        assert not SUITE.judge(question, f"{right} or {other}")["lenient"]


def test_labels_of_steps_that_were_changed():
    """The first wrong one is False, what is before it True, what is behind it None."""
    source = random.Random(0)
    for question in EVERY:
        steps = [step.text for step in question.truth.steps]
        at = source.randrange(len(steps))
        step = question.truth.steps[at]
        for changed in (
            step._replace(result=step.result + 1).text, step._replace(left=step.left + 1).text, "so it is", "4+3",
            f"{step.left}+{step.right}=={step.result}",
        ):  # fmt: skip
            text = solution([*steps[:at], changed, *steps[at + 1 :]], str(question.truth.answer))
            assert SUITE.steps_right(question, text) == [True] * at + [False] + [None] * (len(steps) - at - 1)
        turned = solution([*steps[:at], step.turned.text, *steps[at + 1 :]], "1")
        assert SUITE.steps_right(question, turned)[at] is (step.sign in "+*" or step.left == step.right)
        skipped = SUITE.steps_right(question, solution(steps[1:], "1"))
        assert skipped == [] or skipped[0] is (steps[1] == steps[0])
        too_many = SUITE.steps_right(question, solution([*steps, "1+1=2"], "1"))
        assert too_many == [True] * len(steps) + [False]


def test_a_truncated_response_has_the_labels_of_what_is_there():
    question = next(q for q in EVERY if len(q.truth.steps) == 3)
    first, second, _ = (step.text for step in question.truth.steps)
    assert SUITE.steps_right(question, f"<think>{first}\n{second}") == [True, True]
    assert SUITE.steps_right(question, f"<think>{first}\n{second[:-1]}")[0] is True
    assert SUITE.steps_right(question, f"{first}\n\n  {second} \n#### 5\nmore") == [True, True]


@pytest.mark.parametrize(
    "text",
    ["", "#### 5", "<think></think>#### 5", "<think>4+3=7\n7-2=5</think>#### 5", "4+3=7\r\n7-2=5\n#### 5", "a\n\nb",
     "x<think>1+1=2\n\n", "</think>", "<think>1+1=2</think>\nThe answer is 2.\nmore"],
)  # fmt: skip
def test_pieces_are_the_whole_and_a_step_owns_its_line_end(text):
    found = pieces(text)
    assert "".join(piece.text for piece in found) == text
    for piece in found:
        assert not piece.is_step or (piece.text.strip() and "\n" not in piece.text.rstrip("\r\n"))


def test_read_step_reads_what_is_one():
    assert read_step(" 4 + 3 = 7 ").text == "4+3=7"
    assert not read_step("7/2=3").holds and not read_step("7/0=7").holds and read_step("6/2=3").holds
    for text in ("4+3", "4+3=7=7", "-4+3=1", "4^3=64", "4+3=7 (left: 2)", "9999999999+1=2", "__import__('os')"):
        assert read_step(text) is None
    assert list(steps_in("<think>a\n b </think>c")) == ["a", "b"]


def test_sums_are_added_from_the_left_and_never_turned_around():
    suite = Sums(steps=[1, 2, 3])
    drawn = {split: suite.draw(split, 60) for split in ("train", "test")}
    for question in drawn["test"]:
        numbers = [int(n) for n in question.prompt[0].content.split("+")]
        assert sum(numbers) == question.truth.answer
        assert [step.result for step in question.truth.steps] == [
            sum(numbers[: i + 2]) for i in range(len(numbers) - 1)
        ]  # fmt: skip
        assert verdict(suite.solution(question), str(sum(numbers))) == "right"
    families = [{tuple(sorted(q.truth.numbers)) for q in some} for some in drawn.values()]
    assert not families[0] & families[1]


def test_the_same_seed_gives_the_same_questions_and_another_seed_others():
    again = WordProblems(distractors=2).draw("test", 150, seed=1)
    assert again == DRAWN["test"] and list(islice(SUITE.stream("test", 2), 150)) != again


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: WordProblems([]), "from 1 on"), (lambda: WordProblems([0, 1]), "from 1 on"),
        (lambda: WordProblems([9]), "at most 8 steps"), (lambda: WordProblems(largest=3), "6 or more"),
        (lambda: WordProblems(distractors=4), "from 0 to 3"), (lambda: Sums(largest=1), "at least 2"),
        (lambda: WordProblems([1, 2], held_out_steps=[1, 2]), "leave one"),
        (lambda: WordProblems([1, 2], held_out_steps=[3]), "held out"),
        (lambda: SUITE.solution(EVERY[0], "aloud"), "choose think"),
        (lambda: next(SUITE.demonstrations("train", form="aloud")), "choose think"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(BadInput, match=says):
        make()
