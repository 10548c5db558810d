"""Pretraining keeps the held-out text out of everything that is learned, its tokens included."""

from insideout.data.corpus import load_corpus
from insideout.lab.config import PretrainConfig
from insideout.lab.pretrain import make_tokenizer, training_text
from insideout.transformer.config import GPTConfig


def test_the_held_out_text_shapes_no_token(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    file = tmp_path / "text.txt"
    file.write_text("all cats sleep. " * 900 + "zyzzyva " * 200, encoding="utf-8")  # 14,400 and 1,600 characters
    corpus = load_corpus([str(file)])
    assert "".join(training_text(corpus, 0.1)) == "all cats sleep. " * 900
    tokenizer = make_tokenizer(PretrainConfig(model=GPTConfig(vocab_size=300)), corpus)
    pieces = [tokenizer.decode([i]) for i in range(256, tokenizer.vocab_size)]
    assert any("cats" in piece for piece in pieces)
    assert not any("z" in piece or "y" in piece for piece in pieces)
    assert tokenizer.decode(tokenizer.encode("zyzzyva")) == "zyzzyva"
