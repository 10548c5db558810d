"""A checkpoint's weights into a new GPT, without ever holding them twice.

Names and shapes are checked against the files' headers before a number is read. The GPT is laid out on the meta device,
without memory; then each of its tensors is made and filled from a few rows of the file at a time. So the peak is the
weights once and some megabytes, and a checkpoint that does not fit leaves nothing half-loaded.
Taught in book/2-building-a-transformer/06_complete_model.md. Which weight lies where is in families.py.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from insideout.errors import BadInput, first_line
from insideout.machine import memory
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.families import PREFIX, is_turned, weight_map
from insideout.transformer.model import GPT

PIECE = 1 << 20
"""About how many numbers are copied at a time."""
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_TABLES = re.compile(r".*\.attn\.(masked_)?bias|(.*\.)?rotary_emb\.inv_freq")  # old checkpoints hold what is computed


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a safetensors file, of which rows are read when asked for."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def __getitem__(self, rows: slice) -> Tensor:
        with safe_open(self.file, "pt") as file:  # opened anew each time, so that what was read leaves memory
            return file.get_slice(self.name)[rows]


def stored(folder: Path) -> dict[str, StoredTensor]:
    """The tensors of a folder's safetensors file or files, by name. Only the files' headers are read.

    Raises BadInput for a folder without them, a pickle, quantised weights, or files that are damaged or disagree.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    listed: dict[str, str] | None = None
    if single.is_file():
        files = [single]
    elif index.is_file():
        listed = read_json(index).get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
            raise BadInput(f"{index} does not say which file holds which weight: download the model again.")
        for name in listed.values():
            if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
                raise BadInput(f"{index} names the file {name!r}, which is no safetensors file beside it: refused.")
        files = [folder / name for name in sorted(set(listed.values()))]
    elif any(folder.glob("*.bin")) or any(folder.glob("*.pt*")):
        raise BadInput(
            f"{folder} holds its weights only as a pickle, which may run code when it is loaded: get the model's "
            "safetensors, or convert it with save_pretrained of transformers where you trust it."
        )
    else:
        raise BadInput(f"{folder} has no model.safetensors: give the folder of a model with its weights.")
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        tensors |= _in_file(file)
    if listed is not None and listed.keys() != tensors.keys():
        odd = min(listed.keys() ^ tensors.keys())
        raise BadInput(f"{index} and the files beside it disagree about {odd}: download the model again.")
    return tensors


def build(
    config: GPTConfig, family: str, weights: Mapping[str, Any], where: str, dtype: torch.dtype | None = None
) -> GPT:
    """A GPT with these weights, which are tensors or stored ones by their names in `transformers`.

    Without a dtype, that of the token embedding. Raises BadInput, naming `where`, when names or shapes do not fit.
    """
    prefix = PREFIX[family]
    weights = {name.removeprefix(prefix): each for name, each in weights.items() if not _TABLES.fullmatch(name)}
    embedding, head = weights.get("wte.weight", weights.get("embed_tokens.weight")), weights.get("lm_head.weight")
    if config.tie_embeddings and embedding is not None and head is not None:
        if _equal(embedding, head):
            del weights["lm_head.weight"]
        else:  # like transformers, believe the weights
            config = dataclasses.replace(config, tie_embeddings=False)
    _check_layers(config.n_layers, "h" if family == "gpt2" else "layers", weights, where)
    try:
        with torch.device("meta"):
            model = GPT(config)
    except RuntimeError as error:  # sizes whose product is no number that a machine knows
        raise BadInput(
            f"The configuration of {where} asks for a model that no machine can hold: width "
            f"{config.d_model}, feed-forward width {config.ff_width}, {config.vocab_size} tokens."
        ) from error
    found = weight_map(model, family)
    _check({name: shape for parts in found.values() for name, shape in parts.items()}, weights, where)
    assert embedding is not None
    _check_memory(config, model, dtype or embedding.dtype, where)
    shapes, filled = {name: tensor.shape for name, tensor in model.state_dict().items()}, {}
    for name, parts in found.items():
        filled[name] = torch.empty(shapes[name], dtype=dtype or embedding.dtype)
        ours = filled[name].T if is_turned(family, name) else filled[name]
        _fill(ours, {part: weights[part] for part in parts}, where)
    if config.tie_embeddings:
        filled["head.weight"] = filled["token_embedding.weight"]
    model.load_state_dict(filled, assign=True)
    if config.tie_embeddings:
        model.head.weight = model.token_embedding.weight
    model.make_tables()
    return model.eval()


def _check(expected: dict[str, tuple[int, ...]], weights: Mapping[str, Any], where: str) -> None:
    """BadInput unless the weights have exactly the names and shapes that the configuration asks for."""
    missing, extra = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing:
        raise BadInput(
            f"The weights of {where} lack {missing[0]} ({len(missing)} such in all): they are incomplete or of "
            "another configuration, so get the model again."
        )
    if extra:
        raise BadInput(
            f"The weights of {where} hold {extra[0]} ({len(extra)} such in all), which this architecture has no "
            "place for: choose a plain language model."
        )
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise BadInput(
                f"{name} of {where} has shape {tuple(weights[name].shape)} and the configuration asks for {shape}: "
                "one of the two is another model's, so get the model again."
            )


def _check_layers(n_layers: int, block: str, weights: Mapping[str, Any], where: str) -> None:
    """BadInput unless the last layer asked for is there: no model is built that the weights could not fill."""
    held = {name.split(".")[1] for name in weights if name.startswith(f"{block}.")}
    if str(n_layers - 1) not in held:
        raise BadInput(
            f"The configuration of {where} asks for {n_layers} layers and the weights have {len(held)}: one of the two "
            "is another model's, so get the model again."
        )


def _check_memory(config: GPTConfig, model: GPT, dtype: torch.dtype, where: str) -> None:
    """BadInput for a model that is larger than this machine's memory."""
    numbers = sum(parameter.numel() for parameter in model.parameters())
    tables = sum(table.numel() * table.element_size() for table in model.buffers())
    needed = numbers * dtype.itemsize + 4 * tables  # making them takes as much again in float64, a few times
    there = memory()
    if there is not None and needed > there:
        raise BadInput(
            f"{where} takes {needed / 1e9:,.1f} GB in memory ({numbers:,} numbers, texts of {config.context_length:,} "
            f"tokens) and this machine has {there / 1e9:,.1f} GB: choose a smaller model, or a smaller dtype."
        )


def _fill(ours: Tensor, parts: dict[str, Any], where: str) -> None:
    """Copy the parts into a tensor, one below the other, a few rows at a time. BadInput for what is no number."""
    start = 0
    for name, part in parts.items():
        for rows in _slices(part):
            piece = part[rows]
            if not all(bool(extreme.isfinite()) for extreme in torch.aminmax(piece)):
                raise BadInput(f"{name} of {where} holds NaN or infinity: the weights are damaged, so get them again.")
            ours[start + rows.start : start + rows.stop] = piece
        start += part.shape[0]


def _equal(one: Any, other: Any) -> bool:
    same_shape = tuple(one.shape) == tuple(other.shape)
    return same_shape and all(torch.equal(one[rows], other[rows]) for rows in _slices(one))


def _slices(part: Any) -> list[slice]:
    """A tensor's rows in slices of about PIECE numbers."""
    n_rows = part.shape[0]
    step = max(1, PIECE * n_rows // torch.Size(part.shape).numel())
    return [slice(first, min(first + step, n_rows)) for first in range(0, n_rows, step)]


def _in_file(path: Path) -> dict[str, StoredTensor]:
    tensors = {}
    try:
        with safe_open(path, "pt") as file:
            for name in list(file.keys()):
                about = file.get_slice(name)
                kind = about.get_dtype()
                if kind in _DTYPES:
                    tensors[name] = StoredTensor(path, name, tuple(about.get_shape()), _DTYPES[kind])
                elif not _TABLES.fullmatch(name):
                    raise BadInput(f"{name} in {path} is stored as {kind}: quantised weights are not supported.")
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"{path} is missing, truncated or not safetensors ({first_line(error)}): download the model again."
        ) from error
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; BadInput for anything else."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} could not be read ({error.strerror}): give a folder that holds a model.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is truncated or not JSON ({error}): download the model again.") from error
    if not isinstance(values, dict):
        raise BadInput(f"{path} holds no JSON object: download the model again.")
    return values
