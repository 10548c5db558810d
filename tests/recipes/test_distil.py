"""Distil: who teaches whom, what is learned from, what it cost, what is refused."""

import re
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from insideout.cli.commands.distil import after
from insideout.cli.flags import docstrings, names_in
from insideout.errors import BadInput
from insideout.recipes import distil, reasoner
from insideout.recipes.settings import change
from insideout.recipes.stage import make_in, plan, recipe
from insideout.recipes.start import answering


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose results all of these tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def made(name="distil", **changes):
    return recipe(name, scale="tiny", tell=lambda event: None, **changes)


def settings(**changes):
    return change(distil.SETTINGS["tiny"], changes)


def student():
    return answering("", {"model": made("undecided", **distil.smaller("tiny")["model"])})


def test_the_student_is_the_undecided_made_smaller_and_both_seeds_can_be_given(home):
    wanted = plan("distil", "tiny", 1, {"model": {"seed": 1}, "teacher": {"model": {"seed": 1}}})
    sizes, train = wanted.inputs["model"].settings.model, wanted.inputs["model"].settings.train
    assert (sizes.d_model, sizes.n_layers, train.seed) == (16, 1, 1)
    assert wanted.inputs["teacher"].inputs["model"].settings.model.d_model == 32
    assert wanted.inputs["model"].key == plan("undecided", "tiny", 1, distil.smaller("tiny")["model"]).key


def test_it_leaves_curves_a_student_that_answers_its_cost_and_a_report(home):
    run = made()
    records, result = run.metrics(), run.result()
    assert len(records) == distil.SETTINGS["tiny"].train.steps
    assert {"greedy", "sampled", "lenient", "teacher_kl"} <= result.keys()
    cost = run.cost()
    assert cost["teacher"] == 0 and cost["student"] == cost["learned"] > 6 * 8
    headings = re.findall(r"<h2>(.*?)</h2>", run.report.read_text("utf-8"))
    assert {"Development problems", "KL, development problems", "Length"} <= set(headings)
    assert "development problems" in after(run)
    [[answer]] = run.writer(0.0).write([made("undecided").suite.draw("test", 1)[0].prompt], 1, 0, 5)
    assert 0 < len(answer.ids) <= 5


def test_traces_cost_what_the_teacher_wrote(home):
    run = made(method="traces")
    result, cost = run.result(), run.cost()
    assert result["traces"] == 16 * 2 and result["dropped"] == {}
    assert cost["student"] == 0 and cost["teacher"] > 0
    assert "Learned from 32 answers" in after(run)


def test_gold_needs_no_teacher_and_its_answers_end_with_the_stop(home):
    start, suite = student(), reasoner.SETTINGS["tiny"].suite
    documents = distil.solutions(settings(method="gold", problems=2, samples=2), suite, start)
    assert len(documents) == 4
    for read, learned in documents:
        assert not read.learn and learned.learn and list(learned.ids)[-1] == start.chat.stop_id
        text = start.tokenizer.decode(list(learned.ids)[:-1])
        assert text.startswith("<think>") and "####" in text


def test_every_epoch_goes_through_all_documents_in_an_order_of_its_own(home):
    start, suite = student(), reasoner.SETTINGS["tiny"].suite
    documents = distil.solutions(settings(method="gold", problems=12, samples=1), suite, start)
    batch_at = distil.in_epochs(settings(batch_size=4), documents, start.chat.pad_id)

    def seen(epoch):
        batches = [batch_at(3 * epoch + step, 0) for step in range(3)]
        return [tuple(row[:length].tolist()) for b in batches for row, length in zip(b.ids, b.lengths, strict=True)]

    whole = sorted(tuple(id for part in each for id in part.ids) for each in documents)
    assert sorted(seen(0)) == sorted(seen(1)) == whole and seen(0) != seen(1)


@pytest.mark.parametrize("name", ["forward", "reverse"])
def test_the_loss_is_torchs_over_the_answers_alone_and_ends_by_these_names(home, name):
    """What the prompt's places say does not count, nor what padding does."""
    start, suite = student(), reasoner.SETTINGS["tiny"].suite
    config = settings(method="kd", divergence=name, soften=2.0)
    documents = distil.solutions(settings(method="gold", problems=3, samples=1), suite, start)
    batch = distil.in_epochs(settings(batch_size=3), documents, start.chat.pad_id)(0, 0)
    teacher = made("grpo").model()
    total, count, metrics = distil.loss_of(config, teacher)(start.writer.model, batch)
    with torch.no_grad():
        t, s = ((m(batch.ids) / 2)[batch.mask].log_softmax(-1) for m in (teacher, start.writer.model))
    p, q = (s, t) if name == "forward" else (t, s)  # kl_div(input, target) is KL(target ‖ input)
    assert count == int(batch.mask.sum()) == sum(len(answer.ids) for _, answer in documents)
    assert float(total.detach()) == pytest.approx(4 * float(F.kl_div(p, q, log_target=True, reduction="sum")), rel=1e-4)
    assert metrics["length"] == (count, 3)


def test_on_policy_batches_are_the_students_own_and_new_each_step(home):
    start, suite = student(), reasoner.SETTINGS["tiny"].suite
    batch_at = distil.own_answers(settings(), suite, start, start.writer.model)
    one, again, other = batch_at(0, 0), batch_at(0, 0), batch_at(1, 0)
    assert torch.equal(one.ids, again.ids) and not torch.equal(one.ids[:, :4], other.ids[:, :4])
    logprobs = start.writer.model(one.ids).log_softmax(-1).gather(-1, one.targets.clamp_min(0)[..., None])[..., 0]
    torch.testing.assert_close(logprobs[one.mask], one.logprobs[one.mask], atol=1e-4, rtol=1e-4)


def test_a_student_may_teach_and_learn_in_its_turn(home, tmp_path):
    first = made()
    changed = change(distil.SETTINGS["tiny"], {"teacher": str(first.path), "model": str(first.path), "steps": 2})
    run = make_in(distil.STAGE, changed, tmp_path / "two", "tiny", lambda event: None)
    assert run.fingerprint != first.fingerprint


def test_different_vocabularies_are_refused():
    one, other = (SimpleNamespace(tokenizer=SimpleNamespace(fingerprint=f), template="ours") for f in "ab")
    distil.check_alike(one, one)
    with pytest.raises(BadInput, match="different tokenizers"):
        distil.check_alike(one, other)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"questions": 1}, "questions at least 2"),
        ({"problems": 0}, "must be at least 1"),
        ({"soften": 0.0}, "soften"),
        ({"fewest_steps": -1}, "fewest_steps"),
        ({"method": "gold", "data": "mine.jsonl"}, "no worked solutions"),
        ({"method": "kd", "max_new_tokens": 200}, "the context holds"),
        ({"method": "traces", "kept": "right"}, "No answer of the teacher is left"),
        ({"teacher": "absent"}, "There is no model in absent"),
        ({"data": "absent.jsonl"}, "absent"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(home, changes, words):
    with pytest.raises(BadInput, match=words) as refused:
        made(**changes)
    assert "\n" not in str(refused.value)


def test_every_setting_has_its_words_and_a_name_of_its_own():
    names = names_in(distil.DistilConfig)
    assert {"teacher", "model", "method", "soften", "kept", "train"} <= docstrings(distil.DistilConfig).keys()
    assert len(names) == len(set(names)), "a flag would need a prefix"
