"""The museum: each switch really breaks what it says, only while it is on, and the doctor knows many of them."""

import dataclasses
import importlib
import json
import sys
from functools import lru_cache
from statistics import fmean

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
from insideout.lab.museum.making import HALLS, KINDS, make, settings
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
    if name in SHOWN_BY_PICTURES:  # and by nothing else: to the last digit the curves are those of a sound run
        assert numbers(broken) == before
        assert drawn(broken) != drawn(sound(kind))
    else:
        assert numbers(broken) != before
    assert active() == ()
    if name in SIGNATURES:
        signature, holds = SIGNATURES[name]
        broken_has, sound_has = (signature(each) for each in (broken, sound(kind)))
        assert holds(broken_has, sound_has), (broken_has, sound_has)
        assert not holds(sound_has, sound_has)
    if name in SEEN_AT_ONCE:
        assert SEEN_AT_ONCE[name] in [trouble.name for trouble in diagnose(*files(broken))]


SEEN_AT_ONCE = {"average_is_a_copy": "the averaged weights are a copy"}
"""What the doctor needs no longer run for."""

SHOWN_BY_PICTURES = ("velocity_sign", "guided_away", "drawn_backwards")


def drawn(folder):
    """What a run painted, and numbers of it."""
    return json.loads((folder / "drawn.json").read_text())


def all_of(name):
    return lambda folder: [each[name] for each in files(folder)[1] if name in each]


def last(name):
    return lambda folder: all_of(name)(folder)[-1]


def first(name):
    return lambda folder: all_of(name)(folder)[0]


def averaged_less_raw(folder):
    """Held-out losses of the averaged weights less those of the raw ones."""
    return [
        a - b for a, b in zip(all_of("ema_validation_loss")(folder), all_of("validation_loss")(folder), strict=True)
    ]


def size_where_alike(folder):
    """Mean size of the advantages, and the share of groups that have anything to compare."""
    return fmean(all_of("advantage_size")(folder)), 1 - fmean(all_of("alike")(folder))


SIGNATURES = {
    "velocity_sign": (lambda folder: drawn(folder)["found"]["plain_apart"], lambda broken, sound: broken > sound),
    "drawn_backwards": (lambda folder: drawn(folder)["found"]["plain_apart"], lambda broken, sound: broken > sound),
    "paper_is_grey": (first("loss"), lambda broken, sound: broken < sound - 0.3),
    "one_coin_for_all": (all_of("null_share"), lambda broken, sound: set(broken) <= {0.0, 1.0}),
    "class_never_dropped": (all_of("null_share"), lambda broken, sound: max(broken) == 0 < max(sound)),
    "average_is_a_copy": (averaged_less_raw, lambda broken, sound: not any(broken)),
    "average_stands_still": (averaged_less_raw, lambda broken, sound: broken[-1] > sound[-1] + 0.05),
    "scaler_forgotten": (lambda folder: abs(drawn(folder)["found"]["latent_deviation"] - 1), lambda b, s: b > s + 0.1),
    "scaled_twice": (lambda folder: abs(drawn(folder)["found"]["latent_deviation"] - 1), lambda b, s: b > s + 0.1),
    "kl_not_divided": (first("kl"), lambda broken, sound: broken > 30 * sound),
    "kl_averaged": (first("kl"), lambda broken, sound: broken < sound / 30),
    "temperature_not_raised": (first("temperature"), lambda broken, sound: broken < 3 < 14 < sound),
    "temperature_not_learned": (all_of("temperature"), lambda broken, sound: len(set(broken)) == 1),
    "compared_with_the_batch": (size_where_alike, lambda broken, sound: broken[0] > broken[1] + 0.01),
    "loss_without_gradient": (first("gradient_norm"), lambda broken, sound: broken < 1e-4 < sound),
    "one_seed_for_all": (all_of("alike"), lambda broken, sound: set(broken) == {1.0}),
    "unreadable_is_right": (
        lambda folder: last("reward")(folder) - last("gold")(folder), lambda broken, sound: broken > sound
    ),
    "unlabelled_is_right": (last("are_right"), lambda broken, sound: broken > sound),
    "unreadable_votes": (last("unreadable"), lambda broken, sound: broken > sound == 0),
}  # fmt: skip
"""What is measured of faults of parts 4 and 5, in runs of a few updates, and how it differs from a sound run's."""


def test_times_that_are_not_told_apart():
    """What is told of the time, and what the mixture is made of."""
    import torch

    from insideout.images.embeddings import TimeEmbedding
    from insideout.images.paths import interpolate

    told, data, t = TimeEmbedding(8), torch.ones(3, 1, 2, 2), torch.tensor([0.1, 0.5, 0.9])
    with fault("time_cut_off"):
        assert torch.equal(told(t), told(torch.zeros(3)))
    assert not torch.equal(told(t), told(torch.zeros(3)))
    with fault("time_not_mixed"):
        from insideout.images import paths

        assert torch.equal(paths.interpolate(data, 0 * data, t), data / 2)
    assert torch.allclose(interpolate(data, 0 * data, t)[:, 0, 0, 0], t)


@pytest.mark.parametrize("kind", ["sft", "rloo", "digits_drawer"])
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
    assert sorted(LABELS) == sorted(NAMES)
    assert all(FAULTS[name].kind in KINDS for name in NAMES)


def test_parts_4_and_5_have_their_faults():
    for part, least in ((4, 10), (5, 8)):
        assert sum(FAULTS[name].part == part for name in NAMES) >= least


def test_the_grader_names_what_gives_a_fault_away():
    hung = {label: name for hall in HALLS for label, name in exhibits(hall).items()}
    assert len(hung) >= 40
    for hall in HALLS:
        assert SOUND in exhibits(hall).values() and len(set(exhibits(hall).values())) == len(exhibits(hall))
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
