import pytest
import torch

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.reasoning.opening import continued, opening_ids
from insideout.reasoning.thinking import ThinkingWriter, with_think_tokens
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer

PROMPTS = [(Message("user", "3+5"),), (Message("user", "4+4+1"),)]


@pytest.fixture(scope="module")
def tokenizer():
    return with_think_tokens(BPETokenizer.train("3+5=8\n#### 8\n", 260))


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    shape = GPTConfig(vocab_size=tokenizer.vocab_size, context_length=64, d_model=16, n_layers=1, n_heads=2)
    return GPT(shape).eval()


@pytest.fixture(scope="module")
def writer(model, tokenizer):
    return ThinkingWriter(model, tokenizer)


def test_each_answer_begins_with_its_opening_and_its_tokens(writer) -> None:
    written = continued(writer, PROMPTS, ["<think>3+5=9\n", "####"], 0, 5, n=3)
    for answers, opening in zip(written, ["<think>3+5=9\n", "####"], strict=True):
        put = opening_ids(writer, opening)
        assert len(answers) == 3
        for answer in answers:
            assert answer.text.startswith(opening) and list(answer.ids[: len(put)]) == put
            assert len(put) < len(answer.ids) <= len(put) + 5
            assert answer.logprobs[: len(put)] == (0.0,) * len(put) and all(p < 0 for p in answer.logprobs[len(put) :])


def test_the_think_token_is_a_token(writer, tokenizer) -> None:
    assert opening_ids(writer, "<think>") == [tokenizer.special_ids["<think>"]]


def test_what_follows_is_drawn_as_after_these_tokens(writer, model) -> None:
    [[answer]] = continued(writer, PROMPTS[:1], ["<think>"], 3, 1)
    ids = writer.ids_of(PROMPTS[0]) + list(answer.ids)
    with torch.no_grad():
        logprobs = model(torch.tensor([ids[:-1]]))[0, -1].log_softmax(-1)
    assert answer.logprobs[-1] == pytest.approx(float(logprobs[ids[-1]]), abs=1e-5)


def test_without_an_opening_it_is_the_writers_own_answer(writer) -> None:
    plain = writer.write(PROMPTS, 2, 7, 6)
    assert [[a.ids for a in each] for each in continued(writer, PROMPTS, ["", ""], 7, 6, n=2)] == [
        [a.ids for a in each] for each in plain
    ]


def test_the_prompts_beside_it_change_nothing(model, tokenizer) -> None:
    alone = ThinkingWriter(model, tokenizer, at_once=1)
    together = ThinkingWriter(model, tokenizer, at_once=64)
    one, two = (continued(each, PROMPTS, ["<think>", "####"], 5, 6) for each in (alone, together))
    assert [a.ids for [a] in one] == [a.ids for [a] in two]


def test_bad_openings_are_refused(writer, tokenizer) -> None:
    with pytest.raises(BadInput, match="2 prompts and 1 openings"):
        continued(writer, PROMPTS, ["<think>"], 0, 4)
    with pytest.raises(BadInput, match="ends an answer"):
        continued(writer, PROMPTS[:1], [[writer.stop]], 0, 4)
    with pytest.raises(BadInput, match="leave room"):
        continued(writer, PROMPTS[:1], [[1] * 80], 0, 4)
