"""Pretraining keeps the held-out text out of everything that is learned, and ends alike on one process or two."""

import json
import os
import subprocess
import sys

import pytest

from insideout.cli.main import main
from insideout.data.text.corpus import load_corpus
from insideout.errors import BadInput
from insideout.recipes.pretrain import PretrainConfig, batch_shape
from insideout.recipes.runs import Run, companions_of
from insideout.recipes.settings import from_dict, to_dict
from insideout.recipes.texts import make_tokenizer, training_text
from insideout.training.config import TrainConfig
from insideout.transformer.config import GPTConfig


def test_the_held_out_text_shapes_no_token(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    file = tmp_path / "text.txt"
    file.write_text("all cats sleep. " * 900 + "zyzzyva " * 200, encoding="utf-8")  # 14,400 and 1,600 characters
    corpus = load_corpus([str(file)])
    assert "".join(training_text(corpus, 0.1)) == "all cats sleep. " * 900
    tokenizer = make_tokenizer("bpe", 300, 0.1, corpus)
    pieces = [tokenizer.decode([i]) for i in range(256, tokenizer.vocab_size)]
    assert any("cats" in piece for piece in pieces)
    assert not any("z" in piece or "y" in piece for piece in pieces)
    assert tokenizer.decode(tokenizer.encode("zyzzyva")) == "zyzzyva"


def test_two_processes_that_share_a_model_end_where_one_does(tmp_path):
    environment = os.environ | {"INSIDEOUT_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    script = tmp_path / "train.py"
    script.write_text("from insideout.cli.main import main\nmain()\n", encoding="utf-8")
    start = {"one": [sys.executable], "two": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]}
    results = {}
    for name, command in start.items():
        out = tmp_path / name
        words = [*command, str(script), "train", "--scale", "tiny", "--parallel", "tensor", "--out", str(out)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        results[name] = json.loads((out / "result.json").read_text())
    assert results["two"]["validation_loss"] == pytest.approx(results["one"]["validation_loss"], abs=1e-5)
    assert results["two"]["tokens_seen"] == results["one"]["tokens_seen"]


def test_what_was_trained_before_there_was_a_setting_is_still_itself():
    """A later field at its default is not told of; the fingerprint is the one that checkpoints hold since before."""
    config = GPTConfig(vocab_size=512, context_length=32, d_model=32, n_layers=2, n_heads=2)
    told = to_dict(PretrainConfig(sample_tokens=0, model=config))
    assert "short_until" not in told and not {"zero_init_outputs", "logit_cap", "pair_rows"} & told["model"].keys()
    assert from_dict(PretrainConfig, told, "here") == PretrainConfig(sample_tokens=0, model=config)
    assert companions_of(config, "")["model"] == "19a6f06bd8de670d19920ad7dc0217bd9a93366937e069678293eaf2a88aa68a"
    changed = PretrainConfig(short_until=0.5, model=GPTConfig(logit_cap=15.0))
    assert to_dict(changed)["short_until"] == 0.5 and to_dict(changed)["model"]["logit_cap"] == 15.0
    assert from_dict(PretrainConfig, to_dict(changed), "here") == changed


def test_windows_are_short_at_first_and_a_step_has_as_many_tokens():
    config = PretrainConfig(
        sample_tokens=0,
        short_until=0.75,
        model=GPTConfig(context_length=10),
        train=TrainConfig(steps=8, batch_size=3, warmup_steps=0),
    )
    assert [batch_shape(config, step) for step in range(8)] == [(6, 5)] * 6 + [(3, 10)] * 2
    with pytest.raises(BadInput, match=r"short_until is 1\.5"):
        PretrainConfig(short_until=1.5)
    with pytest.raises(BadInput, match="short_until needs"):
        PretrainConfig(sample_tokens=0, short_until=0.5, model=GPTConfig(context_length=1))


def test_a_run_with_all_that_makes_it_learn_faster_is_trained_and_told(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    text, out = tmp_path / "text.txt", tmp_path / "run"
    text.write_text("the cat sat on the mat. " * 400, encoding="utf-8")
    flags = "--scale tiny --steps 6 --zero-init-outputs --logit-cap 15 --pair-rows 50 --token-shift --short-until 0.5"
    words = ["train", "--corpus", str(text), "--tokenizer", "character", "--warmup-steps", "2", *flags.split()]
    with pytest.raises(SystemExit, match=r"^0$"):
        main([*words, "--out", str(out)])
    run = Run(out)
    assert run.config.short_until == 0.5 and run.config.model.pair_rows == 50 and run.model().config.logit_cap == 15
    assert run.result()["tokens_seen"] == 6 * 8 * 32
