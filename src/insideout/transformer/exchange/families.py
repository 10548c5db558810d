"""GPT-2, Llama and Qwen3 in `transformers`' words: their configurations, and where each of our weights lies in theirs.

    ours                      GPT-2 (transformer.)        Llama, Qwen3 (model.)
    token_embedding           wte                         embed_tokens
    attention.query_key_value h.i.attn.c_attn             layers.i.self_attn.{q,k,v}_proj, apart
    feed_forward.gate         -                           layers.i.mlp.gate_proj
    norm                      ln_f                        norm

GPT-2 keeps the matrices of its linear layers transposed. Nothing here looks at a weight's numbers: see hub.py.
Taught in book/2-building-a-transformer/06_complete_model.md. Sources: Radford et al. 2019 (GPT-2); Touvron et al. 2023
(Llama); Yang et al. 2025 (Qwen3).
"""

import dataclasses
from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

from insideout.errors import BadInput, first_line
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT

FAMILIES = ("gpt2", "llama", "qwen3")
PREFIX = {"gpt2": "transformer.", "llama": "model.", "qwen3": "model."}
"""What stands before their names, except before lm_head; checkpoints of the bare model leave it out."""

# Settings of theirs that change what is computed and that we have no part for, with the one value that we can follow.
_ONLY: dict[str, dict[str, Any]] = {
    "gpt2": {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False, "add_cross_attention": False},
    "llama": {"hidden_act": "silu", "attention_dropout": 0},
    "qwen3": {"hidden_act": "silu", "attention_dropout": 0},
}
_GELUS = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}
_SCALINGS = ("default", "linear", "llama3")
_SIZES = {
    "gpt2": ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "n_inner"),
    "llama": (
        "vocab_size", "max_position_embeddings", "hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size", "num_key_value_heads", "head_dim",
    ),
}  # fmt: skip
_SIZES["qwen3"] = (*_SIZES["llama"], "sliding_window", "max_window_layers")
_MOST = {"n_layer": 10_000, "num_hidden_layers": 10_000, "n_layers": 10_000}  # the deepest models have hundreds


def import_transformers() -> Any:
    """The library `transformers`, or BadInput that says how to install it."""
    try:
        import transformers
    except ModuleNotFoundError:
        raise BadInput(
            "Reading and writing other libraries' models needs transformers: "
            "pip install 'transformers-inside-out[hub]'."
        ) from None
    return transformers


def family_of(config: GPTConfig) -> str:
    """The family whose architecture this config is; BadInput if it is none of them."""
    for name in ("token_shift", "pair_rows", "logit_cap"):
        if getattr(config, name):
            raise BadInput(f"This configuration has {name}, for which no family of transformers here has a place.")
    modern = config.positions == "rope" and config.norm == "rmsnorm" and config.mlp == "swiglu"
    if modern and config.qk_norm and not config.bias:
        return "qwen3"
    plain = not config.qk_norm and config.window is None
    if modern and plain and config.d_model % config.n_heads == 0:
        return "llama"
    classic = config.positions == "learned" and config.norm == "layernorm" and config.mlp in ("gelu", "gelu_tanh")
    whole_heads = config.kv_heads == config.n_heads and config.head_width * config.n_heads == config.d_model
    if classic and plain and config.bias and whole_heads:
        return "gpt2"
    differs = f"its feed-forward layer is {config.mlp}, its positions {config.positions}, its norm {config.norm}"
    raise BadInput(
        f"This configuration is not a GPT-2, Llama or Qwen3, so transformers has no class for it ({differs}): "
        "choose one of GPTConfig.gpt2(), GPTConfig.llama() or GPTConfig.qwen3(); for a run of ours, --mlp swiglu."
    )


def config_to_hf(config: GPTConfig) -> Any:
    """The `transformers` configuration of this model; BadInput if it is of none of the families.

    Dropout is a matter of training: GPT-2's configuration holds it, those of Llama and Qwen3 have no place for it.
    """
    transformers, family = import_transformers(), family_of(config)
    common: dict[str, Any] = {
        "vocab_size": config.vocab_size, "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    if family == "gpt2":
        return transformers.GPT2Config(
            n_positions=config.context_length, n_embd=config.d_model, n_layer=config.n_layers, n_head=config.n_heads,
            n_inner=config.ff_width, layer_norm_epsilon=config.norm_eps,
            activation_function="gelu_new" if config.mlp == "gelu_tanh" else "gelu",
            resid_pdrop=config.dropout, embd_pdrop=config.dropout, attn_pdrop=config.dropout, **common,
        )  # fmt: skip
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_base}
    if config.rope_scaling != "none":
        rope |= {"rope_type": config.rope_scaling, "factor": config.rope_factor}
    if config.rope_scaling == "llama3":
        rope |= {
            "low_freq_factor": config.rope_low_frequency, "high_freq_factor": config.rope_high_frequency,
            "original_max_position_embeddings": config.rope_original_length,
        }  # fmt: skip
    sizes: dict[str, Any] = {
        "hidden_size": config.d_model, "intermediate_size": config.ff_width, "head_dim": config.head_width,
        "num_hidden_layers": config.n_layers, "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.kv_heads, "max_position_embeddings": config.context_length,
        "rms_norm_eps": config.norm_eps, "attention_bias": config.bias or config.attention_bias,
        "rope_parameters": rope, **common,
    }  # fmt: skip
    if family == "llama":
        return transformers.LlamaConfig(mlp_bias=config.bias, **sizes)
    if config.window is not None:
        sizes |= {"use_sliding_window": True, "sliding_window": config.window, "max_window_layers": 0}
    return transformers.Qwen3Config(**sizes)


def checked_sizes(values: Mapping[str, Any], where: str, names: Iterable[str] | None = None) -> None:
    """BadInput unless the sizes among these settings are whole numbers that some model could have; None is left out."""
    for name in values if names is None else names:
        value, most = values.get(name), _MOST.get(name, 2**31 - 1)
        if value is None or (type(value) is int and 0 < value <= most) or (name == "max_window_layers" and value == 0):
            continue
        raise BadInput(f"{name} of {where} is {value!r}; it must be a whole number from 1 to {most:,}.")


def config_from_json(about: dict[str, Any], where: str) -> tuple[GPTConfig, str]:
    """The GPTConfig of what a config.json holds, and its family. BadInput names what is wrong or has no part here."""
    family = check_family(about.get("model_type"))
    checked_sizes(about, where, _SIZES[family])
    for name in ("rope_scaling", "rope_parameters"):
        if about.get(name) is not None and not (isinstance(about[name], dict) and about[name]):
            raise BadInput(f"{name} of {where} is {about[name]!r}; it must be null, or an object that says rope_type.")
    try:
        config = config_from_hf(import_transformers().AutoConfig.for_model(**about))
    except BadInput:
        raise
    except Exception as error:  # whatever their configuration finds wrong
        raise BadInput(f"{where} is no {family} configuration: {first_line(error)}.") from error
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{field.name}, from {where},"
        if field.type is bool and not isinstance(value, bool):
            raise BadInput(f"{name} is {value!r}; it must be true or false.")
        least = field.name in ("dropout", "logit_cap")  # which may be 0
        if field.type is float and not (type(value) in (int, float) and 0 < value + least < inf):
            raise BadInput(f"{name} is {value!r}; it must be a number above 0.")
    return config, family


def config_from_hf(theirs: Any) -> GPTConfig:
    """The GPTConfig of a `transformers` configuration; BadInput names what we have no part for."""
    family, where = check_family(theirs.model_type), "the configuration"
    values = {name: getattr(theirs, name, None) for name in _SIZES[family]}
    checked_sizes(values, where)
    if None in (values[name] for name in _SIZES[family][:5]):
        raise BadInput(f"The configuration leaves out one of {', '.join(_SIZES[family][:5])}: it is damaged.")
    for name, value in {**_ONLY[family], "quantization_config": None}.items():
        _allow(name, getattr(theirs, name, value), value)
    if family == "gpt2":
        _allow("activation_function", theirs.activation_function, *_GELUS)
        for name in ("embd_pdrop", "attn_pdrop"):
            _allow(name, getattr(theirs, name), theirs.resid_pdrop)
        return GPTConfig.gpt2(
            vocab_size=theirs.vocab_size, context_length=theirs.n_positions, d_model=theirs.n_embd,
            n_layers=theirs.n_layer, n_heads=theirs.n_head, d_ff=theirs.n_inner, norm_eps=theirs.layer_norm_epsilon,
            mlp=_GELUS[theirs.activation_function], tie_embeddings=theirs.tie_word_embeddings,
            dropout=theirs.resid_pdrop,
        )  # fmt: skip
    rope, scaling = theirs.rope_parameters, {}
    _allow("rope_type", rope["rope_type"], *_SCALINGS)
    _allow("partial_rotary_factor", rope.get("partial_rotary_factor", 1), 1)
    if rope["rope_type"] != "default":
        scaling = {"rope_scaling": rope["rope_type"], "rope_factor": float(rope["factor"])}
    if rope["rope_type"] == "llama3":
        scaling |= {
            "rope_low_frequency": float(rope["low_freq_factor"]),
            "rope_high_frequency": float(rope["high_freq_factor"]),
            "rope_original_length": rope["original_max_position_embeddings"],
        }
    attention_bias, mlp_bias = theirs.attention_bias, getattr(theirs, "mlp_bias", False)
    if mlp_bias:
        _allow("attention_bias", attention_bias, True)
    heads = {"n_kv_heads": theirs.num_key_value_heads, "d_head": theirs.head_dim}
    if theirs.num_key_value_heads == theirs.num_attention_heads:
        del heads["n_kv_heads"]
    if theirs.head_dim * theirs.num_attention_heads == theirs.hidden_size:
        del heads["d_head"]
    return GPTConfig(
        vocab_size=theirs.vocab_size, context_length=theirs.max_position_embeddings, d_model=theirs.hidden_size,
        n_layers=theirs.num_hidden_layers, n_heads=theirs.num_attention_heads, d_ff=theirs.intermediate_size,
        rope_base=float(rope["rope_theta"]), window=_window(theirs), norm_eps=theirs.rms_norm_eps, mlp="swiglu",
        bias=mlp_bias, attention_bias=attention_bias and not mlp_bias, qk_norm=family == "qwen3",
        tie_embeddings=theirs.tie_word_embeddings, **heads, **scaling,
    )  # fmt: skip


def check_family(model_type: Any) -> str:
    """The name itself, if we know such models; else BadInput."""
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        raise BadInput(f"Architecture {model_type!r} is not supported: use one of {', '.join(FAMILIES)}.")
    return model_type


def weight_map(model: GPT, family: str) -> dict[str, dict[str, tuple[int, ...]]]:
    """Where our tensors lie in theirs: our name -> their name -> its shape there; several are stacked by rows.

    Their names are without the family's prefix. A tied head is left out: it is the embedding.
    """
    names, config = _modules(family, model.config.n_layers), model.config
    thirds = [heads * config.head_width for heads in (config.n_heads, config.kv_heads, config.kv_heads)]
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in model.state_dict().items():
        module, kind = name.rsplit(".", 1)
        shape = tuple(tensor.shape)
        if module == "head" and config.tie_embeddings:
            continue
        if module not in names:  # queries, keys and values
            layer = module.split(".")[1]
            found[name] = {
                f"layers.{layer}.self_attn.{letter}_proj.{kind}": (rows, *shape[1:])
                for letter, rows in zip("qkv", thirds, strict=True)
            }
        else:
            found[name] = {f"{names[module]}.{kind}": shape[::-1] if is_turned(family, name) else shape}
    return found


def is_turned(family: str, name: str) -> bool:
    """Does the family keep this tensor of ours transposed? GPT-2 does so with its linear layers' matrices."""
    return family == "gpt2" and name.startswith("blocks.") and name.endswith(".weight") and "_norm." not in name


def _modules(family: str, n_layers: int) -> dict[str, str]:
    """Our module name -> theirs, for the modules that map one to one."""
    if family == "gpt2":
        top = {"token_embedding": "wte", "position_embedding": "wpe", "norm": "ln_f"}
        block, parts = "h", {
            "attention_norm": "ln_1", "attention.query_key_value": "attn.c_attn", "attention.output": "attn.c_proj",
            "feed_forward_norm": "ln_2", "feed_forward.up": "mlp.c_fc", "feed_forward.down": "mlp.c_proj",
        }  # fmt: skip
    else:
        top = {"token_embedding": "embed_tokens", "norm": "norm"}
        block, parts = "layers", {
            "attention_norm": "input_layernorm", "attention.output": "self_attn.o_proj",
            "attention.query_norm": "self_attn.q_norm", "attention.key_norm": "self_attn.k_norm",
            "feed_forward_norm": "post_attention_layernorm", "feed_forward.gate": "mlp.gate_proj",
            "feed_forward.up": "mlp.up_proj", "feed_forward.down": "mlp.down_proj",
        }  # fmt: skip
    inside = {
        f"blocks.{layer}.{ours}": f"{block}.{layer}.{theirs}"
        for layer in range(n_layers)
        for ours, theirs in parts.items()
    }
    return top | inside | {"head": "lm_head"}


def _window(theirs: Any) -> int | None:
    """The sliding window that all layers share; BadInput if only some have one."""
    kinds = set(getattr(theirs, "layer_types", None) or ["full_attention"])
    if kinds == {"full_attention"}:
        return None
    if kinds != {"sliding_attention"}:
        raise BadInput("Layers with and without a sliding window (layer_types) in one model are not supported.")
    return int(theirs.sliding_window)


def _allow(name: str, value: Any, *allowed: Any) -> None:
    if value not in allowed:
        choices = " or ".join(repr(each) for each in allowed)
        raise BadInput(f"The configuration's {name} is {value!r}, which is not supported: it must be {choices}.")
