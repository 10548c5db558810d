"""Pretraining keeps the held-out text out of everything that is learned, and ends alike on one process or two."""

import json
import os
import subprocess
import sys

import pytest

from insideout.data.text.corpus import load_corpus
from insideout.recipes.texts import make_tokenizer, training_text


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
