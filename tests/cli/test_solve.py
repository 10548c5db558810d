"""`insideout solve`: what it prints, that its vote is the vote of the answers, what it costs, and what it refuses."""

import pytest

from insideout.cli.commands.solve import said
from insideout.cli.main import main
from insideout.recipes.stage import recipe
from tests.reasoning.test_server_writer import Stub


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield recipe("reasoner", scale="tiny", tell=lambda event: None).path


@pytest.fixture
def call(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["solve", *map(str, arguments)])
        return left.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    stub = Stub()
    yield stub
    stub.server.shutdown()
    stub.server.server_close()


def test_answers_are_read_in_one_form():
    assert [said(text) for text in ("#### 14", "It is 14.0", "#### 1,400", "no number")] == ["14", "14", "1400", None]


def test_a_run_of_ours_thinks_and_is_counted(call, run_folder):
    code, out, err = call("3+5", "--model", run_folder)
    assert code == 0 and ("Answer:" in out or "No answer could be read." in out)
    assert err.startswith("1 answer, ") and "tokens read" in err
    code, out, err = call("3+5", "--model", run_folder, "--method", "vote", "--n", 5)
    assert code == 0 and " of 5 " in out and err.startswith("5 answers")
    assert call("3+5", "--model", run_folder, "--method", "vote", "--n", 5) == (code, out, err)


def test_thinking_is_closed_and_made_to_wait_within_a_budget(call, run_folder):
    code, out, err = call("3+5", "--model", run_folder, "--method", "budget", "--max-tokens", 3)
    assert code == 0 and "</think>" in out and err.startswith("1 answer, ")
    assert int(err.split(" written")[0].split()[-1]) <= 2 + 3 + 16
    code, _, err = call("3+5", "--model", run_folder, "--method", "budget", "--min-tokens", 9, "--max-tokens", 3)
    assert code == 2 and "no thinking has both lengths" in err
    code, _, err = call("3+5", "--model", run_folder, "--min-tokens", 9)
    assert code == 2 and "--method budget" in err


def test_the_most_frequent_answer_of_a_server_wins(call, stub):
    replies = iter(["8", "It is 9", "8", "well", "8"])
    stub.reply = lambda body, time: {
        "choices": [{"message": {"content": next(replies)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    code, out, err = call("3+5", "--server", stub.url, "--model", "theirs", "--method", "vote", "--n", 5)
    assert code == 0 and out.startswith("8\n") and out.rstrip().endswith("Answer: 8")
    assert "3 of 5   8" in out and "1 of 5   9" in out and "no answer that could be read" in out
    assert err == "5 answers, 15 tokens read, 10 written\n"


def test_a_vote_that_is_decided_ends(call, stub):
    stub.reply = lambda body, time: {
        "choices": [{"message": {"content": "8"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    code, _, err = call("3+5", "--server", stub.url, "--model", "theirs", "--method", "adaptive", "--n", 40)
    assert code == 0 and err.startswith("4 answers")  # 1 − 2⁻⁵ is above 0.95, 1 − 2⁻⁴ is not


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("",), "The question is empty"), (("3+5", "--n", "0"), "n must lie"),
        (("3+5", "--method", "vote", "--temperature", "0"), "temperature is 0"),
        (("3+5", "--temperature", "nan"), "temperature is nan"), (("3+5", "--seed", "-1"), "seed"),
        (("3+5", "--server", "http://localhost:1/v1"), "Name the model"),
        (("3+5", "--server", "nowhere", "--model", "m"), "must begin with http"),
        (("3+5", "--model", "nowhere/at/all"), "There is no model"), (("3+5", "--method", "guess"), "chain"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_sentence(call, arguments, words):
    code, out, err = call(*arguments)
    assert code == 2 and words in err and err.count("\n") == 1 and not out
