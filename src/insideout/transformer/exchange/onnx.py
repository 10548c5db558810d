"""A GPT with its cache as an ONNX graph, which runs in ONNX Runtime, without Python or PyTorch.

    (ids, past keys, past values) -> (logits, keys, values)

A graph does not write in place, so the cache goes in, and comes out longer by the new tokens: an empty past reads a
prompt, one new token continues it. Batch, new and past tokens may be any number. A row may not be padded: all rows
stand at the same position.
Taught in book/2-building-a-transformer/09_kv_cache.md. Shapes: L layers, B batch, T new positions, P past positions,
G key-value heads, D head width, V vocabulary.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from insideout.errors import BadInput, first_line
from insideout.transformer.attention import AttentionContext
from insideout.transformer.exchange.hub import new_folder
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.model import GPT

FILE = "model.onnx"
NEEDS = "{} is not installed: pip install 'transformers-inside-out[serve]'."
Past = tuple[Float[np.ndarray, "L B G _ D"], Float[np.ndarray, "L B G _ D"]]  # keys and values so far


class GrowingCache(KVCache):
    """A KVCache that is not written in place: each layer's append makes new, longer tensors."""

    def __init__(self, keys: Float[Tensor, "L B G P D"], values: Float[Tensor, "L B G P D"]) -> None:
        self.keys, self.values = keys, values
        self.longer_keys: list[Tensor] = []
        self.longer_values: list[Tensor] = []

    def append(
        self, layer: int, k: Float[Tensor, "B G T D"], v: Float[Tensor, "B G T D"]
    ) -> tuple[Float[Tensor, "B G S D"], Float[Tensor, "B G S D"]]:
        """Past and new together; layers must come in their order."""
        self.longer_keys.append(torch.cat([self.keys[layer], k], dim=2))
        self.longer_values.append(torch.cat([self.values[layer], v], dim=2))
        return self.longer_keys[layer], self.longer_values[layer]


class WithCache(nn.Module):
    """The GPT's forward pass with the cache as input and output, free of choices that depend on lengths."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, ids: Int[Tensor, "B T"], past_keys: Float[Tensor, "L B G P D"], past_values: Float[Tensor, "L B G P D"]
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "L B G S D"], Float[Tensor, "L B G S D"]]:
        model, n_past, n_new = self.model, past_keys.shape[3], ids.shape[1]
        positions = (torch.arange(n_new, device=ids.device) + n_past)[None]  # (1, T)
        context = AttentionContext(model.rotation(positions), model.mask(positions, n_past + n_new), is_causal=False)
        cache = GrowingCache(past_keys, past_values)
        x = model.embed(ids, positions)  # (B, T, C)
        for block in model.blocks:
            x = block(x, context, cache)
        return model.head(model.norm(x)), torch.stack(cache.longer_keys), torch.stack(cache.longer_values)


def export(model: GPT, folder: str | Path, tokenizer: Any = None) -> None:
    """Write folder/model.onnx and its weights beside it, and the tokenizer's files if it is given.

    Raises BadInput if the folder exists and is not empty, the model is not float32 or has a part that ONNX has no
    operators for, or the exporter is not installed.
    """
    weight = model.token_embedding.weight
    if model.config.looks_back:
        which = "token_shift" if model.config.token_shift else "pair_rows"
        raise BadInput(f"A model with {which} cannot be written as this graph, which holds no earlier tokens.")
    if weight.dtype != torch.float32:
        raise BadInput(f"The model's numbers are {weight.dtype}; ONNX Runtime wants float32: call model.float() first.")
    past = torch.zeros(
        model.config.n_layers, 2, model.config.kv_heads, 3, model.config.head_width, device=weight.device
    )
    example = (torch.zeros(2, 4, dtype=torch.long, device=weight.device), past, past.clone())
    batch, new, before = (torch.export.Dim(name) for name in ("batch", "new", "past"))
    was_training = model.training
    with new_folder(folder) as partial:
        try:
            with _quiet():
                program: Any = torch.onnx.export(
                    WithCache(model).eval(), example, dynamo=True, verbose=False,
                    input_names=["ids", "past_keys", "past_values"], output_names=["logits", "keys", "values"],
                    dynamic_shapes=({0: batch, 1: new}, {1: batch, 3: before}, {1: batch, 3: before}),
                )  # fmt: skip
        except ModuleNotFoundError as error:
            raise BadInput(NEEDS.format(error.name)) from None
        except torch.onnx.OnnxExporterError as error:
            cause = error.__cause__ or error
            raise BadInput(f"This model cannot be written as an ONNX graph: {first_line(cause)}.") from error
        finally:
            model.train(was_training)
        program.model.metadata_props["context_length"] = str(model.config.context_length)
        program.save(partial / FILE, external_data=True)
        if isinstance(tokenizer, HubTokenizer):
            tokenizer.theirs.save_pretrained(partial)
        elif tokenizer is not None:
            tokenizer.save(partial / "tokenizer.json")


class OnnxGPT:
    """An exported model in ONNX Runtime."""

    def __init__(self, folder: str | Path, providers: tuple[str, ...] = ("CPUExecutionProvider",)) -> None:
        """Open what `export` wrote. Raises BadInput for anything else."""
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise BadInput(NEEDS.format(error.name)) from None
        path = Path(folder) / FILE
        try:
            self.session = onnxruntime.InferenceSession(path, providers=list(providers))
            self.context_length = int(self.session.get_modelmeta().custom_metadata_map["context_length"])
        except Exception as error:  # ONNX Runtime has a class for every kind of damage
            raise BadInput(f"{path} is not a model that was exported here: {first_line(error)}.") from error
        self.vocab_size = int(self.session.get_outputs()[0].shape[-1])

    def __call__(self, ids: Int[Tensor, "B T"], past: Past | None = None) -> tuple[Float[Tensor, "B T V"], Past]:
        """Logits after each of the new tokens, and the past for the next call. Raises BadInput as GPT does."""
        layers, _, heads, _, width = self.session.get_inputs()[1].shape
        if past is None:
            nothing = np.zeros((layers, ids.shape[0], heads, 0, width), dtype=np.float32)
            past = (nothing, nothing)
        longest = past[0].shape[3] + ids.shape[1]
        if longest > self.context_length:
            raise BadInput(f"The text has {longest} tokens and there is room for {self.context_length}: shorten it.")
        if bool(((ids < 0) | (ids >= self.vocab_size)).any()):
            raise BadInput(f"The text holds an id outside the vocabulary of {self.vocab_size} tokens.")
        inputs = {"ids": ids.cpu().numpy(), "past_keys": past[0], "past_values": past[1]}
        logits, keys, values = self.session.run(["logits", "keys", "values"], inputs)
        return torch.from_numpy(logits), (keys, values)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about libraries that are not installed and about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
