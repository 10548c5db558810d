"""A server of our own that answers, fails, stops half-way and talks nonsense: nothing is lost, all is counted."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.reasoning.server_writer import UNKNOWN, ServerWriter
from insideout.reasoning.writers import Metered, Usage


def answer(text, n_in=5, n_out=3, ended="stop", chat=True):
    choice = {"message": {"content": text}} if chat else {"text": text}
    return {
        "choices": [choice | {"finish_reason": ended}],
        "usage": {"prompt_tokens": n_in, "completion_tokens": n_out},
    }


class Stub:
    """Answers each request by what `reply(request, how often it came)` says: a dict, bytes, a status, or a fault."""

    def __init__(self):
        self.seen, self.headers, self.paths = [], [], []
        self.reply = lambda request, times: answer(f"seed {request['seed']}")
        stub, lock, times = self, threading.Lock(), Counter()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    stub.seen.append(body)
                    stub.headers.append(dict(self.headers))
                    stub.paths.append(self.path)
                    times[json.dumps(body)] += 1
                said = stub.reply(body, times[json.dumps(body)])
                status, said = (said, {"error": "no"}) if isinstance(said, int) else (200, said)
                content = said if isinstance(said, bytes) else json.dumps(said).encode()
                half = said == b"half"
                content = json.dumps(answer("whole")).encode() if half else content
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if half else content)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    stub = Stub()
    yield stub
    stub.server.shutdown()
    stub.server.server_close()


def writer_of(stub, **settings):
    return ServerWriter(stub.url, "small", **({"wait": 0.001, "timeout": 5.0} | settings))


ASKED = [(Message("user", f"How much is {i} + 1?"),) for i in range(4)]


def test_answers_come_with_their_tokens_and_seeds_of_their_own(stub):
    writer = writer_of(stub, key="secret")
    written = writer.write(ASKED, 3, seed=7, max_new_tokens=9)
    assert [len(each) for each in written] == [3] * 4
    texts = [each.text for some in written for each in some]
    assert len(set(texts)) == 12 and all(each.ids == (UNKNOWN,) * 3 and each.finished for each in written[0])
    assert writer.usage == Usage(calls=12, answers=12, tokens_in=60, tokens_out=36)
    assert isinstance(writer, Metered) and "secret" not in repr(writer)
    first = stub.seen[0]
    assert first["model"] == "small" and first["max_tokens"] == 9 and first["messages"][0]["role"] == "user"
    assert set(stub.paths) == {"/v1/chat/completions"} and stub.headers[0]["Authorization"] == "Bearer secret"
    fresh = writer_of(stub)
    assert fresh.write(ASKED[2:], 3, seed=7, max_new_tokens=9) == written[2:], "whatever the other prompts"
    assert fresh.write(ASKED[2:], 3, seed=8, max_new_tokens=9) != written[2:]


def test_a_text_is_continued_and_how_it_ended_is_told(stub):
    stub.reply = lambda request, times: answer(
        "7", ended={"a": "length", "b": "content_filter"}.get(request["prompt"]), chat=False
    )
    written = writer_of(stub).write(["a", "b", "c"], 1, seed=0, max_new_tokens=5)
    assert [some[0].finished for some in written] == [False, None, None]
    assert set(stub.paths) == {"/v1/completions"} and "messages" not in stub.seen[0]


FAULTS = {
    "overloaded": 503, "too many": 429, "half": b"half", "no json": b"<html>sorry</html>", "empty": b"",
    "no choices": {"choices": []}, "other type": [1, 2], "no text": answer(None), "binary": bytes(range(256)),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_what_goes_wrong_once_is_tried_again_and_counted(stub, fault):
    stub.reply = lambda request, times: FAULTS[fault] if times == 1 else answer("7")
    writer = writer_of(stub)
    written = writer.write(ASKED[:2], 1, seed=0, max_new_tokens=5)
    assert [some[0].text for some in written] == ["7", "7"]
    assert writer.usage == Usage(calls=2, answers=2, tokens_in=10, tokens_out=6, failed=2)


@pytest.mark.parametrize(
    ("fault", "says"),
    [("overloaded", "it said 503"), ("half", "stopped half-way"), ("no json", "sent what is no answer.*sorry"),
     ("no text", "without a text")],
)  # fmt: skip
def test_what_goes_wrong_too_often_is_one_sentence_and_nothing_is_lost(stub, tmp_path, fault, says):
    stub.reply = lambda request, times: FAULTS[fault] if "2 + 1" in str(request) else answer("7")
    writer = writer_of(stub, at_once=1, kept=tmp_path / "kept.jsonl")
    with pytest.raises(BadInput, match=f"gave no answer in 4 tries: .*{says}.* 2 of 4 answers are kept in .*kept"):
        writer.write(ASKED, 1, seed=0, max_new_tokens=5)
    assert writer.usage.failed == 4 and writer.usage.answers == 2
    stub.reply = lambda request, times: answer("8")
    again = writer_of(stub, kept=tmp_path / "kept.jsonl")  # another process
    assert [some[0].text for some in again.write(ASKED, 1, seed=0, max_new_tokens=5)] == ["7", "7", "8", "8"]
    assert again.usage.answers == 2, "what was kept costs nothing again"
    assert [some[0].text for some in writer.write(ASKED, 1, seed=0, max_new_tokens=5)] == ["7", "7", "8", "8"]


def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    writer = ServerWriter("http://127.0.0.1:9/v1", "small", wait=0.0, tries=2)
    with pytest.raises(BadInput, match=r"in 2 tries: it cannot be reached .*0 of 4 answers are kept in memory"):
        writer.write(ASKED, 1, seed=0, max_new_tokens=5)


def test_a_server_that_says_nothing(stub):
    waiting = threading.Event()
    stub.reply = lambda request, times: waiting.wait(2) or answer("7")
    with pytest.raises(BadInput, match=r"it said nothing for 0\.1 s"):
        writer_of(stub, timeout=0.1, tries=1).write(ASKED[:1], 1, seed=0, max_new_tokens=5)
    waiting.set()


@pytest.mark.parametrize(
    ("reply", "says"),
    [(401, "refused the request with 401"), (404, "check the address"),
     ({"choices": [{"message": {"content": "7"}}]}, "does not say how many tokens")],
)  # fmt: skip
def test_what_no_further_try_can_mend_is_not_tried_again(stub, reply, says):
    stub.reply = lambda request, times: reply
    with pytest.raises(BadInput, match=says):
        writer_of(stub, at_once=1).write(ASKED, 1, seed=0, max_new_tokens=5)
    assert len(stub.seen) == 1


def test_the_wait_grows_and_the_server_may_ask_for_more(stub, monkeypatch):
    waits = []
    monkeypatch.setattr("insideout.reasoning.server_writer.time.sleep", waits.append)
    stub.reply = lambda request, times: 503
    with pytest.raises(BadInput):
        writer_of(stub, wait=0.5, at_once=1).write(ASKED[:1], 1, seed=0, max_new_tokens=5)
    assert waits == [0.5, 1.0, 2.0]


def test_a_line_that_was_not_written_to_its_end_is_passed_over(stub, tmp_path):
    kept = tmp_path / "kept.jsonl"
    writer_of(stub, kept=kept).write(ASKED, 1, seed=0, max_new_tokens=5)
    kept.write_bytes(kept.read_bytes()[:-10])
    again = writer_of(stub, kept=kept)
    again.write(ASKED, 1, seed=0, max_new_tokens=5)
    assert again.usage.answers == 1 and len(kept.read_text().splitlines()) == 4
    kept.write_text("[1, 2]\n" + kept.read_text())
    with pytest.raises(BadInput, match=r"kept\.jsonl, line 1 is no answer"):
        writer_of(stub, kept=kept)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ServerWriter("localhost:8080", "m"), "must begin with http"),
        (lambda: ServerWriter("http://a", "m", tries=0), "cannot be asked 0 times"),
        (lambda: ServerWriter("http://a", "m", temperature=-1.0), "temperature of -1"),
        (lambda: ServerWriter("http://a", "m").write(["a"], 0, 0, 5), "0 answers of 5 tokens"),
        (lambda: ServerWriter("http://[", "m", tries=1).write(["a"], 1, 0, 5), "is none|cannot be reached"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(BadInput, match=says):
        make()


def test_a_disk_that_takes_no_answer_is_one_sentence_and_the_answer_stays_in_memory(stub, tmp_path):
    (tmp_path / "file").write_text("in the way of a folder")
    writer = writer_of(stub, at_once=1, kept=tmp_path / "file" / "kept.jsonl")
    with pytest.raises(BadInput, match=r"kept\.jsonl"):
        writer.write(ASKED[:1], 1, seed=0, max_new_tokens=5)
    assert writer.usage.answers == 1
    writer.write(ASKED[:1], 1, seed=0, max_new_tokens=5)
    assert len(stub.seen) == 1
    with pytest.raises(BadInput, match="a pipe or a device"):
        writer_of(stub, kept=Path("/dev/zero"))
