"""Adapters in peft's format: a folder of adapter_config.json and adapter_model.safetensors, both ways.

    save_adapter(model, "my-adapter", base="HuggingFaceTB/SmolLM2-135M-Instruct")
    load_adapter(model, "my-adapter")

The outputs are peft's. Beside its two files a third one holds a fingerprint of the base, so that an adapter is not put
beside weights that it was not learned beside. Taught in book/3-fine-tuning-a-transformer/05_lora.md.
Source: Mangrulkar et al. 2022 (PEFT).
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from insideout.errors import BadInput, first_line
from insideout.finetuning.lora import LoRAConfig, adapted, adapters, add_adapter, address, base_of, layers
from insideout.training.config import described, fits
from insideout.training.weights import fingerprint
from insideout.transformer.exchange.families import PREFIX, family_of, weight_map
from insideout.transformer.exchange.hub import new_folder
from insideout.transformer.model import GPT

__all__ = ["load_adapter", "save_adapter"]

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "insideout.json"
KINDS = {"r": int, "lora_alpha": float, "lora_dropout": float, "use_rslora": bool}
REFUSED = ("use_dora", "lora_bias", "modules_to_save", "rank_pattern", "alpha_pattern", "target_parameters",
           "trainable_token_indices", "layer_replication", "use_qalora", "use_bdlora")  # fmt: skip
"""Settings of peft's that change what is computed and that we have no part for, if they are set."""


def save_adapter(model: GPT, folder: str | Path, name: str = "default", base: str = "") -> None:
    """Write an adapter into a new folder. `base` is where its base is found, for whoever reads it.

    Raises BadInput for an adapter that is not there, a model of no family that peft knows, a folder that is not empty.
    """
    if name not in adapters(model):
        raise BadInput(f"There is no adapter {name!r}: there is {', '.join(adapters(model)) or 'none'}.")
    theirs, tensors, targets = their_names(model), {}, []
    config: LoRAConfig | None = None
    for module, layer in adapted(model).items():
        if name not in layer.adapters:
            continue
        adapter = layer.adapter(name)
        config = adapter.config
        for part in adapter.parts:
            target = theirs[address(module, part)]
            targets.append(target)
            tensors[f"base_model.model.{target}.lora_A.weight"] = adapter.A[part].detach().cpu().contiguous()
            tensors[f"base_model.model.{target}.lora_B.weight"] = adapter.B[part].detach().cpu().contiguous()
    assert config is not None
    about = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": config.rank,
        "lora_alpha": config.alpha, "lora_dropout": config.dropout, "use_rslora": config.rslora, "bias": "none",
        "fan_in_fan_out": family_of(model.config) == "gpt2", "inference_mode": True, "init_lora_weights": True,
        "target_modules": shortened(targets, list(theirs.values())),
    }  # fmt: skip
    with new_folder(folder) as partial:
        (partial / CONFIG).write_text(json.dumps(about, indent=2) + "\n", "utf-8")
        (partial / WEIGHTS).write_bytes(safetensors.torch.save(tensors, metadata={"format": "pt"}))
        (partial / BASE).write_text(json.dumps({"base": base_fingerprint(model)}) + "\n", "utf-8")


def load_adapter(model: GPT, folder: str | Path, name: str = "default") -> None:
    """Put the adapter of a folder beside the model's layers, and use it alone.

    Raises BadInput for a folder that holds none, one that was learned beside another base, has settings that we have
    no part for, or does not fit; the model is as it was then.
    """
    folder = Path(folder)
    about = read_json(folder / CONFIG)
    if about.get("peft_type") != "LORA" or about.get("bias", "none") != "none":
        kind = f"{about.get('peft_type')!r} with bias {about.get('bias')!r}"
        raise BadInput(f"{folder} holds an adapter of the kind {kind}: only LoRA without biases is read.")
    if strange := [setting for setting in REFUSED if about.get(setting)]:
        raise BadInput(f"{folder} sets {strange[0]} to {about[strange[0]]!r}, which is not supported.")
    started = about.get("init_lora_weights", True)
    if started not in (True, False, None, "gaussian", "eva", "orthogonal"):
        raise BadInput(
            f"{folder} sets init_lora_weights to {started!r}, which may change the base's own weights: convert it to a "
            "plain LoRA by peft first."
        )
    if (folder / BASE).exists() and read_json(folder / BASE).get("base") != base_fingerprint(model):
        raise BadInput(
            f"The adapter in {folder} was learned beside other weights than this model's: load its own base."
        )
    tensors = read_tensors(folder / WEIGHTS)
    ours = {target: part for part, target in their_names(model).items()}
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise BadInput(
                f"{folder / WEIGHTS} is damaged: not all numbers of {key} are finite floating-point numbers."
            )
        target, _, kind = key.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".")
        if target not in ours or kind not in ("lora_A", "lora_B"):
            raise BadInput(
                f"The adapter in {folder} holds {key}, for which this model has no layer: it is for another one."
            )
        found.setdefault(ours[target], {})[kind[-1]] = tensor
    if not found:
        raise BadInput(f"{folder / WEIGHTS} holds no adapter.")
    for setting, wanted in KINDS.items():
        if setting in about and not fits(about[setting], wanted):
            raise BadInput(f"{folder / CONFIG} is damaged: {setting} is {about[setting]!r}, not {described(wanted)}.")
    try:
        config = LoRAConfig(
            about["r"], float(about["lora_alpha"]), tuple(found), float(about.get("lora_dropout", 0.0)),
            about.get("use_rslora", False),
        )  # fmt: skip
    except (KeyError, ValueError) as error:
        raise BadInput(f"{folder / CONFIG} is damaged: {first_line(error)}.") from error
    check_shapes(model, folder, found, config.rank)
    add_adapter(model, config, name)
    with torch.no_grad():
        for module, layer in adapted(model).items():
            if name in layer.adapters:
                adapter = layer.adapter(name)
                for part in adapter.parts:
                    adapter.A[part].copy_(found[address(module, part)]["A"])
                    adapter.B[part].copy_(found[address(module, part)]["B"])


def check_shapes(model: GPT, folder: Path, found: dict[str, dict[str, Tensor]], rank: int) -> None:
    """Raises BadInput unless every A and B is there and fits its layer."""
    sizes = {
        address(module, part): ((rank, base_width(model, module)), (n_rows, rank))
        for module, parts in layers(model).items()
        for part, (_, n_rows) in parts.items()
    }
    for part, pair in found.items():
        shapes = tuple(tuple(pair[kind].shape) if kind in pair else None for kind in "AB")
        if shapes != sizes[part]:
            raise BadInput(
                f"The adapter in {folder} has A and B of shapes {shapes} for {part}, which takes {sizes[part]}: it is "
                "for another model, or damaged."
            )


def base_width(model: GPT, module: str) -> int:
    """How many numbers a layer reads."""
    return base_of(model.get_submodule(module)).in_features


def their_names(model: GPT) -> dict[str, str]:
    """Our parts' addresses, and the names of their layers in `transformers`.

    Raises BadInput for an architecture that is none of theirs.
    """
    family = family_of(model.config)
    with torch.device("meta"):
        plain = GPT(model.config)
    named: dict[str, str] = {}
    where = weight_map(plain, family)
    for module, parts in layers(model).items():
        stored = where.get(f"{module}.weight", {"lm_head.weight": ()})
        for part, name in zip(parts, stored, strict=True):
            target = name.removesuffix(".weight")
            named[address(module, part)] = target if module == "head" else PREFIX[family] + target
    return named


def shortened(targets: list[str], every: list[str]) -> list[str]:
    """The last words of the layers' names, if all layers of such a name have an adapter; else the whole names."""
    ends = Counter(name.rpartition(".")[2] for name in every)
    chosen = Counter(name.rpartition(".")[2] for name in targets)
    return sorted(chosen) if all(chosen[end] == ends[end] for end in chosen) else sorted(targets)


def base_fingerprint(model: GPT) -> str:
    """A hash of the weights without the adapters."""
    tensors = {
        name.replace(".base.", "."): tensor for name, tensor in model.state_dict().items() if ".adapters." not in name
    }
    return fingerprint(tensors)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file."""
    try:
        about = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(
            f"Could not read {path}: {first_line(error)}. Is it a folder that peft or save_adapter wrote?"
        ) from error
    if not isinstance(about, dict):
        raise BadInput(f"{path} holds no JSON object: it is damaged.")
    return about


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file; never a pickle."""
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadInput(f"Could not read {path}: {first_line(error)}. Only safetensors are read, no pickles.") from error
