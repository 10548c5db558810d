"""Chat templates as data: what stands before and behind each turn, and the token that ends the model's own.

    ours      <|user|>Where is Anna?<|assistant|>In the hall.<|end|>
    chatml    <|im_start|>user⏎Where is Anna?<|im_end|>⏎<|im_start|>assistant⏎In the hall.<|im_end|>⏎

A template is a habit, not a truth: a model answers well in the one that it was tuned in.
Taught in book/3-fine-tuning-a-transformer/02_chat_formats.md. Sources: Taori et al. 2023 (Alpaca); OpenAI 2023
(ChatML); Grattafiori et al. 2024 (Llama 3).
"""

from dataclasses import dataclass

__all__ = ["ALPACA", "CHATML", "LLAMA", "OURS", "PAD", "TEMPLATES", "Template", "Turn"]

PAD = "<|pad|>"
"""A pad token of its own: were it the stop token, a mask over padding would hide the stop too."""


@dataclass(frozen=True)
class Turn:
    """What stands around what somebody says."""

    before: str
    after: str = ""


@dataclass(frozen=True)
class Template:
    """How a conversation is written down."""

    name: str
    user: Turn
    assistant: Turn
    """Its `after` stands behind the stop, and is not learned."""
    system: Turn
    stop: str
    """The token that ends an answer. The model learns to say it."""
    special: tuple[str, ...]
    """The texts in it that are tokens of their own, the stop among them."""
    begin: str = ""
    """What opens every conversation."""
    default_system: str = ""
    """What the system says where nobody gave it words."""


OURS = Template(
    "ours",
    user=Turn("<|user|>"), assistant=Turn("<|assistant|>"), system=Turn("<|system|>"),
    stop="<|end|>", special=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
)  # fmt: skip
ALPACA = Template(
    "alpaca",
    user=Turn("### Instruction:\n", "\n\n"), assistant=Turn("### Response:\n", "\n\n"), system=Turn("", "\n\n"),
    stop="<|end|>", special=("<|end|>",),
    default_system="Below is an instruction that describes a task. Write a response that appropriately completes the "
    "request.",
)  # fmt: skip
CHATML = Template(
    "chatml",
    user=Turn("<|im_start|>user\n", "<|im_end|>\n"), assistant=Turn("<|im_start|>assistant\n", "\n"),
    system=Turn("<|im_start|>system\n", "<|im_end|>\n"), stop="<|im_end|>", special=("<|im_start|>", "<|im_end|>"),
)  # fmt: skip
LLAMA = Template(
    "llama",
    user=Turn("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
    assistant=Turn("<|start_header_id|>assistant<|end_header_id|>\n\n"),
    system=Turn("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
    stop="<|eot_id|>", special=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    begin="<|begin_of_text|>",
)  # fmt: skip
TEMPLATES = {template.name: template for template in (OURS, ALPACA, CHATML, LLAMA)}
