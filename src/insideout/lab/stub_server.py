"""A small server on this machine that answers as OpenAI's do, and fails when it is told to.

    with serving(writer) as server:                                 any writer of texts and conversations
        ServerWriter(server.url, "ours").write(...)
    with serving(writer, faults=("busy", "half")) as server: ...    the first two requests go wrong, each in its way

It shows what a client must live through without waiting for a real one to break. One request at a time, on this
machine alone. Taught in book/4-reasoning-with-transformers/13_other_models.md. Standard library only.
Source: the API reference of OpenAI (chat completions, completions).
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Literal, get_args

from insideout.data.suite import Message, Prompt, Writer
from insideout.errors import BadInput

__all__ = ["FAULTS", "Fault", "Served", "serving"]

Fault = Literal["busy", "half", "nonsense", "no text"]
"""It says 503; it stops half-way through its answer; it sends a page of HTML; its answer has no text."""
FAULTS: tuple[Fault, ...] = get_args(Fault)


@dataclass
class Served:
    """A server that runs."""

    url: str
    """Up to `/v1`."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """All that came, those that went wrong too."""


@contextmanager
def serving(writer: Writer, faults: Sequence[Fault | None] = (), n_read: int = 1) -> Iterator[Served]:
    """A server for as long as the block lasts. Fault i happens to request i, None is no fault; later ones are answered.

    It says of every prompt that it has `n_read` tokens, unless the writer knows the tokens of a prompt.
    Raises BadInput for a fault that there is none of.
    """
    unknown = [fault for fault in faults if fault is not None and fault not in FAULTS]
    if unknown:
        raise BadInput(f"A server does not fail by {unknown[0]!r}: choose of {', '.join(FAULTS)}.")
    served = Served("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.requests.append(request)
            number = len(served.requests) - 1
            fault = faults[number] if number < len(faults) else None
            content = reply(writer, request, n_read) if fault in (None, "half") else BROKEN[fault]
            self.send_response(503 if fault == "busy" else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault == "half" else content)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


BROKEN: dict[str | None, bytes] = {
    "busy": b'{"error": "too many requests at once"}',
    "nonsense": b"<html>Sorry, try again.</html>",
    "no text": json.dumps({
        "choices": [{"message": {"content": None}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 0},
    }).encode(),
}  # fmt: skip


def reply(writer: Writer, request: dict[str, Any], n_read: int) -> bytes:
    """What is sent for a request that goes well."""
    chat = "messages" in request
    prompt: Prompt = request["prompt"] if not chat else tuple(
        Message(turn["role"], turn["content"]) for turn in request["messages"]
    )  # fmt: skip
    [[answer]] = writer.write([prompt], 1, request["seed"], request["max_tokens"])
    words = {"message": {"role": "assistant", "content": answer.text}} if chat else {"text": answer.text}
    read = len(writer.ids_of(prompt)) if hasattr(writer, "ids_of") else n_read
    return json.dumps({
        "choices": [words | {"finish_reason": "stop" if answer.finished else "length"}],
        "usage": {"prompt_tokens": read, "completion_tokens": len(answer.ids)},
    }).encode()  # fmt: skip
