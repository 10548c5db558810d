"""Tokens on disk: the split, the batches, the windows, and what happens to damaged or full disks."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.data.text import tokens as module
from insideout.data.text.corpus import Corpus, load_corpus
from insideout.data.text.cut import cut_safely
from insideout.data.text.tokens import Tokens, prepare, sample_batch, windows
from insideout.errors import BadInput
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

TEXT = "The cat sat, né?\n" * 700


def corpus_of(folder: Path, text: str = TEXT) -> Corpus:
    path = folder / "corpus.txt"
    path.write_text(text, newline="")
    return load_corpus([str(path)])


def test_the_first_nine_tenths_train(tmp_path: Path):
    tokenizer, split = CharacterTokenizer.train(TEXT), int(0.9 * len(TEXT))
    data = prepare(corpus_of(tmp_path), tokenizer, tmp_path / "tokens")
    assert tokenizer.decode(data.train.ids.tolist()) == TEXT[:split]
    assert tokenizer.decode(data.validation.ids.tolist()) == TEXT[split:]
    assert isinstance(data.train.ids, np.memmap) and data.train.ids.dtype == np.uint16
    assert data.validation_bytes_per_token == len(TEXT[split:].encode()) / len(TEXT[split:])


def test_bpe_tokens_are_those_of_the_two_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tokenizer, split = BPETokenizer.train(TEXT, 300), int(0.9 * len(TEXT))
    cut = cut_safely
    monkeypatch.setattr(module, "cut_safely", lambda text, size: cut(text, 100))  # many pieces
    data = prepare(corpus_of(tmp_path), tokenizer, tmp_path)
    assert data.train.ids.tolist() == tokenizer.encode(TEXT[:split])
    assert data.validation.ids.tolist() == tokenizer.encode(TEXT[split:])
    assert data.validation_bytes_per_token == len(TEXT[split:].encode()) / len(data.validation)


def test_tinyshakespeare_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: str):
    monkeypatch.setenv("INSIDEOUT_DATA", shared_data)
    corpus = load_corpus(["tinyshakespeare"])
    text = corpus.text()
    tokenizer = CharacterTokenizer.train(text)
    data = prepare(corpus, tokenizer, tmp_path)
    assert tokenizer.vocab_size == 65 and len(data.train) == int(0.9 * len(text)) == 1_003_854
    assert tokenizer.decode(data.validation.ids.tolist()) == text[1_003_854:]


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path):
    class Wide:
        vocab_size = 70_000
        fingerprint = "wide"

        def encode(self, text: str) -> list[int]:
            return [69_999] * len(text)

    data = prepare(corpus_of(tmp_path), Wide(), tmp_path)
    assert data.train.ids.dtype == np.uint32 and int(data.train.ids[0]) == 69_999


def test_tokenised_once_per_corpus_and_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    corpus, folder = corpus_of(tmp_path), tmp_path / "tokens"
    tokenizer = CharacterTokenizer.train(TEXT)
    first = prepare(corpus, tokenizer, folder).train.ids.tolist()
    prepare(corpus, CharacterTokenizer.train(TEXT + "z"), folder)
    prepare(corpus, tokenizer, folder, validation_fraction=0.2)
    assert len(list(folder.iterdir())) == 3
    monkeypatch.setattr(CharacterTokenizer, "encode", lambda self, text: pytest.fail("tokenised again"))
    assert prepare(corpus, tokenizer, folder).train.ids.tolist() == first


@pytest.mark.parametrize("name", ["train.bin", "about.json"])
def test_truncated_tokens_are_made_again(tmp_path: Path, name: str):
    corpus, tokenizer, folder = corpus_of(tmp_path), CharacterTokenizer.train(TEXT), tmp_path / "tokens"
    first = prepare(corpus, tokenizer, folder).train.ids.tolist()
    damaged = next(folder.iterdir()) / name
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert prepare(corpus, tokenizer, folder).train.ids.tolist() == first


@pytest.mark.parametrize("name", ["train.bin", "validation.bin", "about.json"])
def test_tokens_whose_content_changed_are_made_again(tmp_path: Path, name: str):
    corpus, tokenizer, folder = corpus_of(tmp_path), CharacterTokenizer.train(TEXT), tmp_path / "tokens"
    first = prepare(corpus, tokenizer, folder)
    parts, ratio = (first.train.ids.tolist(), first.validation.ids.tolist()), first.validation_bytes_per_token
    damaged = next(folder.iterdir()) / name
    content = bytearray(damaged.read_bytes())
    at = content.index(b'per_token": ') + 12 if name == "about.json" else 20  # the ratio's first digit, the tenth token
    content[at] = ord("7") if content[at] != ord("7") else ord("8")
    damaged.write_bytes(content)
    again = prepare(corpus, tokenizer, folder)
    assert (again.train.ids.tolist(), again.validation.ids.tolist()) == parts
    assert again.validation_bytes_per_token == ratio


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    corpus, folder = corpus_of(tmp_path), tmp_path / "tokens"
    with pytest.raises(BadInput, match="No space left on device; free some space"):
        prepare(corpus, CharacterTokenizer.train(TEXT), folder)
    assert list(folder.iterdir()) == []


def test_too_short_corpora(tmp_path: Path):
    tokenizer = CharacterTokenizer.train(TEXT)
    with pytest.raises(BadInput, match="too short: its validation part has 1 token"):
        prepare(corpus_of(tmp_path, "The cat sa"), tokenizer, tmp_path)
    short = corpus_of(tmp_path, "The cat sat, the cat")  # 18 training tokens
    with pytest.raises(BadInput, match="18 training tokens, too few for a context of 18"):
        prepare(short, CharacterTokenizer.train(short.text()), tmp_path, context_length=18)
    with pytest.raises(BadInput, match="validation_fraction is 1"):
        prepare(short, tokenizer, tmp_path, validation_fraction=1.0)
    with pytest.raises(BadInput, match="too few for a context of 18"):
        sample_batch(Tokens(np.arange(18, dtype=np.uint16)), 0, 2, 18, seed=0)


def test_a_batch_depends_on_its_arguments_alone():
    tokens = Tokens(np.arange(1000, dtype=np.uint16))
    ids, targets = sample_batch(tokens, 3, 4, 16, seed=1, micro_step=2, rank=1)
    again, _ = sample_batch(tokens, 3, 4, 16, seed=1, micro_step=2, rank=1)
    assert ids.shape == targets.shape == (4, 16) and ids.dtype == torch.int64
    assert torch.equal(ids, again) and torch.equal(targets, ids + 1)
    changed = [(4, 1, 2, 1), (3, 2, 2, 1), (3, 1, 1, 1), (3, 1, 2, 0)]
    others = [sample_batch(tokens, step, 4, 16, seed=seed, micro_step=m, rank=r)[0] for step, seed, m, r in changed]
    assert all(not torch.equal(ids, other) for other in others)


def test_every_training_token_but_the_first_can_be_a_target():
    tokens = Tokens(np.arange(9, dtype=np.uint16))
    seen = {t for step in range(40) for t in sample_batch(tokens, step, 4, 4, seed=0)[1].flatten().tolist()}
    assert seen == set(range(1, 9))


@settings(deadline=None)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(1, 5))
def test_windows_predict_every_token_once(n: int, context_length: int, batch_size: int):
    batches = list(windows(Tokens(np.arange(n, dtype=np.uint16)), context_length, batch_size))
    targets = [t for _, batch in batches for t in batch.flatten().tolist()]
    assert targets == list(range(1, n))
    assert all(torch.equal(ids + 1, batch) and len(ids) <= batch_size for ids, batch in batches)
    assert all(ids.shape[1] == context_length for ids, _ in batches[:-1])
