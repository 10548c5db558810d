"""Countdown: searched by other means, expressions read against Python's own reading, judge and labels mutated."""

import itertools
import random
import time

import pytest

from insideout.data.problems import Countdown
from insideout.data.problems.countdown import (
    chance,
    expression_of,
    last_expression,
    moves,
    parse,
    reachable,
    solvable,
    solve,
)
from insideout.data.problems.steps import FORMS, Step, solution
from insideout.data.suite import SPLITS
from insideout.errors import BadInput

SUITE = Countdown()
DRAWN = {split: SUITE.draw(split, 60, seed=1) for split in SPLITS}
EVERY = [question for questions in DRAWN.values() for question in questions]


def ends(numbers, every):
    """All values by trying every order of steps, without memory: another search than the library's."""
    found = {numbers[0]} if len(numbers) == 1 else set() if every else set(numbers)
    for i, j in itertools.permutations(range(len(numbers)), 2):
        a, b = numbers[i], numbers[j]
        rest = [n for k, n in enumerate(numbers) if k not in (i, j)]
        for value in [a + b, a * b, *([a - b] if a >= b else []), *([a // b] if b and a % b == 0 else [])]:
            found |= ends([*rest, value], every)
    return found


@pytest.mark.parametrize("numbers", [[3], [2, 5], [4, 4], [1, 2, 3], [7, 7, 7], [2, 3, 5, 7], [1, 1, 6, 20]])
def test_what_can_be_made_is_what_trying_everything_makes(numbers):
    assert reachable(tuple(sorted(numbers))) == ends(numbers, every=True)
    loose = ends(numbers, every=False)
    for target in range(1, 60):
        assert solvable(numbers, target, use_all=False) == (target in loose), target
        assert (solve(numbers, target) is not None) == (target in reachable(tuple(sorted(numbers))))


def test_known_games():
    assert not solvable([1, 1, 1], 10) and solve([1, 1, 1], 10) is None
    assert not solvable([3, 3, 8, 8], 24), "only by way of a fraction, 8 / (3 - 8/3)"
    assert solvable([4, 7, 8, 8], 24) and solvable([2, 100], 100, use_all=False) and not solvable([2, 100], 100)


def test_chance_is_the_share_of_blind_games_that_win():
    source = random.Random(0)
    for numbers, target in (([2, 3], 6), ([2, 3, 4], 14), ([1, 2, 2], 4)):
        won = 0
        for _ in range(4000):
            held = tuple(sorted(numbers))
            while held != (target,) and len(held) > 1:
                held = source.choice(moves(held)).left
            won += held == (target,)
        assert abs(won / 4000 - chance(numbers, target)) < 0.035, numbers  # over four standard errors
    assert chance([2, 3], 6) == 1 / 3 and chance([6], 6) == 1 and chance([1, 1], 9) == 0  # 2 does not divide 3
    assert chance([2, 6], 6, use_all=False) == 1


def test_moves_are_each_once_and_keep_the_rules():
    for numbers in ([5, 5, 5], [0, 3], [2, 6, 12]):
        found = moves(numbers)
        assert len(set(found)) == len(found)
        for move in found:
            assert move.step.holds and move.step.result >= 0 and len(move.left) == len(numbers) - 1
    assert {move.text for move in moves([2, 6])} == {
        "6+2=8 (left: 8)", "6-2=4 (left: 4)", "6*2=12 (left: 12)", "6/2=3 (left: 3)",
    }  # fmt: skip
    assert not any(move.step.sign == "/" for move in moves([0, 3]) if move.step.right == 0)


def test_expressions_give_what_their_steps_give():
    for question in EVERY:
        game = question.truth
        assert game.moves[-1].left == (game.target,)
        assert eval(game.answer.replace("/", "//")) == game.target  # our own text, and exact
        assert parse(game.answer) == (game.numbers, game.target)
    for numbers in ([2, 3, 4, 12], [1, 2, 8, 8]):  # every sign inside every other, on both sides
        for one in moves(numbers):
            for two in moves(one.left):
                for three in moves(two.left):
                    text = expression_of([one.step, two.step, three.step], numbers)
                    assert parse(text) == (tuple(sorted(numbers)), three.left[0]), text


def test_reading_agrees_with_python_on_random_expressions():
    source = random.Random(0)

    def grown(depth):
        if depth == 0 or source.random() < 0.3:
            return str(source.randint(0, 12))
        text = f"{grown(depth - 1)}{source.choice(['+', '-', '*', '/', ' + ', ' * '])}{grown(depth - 1)}"
        return f"({text})" if source.random() < 0.5 else text

    n_read = 0
    for _ in range(400):
        text = grown(3)
        found = parse(text)
        assert found is not None and list(found.numbers) == sorted(
            int(n) for n in __import__("re").findall(r"\d+", text)
        )
        if found.value is not None:
            n_read += 1
            assert found.value == eval(text)  # made above, of digits and signs
    assert n_read > 150


@pytest.mark.parametrize(
    "text",
    ["", " ", "3+", "+3", "3 4", "(3+5", "3+5)", "()", "3++5", "2**3", "3+-5", "3=3", "a+1", "1.5+2", "1e9", "3,5",
     "__import__('os')", "(" * 60 + "1" + ")" * 60, "1+" * 70 + "1", "9" * 10 + "+1", "3+5=8"],
)  # fmt: skip
def test_what_is_no_expression_is_not_read(text):
    assert parse(text) is None


def test_divisions_leave_no_rest_and_signs_of_print_are_read():
    assert parse("7/2*2").value is None and parse("1/0").value is None and parse("0*(1/0)").value is None
    assert parse("8/2").value == 4 and parse("3-5+10").value == 8 and parse("2−1").value == 1
    assert parse(r"3 \times (8 ÷ 2)").value == 12 and parse("3 × 4 · 2").value == 24


def test_nothing_that_is_written_takes_long():
    game = DRAWN["test"][0]
    began = time.process_time()
    for text in ("(+" * 20000, "1+" * 20000, "9" * 50000, "(" * 50000, "- " * 30000, "<think>" + "1+1=2\n" * 5000):
        assert not any(SUITE.judge(game, text).parts.values())
        SUITE.steps_right(game, text)
    assert time.process_time() - began < 3


@pytest.mark.parametrize("held_out", ["numbers", "targets"])
def test_what_is_held_out_is_in_no_training_game(held_out):
    suite = Countdown([3], held_out=held_out)
    drawn = {split: suite.draw(split, 60) for split in SPLITS}
    of = (lambda game: game.target) if held_out == "targets" else (lambda game: game.numbers)
    values = {split: {of(question.truth) for question in some} for split, some in drawn.items()}
    assert not values["train"] & values["test"] and not values["train"] & values["development"]
    assert not values["development"] & values["test"]
    assert {question.kind for question in EVERY} == {"3 numbers", "4 numbers"}


@pytest.mark.parametrize("form", FORMS)
def test_solutions_are_strictly_right_and_their_steps_too(form):
    for question in EVERY[::4]:
        text = SUITE.solution(question, form)
        assert SUITE.judge(question, text).parts == dict.fromkeys(SUITE.parts, True)
        n = 0 if form == "direct" else len(question.truth.moves)
        assert SUITE.steps_right(question, text) == [True] * n


def test_the_judge_sees_what_is_changed():
    source = random.Random(0)
    for question in EVERY[::2]:
        game = question.truth
        right = solution([], game.answer, "direct")
        number = source.choice(game.numbers)
        for wrong in (f"{right}+1", right.replace(str(number), str(number + 1), 1), f"#### {game.target}+0",
                      f"{right}+{number}-{number}", f"#### {game.target}*1"):  # fmt: skip
            verdict = SUITE.judge(question, wrong)
            assert (verdict["strict"], verdict["lenient"], verdict["format"]) == (False, False, True), wrong
        verdict = SUITE.judge(question, f"It is {game.answer} = {game.target}.")
        assert (verdict["strict"], verdict["lenient"], verdict["format"]) == (False, True, False)
        assert not any(SUITE.judge(question, f"#### {game.target}").parts[part] for part in ("strict", "lenient"))
        assert not any(SUITE.judge(question, f"<think>{game.answer}").parts.values())
        assert not any(SUITE.judge(question, "I do not know.").parts.values())
        steps = "\n".join(move.text for move in game.moves)
        assert SUITE.judge(question, steps)["lenient"] and not SUITE.judge(question, steps)["strict"]
        assert not SUITE.judge(question, "\n".join(move.text for move in game.moves[:-1]))["lenient"]
        assert not SUITE.judge(question, f"{game.answer}, or {number}+{number}+1")["lenient"], "the last one counts"


def test_labels_are_what_the_search_says():
    """Every first move of a game is right exactly if trying everything from there makes the target."""
    for question in EVERY[::12]:
        game = question.truth
        for move in moves(game.numbers):
            [label] = SUITE.steps_right(question, f"<think>{move.text}")
            assert label is (game.target in ends(list(move.left), every=True)), (question, move)


def test_labels_of_steps_that_were_changed():
    for question in EVERY[::3]:
        texts = [move.text for move in question.truth.moves]
        first = question.truth.moves[0].step
        for wrong in (first._replace(result=first.result + 1).text, "99+1=100", f"{first.text} (left: 99)", "hm",
                      f"{first.left}+{first.left}+1=3"):  # fmt: skip
            assert SUITE.steps_right(question, solution([wrong, *texts[1:]], "1")) == [False] + [None] * (
                len(texts) - 1
            )
        bare = [move.step.text for move in question.truth.moves]
        assert SUITE.steps_right(question, solution(bare, "1")) == [True] * len(texts), "what is left may go unsaid"
        assert SUITE.steps_right(question, solution([*texts, "1+1=2"], "1")) == [True] * len(texts) + [False]


def test_at_most_once_is_judged_so():
    loose = Countdown(use_all=False)
    question = loose.question([2, 5, 10], 50)
    assert (
        loose.judge(question, "#### 5*10")["strict"]
        and not SUITE.judge(SUITE.question([1, 5, 10], 50), "#### 5*10")["strict"]
    )
    assert not loose.judge(question, "#### 5*5*2")["strict"]
    assert loose.steps_right(question, "10*5=50") == [True]


def test_last_expression_of_a_text():
    assert last_expression("First 3+4, then (3+4)*2 = 14.").value == 14
    assert last_expression("- 3+4") == ((3, 4), 7) and last_expression("nothing, 7") is None


def test_the_same_seed_gives_the_same_games():
    assert Countdown().draw("test", 60, seed=1) == DRAWN["test"] != Countdown().draw("test", 60, seed=2)
    assert next(Countdown(chat=False).stream("test")).prompt.endswith(".\n")
    assert next(SUITE.demonstrations("train"))[-1].role == "assistant"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SUITE.question([1, 1, 1], 10), "10 cannot be made of 1 1 1"),
        (lambda: SUITE.question([], 10), "from 1 to 5"), (lambda: SUITE.question([1] * 6, 6), "from 1 to 5"),
        (lambda: SUITE.question([-1, 2], 1), "at least 0"), (lambda: Countdown([]), "from 2 to 5"),
        (lambda: Countdown([6]), "from 2 to 5"), (lambda: Countdown(largest=1), "from small to large"),
        (lambda: Countdown(targets=(9, 3)), "from small to large"),
        (lambda: Countdown(held_out="words"), "by numbers or targets"),
        (lambda: SUITE.solution(EVERY[0], "aloud"), "choose think"),
        (lambda: expression_of([Step(9, "+", 1, 10)], [2, 3]), "takes 9, which is not there"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(BadInput, match=says):
        make()
