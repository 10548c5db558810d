"""The reasoner: what it learns from, what it leaves, what it refuses."""

from itertools import islice

import pytest

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning.templates import OURS
from insideout.reasoning.thinking import ThinkingFormat, ThinkingWriter
from insideout.recipes import reasoner, undecided
from insideout.recipes.settings import change
from insideout.recipes.stage import recipe


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose results all of these tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def made(**changes):
    return recipe("reasoner", scale="tiny", tell=lambda event: None, **changes)


@pytest.mark.parametrize("at", reasoner.SETTINGS)
def test_every_number_of_its_sums_is_one_token_and_every_solution_has_room(at):
    config = reasoner.SETTINGS[at]
    tokenizer = reasoner.vocabulary(config)
    assert tokenizer.vocab_size <= config.model.vocab_size
    chat = ThinkingFormat(tokenizer, OURS)
    for number in range(1, (config.longest + 1) * config.largest + 1):
        assert len(tokenizer.encode(f"{number}")) == 1
        assert len(tokenizer.encode(f"#### {number}")) == 2
    for question in islice(config.suite.stream("train"), 200):
        answer = tokenizer.encode(config.suite.solution(question), special=("<think>", "</think>"))
        assert len(answer) < config.max_new_tokens
        assert len(chat.prompt(question.prompt)) + config.max_new_tokens <= config.model.context_length


def test_it_learns_from_sums_of_the_training_split_in_the_form_asked_for(home):
    for form in ("think", "direct"):
        run = made(form=form, seed=1)
        assert {"greedy", "sampled", "stop_rate", "validation_loss"} <= run.result().keys()
        losses = [record["loss"] for record in run.metrics()]
        assert losses[-1] < 0.9 * losses[0]
        writer = run.writer(0.0)
        assert isinstance(writer, ThinkingWriter) and writer.temperature == 0
        [[answer]] = writer.write([(Message("user", "3+4"),)], 1, 0, run.max_new_tokens)
        assert answer.ids
    talks = list(islice(run.suite.demonstrations("train", 2_000_006, "think"), 50))
    assert all(talk[-1].content.startswith("<think>") for talk in talks)


def test_the_same_seed_gives_the_same_model_and_another_one_another(home):
    assert made().fingerprint != made(seed=1, form="direct").fingerprint
    assert made(eval_every=0).fingerprint == made().fingerprint  # asking on the way changes nothing


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shortest": 3}, "shortest is 3 and longest 2"),
        ({"shortest": 0}, "shortest is 0"),
        ({"longest": 20}, "the context holds 64"),
        ({"largest": 1}, "let the largest be at least 2"),
        ({"questions": 1}, "questions must be at least 2"),
        ({"vocab_size": 100}, "it must be at least 263"),
        ({"form": "aloud"}, "form"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(home, changes, words):
    with pytest.raises(BadInput, match=words) as refused:
        made(**changes)
    assert "\n" not in str(refused.value)


def test_settings_are_checked_before_anything_is_made():
    with pytest.raises(BadInput):
        change(reasoner.SETTINGS["laptop"], {"longest": 40})


def test_the_undecided_sees_both_forms_in_the_shares_asked_for():
    suite = undecided.SETTINGS["laptop"].suite
    talks = list(islice(suite.demonstrations("train", 3), 400))
    in_steps = [talk for talk in talks if talk[-1].content.startswith("<think>")]
    assert 0.33 < len(in_steps) / len(talks) < 0.47  # of 0.4; six deviations would be 0.15
    assert all(talk[-1].content.startswith("#### ") for talk in talks if talk not in in_steps)
    for talk, question in zip(talks, suite.stream("train", 3), strict=False):
        assert talk[:-1] == question.prompt and bool(suite.judge(question, talk[-1].content)["strict"])


@pytest.mark.parametrize(
    ("changes", "words"), [({"thinking": 1.0}, "has to see both ways"), ({"form": "direct"}, "form is direct")]
)
def test_the_undecided_refuses_what_would_decide_it(home, changes, words):
    with pytest.raises(BadInput, match=words):
        recipe("undecided", scale="tiny", tell=lambda event: None, **changes)
