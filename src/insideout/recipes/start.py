"""What a stage goes on from that needs a model that answers: the model, its tokenizer and its chat format in one.

Used by the stages that learn from answers: pairs, reward, dpo.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput
from insideout.recipes.job import Inputs
from insideout.recipes.sft import trained

if TYPE_CHECKING:
    from insideout.finetuning.preferences import Chat
    from insideout.transformer.model import GPT

OWN = "own"
"""The name of a pretrained model's own template."""


@dataclass(frozen=True)
class Start:
    """A model that answers."""

    writer: Any
    """It, asked at the temperature that was wished for."""
    chat: "Chat"
    """How it is spoken with."""
    template: str
    """The name of that format: one of ours, or own."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self.writer.tokenizer

    def model(self, *, dropout: bool = True) -> "GPT":
        """A copy to be trained, an adapter merged into it. Without dropout: what it says is what it would say in use."""
        from insideout.finetuning.lora import merged_copy
        from insideout.transformer.model import GPT

        plain = merged_copy(self.writer.model)
        if dropout or not plain.config.dropout:
            return plain
        same = GPT(replace(plain.config, dropout=0.0))
        same.load_state_dict(plain.state_dict())
        return same


def answering(given: str, inputs: Inputs, temperature: float = 1.0) -> Start:
    """The model of a setting `model`, or of the input that takes its place.

    Raises BadInput for one that was never tuned on conversations.
    """
    from insideout.finetuning.chat import ChatWriter
    from insideout.finetuning.hub_chat import HubWriter

    found = inputs["model"] if "model" in inputs else trained(given)
    writer = found.writer(temperature) if hasattr(found, "writer") else None
    if isinstance(writer, HubWriter):
        return Start(writer, writer.chat, OWN)
    if isinstance(writer, ChatWriter):
        return Start(writer, writer.format, writer.template.name)
    raise BadInput(
        "The model was never tuned on conversations, so that it has no chat template: tune it first, by `insideout sft "
        "--model`."
    )


def chat_of(tokenizer: Any, template: str) -> Any:
    """The chat format that a run names."""
    from insideout.finetuning.chat import ChatFormat
    from insideout.finetuning.hub_chat import HubChat
    from insideout.finetuning.templates import TEMPLATES

    return HubChat(tokenizer) if template == OWN else ChatFormat(tokenizer, TEMPLATES[template])
