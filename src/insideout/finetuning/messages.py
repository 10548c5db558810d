"""Conversations that can be learned from, or answered: who may speak after whom, and that each says something.

Used by both ways of writing one down: templates of ours (chat.py) and a model's own (hub_chat.py).
Taught in book/3-fine-tuning-a-transformer/02_chat_formats.md.
"""

from collections.abc import Sequence
from typing import Any

from insideout.data.suite import Message
from insideout.errors import BadInput

__all__ = ["ROLES", "check_messages"]

ROLES = ("system", "user", "assistant")


def check_messages(messages: Any, *, answered: bool, where: str = "The conversation") -> tuple[Message, ...]:
    """The messages, each with a role and words: a system's first if there is one, then user and assistant in turn.

    `answered`: it ends with the assistant, to learn from; else with the user, to be answered. Raises BadInput for
    anything else, a bare text among it.
    """
    if isinstance(messages, str) or not isinstance(messages, Sequence):
        raise BadInput(
            f"{where} is {type(messages).__name__} and no list of messages: a chat model that is fed a bare text does "
            "not know that it is asked, and never stops. Give messages with a role and a content."
        )
    found = tuple(message_of(each, f"{where}, message {i}") for i, each in enumerate(messages, 1))
    if not found:
        raise BadInput(f"{where} is empty: give at least one message of the user's.")
    turns = found[1:] if found[0].role == "system" else found
    for i, turn in enumerate(turns):
        expected = ("user", "assistant")[i % 2]
        if turn.role != expected:
            raise BadInput(
                f"{where}, message {i + 1 + len(found) - len(turns)} is the {turn.role}'s, where the {expected}'s turn "
                "is: system first, if at all, then user and assistant in turn."
            )
    if answered and (not turns or turns[-1].role != "assistant"):
        raise BadInput(f"{where} does not end with the assistant: there is no answer to learn from. Add it.")
    if not answered and (not turns or turns[-1].role != "user"):
        raise BadInput(f"{where} does not end with the user: there is nothing to answer.")
    return found


def message_of(given: Any, where: str) -> Message:
    """A message from a pair or from a dict of role and content."""
    if isinstance(given, list | tuple) and len(given) == 2:
        given = {"role": given[0], "content": given[1]}
    if not isinstance(given, dict):
        raise BadInput(f"{where} is {type(given).__name__}: give its role and its content, both texts.")
    role, content = given.get("role"), given.get("content")
    if role not in ROLES:
        raise BadInput(f"{where} has the role {role!r}: it must be one of {', '.join(ROLES)}.")
    if not isinstance(content, str) or not content.strip():
        raise BadInput(f"{where}, the {role}'s, says nothing: leave it out, or give its content as text.")
    return Message(str(role), content)
