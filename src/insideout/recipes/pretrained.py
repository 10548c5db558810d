"""A pretrained model from elsewhere, as what a stage goes on from: a name on the Hub, a folder, a .gguf file, smollm2.

    start = Pretrained("smollm2")
    start.model(), start.tokenizer(), start.writer(), start.fingerprint

Used in part 3, by the stages that tune a model. Imports torch only when a model is asked for.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput

if TYPE_CHECKING:
    from insideout.finetuning.hub_chat import HubChat, HubWriter
    from insideout.transformer.model import GPT


@dataclass(frozen=True)
class Pretrained:
    """A model by its name. Raises BadInput where it cannot be had, when it is first asked for anything."""

    name: str

    @cached_property
    def place(self) -> Path:
        """Its folder or .gguf file, fetched if need be."""
        from insideout.transformer.exchange import hub

        return hub.find(self.name)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the files that its weights and its tokenizer are read from."""
        digest = hashlib.sha256()
        wanted = (".safetensors", ".json", ".jinja", ".model", ".txt")
        files = [self.place] if self.place.is_file() else sorted(f for f in self.place.iterdir() if f.suffix in wanted)
        for file in files:
            digest.update(f"{file.name} {file.stat().st_size}\n".encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    @cached_property
    def loaded(self) -> tuple["GPT", Any]:
        """Model and tokenizer, the numbers in float32: what is trained needs its digits."""
        import torch

        from insideout.transformer.exchange import hub
        from insideout.transformer.exchange.families import import_transformers
        from insideout.transformer.exchange.hub_tokenizer import HubTokenizer

        model, tokenizer = hub.load(self.place, dtype=torch.float32)
        if not isinstance(tokenizer, HubTokenizer) and self.place.is_dir():  # one of our kind knows no chat template
            theirs = import_transformers().AutoTokenizer.from_pretrained(self.place, local_files_only=True)
            if getattr(theirs, "chat_template", None):
                tokenizer = HubTokenizer(theirs, tokenizer.stop_ids)
        return model.eval(), tokenizer

    def model(self, device: str = "cpu") -> "GPT":
        """The model, ready to be used; each call gives the same one."""
        return self.loaded[0].to(device)

    def tokenizer(self) -> Any:
        """Its tokenizer."""
        return self.loaded[1]

    def chat(self) -> "HubChat":
        """How it is spoken with: in its own chat format. Raises BadInput where it has none."""
        from insideout.finetuning.hub_chat import HubChat
        from insideout.transformer.exchange.hub_tokenizer import HubTokenizer

        if not isinstance(self.tokenizer(), HubTokenizer):
            raise BadInput(f"{self.name} has no chat template: choose one by --template ours, alpaca, chatml or llama.")
        return HubChat(self.tokenizer())

    def writer(self, temperature: float = 1.0) -> "HubWriter":
        """The model, asked in its own chat format."""
        return self.chat().writer(self.model(), temperature)
