import pytest
import torch

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.reasoning.budget import Budget, BudgetWriter, Row, grow, think
from insideout.reasoning.opening import continued
from insideout.reasoning.thinking import ThinkingWriter, think_ids, with_think_tokens
from insideout.reasoning.writers import Counted
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer

PROMPTS = [(Message("user", "3+5"),), (Message("user", "4+4+1"),)]


@pytest.fixture(scope="module")
def tokenizer():
    return with_think_tokens(BPETokenizer.train("3+5=8\nwait\n#### 8\n" * 3, 270))


@pytest.fixture(scope="module")
def writer(tokenizer):
    torch.manual_seed(0)
    shape = GPTConfig(vocab_size=tokenizer.vocab_size, context_length=96, d_model=16, n_layers=1, n_heads=2)
    return ThinkingWriter(GPT(shape).eval(), tokenizer)


def test_without_limits_it_is_the_writers_own_thinking(writer, tokenizer) -> None:
    greedy = ThinkingWriter(writer.model, tokenizer, 0.0)
    budget = Budget(max_tokens=20)
    for [thought], [plain] in zip(
        think(greedy, PROMPTS, budget, 0), continued(greedy, PROMPTS, ["<think>"] * 2, 0, 20), strict=True
    ):
        assert thought.answer.ids[: 1 + thought.thinking] == plain.ids[: 1 + thought.thinking]
        assert thought.waits == 0


def test_no_thinking_is_longer_than_its_budget_and_each_is_closed_once(writer, tokenizer) -> None:
    begin, end = think_ids(tokenizer)
    for most in (0, 1, 7):
        for thoughts in think(writer, PROMPTS, Budget(max_tokens=most), 1, n=5):
            for thought in thoughts:
                ids = list(thought.answer.ids)
                assert ids[0] == begin and ids[1 + thought.thinking] == end and thought.thinking <= most
                assert end not in ids[: 1 + thought.thinking]
                assert len(thought.answer.logprobs) == len(ids)
                assert thought.cut == (thought.thinking == most) or thought.thinking < most


def grown(drawn, budget, most=20, ends=(90, 91), word=(7, 8)):
    """A row, after all that was drawn in turn."""
    row = Row([1], most)
    for ids in drawn:
        grow(row, list(ids), [-1.0] * len(ids), set(ends), list(word), budget)
    return row


def test_an_end_that_comes_too_early_is_dropped_for_the_word() -> None:
    row = grown([(3, 4, 90)], Budget(min_tokens=5))
    assert row.thinking == [3, 4, 7, 8] and row.waits == 1 and row.open
    row = grown([(3, 4, 90), (5, 90)], Budget(min_tokens=5))
    assert row.thinking == [3, 4, 7, 8, 5] and row.waits == 1 and not row.open and not row.cut
    assert row.logprobs == [-1.0, -1.0, 0.0, 0.0, -1.0]


def test_the_stop_of_the_answer_ends_thinking_too() -> None:
    assert grown([(3, 4, 91)], Budget()).thinking == [3, 4]


def test_the_word_is_put_so_often_at_most() -> None:
    for n in (0, 1, 2, 3):
        row = grown([(3, 90)] * (n + 1), Budget(min_tokens=19, max_waits=n))
        assert row.waits == n and not row.open


def test_a_thought_that_is_long_enough_may_end() -> None:
    row = grown([(3, 4, 5, 6, 2, 90)], Budget(min_tokens=5))
    assert row.waits == 0 and not row.open and row.thinking == [3, 4, 5, 6, 2]


def test_the_word_is_not_put_where_it_would_not_fit() -> None:
    row = grown([(3, 4, 90)], Budget(min_tokens=4, max_tokens=4), most=4)
    assert row.waits == 0 and not row.open


def test_only_what_is_new_decides_whether_it_has_ended() -> None:
    row = grown([(3, 90), (4, 5)], Budget(min_tokens=9))  # the first end was dropped; nothing has ended since
    assert row.open and row.thinking == [3, 7, 8, 4, 5]


def test_an_end_right_at_the_limit_is_no_cut() -> None:
    row = grown([(3, 4, 90)], Budget(), most=2)
    assert not row.open and not row.cut and row.thinking == [3, 4]


def test_what_was_drawn_beyond_the_limit_is_left_out() -> None:
    row = grown([(3, 4, 5, 6, 90)], Budget(), most=2)
    assert row.thinking == [3, 4] and row.open  # and is closed, as cut, in the next round


def test_as_a_writer_it_can_be_counted(writer) -> None:
    counted = Counted(BudgetWriter(writer, Budget(max_tokens=4)))
    written = counted.write(PROMPTS, 2, 0, 3)
    assert counted.usage.answers == 4 and counted.usage.tokens_out == sum(len(a.ids) for row in written for a in row)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"min_tokens": -1}, "min_tokens"), ({"min_tokens": 9, "max_tokens": 3}, "no thinking has both"),
        ({"max_waits": -1}, "max_waits"), ({"word": ""}, "is empty"),
    ],
)  # fmt: skip
def test_budgets_that_cannot_be_kept_are_refused(changes, words) -> None:
    with pytest.raises(BadInput, match=words):
        Budget(**changes)


def test_a_word_that_ends_the_thinking_is_refused(writer) -> None:
    with pytest.raises(BadInput, match="ends the thinking"):
        think(writer, PROMPTS, Budget(word="</think>"), 0)


def test_a_prompt_without_room_is_refused(writer) -> None:
    with pytest.raises(BadInput, match="no room to think"):
        think(writer, [(Message("user", "1+" * 60 + "1"),)], Budget(), 0)
