"""The museum: each switch really breaks what it says, only while it is on, and the doctor knows many of them."""

import dataclasses
import importlib
import json
import sys
from functools import lru_cache

import pytest
import torch

from insideout.data.batch import IGNORE, padded
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning import divergence, losses, policy_training
from insideout.finetuning.advantages import leave_one_out
from insideout.lab.museum import FAULTS, LABELS, exhibits, fault, name_the_fault, possible
from insideout.lab.museum.exhibits import SOUND
from insideout.lab.museum.faults import active, find
from insideout.lab.museum.letters import Letters, chat_format, spoiled
from insideout.lab.museum.runs import KINDS, make, settings
from insideout.recipes.diagnosis import diagnose
from insideout.recipes.key import key_of

find("pad_is_stop")
NAMES = list(FAULTS)


def files(folder):
    about = json.loads((folder / "config.json").read_text())
    return about, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def numbers(folder):
    """All that was recorded, but for the clock."""
    return [{k: v for k, v in each.items() if "second" not in k} for each in files(folder)[1]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    @lru_cache
    def of(kind):
        return make(kind, tmp_path_factory.mktemp("sound") / kind, at="tiny")

    return of


@pytest.mark.parametrize("name", NAMES)
def test_a_switch_changes_what_is_measured(name, sound, tmp_path):
    kind = FAULTS[name].kind
    before = numbers(sound(kind))
    broken = make(kind, tmp_path / "broken", fault_name=name, at="tiny")
    if name == "score_at_the_pad":
        assert (broken / "samples.jsonl").read_text() != (sound(kind) / "samples.jsonl").read_text()
    assert numbers(broken) != before
    assert active() == ()


@pytest.mark.parametrize("kind", ["sft", "rloo"])
def test_after_the_switch_all_is_as_before(kind, sound, tmp_path):
    for name in NAMES:
        with fault(name):
            assert active() == (name,)
    assert numbers(make(kind, tmp_path / "again", at="tiny")) == numbers(sound(kind))


@pytest.mark.parametrize("name", NAMES)
def test_one_function_is_replaced_wherever_it_is_held(name):
    module, _, path = FAULTS[name].target.partition(":")
    owner = importlib.import_module(module)
    *inside, last = path.split(".")
    for each in inside:
        owner = getattr(owner, each)
    real = vars(owner)[last]
    with fault(name):
        assert vars(owner)[last] is not real
        for module in [each for key, each in sys.modules.items() if key.startswith("insideout.")]:
            for held in vars(module).values():
                assert held is not real
                assert not isinstance(held, dict) or not any(each is real for each in held.values())
    assert vars(owner)[last] is real


def test_tables_are_switched_too():
    rewards = torch.tensor([[1.0, 0.0]])
    assert policy_training.ADVANTAGES["leave_one_out"] is leave_one_out
    with fault("no_baseline"):
        assert torch.equal(policy_training.ADVANTAGES["leave_one_out"](rewards), rewards)
    assert torch.equal(policy_training.ADVANTAGES["leave_one_out"](rewards), torch.tensor([[1.0, -1.0]]))


# What exactly is broken.

TALK = [Message("user", "ca"), Message("assistant", "ac")]


def said(name=""):
    """What is learned of one conversation, decoded, and the stop as a point."""
    with fault(name):
        chat = chat_format()
        targets = padded([chat.document(TALK)], chat.pad_id).targets[0]
    return chat.tokenizer.decode(targets[targets != IGNORE].tolist()).replace("<|end|>", ".")


def test_masks_decode_to_what_is_learned():
    assert said() == "ac."
    assert said("mask_off_by_one") == "c."
    assert said("pad_is_stop") == "ac"
    assert said("prompt_learned") == "ca<|assistant|>ac."
    assert said("shifted_twice") == "ac."  # each from a place too early
    chat = chat_format()
    with fault("shifted_twice"):
        batch = padded([chat.document(TALK)], chat.pad_id)
    at = int((batch.targets[0] != IGNORE).nonzero()[0])
    assert batch.targets[0, at] == batch.ids[0, at + 2]


def test_losses_are_those_that_they_are_called():
    a, b = torch.tensor([2.0]), torch.tensor([0.5])
    with fault("pair_sign"):
        assert torch.equal(losses.bradley_terry(a, b), -torch.nn.functional.logsigmoid(b - a))
    with fault("kl_that_is_none"):
        assert torch.equal(divergence.k2(a, b), a - b)
    assert torch.equal(divergence.k2(a, b), (a - b).square() / 2)


GUARDED = [name for name in NAMES if FAULTS[name].guard]


@pytest.mark.parametrize("name", GUARDED)
def test_with_its_guard_the_real_code_stops(name, tmp_path, monkeypatch):
    monkeypatch.setitem(FAULTS, name, dataclasses.replace(FAULTS[name], guard=""))
    with pytest.raises(BadInput, match=r"ratio of new to old|taught the critic nothing"):
        make(FAULTS[name].kind, tmp_path / "guarded", fault_name=name, at="tiny")


def test_what_is_made_under_a_fault_has_a_key_of_its_own():
    from insideout.recipes import key

    arguments = ("sft", {}, {}, {}, "code")
    with fault("pad_is_stop"):
        broken = key.key_of(*arguments)
    with fault("prompt_learned"):
        other = key.key_of(*arguments)
    assert len({key_of(*arguments), broken, other}) == 3 and key.key_of is key_of


def test_switches_refuse_what_would_mislead():
    from insideout.lab import studies

    with fault("pad_is_stop"):
        with pytest.raises(BadInput, match="one at a time"), fault("prompt_learned"):
            pass
        with pytest.raises(BadInput, match="inside of the study's runs"):
            studies.study("any", lambda variant, seed: {}, {"a": 1})
    with pytest.raises(BadInput, match="did you mean pad_is_stop"), fault("pad_is_stpo"):
        pass
    with pytest.raises(BadInput, match="is of a run of sft"):
        make("dpo", None, fault_name="pad_is_stop", at="tiny")
    with pytest.raises(BadInput, match="no kind of run"):
        settings("another", 0, "tiny")
    assert active() == ()


# The doctor: runs as short as its signatures allow.


def short(kind, name, steps, folder):
    """A small broken run whose curves are long enough to have a shape."""
    wanted = settings(kind, 0, "laptop")
    size = 24 if kind == "rloo" else 12
    train = dataclasses.replace(
        wanted.train, steps=steps, warmup_steps=min(steps, 10), batch_size=size, eval_every=max(1, steps // 4)
    )
    changes = {"policy": dataclasses.replace(wanted.policy, prompts=6)} if kind == "rloo" else {}
    return files(make(kind, folder, fault_name=name, at="laptop", train=train, **changes))


FIRST_STEPS = [
    ("sft", "prompt_learned", "the prompts are learned too"),
    ("sft", "lr_too_large", "the learning rate is too large"),
    ("rloo", "rounded_logprobs", "answers were drawn by another policy"),
    ("rloo", "dropout_in_the_policy", "answers were drawn by another policy"),
]
LONGER = [
    ("dpo", "reference_left_out", 2, "the reference is another model"),
    ("sft", "pad_is_stop", 80, "answers do not end"),
    ("reward", "pair_sign", 40, "pairs come out the wrong way round"),
    ("dpo", "reference_moves", 40, "the reference moves along"),
    ("dpo", "labels_flipped", 40, "it prefers what is wrong"),
    ("lora", "lora_b_not_zero", 2, "the adapter does harm before it learns"),
    ("rloo", "reference_follows", 40, "the reference moves along"),
]


@pytest.mark.parametrize(("kind", "name", "words"), FIRST_STEPS, ids=[name for _, name, _ in FIRST_STEPS])
def test_the_doctor_sees_it_in_eight_steps(kind, name, words, tmp_path):
    made = files(make(kind, tmp_path / "broken", fault_name=name, at="tiny"))
    assert words in [trouble.name for trouble in diagnose(*made)]


@pytest.mark.parametrize(("kind", "name", "steps", "words"), LONGER, ids=[each[1] for each in LONGER])
def test_the_doctor_sees_it_in_a_short_run(kind, name, steps, words, tmp_path):
    assert words in [trouble.name for trouble in diagnose(*short(kind, name, steps, tmp_path / "broken"))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_doctor_leaves_the_sound_in_peace(kind, sound):
    assert diagnose(*files(sound(kind))) == []


# The grader.


def test_every_fault_has_its_label():
    assert list(LABELS) == NAMES


def test_the_grader_names_what_gives_a_fault_away():
    hung = exhibits()
    assert len(hung) >= 16 and SOUND in hung.values() and len(set(hung.values())) == len(hung)
    for label, name in hung.items():
        found = name_the_fault(label, name)
        assert found.right and found.startswith("Right")
        if name != SOUND:
            assert LABELS[name].symptom in found and FAULTS[name] in possible(label)
            assert not name_the_fault(label, SOUND).right
        for other in possible(label):
            assert name_the_fault(label, other.name).right == (other.name == name)
    of = {name: label for label, name in hung.items()}
    assert "a fault of dpo" in name_the_fault(of["pad_is_stop"], "labels_flipped")
    with pytest.raises(BadInput, match="No exhibit"):
        name_the_fault("1", "pad_is_stop")
    with pytest.raises(BadInput, match="no fault"):
        name_the_fault("A", "gremlins")


def test_the_world_of_letters_knows_right_from_wrong():
    world = Letters()
    for question in world.draw("test", 30):
        assert question.truth == "".join(sorted(question.prompt[-1].content))
        assert world.judge(question, question.truth)["correct"] and world.judge(question, question.truth)["near"] == 1
        assert not world.judge(question, question.truth + "a")["correct"]
    for pair in world.pairs("train", 50, 0):
        assert pair.chosen != pair.rejected and pair.chosen == "".join(sorted(pair.prompt[-1].content))
    import random

    assert {spoiled("ab", random.Random(i)) for i in range(30)} == {"ba", "b", "aab"}
