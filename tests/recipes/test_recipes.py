"""A recipe is made once and found again, also after `train` made the same; it is never stale, and never half there."""

import json
import shutil
import sys
import types
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from insideout.errors import BadInput
from insideout.recipes import pretrain
from insideout.recipes import stage as stages
from insideout.recipes.job import Inputs, Job
from insideout.recipes.stage import Stage, adopt, make_in, plan, recipe, whole
from insideout.training.events import Step


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """The pretrain recipe at tiny scale on a small text, in a home of its own."""
    (tmp_path / "text.txt").write_text(
        "".join(f"Line {i} says that {i * i % 97} is odd or even.\n" for i in range(150))
    )
    tiny = pretrain.SETTINGS["tiny"]
    config = replace(
        tiny, corpus=(str(tmp_path / "text.txt"),), tokenizer="character", sample_prompt="Line",
        train=replace(tiny.train, steps=4, warmup_steps=1, eval_every=2, checkpoint_every=2),
    )  # fmt: skip
    monkeypatch.setitem(pretrain.SETTINGS, "tiny", config)
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    return config


def place(name="pretrain", **changes):
    return plan(name, changes=changes).folder


def steps_in(events):
    return [event.step for event in events if isinstance(event, Step)]


def refuse(event):
    pytest.fail("it was made again")


def made(folder, config, resume=False, tell=lambda event: None):
    return make_in(pretrain.STAGE, config, folder, "tiny", tell, resume)


def test_made_once_then_found():
    events = []
    first = recipe("pretrain", tell=events.append)
    assert steps_in(events) == [1, 2, 3, 4] and first.path == place()
    before = first.report.stat().st_mtime_ns
    again = recipe("pretrain", tell=refuse)
    assert again.path == first.path and again.report.stat().st_mtime_ns == before
    assert again.model().n_parameters == first.about["n_parameters"]
    about = json.loads((first.path / "about.json").read_text())
    assert about["key"] in first.path.name and about["settings"]["train"]["steps"] == 4 and about["scale"] == "tiny"
    assert about["machine"] and about["date"] and about["versions"]["torch"] and about["sources"]["corpus"]


def test_what_train_made_is_adopted(small, tmp_path):
    run = made(tmp_path / "run", small)
    assert adopt(pretrain.STAGE, small, run.path) == place()
    assert recipe("pretrain", tell=refuse).result() == run.result()


def test_other_settings_are_not_adopted(small, tmp_path):
    other = replace(small, train=replace(small.train, steps=3))
    assert adopt(pretrain.STAGE, other, made(tmp_path / "run", other).path) is None and not place().exists()


def test_a_run_that_changed_its_settings_on_the_way_is_not_adopted(small, tmp_path):
    made(tmp_path / "run", replace(small, train=replace(small.train, steps=3)))
    run = made(tmp_path / "run", small, resume=True)  # ends with the recipe's settings, by another way
    assert run.result()["step"] == 4 and adopt(pretrain.STAGE, small, run.path) is None


def test_a_copy_that_was_stopped_leaves_nothing_stuck(small, tmp_path, monkeypatch):
    run = made(tmp_path / "run", small)
    monkeypatch.setattr(stages, "certify", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        adopt(pretrain.STAGE, small, run.path)
    monkeypatch.undo()
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    monkeypatch.setitem(pretrain.SETTINGS, "tiny", small)
    assert recipe("pretrain").path == place() and adopt(pretrain.STAGE, small, run.path) == place()


def test_the_place_changes_with_all_that_decides(small, monkeypatch):
    places = [place(), place(seed=1), place(d_model=16), place(sample_prompt="Line 1")]
    with Path(small.corpus[0]).open("a") as file:
        file.write("One more line.\n")
    places.append(place())
    monkeypatch.setattr(stages, "code_of", lambda functions: "another")
    places.append(place())
    monkeypatch.setattr("insideout.recipes.key.torch_version", lambda: "3.0")
    places.append(place())
    assert len(set(places)) == len(places)


def test_the_place_does_not_change_with_what_decides_nothing(small, tmp_path):
    shutil.copy(small.corpus[0], tmp_path / "same.txt")
    assert place() == place(device="cpu") == place(checkpoint_every=3) == place(corpus=[str(tmp_path / "same.txt")])


def test_a_stopped_recipe_goes_on():
    class Stop(Exception):
        pass

    def stop(event):
        if isinstance(event, Step) and event.step == 3:
            raise Stop

    with pytest.raises(Stop):
        recipe("pretrain", tell=stop)
    events = []
    run = recipe("pretrain", tell=events.append)
    assert steps_in(events) == [3, 4] and [r["step"] for r in run.metrics()] == [1, 2, 3, 4]


@pytest.mark.parametrize("left", ["tokenizer.json", "metrics.jsonl", "checkpoints/step-00000002/state.json"])
def test_whatever_a_killed_process_left_nothing_is_stuck(left):
    partial = place().with_name(stages.PARTIAL + place().name)
    (partial / left).parent.mkdir(parents=True)
    (partial / left).write_text("{")
    assert recipe("pretrain").result()["step"] == 4
    shutil.copytree(place(), partial)
    shutil.rmtree(place())
    (partial / left).write_text("{")  # begun, and damaged
    assert recipe("pretrain").result()["step"] == 4 and not partial.exists()


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "metrics.jsonl", "result.json", "about.json",
                                  "checkpoints/step-00000004/model.safetensors"])  # fmt: skip
@pytest.mark.parametrize("damage", ["cut", "gone", "flipped"])
def test_a_damaged_result_is_made_anew(file, damage):
    if not whole(place()):
        recipe("pretrain")
    path = place() / file
    content = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    events = []
    run = recipe("pretrain", tell=events.append)
    anew = file != "about.json" or damage != "flipped"  # a digit of a date is nobody's loss
    assert (4 in steps_in(events)) == anew or file == "about.json"
    assert whole(run.path) and run.model().n_parameters == run.about["n_parameters"]


def test_seeds_and_settings_are_arguments():
    a, b = recipe("pretrain", seed=1), recipe("pretrain", seed=2, d_model=16)
    assert a.config.train.seed == 1 and b.config.train.seed == 2 and b.config.model.d_model == 16
    assert recipe("pretrain", seed=1, tell=refuse).path == a.path != b.path


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"d_modle": 16}, "d_model"),
        ({"d_model": "wide"}, "d_model"),
        ({"d_model": 16.5}, "whole number"),
        ({"steps": True}, "steps"),
        ({"lr": float("nan")}, "finite"),
        ({"n_heads": 3}, "n_heads 3"),
        ({"optimizer": "sgd"}, "adamw, muon"),
    ],
)
def test_changes_that_cannot_be_are_bad_input(changes, says):
    with pytest.raises(BadInput, match=says):
        recipe("pretrain", **changes)


def test_settings_that_only_go_together_are_changed_together():
    assert plan("pretrain", changes={"n_heads": 3, "d_model": 48}).settings.model.d_model == 48


def test_unknown_names_are_bad_input():
    with pytest.raises(BadInput, match="no recipe"):
        recipe("cake")


# A second stage: all that one takes.


@dataclass(frozen=True)
class CountSettings:
    times: int = 1
    shown: str = "a"


def make(settings: CountSettings, inputs: Inputs, job: Job) -> None:
    job.begin()
    (job.folder / "count.txt").write_text(str(settings.times * inputs["base"].about["vocab_size"]))
    job.end()


def load(folder: Path) -> int:
    return int((folder / "count.txt").read_text())


STAGE = Stage(
    "count", "Counts.", dict.fromkeys(("tiny", "laptop", "gpu"), CountSettings()), make, load,
    needs={"base": "pretrain"}, free=("shown",),
)  # fmt: skip


@pytest.fixture
def second(monkeypatch):
    module = types.ModuleType("second_stage")
    module.__dict__["STAGE"] = STAGE
    monkeypatch.setitem(sys.modules, "second_stage", module)
    monkeypatch.setitem(stages.STAGES, "count", "second_stage")


def test_a_stage_is_found_by_its_file(tmp_path):
    (tmp_path / "counting.py").write_text('"""A stage."""\n\nSTAGE = Stage(\n    "count-words", "Counts.", ...\n)\n')
    (tmp_path / "helper.py").write_text('def stage():\n    STAGE = Stage("not-at-the-top")\n')
    assert stages.stages_in(tmp_path) == {"count-words": "insideout.recipes.counting"}
    assert stages.STAGES.keys() == {stages.find(name).name for name in stages.STAGES} >= {"pretrain"}


def test_stages_are_told_after_those_that_they_need(second):
    order = stages.in_order()
    assert order.index("pretrain") < order.index("count") and order.index("base") < order.index("sft")


def test_a_new_stage_needs_nothing_but_its_file(second):
    events = []
    n = recipe("count", tell=events.append)
    assert n == recipe("pretrain", tell=refuse).about["vocab_size"] and 4 in steps_in(events)  # made with all it needs
    assert recipe("count", times=3, tell=refuse) == 3 * n
    assert recipe("count", times=3, shown="b", tell=refuse) == 3 * n and place("count", times=3).is_dir()


def test_the_key_of_a_stage_holds_the_keys_of_its_inputs(second):
    first = plan("count")
    other = plan("count", changes={"base": {"seed": 5}})
    assert other.inputs["base"].settings.train.seed == 5 and other.key != first.key
    with pytest.raises(BadInput, match="base is an input"):
        plan("count", changes={"base": 5})
