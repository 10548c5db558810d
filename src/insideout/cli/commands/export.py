"""`insideout export`: a model for other libraries to run."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from insideout import files
from insideout.cli.commands.shared import loaded


@dataclass(frozen=True)
class Export:
    """Write a model and its tokenizer as a folder that other libraries run."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The directory of a run; or a pretrained model: smollm2, a name on the Hub, its folder, a .gguf file."""
    out: str
    """The folder to write. It must be new or empty."""
    to: Literal["transformers", "onnx"] = "transformers"
    """transformers: safetensors and tokenizer, for GPT-2, Llama and Qwen3. onnx: a graph for ONNX Runtime."""

    def run(self) -> int:
        from insideout.transformer.exchange import hub, onnx

        out = files.expanded(self.out, "--out")
        model, tokenizer = loaded(self.model)
        if self.to == "onnx":
            onnx.export(model.float(), out, tokenizer)
        else:
            hub.save(model, tokenizer, out)
        print(out)
        return 0
