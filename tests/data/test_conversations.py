"""A .jsonl of conversations or of pairs: read, or refused with the number of the line."""

import json

import pytest

from insideout.data.conversations import read_conversations, read_pairs
from insideout.data.suite import Message
from insideout.errors import BadInput

TALK = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
OTHER = [TALK[0], {"role": "assistant", "content": "c"}]


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "mine.jsonl"
        path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines) + "\n")
        return path

    return write


def test_conversations(file):
    path = file({"messages": TALK}, "", {"instruction": "Add.", "input": "1, 2", "output": "3"},
                {"instruction": "Go.", "input": "", "output": "Gone."})  # fmt: skip
    assert read_conversations(path) == [
        (Message("user", "a"), Message("assistant", "b")),
        (Message("user", "Add.\n1, 2"), Message("assistant", "3")),
        (Message("user", "Go."), Message("assistant", "Gone.")),
    ]


def test_pairs(file):
    path = file({"prompt": "a", "chosen": "b", "rejected": "c"}, {"chosen": TALK, "rejected": OTHER},
                {"prompt": TALK[:1], "chosen": TALK, "rejected": OTHER},
                {"prompt": TALK[:1], "chosen": TALK[1:], "rejected": OTHER[1:]})  # fmt: skip
    assert read_pairs(path) == [((Message("user", "a"),), "b", "c")] * 4


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2 is not JSON"),
        ("3", "line 2 holds int"),
        ({"text": "a"}, "line 2 has the fields text"),
        ({}, "no fields"),
        ({"messages": []}, "no list"),
        ({"messages": [{"role": "user"}]}, "line 2, message 1"),
        ({"instruction": "a", "output": " "}, "empty output"),
    ],
)
def test_lines_that_are_no_conversation(file, line, words):
    with pytest.raises(BadInput, match=words):
        read_conversations(file({"messages": TALK}, line))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"prompt": "a", "chosen": "b"}, "line 2 has the fields prompt, chosen"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "are the same"),
        ({"chosen": "b", "rejected": "c"}, "or there is none"),
        ({"chosen": TALK, "rejected": [{"role": "user", "content": "x"}, OTHER[1]]}, "the same prompt"),
        ({"prompt": "", "chosen": "b", "rejected": "c"}, "empty prompt"),
    ],
)
def test_lines_that_are_no_pair(file, line, words):
    with pytest.raises(BadInput, match=words):
        read_pairs(file({"prompt": "a", "chosen": "b", "rejected": "c"}, line))


def test_files_that_cannot_be_read(tmp_path, file):
    with pytest.raises(BadInput, match="Could not read"):
        read_conversations(tmp_path / "none.jsonl")
    with pytest.raises(BadInput, match="is empty"):
        read_pairs(file(""))
