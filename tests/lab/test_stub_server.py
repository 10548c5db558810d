"""The server of the book: what it serves is what the writer wrote, and each fault costs one try."""

from dataclasses import dataclass

import pytest

from insideout.data.suite import Answer, Message
from insideout.errors import BadInput
from insideout.lab.stub_server import FAULTS, serving
from insideout.reasoning.server_writer import ServerWriter
from insideout.reasoning.writers import Usage


@dataclass
class Echo:
    """Says what it was asked, word by word."""

    def write(self, prompts, n, seed, max_new_tokens):
        said = [prompt if isinstance(prompt, str) else prompt[-1].content for prompt in prompts]
        words = [text.split()[:max_new_tokens] for text in said]
        whole = [len(each) == len(text.split()) for each, text in zip(words, said, strict=True)]
        return [
            [Answer(" ".join(each), tuple(range(len(each))), ended)] * n
            for each, ended in zip(words, whole, strict=True)
        ]


ASKED = [(Message("user", "one two three"),), "four five"]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def asked(url):
    return ServerWriter(url, "echo", wait=0.001, timeout=5.0, at_once=1)


def test_what_is_served_is_what_was_written():
    with serving(Echo(), n_read=7) as server:
        writer = asked(server.url)
        written = writer.write(ASKED, 1, seed=0, max_new_tokens=2)
        assert [(a.text, len(a.ids), a.finished) for [a] in written] == [("one two", 2, False), ("four five", 2, True)]
        assert writer.usage == Usage(calls=2, answers=2, tokens_in=14, tokens_out=4)
        assert len(server.requests) == 2


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_costs_a_try_and_no_token(fault):
    with serving(Echo(), faults=(fault,)) as server:
        writer = asked(server.url)
        [[answer]] = writer.write(ASKED[:1], 1, seed=0, max_new_tokens=9)
    assert answer.text == "one two three"
    assert writer.usage == Usage(calls=1, answers=1, tokens_in=1, tokens_out=3, failed=1)
    assert len(server.requests) == 2


def test_faults_that_there_are_none_of_are_refused():
    with pytest.raises(BadInput, match="does not fail by 'sulks'"), serving(Echo(), faults=("sulks",)):
        pass
