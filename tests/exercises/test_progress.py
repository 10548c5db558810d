"""Progress is kept whole, whoever writes at the same time, whatever the file holds, and under today's ids."""

import json
import multiprocessing
import os

import pytest

from insideout.exercises import check, find
from insideout.exercises.catalogue import topics
from insideout.exercises.progress import EARLIER_TOPICS, MOVED, keep, keep_hint, progress, progress_file

PAIRS = find("gradients.loss.pairs")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))
    return tmp_path


def test_attempts_are_counted_and_the_first_success_kept(capsys):
    check(PAIRS.id, lambda ids: ids)
    assert progress()[PAIRS.id] == {"attempts": 1, "solved": None}
    check(PAIRS.id, PAIRS.reference)
    first = progress()[PAIRS.id]
    assert first["attempts"] == 2 and first["solved"]
    check(PAIRS.id, lambda ids: ids)
    assert progress()[PAIRS.id] == {"attempts": 3, "solved": first["solved"]}


def test_a_stub_and_an_unknown_id_are_no_attempt(capsys):
    def stub(ids):
        raise NotImplementedError

    assert check(PAIRS.id, stub).outcome == "not yet"
    assert not check("gradients.loss.pears", PAIRS.reference)
    assert "did you mean 'gradients.loss.pairs'?" in capsys.readouterr().out
    assert progress() == {}


def test_what_comes_next_is_said(capsys):
    check(PAIRS.id, PAIRS.reference)
    assert "1 of 3 of chapter 07, “The loss” done. Next: gradients.loss.logprobs (★★☆" in capsys.readouterr().out
    for name in ("cross_entropy", "logprobs"):
        check(f"gradients.loss.{name}", find(f"gradients.loss.{name}").reference)
    assert "3 of 3 of chapter 07, “The loss” done. Next: chapter 08" in capsys.readouterr().out


def test_the_next_hint_is_offered(capsys):
    check(PAIRS.id, lambda ids: ids)
    assert "Hint 1 of 2" in capsys.readouterr().out
    keep_hint(PAIRS.id, 1)
    check(PAIRS.id, lambda ids: ids)
    assert "Hint 2 of 2" in capsys.readouterr().out
    keep_hint(PAIRS.id, 2)
    check(PAIRS.id, lambda ids: ids)
    assert "Hint" not in capsys.readouterr().out


def keep_many(n):
    for _ in range(n):
        keep("gradients.loss.pairs", False)


def test_answers_graded_at_the_same_time_are_all_kept():
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=keep_many, args=(20,)) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert progress()["gradients.loss.pairs"]["attempts"] == 80


DAMAGED = [
    "{broken", "[]", "7", '{"a.b.c": 3}', '{"a.b.c": {"attempts": "3", "solved": null}}',
    '{"a.b.c": {"attempts": 1, "solved": 20260101}}', '{"a.b.c": {"attempts": true}}', '{"a.b.c": {"attempts": -1}}',
    '{"a.b.c": {"hints": [1]}}', "[" * 100_000, "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_what_cannot_be_understood_is_set_aside_not_overwritten(home, text):
    data = text.encode(errors="surrogateescape")
    for name in ("progress.damaged.json", "progress.damaged-2.json"):
        progress_file().write_bytes(data)
        keep(PAIRS.id, True)
        assert progress()[PAIRS.id]["attempts"] == 1
        assert (home / name).read_bytes() == data


def test_earlier_ids_are_carried_over_once():
    earlier = {
        "hand_loss.pairs": {"attempts": 2, "solved": "2026-01-02T00:00:00+00:00"},
        "gradients.loss.pairs": {"attempts": 1, "solved": "2026-03-02T00:00:00+00:00"},
        "attention.pattern": {"attempts": 1, "solved": None},
        "cache.memory": {"attempts": 4, "solved": None},
        "tokens.encode": {"attempts": 1, "solved": None},
        "hand_training.bound": {"attempts": 1, "solved": "2026-01-05T00:00:00+00:00"},
    }
    progress_file().write_text(json.dumps(earlier))
    keep("gradients.loss.pairs", True)
    record = json.loads(progress_file().read_text())
    assert record["gradients.loss.pairs"] == {"attempts": 4, "solved": "2026-01-02T00:00:00+00:00"}
    assert {"transformer.attention.pattern", "transformer.kv_cache.memory"} < set(record)
    assert record["transformer.tokens_embeddings_positions.encode"]["attempts"] == 1
    assert not set(earlier) - {"gradients.loss.pairs"} & set(record)
    assert progress() == record


FIRST_EDITION = {
    "attention": "cost gradient pattern scores",
    "block": "pre_norm rms_norm rms_norm_gradient stream_size",
    "cache": "memory outcome step tokens",
    "complete_model": "flops loss temperature top_p",
    "feed_forward": "balance gates swiglu width",
    "gpt_introduction": "attention parameters width",
    "hand_adamw": "mean step uncorrected",
    "hand_attention": "head scores softmax",
    "hand_backpropagation": "embedding gelu layer_norm softmax",
    "hand_embeddings": "embed matmul one_hot",
    "hand_engine": "product repeated_row walk",
    "hand_feed_forward": "collapse gelu slope",
    "hand_heads": "attention parts split",
    "hand_introduction": "floor parameters slope",
    "hand_layer_norm": "block normalise undo",
    "hand_loss": "cross_entropy logprobs pairs",
    "hand_loss_gradient": "central_differences last_parameters logits",
    "hand_projections": "between linear project",
    "hand_training": "bound generate mean",
    "interpret": "attribution effect induction lens",
    "multi_head": "cache_bytes grouped merge split",
    "positions": "alibi rotate",
    "scaling_laws": "exponent objective optimal",
    "tokens": "encode",
    "training_loop": "accumulate learning_rate muon",
}
"""Every exercise of the first edition, by its topic there."""


def test_a_whole_file_of_the_first_edition_is_carried_over():
    earlier = [f"{topic}.{name}" for topic, names in FIRST_EDITION.items() for name in names.split()]
    assert len(earlier) == 80 and set(FIRST_EDITION) == set(EARLIER_TOPICS)
    progress_file().write_text(json.dumps({id: {"attempts": 1, "solved": "2026-01-02"} for id in earlier}))
    found = progress()
    for id in found:
        find(id)  # each of them exists today
    assert sum(entry["attempts"] for entry in found.values()) == len(earlier)
    assert all(entry["solved"] == "2026-01-02" for entry in found.values())


def test_what_is_carried_over_exists_today():
    assert set(EARLIER_TOPICS.values()) <= set(topics())
    for id in MOVED.values():
        find(id)


def test_progress_that_cannot_be_written_is_said(home, capsys):
    progress_file().mkdir()
    verdict = check(PAIRS.id, PAIRS.reference)
    assert verdict.passed and "could not be written" in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_home_is_said(home, capsys):
    home.chmod(0o500)
    assert check(PAIRS.id, PAIRS.reference).passed
    assert "could not be written" in capsys.readouterr().out
