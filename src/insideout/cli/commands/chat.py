"""`insideout chat`: talk to a tuned model.

Taught in book/3-fine-tuning-a-transformer/21_your_own_assistant.md.
"""

import sys
from dataclasses import dataclass
from typing import Any

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.files import expanded
from insideout.words import harmless


@dataclass(frozen=True)
class Chat:
    """Talk to a tuned model. An empty line begins anew; end by Ctrl-D."""

    model: str | None = None
    """The folder of any run of ours that answers, smollm2, or a pretrained model with a chat template: its name on the
    Hub, its folder or .gguf file. Default: the recipe sft, made first where it is not stored."""
    adapter: str | None = None
    """The folder of a LoRA adapter in peft's format, to be put beside the model."""
    ask: str | None = None
    """Ask this, print the answer, and end."""
    temperature: float = 0.0
    """0 always takes the likeliest token; 1 draws as the model believes."""
    max_new_tokens: int = 96
    """How long an answer may be."""
    seed: int = 0
    """Another seed, another answer, where the temperature is above 0."""

    def run(self) -> int:
        from insideout.finetuning.chat import ChatWriter
        from insideout.finetuning.hub_chat import HubWriter
        from insideout.finetuning.peft_files import load_adapter
        from insideout.recipes.found import trained
        from insideout.recipes.stage import recipe

        if self.max_new_tokens < 1 or not 0 <= self.seed < 2**63:
            raise BadInput("max_new_tokens must be at least 1, and the seed at least 0 and less than 2^63.")
        if self.ask is not None and not self.ask.strip():
            raise BadInput("--ask is empty: give a question, or leave it out to talk.")
        assistant = trained(self.model) if self.model is not None else recipe("sft")
        writer = assistant.writer(self.temperature) if hasattr(assistant, "writer") else None
        if not isinstance(writer, ChatWriter | HubWriter):
            raise BadInput(
                "The model was never tuned on conversations, so that it has no chat template: tune it first, by "
                "`insideout sft --model`."
            )
        if self.adapter is not None:
            load_adapter(writer.model, expanded(self.adapter, "--adapter"))
        if self.ask is not None:
            print(harmless(self.answer(writer, (Message("user", self.ask),))))
            return 0
        talk: tuple[Message, ...] = ()
        while True:
            said = heard()
            if said is None:
                return 0
            if not said.strip():
                talk = ()
                continue
            talk = (*talk, Message("user", said))
            try:
                answer = self.answer(writer, talk)
            except BadInput as error:  # no room is left: the conversation goes on anew
                print(f"({error}) An empty line begins anew.", file=sys.stderr)
                talk = talk[:-1]
                continue
            print(harmless(answer))
            talk = (*talk, Message("assistant", answer)) if answer.strip() else talk[:-1]

    def answer(self, writer: Any, talk: tuple[Message, ...]) -> str:
        """What the model answers."""
        [[answer]] = writer.write([talk], 1, self.seed, self.max_new_tokens)
        return str(answer.text)


def heard() -> str | None:
    """The next line; None at the end."""
    try:
        return input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
