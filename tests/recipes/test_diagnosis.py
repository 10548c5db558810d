"""The doctor of runs: each signature speaks of its fault and of no other, and sound runs are left in peace."""

import json
import math
import random

import pytest

from insideout.cli.main import main
from insideout.errors import BadInput
from insideout.recipes.diagnosis import SIGNATURES, diagnose
from insideout.recipes.stage import recipe

N = 200


def noise(seed):
    return random.Random(seed)


def text_run(stage="pretrain", steps=N, **changes):
    """A sound run of a model of text: facts and records; `changes` are functions of step and value, by name."""
    source = noise(0)
    about = {"stage": stage, "vocab_size": 1000, "learned_share": 0.3,
             "config": {"prompt_weight": 0.0, "train": {"clip": 1.0, "batch_size": 32, "lr": 1e-3}}}  # fmt: skip
    records = []
    for step in range(1, steps + 1):
        loss = 2 + 4.9 * math.exp(-step / 30) + 0.02 * source.gauss(0, 1)
        each = {"step": step, "loss": loss, "gradient_norm": 0.8 + 0.2 * source.random(), "lr": 1e-3}
        if step % 20 == 0:
            each |= {"validation_loss": loss + 0.05, "stop_rate": 0.99, "correct": 0.8}
        records.append({name: changes[name](step, value) if name in changes else value for name, value in each.items()})
    return about, records


def policy_run(stage="rloo", **changes):
    """A sound run that learns from rewards."""
    source = noise(1)
    about = {"stage": stage, "config": {"train": {"clip": 1.0, "batch_size": 32}}}
    records = []
    for step in range(1, N + 1):
        kl = 0.02 * step + 0.1 * source.gauss(0, 1)
        each = {
            "step": step, "loss": 0.01 * source.gauss(0, 1), "gradient_norm": 0.5,
            "reward": step / N + 0.1 * source.gauss(0, 1),
            "gold": step / N + 0.1 * source.gauss(0, 1), "kl": kl, "kl_k3": 0.02 * step, "entropy": 1 - 0.5 * step / N,
            "stopped": 1.0, "clip_fraction": 0.02, "ratio_max": 1.0 if step % 2 else 1.3, "alike": 0.2,
            "explained_variance": 0.3,
        }  # fmt: skip
        records.append({name: changes[name](step, value) if name in changes else value for name, value in each.items()})
    return about, records


def pair_run(stage="dpo", **changes):
    """A sound run on pairs."""
    about = {"stage": stage, "config": {"loss": "dpo", "train": {"clip": 1.0, "batch_size": 32}}}
    records = []
    for step in range(1, N + 1):
        each = {"step": step, "loss": math.log(2) * (0.5 + 0.5 * math.exp(-(step - 1) / 50)), "gradient_norm": 0.5,
                "accuracy": 0.5 + 0.3 * step / N}  # fmt: skip
        if step % 20 == 0:
            each["correct"] = 0.5
        records.append({name: changes[name](step, value) if name in changes else value for name, value in each.items()})
    return about, records


def picture_run(**changes):
    """A sound run of a model of pictures."""
    source = noise(2)
    about = {"stage": "digits_drawer", "config": {"label_dropout": 0.1, "train": {"clip": 1.0, "batch_size": 64}}}
    records = []
    for step in range(1, N + 1):
        loss = 0.4 + 1.2 * math.exp(-step / 30) + 0.02 * source.gauss(0, 1)
        dropped = sum(source.random() < 0.1 for _ in range(64))
        each = {"step": step, "loss": loss, "gradient_norm": 0.5, "null_share": dropped / 64}
        if step % 20 == 0:
            each |= {"validation_loss": loss, "ema_validation_loss": 0.99 * loss}
        records.append({name: changes[name](step, value) if name in changes else value for name, value in each.items()})
    return about, records


def latent_run(first=2.05):
    """A sound run of a model of latents."""
    about, records = picture_run(loss=lambda step, value: first if step == 1 else value)
    config = about["config"] | {"path_name": "linear"}
    return about | {"stage": "latent_drawer", "model": {"size": 8, "channels": 1}, "config": config}, records


def clip_run(temperature=lambda step: 14.2857 + 0.02 * step):
    """A sound run of words and pictures."""
    about, records = picture_run()
    about = {"stage": "clip", "config": {"train": {"clip": 1.0, "batch_size": 64}}}
    kept = [
        {name: value for name, value in each.items() if name in ("step", "loss", "gradient_norm")} for each in records
    ]
    return about, [each | {"temperature": temperature(each["step"])} for each in kept]


def group_run(size=0.7):
    """A sound run of GRPO, whose advantages are over their group's deviation."""
    about, records = policy_run("grpo")
    about["config"]["policy"] = {"advantage": "group_std"}
    return about, [each | {"advantage_size": size} for each in records]


def names(run):
    return [each.name for each in diagnose(*run)]


@pytest.mark.parametrize(
    "run",
    [text_run(), text_run("sft"), text_run(steps=5), policy_run(), policy_run("ppo"), policy_run("grpo"), pair_run(),
     pair_run("reward"), picture_run(), latent_run(), clip_run(), group_run()],
    ids=lambda run: run[0]["stage"],
)  # fmt: skip
def test_sound_runs_are_left_in_peace(run):
    assert names(run) == []


FAULTS = [
    ("a number is not finite", text_run(loss=lambda step, value: None if step == 150 else value)),
    ("no gradient arrives", text_run(gradient_norm=lambda step, value: 0.0)),
    ("training diverged", text_run(loss=lambda step, value: value + max(0, step - 120) / 10)),
    ("nothing was learned", text_run("sft", loss=lambda step, value: 6.9 + 0.001 * (step % 3))),
    ("the learning rate is too large", text_run(lr=lambda step, value: 10 * value)),
    ("the adapter does harm before it learns", text_run("lora", loss=lambda step, value: value + 0.5 * (step == 1))),
    (
        "what is learned is not what is asked",
        text_run("sft", validation_loss=lambda step, value: 0.01, correct=lambda step, value: 0.2),
    ),
    ("worse than guessing at the first step", text_run(loss=lambda step, value: 3 * value if step == 1 else value)),
    ("knows too much at the first step", text_run(loss=lambda step, value: value / 2)),
    ("sees what it is to foretell", text_run(validation_loss=lambda step, value: 0.01)),
    ("overfitted", text_run("sft", validation_loss=lambda step, value: 2.5 + abs(step - 60) / 100)),
    ("the gradient is always clipped", text_run(gradient_norm=lambda step, value: 12 * value)),
    ("answers do not end", text_run("sft", stop_rate=lambda step, value: 0.1)),
    ("answers do not end", policy_run(stopped=lambda step, value: 0.1)),
    ("the reference is another model", pair_run(loss=lambda step, value: value + 0.1)),
    ("pairs come out the wrong way round", pair_run("reward", accuracy=lambda step, value: 1 - value)),
    ("it prefers what is wrong", pair_run(correct=lambda step, value: value * (1 - step / N))),
    ("the reference moves along", pair_run(loss=lambda step, value: math.log(2))),
    ("answers were drawn by another policy", policy_run(ratio_max=lambda step, value: value + 0.05)),
    ("the reference moves along", policy_run(kl_k3=lambda step, value: 0.0)),
    ("a negative KL", policy_run(kl=lambda step, value: -value)),
    ("groups teach nothing", policy_run("grpo", alike=lambda step, value: 0.97)),
    ("most tokens are beyond the clip", policy_run(clip_fraction=lambda step, value: 0.6)),
    ("rewards fall", policy_run(reward=lambda step, value: -value, gold=lambda step, value: -value)),
    ("over-optimised", policy_run(gold=lambda step, value: -value)),
    ("the critic is worse than a constant", policy_run("ppo", explained_variance=lambda step, value: -1.4)),
    ("classes are dropped too often, or too rarely", picture_run(null_share=lambda step, value: 0.0)),
    ("the averaged weights lag behind", picture_run(ema_validation_loss=lambda step, value: 2 * value)),
    ("the averaged weights are a copy", picture_run(ema_validation_loss=lambda step, value: value / 0.99)),
    ("one coin drops the classes of a whole batch", picture_run(null_share=lambda step, value: float(step % 10 == 0))),
    ("latents are not of deviation 1", latent_run(first=1.4)),
    ("latents are not of deviation 1", latent_run(first=3.0)),
    ("cosines are multiplied by another temperature", clip_run(lambda step: 2.66 + 0.001 * step)),
    ("the temperature is not learned", clip_run(lambda step: 14.2857)),
    ("advantages are not of their group", group_run(size=0.95)),
]


@pytest.mark.parametrize(("name", "run"), FAULTS, ids=[f"{name}-{run[0]['stage']}" for name, run in FAULTS])
def test_a_fault_is_named_and_nothing_else(name, run):
    assert names(run) == [name]
    [found] = diagnose(*run)
    assert found.seen and found.look


def test_faults_that_show_in_two_curves():
    sure = lambda step, value: value if step < 60 else 0.001  # noqa: E731
    flat = policy_run(entropy=sure, reward=lambda step, value: 0.1 * (step % 2))
    assert names(flat) == ["the policy collapsed"]
    about, records = text_run("sft")
    assert names((about | {"learned_share": 1.0}, records)) == ["the prompts are learned too"]
    weighted = about | {"learned_share": 1.0, "config": about["config"] | {"prompt_weight": 1.0}}
    assert names((weighted, records)) == []


def test_every_signature_has_been_tried():
    tried = {name for name, _ in FAULTS} | {"the policy collapsed", "the prompts are learned too"}
    assert len(tried) == len(SIGNATURES) + 3  # the first step has three names, a temperature two


def test_a_run_without_records_says_so():
    with pytest.raises(BadInput, match="first step"):
        diagnose({"stage": "sft"}, [])


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["doctor", *map(str, arguments)])
    return left.value.code


def test_the_command_looks_at_a_real_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))
    made = recipe("reasoner", scale="tiny", tell=lambda event: None)
    capsys.readouterr()
    assert run("--run", made.path) == 0
    said = capsys.readouterr().out
    assert said.startswith("reasoner, 20 steps") and "No known trouble." in said
    broken = tmp_path / "broken"
    broken.mkdir()
    about = json.loads((made.path / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(about))
    (broken / "metrics.jsonl").write_text("".join(json.dumps({"step": i, "loss": None}) + "\n" for i in (1, 2)))
    assert run("--run", broken) == 0
    said = capsys.readouterr().out
    assert "✗ a number is not finite" in said and "1 known trouble." in said


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "There is no run"), ("{", "JSON"), ('{"format": "another"}', "damaged"),
     ('{"format": "insideout run 1", "stage": "sft"}', "first step")],
)  # fmt: skip
def test_what_is_no_run_is_refused(tmp_path, capsys, content, words):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert run("--run", tmp_path) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
