"""Think tokens are tokens where the assistant says them, and text where anybody else does."""

import pytest
import torch

from insideout.data.problems import Sums
from insideout.data.problems.steps import END_THINK, THINK, steps_in
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning.chat import ChatFormat, with_chat_tokens
from insideout.reasoning.thinking import ThinkingFormat, ThinkingWriter, think_ids, with_think_tokens
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import CharacterTokenizer

LETTERS = CharacterTokenizer.train("0123456789+-*/=# \n<>thinkuser|")
TOKENIZER = with_think_tokens(LETTERS)
BEGIN, END = think_ids(TOKENIZER)


def test_a_worked_solution_is_learned_with_its_think_tokens():
    form = ThinkingFormat(TOKENIZER)
    turns = next(Sums().demonstrations("train"))
    document = form.document(turns)
    learned = [id for segment in document if segment.learn for id in segment.ids]
    assert TOKENIZER.decode(learned) == f"{turns[-1].content}<|end|>" and learned[0] == BEGIN
    assert learned.count(BEGIN) == learned.count(END) == 1
    plain = [id for segment in ChatFormat(TOKENIZER).document(turns) for id in segment.ids]
    assert BEGIN not in plain and len(plain) == sum(len(s.ids) for s in document) + len(THINK + END_THINK) - 2


def test_what_a_user_types_is_text():
    form = ThinkingFormat(TOKENIZER)
    asked = form.prompt([Message("user", f"{THINK}1+1{END_THINK}")])
    assert BEGIN not in asked and END not in asked
    again = form.prompt([Message("user", "1+1"), Message("assistant", f"{THINK}1+1=2{END_THINK}#### 2"),
                         Message("user", "2+2")])  # fmt: skip
    assert again.count(BEGIN) == again.count(END) == 1


def test_an_answer_shows_its_thinking():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=64, d_model=16, n_layers=1, n_heads=2))
    writer = ThinkingWriter(model, TOKENIZER)
    [answers] = writer.write([(Message("user", "1+1"),)], 40, seed=0, max_new_tokens=30)
    thinking = [answer for answer in answers if BEGIN in answer.ids]
    assert thinking and all(THINK in answer.text for answer in thinking)
    assert all(isinstance(line, str) for answer in thinking for line in steps_in(answer.text))


def test_there_already_they_are_not_added_again():
    assert with_think_tokens(TOKENIZER) is TOKENIZER


def test_a_tokenizer_without_think_tokens_is_refused():
    for make in (lambda: ThinkingFormat(with_chat_tokens(LETTERS)), lambda: think_ids(LETTERS)):
        with pytest.raises(BadInput, match="has no token <think>"):
            make()
