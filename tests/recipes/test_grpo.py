"""Grpo: what it learns from, what it leaves, what it refuses. The machinery is tested in test_policy_training.py."""

import json
import re

import pytest

from insideout.cli.commands.grpo import after
from insideout.cli.flags import docstrings, names_in
from insideout.data.problems.sums import Sums
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.recipes import grpo, reasoner
from insideout.recipes.board import SUITES, is_asked
from insideout.recipes.settings import change
from insideout.recipes.stage import make_in, recipe


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose results all of these tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def made(name="grpo", **changes):
    return recipe(name, scale="tiny", tell=lambda event: None, **changes)


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        ("<think>3+4=7</think>#### 7", 1.0),
        ("#### 7", 1.0),
        ("<think>3+4=7</think>#### 17", 0.0),  # the number occurs in it
        ("<think>3+4=7</think>7 or 17 #### 1", 0.0),
        ("<think>3+4=7</think>", 0.0),  # the number stands in the thinking
        ("<think>3+4=7", 0.0),
        ("it is 7", 0.0),  # right, but not as it was asked for
        ("#### 7 #### 8", 0.0),
        ("#### 3+4", 0.0),
        ("", 0.0),
    ],
)
def test_a_right_answer_is_worth_1_and_nothing_else_is_worth_anything(answer, worth):
    suite = Sums((1,))
    question = next(q for q in suite.stream("train") if q.truth.answer == 7)
    assert grpo.worth(suite)(question, answer) == worth


def test_it_leaves_curves_a_model_that_answers_and_a_report(home):
    run = made()
    records, result = run.metrics(), run.result()
    assert len(records) == grpo.SETTINGS["tiny"].train.steps
    for record in records:
        assert {"reward", "kl", "entropy", "length", "alike", "clip_fraction"} <= record.keys()
        assert 0 <= record["reward"] <= 1 and "gold" not in record and "value_loss" not in record
    assert {"greedy", "sampled", "lenient", "mixed", "held_out_kl"} <= result.keys()
    assert result["sampled"] <= result["lenient"]
    [[answer]] = run.writer(0.0).write([(Message("user", "3+4"),)], 1, 0, 5)
    assert 0 < len(answer.ids) <= 5
    headings = re.findall(r"<h2>(.*?)</h2>", run.report.read_text("utf-8"))
    for section in ("Reward", "Development problems", "Problems that teach", "Entropy", "Length"):
        assert section in headings
    assert "development problems" in after(run)
    assert [name for name, suite in SUITES.items() if is_asked(run, name, suite("tiny"))] == ["sums"]


def test_its_problems_are_of_the_training_split_and_new_in_each_round():
    config, suite = grpo.SETTINGS["tiny"], reasoner.SETTINGS["tiny"].suite
    asked = [grpo.questions_of(suite, config, number) for number in (3, 3, 4)]
    assert asked[0] == asked[1] != asked[2] and len(asked[0]) == config.policy.prompts
    assert {suite.split_of(question) for each in asked for question in each} == {"train"}


def test_it_goes_on_from_a_model_of_ones_own_and_on_problems_of_ones_own(home, tmp_path):
    begun = made("reasoner")
    file = tmp_path / "problems.jsonl"
    file.write_text(
        "".join(json.dumps({"question": f"{a}+{b}", "answer": a + b}) + "\n" for a in range(9) for b in range(9))
    )
    changed = {"model": str(begun.path), "data": str(file), "questions": 4, "steps": 2}
    settings = change(grpo.SETTINGS["tiny"], changed)
    run = make_in(grpo.STAGE, settings, tmp_path / "one", "tiny", lambda event: None)
    further = change(settings, {"model": str(run.path), "data": ""})
    assert make_in(grpo.STAGE, further, tmp_path / "two", "tiny", lambda event: None).fingerprint != run.fingerprint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"advantage": "gae"}, "needs a critic"),
        ({"samples": 1, "batch_size": 4}, "compares answers to one prompt"),
        ({"questions": 1}, "questions must be at least 2"),
        ({"precision": "bfloat16"}, "it must be float32"),
        ({"batch_size": 5}, "16 answers and an update is made from 5"),
        ({"max_new_tokens": 200}, "the context holds"),
        ({"model": "absent"}, "There is no model in absent"),
        ({"data": "absent.jsonl"}, "absent"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(home, changes, words):
    with pytest.raises(BadInput, match=words) as refused:
        made(**changes)
    assert "\n" not in str(refused.value)


def test_every_setting_has_its_words_and_a_name_of_its_own():
    assert {"model", "data", "policy", "train"} <= docstrings(grpo.GRPOConfig).keys()
    names = names_in(grpo.GRPOConfig)
    assert len(names) == len(set(names)), "a flag would need a prefix"
