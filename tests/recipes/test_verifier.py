"""Traces, orm and prm: what they learn from, what they leave, what they refuse."""

import json

import pytest

from insideout.cli.main import main
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.recipes import reasoner, traces, verifier
from insideout.recipes.settings import change
from insideout.recipes.stage import recipe


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose results all of these tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def made(name, **changes):
    return recipe(name, scale="tiny", tell=lambda event: None, **changes)


def test_traces_are_labelled_by_the_sums_and_no_sum_is_in_both_parts(home):
    found = made("traces")
    suite = reasoner.SETTINGS["tiny"].suite
    for part, split in ((found.train, "train"), (found.held_out, "development")):
        for each in part:
            numbers = [int(n) for n in each.question.split("+")]
            assert suite.split_of_family(" ".join(map(str, sorted(numbers))), len(numbers) - 1) == split
            assert each.right == each.answer.endswith(f"#### {sum(numbers)}") or "####" in each.answer
            assert len(each.labels) == len(each.steps) + 1
    assert found.result()["traces"] == len(found.train)
    assert len(found.train) <= found.config.questions * found.config.answers
    shown = traces.Trace("3+5+2", "<think>3+5=8\n8+2=11</think>#### 11", True, (True, False), False)
    assert shown.labels == [True, False, None]
    assert json.loads(shown.line())["steps"] == [True, False]


def test_both_kinds_learn_and_tell_how_right_they_are_beside_lengths_alone(home):
    for name, kind in (("orm", "outcome"), ("prm", "process")):
        run = made(name)
        assert run.kind == kind
        result = run.result()
        assert {"validation_loss", "calibration_error", "n_marks"} <= result.keys()
        asked, text = (Message("user", "3+5"),), "<think>3+5=8</think>#### 8"
        [marks] = run.marks([asked], [text])
        assert len(marks) == (1 if kind == "outcome" else 2) and all(0 <= each <= 1 for each in marks)
        [score] = run.judge([asked], [text])
        assert score == pytest.approx(marks[0] if kind == "outcome" else marks[0] * marks[1])
        assert run.report.is_file()
    plain = made("prm", own=False, words=0.0)
    assert float(plain.model().trust) == 0 and float(run.model().trust) != 1
    few = made("prm", answers=10)
    assert few.result()["n_answers"] == 10 and few.fingerprint != made("prm").fingerprint


def test_aucs_and_loss_are_those_of_the_definition():
    part = [traces.Trace("1+1", "", True, (True, False), False), traces.Trace("1+1", "", True, (True,), True)]
    found = verifier.told([[0.9, 0.2, 0.1], [0.6, 0.5]], [each.labels for each in part], part, "process")
    assert found["step_auc"] == 1 and found["answer_auc"] == 1
    wrong = verifier.told([[0.1, 0.2, 0.1], [0.6, 0.5]], [each.labels for each in part], part, "process")
    assert wrong["step_auc"] == 0.5
    assert "step_auc" not in verifier.told([[0.1], [0.6]], [[False], [True]], part, "outcome")


def test_a_verifier_chooses_among_answers(home, capsys):
    folder = made("prm").path
    asked = ["solve", "3+5", "--method", "best-of", "--n", "4", "--model", str(made("reasoner").path)]
    with pytest.raises(SystemExit) as left:
        main([*asked, "--verifier", str(folder)])
    out, err = capsys.readouterr()
    assert left.value.code == 0 and "the answer" in out and "read by the verifier" in err
    for more, why in ((["--verifier", str(made("reasoner").path)], "no run of orm or prm"),
                      (["--method", "vote", "--verifier", str(folder)], "only with --method best-of")):  # fmt: skip
        with pytest.raises(SystemExit) as left:
            main([*asked, *more])
        assert left.value.code == 2 and why in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes", [{"questions": 0}, {"held_out": 1}, {"answers": 0}, {"temperature": 0.0}, {"seed": -1}]
)
def test_settings_out_of_range_are_refused(changes):
    with pytest.raises(BadInput):
        change(traces.SETTINGS["tiny"], changes)
    with pytest.raises(BadInput):
        change(verifier.SETTINGS["tiny"], {"answers": -1})


def test_a_folder_without_traces_and_a_damaged_line_are_refused(home, tmp_path):
    with pytest.raises(BadInput, match="no traces"):
        traces.load(tmp_path)
    with pytest.raises(BadInput):
        traces.model_of(str(made("traces").path))
    (tmp_path / "damaged.jsonl").write_text('{"question": "3+5", "answer": "8", "steps": [1, 2]}\n')
    with pytest.raises(BadInput, match="line 1 is no trace"):
        traces.read(tmp_path / "damaged.jsonl")
