"""The assistant that is taught to think: what is carried over, what is added, what is rehearsed, what is refused."""

import re

import pytest
import torch

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.recipes import solver, thinker
from insideout.recipes.board import SUITES
from insideout.recipes.settings import change
from insideout.recipes.stage import find, make_in, recipe

SHORT = {"steps": 2, "warmup_steps": 1, "questions": 2}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """An assistant, and it taught to think; a home that all of these tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        start = recipe("sft", scale="tiny", tell=lambda event: None, model={"steps": 2, "warmup_steps": 1}, **SHORT)
        settings = change(thinker.SETTINGS["tiny"], {"model": str(start.path), "samples": 1, **SHORT})
        yield (
            start,
            make_in(thinker.STAGE, settings, tmp_path_factory.mktemp("run") / "one", "tiny", lambda event: None),
        )


def test_vocabulary_and_template_are_carried_over_and_the_think_tokens_added(begun):
    start, run = begun
    before, after = start.tokenizer(), run.tokenizer()
    assert after.vocab_size == before.vocab_size + 2 == run.model().config.vocab_size
    assert {"<think>", "</think>"} <= after.special_ids.keys() and run.template == start.template
    text = "Anna was in the kitchen."
    assert after.encode(text) == before.encode(text) and after.end_id == before.end_id
    assert {"greedy", "sampled", "stop_rate", "town", "validation_loss"} <= run.result().keys()
    assert {name for name, suite in SUITES.items() if name in run.suites} == {"instructions", "sums"}
    headings = re.findall(r"<h2>(.*?)</h2>", run.report.read_text("utf-8"))
    assert "Development questions of the town" in headings


def test_the_weights_are_the_assistants_before_the_first_step(begun, tmp_path):
    start, _ = begun
    settings = change(
        thinker.SETTINGS["tiny"],
        {"model": str(start.path), "samples": 1, **SHORT, "steps": 1, "optimizer": "adamw", "lr": 1e-9, "min_lr": 0.0},
    )
    run = make_in(thinker.STAGE, settings, tmp_path / "one", "tiny", lambda event: None)
    ours, theirs = run.model().state_dict(), start.model().state_dict()
    for name, weights in theirs.items():
        assert torch.allclose(ours[name][: len(weights)], weights, atol=1e-4), name


def test_it_rehearses_the_share_that_was_asked_for(begun):
    kept = [thinker.SETTINGS[at].kept for at in thinker.SETTINGS]
    assert all(0 < share < 1 for share in kept)
    assert find("solver").inputs == {"model": "thinker"} and find("thinker").inputs == {"model": "dpo"}


def test_grpo_goes_on_from_it_on_its_own_sums(begun, tmp_path):
    _, run = begun
    changed = {"model": str(run.path), "steps": 1, "warmup_steps": 0, "questions": 2, "check_samples": 1}
    settings = change(solver.SETTINGS["tiny"], changed)
    further = make_in(solver.STAGE, settings, tmp_path / "one", "tiny", lambda event: None)
    assert further.tokenizer().fingerprint == run.tokenizer().fingerprint
    assert further.suites == run.suites and len(further.metrics()) == 1


def test_one_that_learned_without_think_tokens_can_still_be_asked(begun, tmp_path):
    start, _ = begun
    changed = {"model": str(start.path), "steps": 1, "warmup_steps": 0, "questions": 2, "check_samples": 1}
    run = make_in(solver.STAGE, change(solver.SETTINGS["tiny"], changed), tmp_path / "one", "tiny", lambda event: None)
    assert run.tokenizer().fingerprint == start.tokenizer().fingerprint
    assert run.writer(0.0).write([(Message("user", "3+4"),)], 1, 0, 3)[0][0].ids


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shortest": 3}, "shortest is 3 and longest 2"),
        ({"kept": 1.0}, "kept 1.0"),
        ({"thinking": 0.0}, "thinking is 0.0"),
        ({"questions": 1}, "questions must be at least 2"),
        ({"largest": 1}, "let the largest be at least 2"),
        ({"row_length": 500}, "more than the model's context of 384"),
        ({"longest": 40}, "set longest lower"),
        ({"model": "absent"}, "There is no model in absent"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(begun, tmp_path, changes, words):
    start, _ = begun
    with pytest.raises(BadInput, match=words) as refused:
        settings = change(thinker.SETTINGS["tiny"], {"model": str(start.path), **changes})
        make_in(thinker.STAGE, settings, tmp_path / "one", "tiny", lambda event: None)
    assert "\n" not in str(refused.value) and not (tmp_path / "one").exists()
