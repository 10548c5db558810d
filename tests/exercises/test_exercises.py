"""The graders are graded: solutions pass, every catalogued mistake gets its own diagnosis, stubs and crashes fail."""

import json
import subprocess
import sys

import pytest
import torch

from insideout.errors import BadInput
from insideout.exercises import all_exercises, check, find, grade
from insideout.exercises.catalogue import Exercise
from insideout.exercises.grading import difference
from insideout.exercises.progress import progress, progress_file

EXERCISES = all_exercises()
MISTAKES = [(exercise, mistake) for exercise in EXERCISES for mistake in exercise.mistakes]
PATTERN = find("transformer.attention.pattern")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))
    return tmp_path


def by_id(value):
    return value.id if isinstance(value, Exercise) else value.diagnosis[:40]


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_id)
def test_the_solution_passes_on_several_seeds(exercise):
    for seed in range(5):
        assert grade(exercise.id, exercise.reference, seed).passed


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=by_id)
def test_every_mistake_is_told_by_its_own_diagnosis(exercise, mistake):
    for seed in range(5):
        verdict = grade(exercise.id, mistake.function, seed)
        assert verdict.outcome == "wrong"
        assert verdict.message == mistake.diagnosis


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_id)
def test_each_exercise_is_complete(exercise):
    assert len(exercise.mistakes) >= 3
    assert len({mistake.diagnosis for mistake in exercise.mistakes}) == len(exercise.mistakes)
    assert exercise.hints
    assert 1 <= exercise.difficulty <= 3
    assert exercise.minutes > 0


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_id)
def test_the_untouched_stub_is_not_yet_and_not_an_attempt(exercise, capsys):
    def stub(*arguments):
        raise NotImplementedError

    verdict = check(exercise.id, stub)
    assert verdict.outcome == "not yet"
    assert not verdict
    assert "Not yet" in capsys.readouterr().out
    assert progress() == {}


def test_wrong_shape_is_told_from_wrong_value():
    shape = grade(PATTERN, lambda q, k: PATTERN.reference(q, k)[..., :3]).message
    value = grade(PATTERN, lambda q, k: PATTERN.reference(q, k) * 1.01).message
    assert shape.startswith("Wrong shape: (2, 3, 7, 3), where (2, 3, 7, 7)")
    assert value.startswith("The shape is right, the values are not")


def test_wrong_kind_is_told():
    assert "integers" in grade(PATTERN, lambda q, k: PATTERN.reference(q, k).long()).message
    assert "returned nothing" in grade(PATTERN, lambda q, k: None).message
    assert "tensor" in grade(PATTERN, lambda q, k: "a pattern").message
    assert "must be a function" in grade(PATTERN, torch.zeros(3)).message
    assert "Keep the inputs' dtype" in grade(PATTERN, lambda q, k: PATTERN.reference(q.float(), k.float())).message


def test_an_answer_that_raises_is_one_sentence():
    verdict = grade(PATTERN, lambda q, k: q @ k)
    assert verdict.outcome == "wrong"
    assert verdict.message.startswith("Your function raised RuntimeError:")
    assert "\n" not in verdict.message
    assert "TypeError" in grade(PATTERN, lambda q: q).message


def test_an_answer_that_writes_into_its_inputs_cannot_fool_the_grader():
    def zeroing(q, k):
        q.zero_(), k.zero_()
        return torch.zeros(2, 3, 7, 7, dtype=torch.float64)

    assert not grade(PATTERN, zeroing)


def test_infinities_compare_and_nan_does_not_pass():
    inf = float("inf")
    assert difference(torch.tensor([-inf, 1.0]), torch.tensor([-inf, 1.0]), 1e-9) == ""
    assert difference(torch.tensor([0.0, 1.0]), torch.tensor([-inf, 1.0]), 1e-9) != ""
    assert "nan" in difference(torch.tensor([float("nan")]), torch.tensor([1.0]), 1e-9)


def test_inputs_are_fresh_unless_a_seed_is_given():
    def seen(seed):
        calls = []
        grade(PATTERN, lambda q, k: (calls.append(q), PATTERN.reference(q, k))[1], seed)
        assert not torch.equal(calls[0], calls[1])
        return calls[0]

    assert torch.equal(seen(1), seen(1))
    assert not torch.equal(seen(None), seen(None))


def test_progress_counts_and_keeps_the_first_success(home):
    check("transformer.attention.scores", lambda q, k: q @ k.mT)
    check("transformer.attention.scores", find("transformer.attention.scores").reference)
    entry = progress()["transformer.attention.scores"]
    solved = entry["solved"]
    assert entry["attempts"] == 2
    assert solved
    check("transformer.attention.scores", lambda q, k: q @ k.mT)
    assert progress()["transformer.attention.scores"] == {"attempts": 3, "solved": solved}
    assert [path.name for path in home.iterdir()] == ["progress.json"]


def test_damaged_progress_is_set_aside_not_overwritten(home):
    progress_file().write_text("{broken", encoding="utf-8")
    check("transformer.attention.scores", find("transformer.attention.scores").reference)
    assert progress()["transformer.attention.scores"]["attempts"] == 1
    assert (home / "progress.damaged.json").read_text(encoding="utf-8") == "{broken"


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(BadInput, match=r"did you mean 'transformer\.attention\.pattern'"):
        check("transformer.attention.patern", lambda: None)


def test_the_html_escapes_what_an_answer_says():
    def angry(q, k):
        raise ValueError("<script>")

    page = grade(PATTERN, angry).as_html()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_gradient_reference_agrees_with_autograd():
    scores = torch.randn(2, 5, 7, dtype=torch.float64, requires_grad=True)
    g = torch.randn(2, 5, 7, dtype=torch.float64)
    p = scores.softmax(-1)
    p.backward(g)
    torch.testing.assert_close(find("transformer.attention.gradient").reference(p.detach(), g), scores.grad)


def test_importing_the_package_imports_no_torch():
    code = "import sys, json, insideout.exercises; print(json.dumps('torch' in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(out) is False
