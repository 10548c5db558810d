"""What a stage goes on from that needs a model that answers: the model, its tokenizer and its chat format in one.

Used by the stages that learn from answers: pairs, reward, dpo.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs
from insideout.recipes.sft import format_of

if TYPE_CHECKING:
    from insideout.transformer.model import GPT


@dataclass(frozen=True)
class Start:
    """A model that answers."""

    writer: Any
    """It, asked at the temperature that was wished for."""
    chat: Any
    """How it is spoken with: a ChatFormat, or a HubChat."""
    template: str
    """The name of that format; own: the pretrained model's."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self.writer.tokenizer

    def model(self, *, dropout: bool = True) -> "GPT":
        """A copy to be trained, an adapter merged into it; without dropout it learns as what it is in use."""
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
        return Start(writer, writer.chat, "own")
    if isinstance(writer, ChatWriter):
        return Start(writer, writer.format, writer.template.name)
    raise BadInput(
        "The model was never tuned on conversations, so that it has no chat template: tune it first, by `insideout sft "
        "--model`."
    )


def chat_of(tokenizer: Any, template: str) -> Any:
    """The chat format that a run names."""
    return format_of(tokenizer, template)


def writer_of(model: Any, chat: Any, temperature: float) -> Any:
    """A model asked in a chat format."""
    return chat.writer(model, temperature)
