"""Our GPT and `transformers` models with the same weights, in both directions, for GPT-2, Llama and Qwen3.

A family is a table: which of our names holds which of theirs, and how the numbers lie. GPT-2 keeps its matrices
transposed and its queries, keys and values side by side, as we do; Llama and Qwen3 keep them apart.

Sources: Radford et al. 2019 (GPT-2); Touvron et al. 2023 (Llama); Yang et al. 2025 (Qwen3).
"""

from typing import Any

import torch
from torch import Tensor

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT

FAMILIES = ("gpt2", "llama", "qwen3")


def family_of(config: GPTConfig) -> str:
    """The family whose architecture this config is; BadInput if it is none of them."""
    modern = config.positions == "rope" and config.norm == "rmsnorm" and config.mlp == "swiglu" and not config.bias
    if modern:
        return "qwen3" if config.qk_norm else "llama"
    classic = config.positions == "learned" and config.norm == "layernorm" and config.bias and not config.qk_norm
    if classic and config.mlp in ("gelu", "gelu_tanh") and config.kv_heads == config.n_heads:
        return "gpt2"
    raise BadInput(
        "This configuration is not a GPT-2, Llama or Qwen3, so transformers has no class for it: "
        "choose one of GPTConfig.gpt2(), GPTConfig.llama() or GPTConfig.qwen3()."
    )


def to_hf(model: GPT) -> Any:
    """A `transformers` causal language model with the same weights, in the same precision."""
    import transformers

    config, family = model.config, family_of(model.config)
    common: dict[str, Any] = {"vocab_size": config.vocab_size, "tie_word_embeddings": config.tie_embeddings,
              "bos_token_id": None, "eos_token_id": None}  # fmt: skip
    if family == "gpt2":
        theirs: Any = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                n_positions=config.context_length, n_embd=config.d_model, n_layer=config.n_layers,
                n_head=config.n_heads, n_inner=config.ff_width, layer_norm_epsilon=config.norm_eps,
                activation_function="gelu_new" if config.mlp == "gelu_tanh" else "gelu",
                resid_pdrop=config.dropout, embd_pdrop=config.dropout, attn_pdrop=config.dropout, **common,
            )
        )  # fmt: skip
    else:
        sizes: dict[str, Any] = {
            "hidden_size": config.d_model, "intermediate_size": config.ff_width, "head_dim": config.head_width,
            "num_hidden_layers": config.n_layers, "num_attention_heads": config.n_heads,
            "num_key_value_heads": config.kv_heads, "max_position_embeddings": config.context_length,
            "rms_norm_eps": config.norm_eps,
            "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base}, **common,
        }  # fmt: skip
        if family == "llama":
            theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
        else:
            theirs = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**sizes))
    weights = _their_weights(model.state_dict(), config, family)
    if config.tie_embeddings:
        weights["lm_head.weight"] = model.token_embedding.weight.detach()
    theirs.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, strict=True)
    return theirs.to(model.token_embedding.weight.dtype).eval()


def from_hf(theirs: Any) -> GPT:
    """Our GPT with the weights of a `transformers` GPT-2, Llama or Qwen3; BadInput for anything else."""
    model = GPT(config_from_hf(theirs.config))
    family = theirs.config.model_type
    weights = _our_weights(theirs.state_dict(), model.config, family)
    expected = set(model.state_dict())
    if set(weights) != expected:
        raise BadInput(f"The weights do not fit: {sorted(expected ^ set(weights))[:4]} are missing or not known.")
    model.load_state_dict(weights)
    return model.to(next(theirs.parameters()).dtype).eval()


def config_from_hf(theirs: Any) -> GPTConfig:
    """The GPTConfig of a `transformers` configuration; BadInput names what we have no part for."""
    if theirs.model_type not in FAMILIES:
        raise BadInput(f"Architecture {theirs.model_type!r} is not supported: use one of {', '.join(FAMILIES)}.")
    if theirs.model_type == "gpt2":
        mlp = {"gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}.get(
            theirs.activation_function
        )
        if mlp is None or theirs.scale_attn_by_inverse_layer_idx or not theirs.scale_attn_weights:
            raise BadInput("This GPT-2 has an activation or an attention scaling that is not supported.")
        return GPTConfig.gpt2(
            vocab_size=theirs.vocab_size, context_length=theirs.n_positions, d_model=theirs.n_embd,
            n_layers=theirs.n_layer, n_heads=theirs.n_head, d_ff=theirs.n_inner, norm_eps=theirs.layer_norm_epsilon,
            mlp=mlp, tie_embeddings=theirs.tie_word_embeddings, dropout=theirs.resid_pdrop,
        )  # fmt: skip
    rope = theirs.rope_parameters
    if rope.get("rope_type", "default") != "default":
        raise BadInput(f"RoPE scaling of type {rope['rope_type']!r} is not supported.")
    if theirs.hidden_act != "silu" or theirs.attention_bias or getattr(theirs, "mlp_bias", False):
        raise BadInput("Only silu without biases is supported for Llama and Qwen3.")
    if getattr(theirs, "use_sliding_window", False):
        raise BadInput("Sliding-window attention is not supported.")
    return GPTConfig(
        vocab_size=theirs.vocab_size, context_length=theirs.max_position_embeddings, d_model=theirs.hidden_size,
        n_layers=theirs.num_hidden_layers, n_heads=theirs.num_attention_heads, n_kv_heads=theirs.num_key_value_heads,
        d_head=theirs.head_dim, d_ff=theirs.intermediate_size, rope_base=rope["rope_theta"],
        norm_eps=theirs.rms_norm_eps, mlp="swiglu", qk_norm=theirs.model_type == "qwen3",
        tie_embeddings=theirs.tie_word_embeddings,
    )  # fmt: skip


def _names(family: str, n_layers: int) -> dict[str, str]:
    """Our module name -> theirs, for the modules that map one to one."""
    top = ["token_embedding", "norm"]
    parts = ["attention_norm", "feed_forward_norm", "attention.output", "feed_forward.up", "feed_forward.down"]
    if family == "gpt2":
        theirs = ["transformer.wte", "transformer.ln_f"]
        inside = ["ln_1", "ln_2", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
        block, top, theirs = "transformer.h", [*top, "position_embedding"], [*theirs, "transformer.wpe"]
        parts, inside = [*parts, "attention.query_key_value"], [*inside, "attn.c_attn"]
    else:
        theirs, block = ["model.embed_tokens", "model.norm"], "model.layers"
        inside = ["input_layernorm", "post_attention_layernorm", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"]
        parts, inside = [*parts, "feed_forward.gate"], [*inside, "mlp.gate_proj"]
        if family == "qwen3":
            parts = [*parts, "attention.query_norm", "attention.key_norm"]
            inside = [*inside, "self_attn.q_norm", "self_attn.k_norm"]
    names = dict(zip(top, theirs, strict=True))
    for layer in range(n_layers):
        for ours, other in zip(parts, inside, strict=True):
            names[f"blocks.{layer}.{ours}"] = f"{block}.{layer}.{other}"
    return names | {"head": "lm_head"}


def _turned(family: str, module: str, tensor: Tensor) -> Tensor:
    """GPT-2's linear layers keep their matrices as (in, out); ours, as nn.Linear's, are (out, in)."""
    is_linear = tensor.dim() == 2 and module.startswith("blocks.")
    return tensor.T if family == "gpt2" and is_linear else tensor


def _their_weights(ours: dict[str, Tensor], config: GPTConfig, family: str) -> dict[str, Tensor]:
    names, theirs = _names(family, config.n_layers), {}
    for name, tensor in ours.items():
        module, kind = name.rsplit(".", 1)
        if module in names:
            theirs[f"{names[module]}.{kind}"] = _turned(family, module, tensor)
        else:  # queries, keys and values, apart
            rows = [heads * config.head_width for heads in (config.n_heads, config.kv_heads, config.kv_heads)]
            layer = module.split(".")[1]
            for letter, part in zip("qkv", torch.split(tensor, rows), strict=True):
                theirs[f"model.layers.{layer}.self_attn.{letter}_proj.{kind}"] = part
    return theirs


def _our_weights(theirs: dict[str, Tensor], config: GPTConfig, family: str) -> dict[str, Tensor]:
    back = {other: ours for ours, other in _names(family, config.n_layers).items()}
    ours: dict[str, Tensor] = {}
    for name, tensor in theirs.items():
        module, kind = name.rsplit(".", 1)
        if module in back:
            ours[f"{back[module]}.{kind}"] = _turned(family, back[module], tensor)
        elif module.endswith("self_attn.q_proj"):
            parts = [theirs[name.replace("q_proj", f"{letter}_proj")] for letter in "qkv"]
            ours[f"blocks.{module.split('.')[2]}.attention.query_key_value.{kind}"] = torch.cat(parts)
        elif not module.endswith(("k_proj", "v_proj")):
            raise BadInput(f"The weights hold {name!r}, which this architecture has no place for.")
    return ours
