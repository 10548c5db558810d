"""Batches: what is learned stands where it is said, whatever the padding and the packing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.data.batch import IGNORE, Batch, Segment, laid_out, packed, padded
from insideout.errors import BadInput

PAD = 99
# A prompt of three and an answer of two; a conversation of two turns; a text of two.
DOCUMENTS = [
    [Segment([10, 11, 12], learn=False), Segment([13, 14], learn=True)],
    [Segment([20], False), Segment([21, 22], True), Segment([23], False), Segment([24], True)],
    [Segment([30, 31], learn=True)],
]
SAID = [{(2, 13), (3, 14)}, {(0, 21), (1, 22), (3, 24)}, {(0, 31)}]
"""Of each document: the place in it that says, and the token that is said there."""


def said(batch: Batch) -> list[set[tuple[int, int]]]:
    """The same, read from a batch."""
    found: list[set[tuple[int, int]]] = [set() for _ in batch.rows]
    for row, column in batch.mask.nonzero().tolist():
        document = int(batch.segments[row, column])
        found[document].add((int(batch.positions[row, column]), int(batch.targets[row, column])))
    return found


def test_a_padded_batch_by_hand():
    batch = padded(DOCUMENTS[::2], PAD)
    assert batch.ids.tolist() == [[10, 11, 12, 13, 14], [30, 31, PAD, PAD, PAD]]
    assert batch.targets.tolist() == [[IGNORE, IGNORE, 13, 14, IGNORE], [31] + [IGNORE] * 4]
    assert batch.segments.tolist() == [[0] * 5, [1, 1, -1, -1, -1]]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4], [0, 1, 0, 0, 0]]
    assert batch.plain and batch.reading == {} and batch.n_targets == 3
    assert batch.lengths.tolist() == [5, 2] and batch.weights is batch.logprobs is batch.rewards is None
    left = padded(DOCUMENTS[::2], PAD, side="left")
    assert left.ids.tolist() == [[10, 11, 12, 13, 14], [PAD, PAD, PAD, 30, 31]]
    assert left.targets.tolist() == [[IGNORE, IGNORE, 13, 14, IGNORE], [IGNORE] * 3 + [31, IGNORE]]
    assert left.positions.tolist()[1] == [0, 0, 0, 0, 1] and not left.plain


def test_a_packed_batch_by_hand():
    batch = packed(DOCUMENTS, PAD, row_length=8)  # 5 and 2 fit in a row, the other 5 begin the next
    assert batch.ids.tolist() == [[10, 11, 12, 13, 14, 30, 31, PAD], [20, 21, 22, 23, 24, PAD, PAD, PAD]]
    assert batch.segments.tolist() == [[0] * 5 + [2, 2, -1], [1] * 5 + [-1] * 3]
    assert batch.positions.tolist() == [[0, 1, 2, 3, 4, 0, 1, 0], [0, 1, 2, 3, 4, 0, 0, 0]]
    assert batch.rows.tolist() == [0, 1, 0] and batch.starts.tolist() == [0, 0, 5]
    assert batch.targets[0, 4] == IGNORE, "the last token of a document does not say the first of the next"
    assert list(batch.reading) == ["segments"]


LAYOUTS = {
    "right": lambda documents: padded(documents, PAD),
    "left": lambda documents: padded(documents, PAD, side="left"),
    "one row": lambda documents: packed(documents, PAD, 40),
    "two rows": lambda documents: packed(documents, PAD, 8),
    "backwards": lambda documents: laid_out([[2, 1], [0]], documents, PAD),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_said_is_the_same_in_every_layout(layout):
    batch = LAYOUTS[layout](DOCUMENTS)
    assert said(batch) == SAID
    assert batch.n_targets == 6 and not (batch.targets == PAD).any()
    assert (batch.ids[batch.segments < 0] == PAD).all() and not batch.mask[batch.segments < 0].any()
    for number, document in enumerate(DOCUMENTS):
        ids = [id for segment in document for id in segment.ids]
        assert batch.ids[batch.segments == number].tolist() == ids
    assert batch.at_ends(batch.ids).tolist() == [14, 24, 31]
    assert batch.sums(torch.ones(batch.ids.shape)).tolist() == [2, 3, 1]
    assert batch.sums(batch.targets.float()).tolist() == [27, 67, 31]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=4), min_size=1, max_size=6),
       st.sampled_from(sorted(LAYOUTS.keys() - {"backwards", "two rows"})))  # fmt: skip
def test_every_learned_token_but_a_first_one_is_said_exactly_once(shapes, layout):
    documents = [[Segment(range(5, 5 + n), learn) for n, learn in shape] for shape in shapes]
    expected = [sum(n * learn for n, learn in shape) - shape[0][1] for shape in shapes]
    if layout == "one row":
        documents, expected = documents[:2], expected[:2]
    if 0 in expected:
        with pytest.raises(BadInput, match="no token to learn from"):
            LAYOUTS[layout](documents)
        return
    batch = LAYOUTS[layout](documents)
    assert batch.sums(torch.ones(batch.ids.shape)).tolist() == expected


def test_weights_stand_with_the_targets_they_weigh():
    documents = [[Segment([1, 2, 3], 0.1), Segment([4, 5], True)], [Segment([6, 7], True)]]
    for layout in ("right", "left", "one row"):
        batch = LAYOUTS[layout](documents)
        assert batch.weights is not None and torch.equal(batch.weights > 0, batch.mask)
        assert torch.allclose(batch.sums(batch.weights), torch.tensor([2.2, 1.0]))
    assert padded(DOCUMENTS, PAD).weights is None


def test_what_was_drawn_stands_where_it_was_said():
    documents = [
        [Segment([1, 2], False), Segment([3, 4], True, logprobs=[-0.5, -0.25], rewards=[0.0, 1.0]),
         Segment([5], False), Segment([6], True, logprobs=[-2.0], rewards=[3.0])],
        [Segment([7], False), Segment([8], True, logprobs=[-1.0], rewards=[-1.0])],
    ]  # fmt: skip
    for layout in ("right", "left", "one row"):
        batch = LAYOUTS[layout](documents)
        assert torch.equal(batch.logprobs != 0, batch.mask)
        assert batch.logprobs[batch.mask].sort().values.tolist() == [-2, -1, -0.5, -0.25]
        assert batch.sums(batch.logprobs).tolist() == [-2.75, -1.0] and batch.sums(batch.rewards).tolist() == [4, -1]
        at = dict(zip(batch.targets[batch.mask].tolist(), batch.logprobs[batch.mask].tolist(), strict=True))
        assert at == {3: -0.5, 4: -0.25, 6: -2.0, 8: -1.0}
    batch = padded(documents, PAD, finished=[True, False])
    assert batch.finished.tolist() == [True, False]


@pytest.mark.parametrize("layout", ["right", "left", "two rows"])
def test_rows_taken_keep_their_documents(layout):
    batch = LAYOUTS[layout](DOCUMENTS)
    rows = list(range(len(batch.ids)))[::-1]
    taken = batch.take(rows)
    assert torch.equal(taken.ids, batch.ids.flip(0)) and torch.equal(taken.targets, batch.targets.flip(0))
    order = [SAID[document] for row in rows for document in range(3) if batch.rows[document] == row]
    assert said(taken) == order
    only = batch.take(rows[:1])
    assert said(only) == [SAID[document] for document in range(3) if batch.rows[document] == rows[0]]
    assert only.at_ends(only.ids).tolist() == batch.at_ends(batch.ids)[batch.rows == rows[0]].tolist()


def test_a_batch_moves_whole():
    batch = padded(DOCUMENTS, PAD, finished=[True] * 3).to("meta")
    assert all(getattr(batch, name).device.type == "meta" for name in ("ids", "targets", "rows", "finished"))
    assert batch.plain and batch.weights is None


@pytest.mark.parametrize(
    ("why", "documents", "pad"),
    [
        ("no documents", [], PAD),
        ("Document 1 has no tokens", [DOCUMENTS[0], [Segment([], True)]], PAD),
        ("Document 1 holds the pad token 31: padding needs a token of its own", [DOCUMENTS[0], DOCUMENTS[2]], 31),
        ("Document 0 has no token to learn from", [[Segment([1, 2, 3], False)]], PAD),
        ("Document 0 has no token to learn from", [[Segment([1], True), Segment([2, 3], False)]], PAD),
        ("give the id of a pad token", DOCUMENTS, None),
        ("which is no token's id", [[Segment([1, -100], True)]], PAD),
        ("weight 2", [[Segment([1, 2], 2.0)]], PAD),
        ("has 1 logprobs for 2 tokens", [[Segment([1], False), Segment([2, 3], True, logprobs=[-1.0])]], PAD),
        ("begins with what was drawn", [[Segment([2, 3], True, logprobs=[-1.0, -1.0])]], PAD),
        ("not a number of 0 or less", [[Segment([1], False), Segment([2], True, logprobs=[float("nan")])]], PAD),
        ("not a number of 0 or less", [[Segment([1], False), Segment([2], True, logprobs=[0.5])]], PAD),
        ("not a number of 0 or less", [[Segment([1], False), Segment([2], True, logprobs=[float("-inf")])]], PAD),
        ("a segment to learn from has no logprobs",
         [[Segment([1], False), Segment([2], True, logprobs=[-1.0]), Segment([3], True)]], PAD),
        ("Document 0 has no logprobs, but others have",
         [DOCUMENTS[0], [Segment([1], False), Segment([2], True, logprobs=[-1.0])]], PAD),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused_in_one_sentence(why, documents, pad):
    with pytest.raises(BadInput, match=why) as error:
        padded(documents, pad)
    assert "\n" not in str(error.value)


def test_other_ways_to_go_wrong():
    with pytest.raises(BadInput, match="Document 1 has 5 tokens and a row has room for 4"):
        packed(DOCUMENTS[2:] + DOCUMENTS[:1], PAD, 4)
    with pytest.raises(BadInput, match="exactly one row"):
        laid_out([[0, 1], [1]], DOCUMENTS, PAD)
    with pytest.raises(BadInput, match="2 flags"):
        padded(DOCUMENTS, PAD, finished=[True, False])


def test_what_is_only_read_needs_nothing_to_learn():
    batch = padded([[Segment([1, 2, 3], False)], [Segment([4], False)]], PAD, read_only=True)
    assert batch.n_targets == 0 and batch.at_ends(batch.ids).tolist() == [3, 4]
