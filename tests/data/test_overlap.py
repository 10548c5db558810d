"""Runs of words that a test and a training text share."""

import pytest

from insideout.data.overlap import ngrams, overlaps
from insideout.errors import BadInput

TEST = "Anna was in the hall. Where is Anna?"


def test_runs_are_of_words_alone():
    assert list(ngrams("A b, C!", 2)) == [("a", "b"), ("b", "c")]
    assert list(ngrams("A b.", 8)) == [("a", "b")]
    assert list(ngrams(" ... ", 2)) == []


def test_shares_by_brute_force():
    training = ["So Anna was in the HALL", "Where is Ben?", "the hall where"]
    for n in (1, 2, 3, 5, 20):
        joined = [list(ngrams(text, n)) for text in training]
        words = [text.lower().replace(".", "").replace("?", "").split() for text in training]

        def stands(run, words=words):
            return any(tuple(each[i : i + len(run)]) == run for each in words for i in range(len(each)))

        runs = list(ngrams(TEST, n))
        assert overlaps([TEST], training, n) == [sum(map(stands, runs)) / len(runs)], (n, joined)


def test_a_copy_is_found_in_another_dress_and_a_run_does_not_cross_texts():
    assert overlaps([TEST, "Ben sleeps"], iter(["x " + TEST.upper().replace(".", " ;") + " y"]), 4) == [1.0, 0.0]
    assert overlaps(["one two"], ["one", "two"], 2) == [0.0]
    assert overlaps([], ["one"], 2) == [] and overlaps(["?"], ["one"], 2) == [0.0]


def test_refuses_an_empty_run():
    with pytest.raises(BadInput):
        overlaps([TEST], [TEST], 0)
