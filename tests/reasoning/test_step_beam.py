"""A beam over steps: a judge decides, judged by nobody it is a chain, and all is paid for."""

import re

import pytest
import torch

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.reasoning.step_beam import step_beam, stops
from insideout.reasoning.thinking import ThinkingWriter, with_think_tokens
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer

PROMPTS = [(Message("user", "3+5"),), (Message("user", "4+4+1"),)]


@pytest.fixture(scope="module")
def writer():
    tokenizer = with_think_tokens(BPETokenizer.train("3+5=8\n#### 8\n" * 3, 270))
    torch.manual_seed(0)
    shape = GPTConfig(vocab_size=tokenizer.vocab_size, context_length=64, d_model=16, n_layers=1, n_heads=2)
    model = GPT(shape).eval()
    with torch.no_grad():  # line ends and stops are likely enough to be seen
        model.token_embedding.weight[[*stops(ThinkingWriter(model, tokenizer))[1]]] *= 3
    return ThinkingWriter(model, tokenizer)


def pleased(prompts, texts, finished):
    """Whoever has the fewest letters is right."""
    return [[1 / (1 + len(text))] * (len(re.findall("\n", text)) + 1) for text in texts]


def test_the_judge_decides_and_all_is_paid_for(writer):
    seen = []

    def judge(prompts, texts, finished):
        seen.append(list(texts))
        return pleased(prompts, texts, finished)

    found = step_beam(writer, judge, PROMPTS, 2, 3, seed=1, max_new_tokens=12)
    for prompt, each in zip(PROMPTS, found, strict=True):
        assert 0 < len(each.answer.ids) <= 12 and len(each.answer.logprobs) == len(each.answer.ids)
        assert each.read == each.written + len(writer.ids_of(prompt))
        assert each.written >= 3 * 1 and each.written > len(each.answer.ids)
    assert len(seen[0]) <= 2 * 3 and all(len(set(zip(texts, texts, strict=True))) <= 2 * 2 * 3 for texts in seen)


def test_alone_and_judged_by_nobody_it_throws_nothing_away(writer):
    for each in step_beam(writer, lambda p, texts, f: [[1.0]] * len(texts), PROMPTS, 1, 1, seed=4, max_new_tokens=15):
        assert each.written == len(each.answer.ids) and each.score in (0.0, 1.0)


def test_an_answer_is_as_probable_as_the_model_says(writer):
    [each, _] = step_beam(writer, pleased, PROMPTS, 2, 2, seed=3, max_new_tokens=8)
    ids = writer.ids_of(PROMPTS[0])
    with torch.no_grad():
        logprobs = writer.model(torch.tensor([ids + list(each.answer.ids)]))[0].log_softmax(-1)
    expected = [float(logprobs[len(ids) - 1 + t, token]) for t, token in enumerate(each.answer.ids)]
    assert each.answer.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_judge_who_knows_picks_the_step_he_likes(writer):
    """Of many first steps the one he likes best comes out, where the beam is as wide as what was drawn."""
    liked = []

    def judge(prompts, texts, finished):
        liked.extend(texts)
        return [[0.9 if text == min(liked) else 0.1] for text in texts]

    [found] = step_beam(writer, judge, PROMPTS[:1], 1, 6, seed=0, max_new_tokens=1)
    assert found.answer.text == min(liked) and found.score == 0.9 and found.written == 6


def test_what_cannot_be_searched_is_refused(writer):
    for wrong in ({"width": 0}, {"each": 0}, {"max_new_tokens": 0}):
        settings = {"width": 1, "each": 1, "max_new_tokens": 4} | wrong
        with pytest.raises(BadInput):
            step_beam(writer, pleased, PROMPTS, seed=0, **settings)
    still = ThinkingWriter(writer.model, writer.tokenizer, 0.0)
    with pytest.raises(BadInput, match="the same"):
        step_beam(still, pleased, PROMPTS, 1, 2, seed=0, max_new_tokens=4)
