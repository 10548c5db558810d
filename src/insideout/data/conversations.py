"""Conversations and preferences of your own, from a .jsonl: one a line, every line checked before any is used.

    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
    {"instruction": "...", "input": "...", "output": "..."}
    {"prompt": "..." or messages, "chosen": "..." or messages, "rejected": ...}

Taught in book/3-fine-tuning-a-transformer/06_preferences.md. Used from part 3 on. Standard library only.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from insideout.data.suite import Message
from insideout.errors import BadInput, first_line
from insideout.files import content_of

__all__ = ["Pair", "read_conversations", "read_pairs"]

ROLES = ("system", "user", "assistant")


class Pair(NamedTuple):
    """A conversation up to the answer, and two answers."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


def read_conversations(path: str | Path) -> list[tuple[Message, ...]]:
    """Every line's conversation. Raises BadInput, with the line's number, for one that is not what it should be."""
    return [conversation(line, where) for line, where in lines(path)]


def read_pairs(path: str | Path) -> list[Pair]:
    """Every line's pair. Raises BadInput, with the line's number, for one that is not what it should be."""
    return [pair(line, where) for line, where in lines(path)]


def lines(path: str | Path) -> Iterator[tuple[dict[str, Any], str]]:
    """(what a line holds, how to name it)."""
    try:
        text = content_of(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"Could not read {path}: {first_line(error)}. Check the path.") from error
    n = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        n += 1
        where = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where} is not JSON: {first_line(error)}. Each line must be one object.") from None
        if not isinstance(value, dict):
            raise BadInput(f"{where} holds {type(value).__name__}: each line must be one JSON object.")
        yield value, where
    if not n:
        raise BadInput(f"{path} is empty: give at least one line.")


def conversation(line: dict[str, Any], where: str) -> tuple[Message, ...]:
    """The messages of a line."""
    if "messages" in line:
        found = messages(line["messages"], where)
        if found[-1].role != "assistant":
            raise BadInput(f"{where} does not end with the assistant: there is no answer to learn from.")
        return found
    if "instruction" in line and "output" in line:
        asked = [said(line, "instruction", where), *([said(line, "input", where)] if line.get("input") else [])]
        return (Message("user", "\n".join(asked)), Message("assistant", said(line, "output", where)))
    raise BadInput(f"{where} has {named(line)}: it needs messages, or an instruction and an output.")


def pair(line: dict[str, Any], where: str) -> Pair:
    """The pair of a line; where each side is a whole conversation, they must share all but its end."""
    if "chosen" not in line or "rejected" not in line:
        raise BadInput(f"{where} has {named(line)}: it needs a prompt, chosen and rejected.")
    sides = [line["chosen"], line["rejected"]]
    prompt: tuple[Message, ...] = ()
    if "prompt" in line:
        given = line["prompt"]
        prompt = (Message("user", said(line, "prompt", where)),) if isinstance(given, str) else messages(given, where)
    told = [
        (Message("assistant", said(line, name, where)),) if isinstance(side, str) else messages(side, where)
        for name, side in zip(("chosen", "rejected"), sides, strict=True)
    ]
    prompts = [side[:-1] if side[: len(prompt)] == prompt else (*prompt, *side[:-1]) for side in told]
    if prompts[0] != prompts[1] or not prompts[0]:
        raise BadInput(f"{where}: chosen and rejected do not answer the same prompt, or there is none.")
    if any(side[-1].role != "assistant" for side in told):
        raise BadInput(f"{where}: chosen and rejected must each end with the assistant's answer.")
    if prompts[0][-1].role != "user":
        raise BadInput(f"{where}: the prompt does not end with the user: there is nothing to answer.")
    chosen, rejected = (side[-1].content for side in told)
    if chosen == rejected:
        raise BadInput(f"{where}: chosen and rejected are the same: nothing can be learned from it. Leave it out.")
    return Pair(prompts[0], chosen, rejected)


def messages(given: Any, where: str) -> tuple[Message, ...]:
    """Messages from a list of dicts of role and content."""
    if not isinstance(given, list) or not given:
        raise BadInput(f"{where} has messages that are no list of them: give a list of role and content.")
    found = []
    for i, each in enumerate(given, 1):
        if not (isinstance(each, dict) and isinstance(each.get("role"), str) and isinstance(each.get("content"), str)):
            raise BadInput(f"{where}, message {i} is no role and content, both texts.")
        if each["role"] not in ROLES:
            raise BadInput(f"{where}, message {i} has the role {each['role']!r}: it must be {', '.join(ROLES)}.")
        found.append(Message(each["role"], said(each, "content", f"{where}, message {i}")))
    for i, turn in enumerate(found):
        before = found[i - 1].role if i else ""
        if turn.role == before or (turn.role == "system" and i) or (turn.role == "assistant" and before == "system"):
            raise BadInput(f"{where}, message {i + 1} is the {turn.role}'s, out of turn: system first, if at all, then "
                           "user and assistant.")  # fmt: skip
    return tuple(found)


def said(line: dict[str, Any], name: str, where: str) -> str:
    """A field that must be a text with something in it."""
    value = line[name]
    if not isinstance(value, str) or not value.strip():
        raise BadInput(f"{where} has an empty {name}, or one that is no text.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BadInput(f"{where} has half a surrogate pair in its {name}, which is not text. Mend the line.")
    return value


def named(line: dict[str, Any]) -> str:
    """A line's fields, for a sentence."""
    return f"the fields {', '.join(line)}" if line else "no fields"
