"""A model behind an OpenAI-compatible server, asked for answers: llama.cpp, vLLM, Ollama, or one in the net.

    writer = ServerWriter("http://localhost:8080/v1", "smollm2", kept=Path("answers.jsonl"))
    writer.write(prompts, n=4, seed=0, max_new_tokens=200)

Conversations go to `/chat/completions`, texts to `/completions`. One request an answer, each with a seed of its own, so
that every server can do it and the tokens of every answer are known. What goes wrong on the way, no answer in time, an
answer that is no answer, one that stops half-way, "too many requests", is tried again after a longer and longer wait,
and counted. When it goes wrong too often, that is said in one sentence, and no answer is lost: those that came are
kept, in memory and, with `kept`, in a file, and the same call goes on where it stopped.

A server says how many tokens an answer has, not which: their ids are −1. Standard library only.
Taught in book/4-reasoning-with-transformers/13_other_models.md.
Source: the API reference of OpenAI (chat completions, completions).
"""

import hashlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insideout.checks import real, whole
from insideout.data.suite import Answer, Prompt
from insideout.errors import BadInput, first_line, shortened
from insideout.files import content_of, disk_trouble
from insideout.reasoning.writers import Usage

__all__ = ["UNKNOWN", "ServerWriter"]

UNKNOWN = -1
"""The id of a token of which a server says only that it was there."""
MOST = 16 << 20
"""Bytes of a reply that are read."""


class Failed(Exception):
    """A try that came to nothing, and may be made again."""

    def __init__(self, sentence: str, wait: float = 0.0) -> None:
        super().__init__(sentence)
        self.wait = wait
        """Seconds that the server asks for."""


@dataclass
class ServerWriter:
    """Raises BadInput for an address that is none, settings out of range, and a damaged file of answers."""

    url: str
    """Up to `/v1`."""
    model: str
    """Its name, as the server knows it."""
    temperature: float = 1.0
    key: str = field(default="", repr=False)
    """Sent as a bearer token, if there is one."""
    tries: int = 4
    """How often an answer is asked for."""
    wait: float = 0.5
    """Seconds before the second try; twice as many before each further one."""
    timeout: float = 120.0
    """Seconds after which a server that says nothing is given up."""
    at_once: int = 4
    """Requests that are under way together."""
    kept: Path | None = None
    """Where answers are kept for the next run, a line each."""
    usage: Usage = field(default_factory=Usage)
    """Answers that were kept cost nothing again."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise BadInput(f"The server's address is {self.url!r}: it must begin with http:// or https://.")
        for name in ("wait", "timeout", "temperature"):
            real(name, getattr(self, name))
        for name in ("tries", "at_once"):
            whole(name, getattr(self, name), 0)
        if self.tries < 1 or self.at_once < 1 or self.wait < 0 or self.timeout <= 0 or not self.temperature >= 0:
            raise BadInput(
                f"A server cannot be asked {self.tries} times, {self.at_once} at once, with waits of {self.wait} s, "
                f"{self.timeout} s of patience and a temperature of {self.temperature}: give at least 1, 1, 0, more "
                "than 0, and 0."
            )
        self._lock = threading.Lock()
        self._answers = {} if self.kept is None else read_kept(self.kept)

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        """n answers to each prompt; which depends on the seed and the prompt, not on the other prompts.

        Raises BadInput when an answer did not come in so many tries, or the server refuses the request.
        """
        if whole("n", n, 0) < 1 or whole("max_new_tokens", max_new_tokens, 0) < 1:
            raise BadInput(f"{n} answers of {max_new_tokens} tokens cannot be asked for: ask for 1 of 1 at least.")
        asked = [[self.request(prompt, seed, j, max_new_tokens) for j in range(n)] for prompt in prompts]
        wanted = {self.name_of(each): each for some in asked for each in some}
        missing = [request for name, request in wanted.items() if name not in self._answers]
        given_up = threading.Event()
        with ThreadPoolExecutor(self.at_once) as pool:
            errors = [error for error in pool.map(lambda each: self._fetch(each, given_up), missing) if error]
        if errors:
            got = sum(self.name_of(each) in self._answers for some in asked for each in some)
            where = "in memory" if self.kept is None else f"in {self.kept}"
            raise BadInput(
                f"{errors[0]} {got} of {n * len(prompts)} answers are kept {where}: the same call goes on from there."
            )
        return [[self._answers[self.name_of(each)] for each in some] for some in asked]

    def request(self, prompt: Prompt, seed: int, j: int, max_new_tokens: int) -> dict[str, Any]:
        """What is sent for answer j to a prompt."""
        asked: dict[str, Any] = {"prompt": prompt} if isinstance(prompt, str) else {
            "messages": [{"role": role, "content": content} for role, content in prompt]
        }  # fmt: skip
        own = hashlib.sha256(json.dumps([seed, j, asked]).encode()).digest()
        return asked | {
            "model": self.model, "max_tokens": max_new_tokens, "temperature": self.temperature,
            "seed": int.from_bytes(own[:4], "big") >> 1,
        }  # fmt: skip

    def name_of(self, request: dict[str, Any]) -> str:
        """A request's own name: the same of the same server has one answer."""
        return hashlib.sha256(json.dumps([self.url.rstrip("/"), request], sort_keys=True).encode()).hexdigest()

    def _fetch(self, request: dict[str, Any], given_up: threading.Event) -> str:
        """One answer, kept. What went wrong, in a sentence, where none came; others are then not begun any more."""
        failures: list[Failed] = []
        while len(failures) < self.tries and not given_up.is_set():
            try:
                answer, tokens_in = read_reply(self._reply(request))
            except Failed as failure:
                failures.append(failure)
                with self._lock:
                    self.usage.failed += 1
                if len(failures) < self.tries:
                    time.sleep(min(max(self.wait * 2 ** (len(failures) - 1), failure.wait), 60))
            except BadInput as refused:
                given_up.set()
                return str(refused)
            else:
                with self._lock:
                    self.usage += Usage(1, 1, tokens_in, len(answer.ids))
                    self._answers[self.name_of(request)] = answer
                    self._keep(request, answer)
                return ""
        if len(failures) < self.tries:
            return ""  # another one has said what is wrong
        given_up.set()
        return f"{self.url} gave no answer in {len(failures)} tries: {failures[-1]}."

    def _reply(self, request: dict[str, Any]) -> bytes:
        """What the server sends. Raises Failed where another try may do, BadInput where none will."""
        path = "chat/completions" if "messages" in request else "completions"
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        body = json.dumps(request).encode()
        try:
            asked = urllib.request.Request(f"{self.url.rstrip('/')}/{path}", body, headers)
            with urllib.request.urlopen(asked, timeout=self.timeout) as reply:
                content: bytes = reply.read(MOST)
                if (length := reply.headers.get("Content-Length")) and len(content) < min(int(length), MOST):
                    raise Failed("it stopped half-way")
                return content
        except urllib.error.HTTPError as error:
            said = shortened(" ".join(error.read(2000).decode("utf-8", "replace").split()), 200)
            if error.code in (408, 409, 425, 429) or error.code >= 500:
                raise Failed(
                    f"it said {error.code} {error.reason}", seconds(error.headers.get("Retry-After"))
                ) from None
            raise BadInput(
                f"{self.url} refused the request with {error.code} {error.reason} ({said}): check the address, the "
                "model's name and the key."
            ) from None
        except http.client.IncompleteRead:
            raise Failed("it stopped half-way") from None
        except TimeoutError:
            raise Failed(f"it said nothing for {self.timeout:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"it cannot be reached ({first_line(getattr(error, 'reason', error))})") from None
        except ValueError as error:
            raise BadInput(f"The server's address {self.url!r} is none: {first_line(error)}.") from None

    def _keep(self, request: dict[str, Any], answer: Answer) -> None:
        if self.kept is None:
            return
        line = json.dumps([self.name_of(request), answer.text, len(answer.ids), answer.finished])
        try:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            with self.kept.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:  # the answer itself is in memory
            raise disk_trouble(error, self.kept) from error


def read_reply(content: bytes) -> tuple[Answer, int]:
    """The answer in a reply, and how many tokens were read for it. Raises Failed for what is no reply, BadInput for one
    without a count of its tokens.
    """
    try:
        reply = json.loads(content)
        choice, usage = reply["choices"][0], reply.get("usage") or {}
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        ended = choice.get("finish_reason")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise Failed(f"it sent what is no answer, {shortened(repr(content[:200]), 80)}") from None
    n_in, n_out = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not isinstance(text, str):
        raise Failed("it sent an answer without a text")
    if not (isinstance(n_in, int) and isinstance(n_out, int) and min(n_in, n_out) >= 0):
        raise BadInput("The server does not say how many tokens it has read and written: use one that sends `usage`.")
    finished = {"stop": True, "length": False}.get(ended) if isinstance(ended, str) else None
    return Answer(text, (UNKNOWN,) * n_out, finished), n_in


def read_kept(path: Path) -> dict[str, Answer]:
    """The answers in a file. A last line that was not written to its end is passed over, and cut off."""
    if not path.exists():
        return {}
    found: dict[str, Answer] = {}
    try:
        content = content_of(path)
        complete = content[: content.rfind(b"\n") + 1]
        if complete != content:
            path.write_bytes(complete)
        lines = complete.decode("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(f"Could not read the answers in {path}: {first_line(error)}. Remove or rename it.") from error
    for number, line in enumerate(lines, 1):
        try:
            name, text, n_tokens, finished = json.loads(line)
            if not (isinstance(name, str) and isinstance(text, str) and finished in (True, False, None)):
                raise ValueError
            found[name] = Answer(text, (UNKNOWN,) * whole("its length", n_tokens, 0, MOST), finished)
        except (ValueError, TypeError, RecursionError):
            raise BadInput(f"{path}, line {number} is no answer that was kept: remove the line, or the file.") from None
    return found


def seconds(said: str | None) -> float:
    """What a server asks to wait; 0 where it does not say."""
    try:
        return max(float(said or 0), 0.0)
    except ValueError:
        return 0.0
