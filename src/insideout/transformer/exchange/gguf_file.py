"""A GGUF file, llama.cpp's one file for a whole model: its configuration, its weights and its tokenizer.

    token_embd, output_norm, output                     embed_tokens, norm, lm_head
    blk.i.attn_{norm,q,k,v,output}                      layers.i.input_layernorm, .self_attn.{q,k,v,o}_proj
    blk.i.ffn_{norm,gate,up,down}                       layers.i.post_attention_layernorm, .mlp.{gate,up,down}_proj

The file is read by the package `gguf`, llama.cpp's own; here its names become those of families.py, and two habits are
undone. Rows of Llama's queries and keys lie in another order: pairs that RoPE turns together are neighbours there, and
half a head apart here. And matrices are mostly quantised: blocks of a row share a scale, and numbers come back as
float32, a few rows at a time.
Taught in book/2-building-a-transformer/06_complete_model.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from torch import Tensor

from insideout.errors import BadInput, first_line
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.families import checked_sizes, import_transformers
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.exchange.weights import build
from insideout.transformer.model import GPT

LONGEST = 1 << 22
"""More entries than the longest list of any real file has."""

_LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_TOP = {"token_embd": "embed_tokens", "output_norm": "norm", "output": "lm_head"}
_GPT2_LAYER = {
    "attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2",
    "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj",
}  # fmt: skip
_GPT2_TOP = {"token_embd": "wte", "position_embd": "wpe", "output_norm": "ln_f", "output": "lm_head"}

# How a text is cut before merging. GPT-2's pattern stands in bpe.py; SmolLM's is the same after each digit alone.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


@dataclass(frozen=True)
class GGUFTensor:
    """A tensor in a GGUF file, of which rows are read, and widened to float32, when asked for."""

    data: Any
    """Its numbers or its blocks, mapped from the file; the first axis is the rows."""
    kind: Any
    """How they are stored, as `gguf` numbers it."""
    shape: tuple[int, ...]
    dtype: torch.dtype
    order: np.ndarray | None = None
    """Which row of the file is our row 0, 1, 2, …, where they lie in another order."""
    turned: bool = False
    """The file has the transpose."""

    def __getitem__(self, rows: slice) -> Tensor:
        from gguf import dequantize

        asked = slice(None) if self.turned else rows if self.order is None else self.order[rows]
        numbers = dequantize(self.data[asked], self.kind)
        whole = torch.from_numpy(numbers if numbers.flags.writeable else numbers.copy())
        return whole.T[rows] if self.turned else whole


def load(path: Path, dtype: torch.dtype | None = None) -> tuple[GPT, HubTokenizer]:
    """The model and the tokenizer in a GGUF file of a GPT-2, Llama or Qwen3.

    Raises BadInput for a file that is damaged or holds what we have no part for.
    """
    values, tensors = read(path)
    family = values.get("general.architecture")
    if family not in ("gpt2", "llama", "qwen3"):
        raise BadInput(f"{path} holds a model of architecture {family!r}: use one of gpt2, llama, qwen3.")
    config = _config(values, family, tensors, path)
    tokenizer = _tokenizer(values, path)
    if tokenizer.vocab_size > config.vocab_size:
        raise BadInput(f"{path} has {tokenizer.vocab_size} tokens and rows for {config.vocab_size}: it is damaged.")
    return build(config, family, _weights(tensors, family, config), str(path), dtype), tokenizer


def read(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """What the file says of the model, by name, and its tensors, mapped and not yet read. BadInput if it is damaged."""
    try:
        from gguf import GGUFReader, GGUFValueType
    except ModuleNotFoundError:
        raise BadInput(f"Reading {path} needs the package gguf: pip install 'transformers-inside-out[hub]'.") from None

    class Careful(GGUFReader):
        """The reader, which by itself takes what lies beyond the file's end for an empty list."""

        def __setattr__(self, name: str, value: Any) -> None:  # a plain array is cut three times as fast as a memmap
            super().__setattr__(name, np.asarray(value) if name == "data" else value)

        def _get(self, offset: Any, dtype: Any, count: Any = 1, override_order: Any = None) -> Any:
            if offset + int(count) * np.dtype(dtype).itemsize > len(self.data):
                raise ValueError("it ends too early")
            return super()._get(offset, dtype, count, override_order)

        def _get_field_parts(self, orig_offs: Any, raw_type: Any) -> Any:
            if raw_type == GGUFValueType.ARRAY and (n := int(self._get(orig_offs + 4, np.uint64)[0])) > LONGEST:
                raise ValueError(f"a list of {n} entries")
            return super()._get_field_parts(orig_offs, raw_type)

    try:
        reader = Careful(path)
        values = {name: field.contents() for name, field in reader.fields.items()}
    except Exception as error:  # whatever the reader stumbles over
        raise BadInput(f"{path} is missing, truncated or not GGUF ({first_line(error)}): download it again.") from error
    return values, reader.tensors


def _config(values: dict[str, Any], family: str, tensors: list[Any], path: Path) -> GPTConfig:
    names, where = {tensor.name for tensor in tensors}, f"{path}"

    def value(name: str, default: Any = None) -> Any:
        found = values.get(f"{family}.{name}", default)
        if found is None:
            raise BadInput(f"{where} does not say {family}.{name}: it is damaged or too old, so get the model again.")
        return found

    heads, d_model = value("attention.head_count"), value("embedding_length")
    epsilon = value(f"attention.layer_norm_{'' if family == 'gpt2' else 'rms_'}epsilon")
    sizes = {
        "vocab_size": next((int(t.shape[-1]) for t in tensors if t.name == "token_embd.weight"), 0),
        "context_length": value("context_length"), "d_model": d_model, "n_layers": value("block_count"),
        "n_heads": heads, "d_ff": value("feed_forward_length"),
    }  # fmt: skip
    checked_sizes(sizes, where)
    common: dict[str, Any] = {
        **sizes, "norm_eps": _as_written(epsilon, where), "tie_embeddings": "output.weight" not in names
    }  # fmt: skip
    if family == "gpt2":
        return GPTConfig.gpt2(**common)
    width = value("attention.key_length", value("rope.dimension_count", d_model // heads))
    more = {"n_kv_heads": value("attention.head_count_kv", heads), "d_head": width}
    checked_sizes(more, where)
    if value("rope.dimension_count", width) != width or value("attention.value_length", width) != width:
        raise BadInput(f"{where} turns a part of each head only, or has values of another width: not supported.")
    for name in ("expert_count", "attention.sliding_window"):
        if value(name, 0) != 0:
            raise BadInput(f"{where} has {family}.{name} {value(name)}, which is not supported: choose another model.")
    scaling = value("rope.scaling.type", "none")
    if scaling not in ("none", "linear") or "rope_freqs.weight" in names:
        raise BadInput(f"{where} slows RoPE's turns in a way that GGUF does not name: get the model's safetensors.")
    if scaling == "linear":
        more |= {"rope_scaling": "linear", "rope_factor": _as_written(value("rope.scaling.factor"), where)}
    if more["n_kv_heads"] == heads:
        del more["n_kv_heads"]
    if width * heads == d_model:
        del more["d_head"]
    return GPTConfig(
        **common, **more, mlp="swiglu", qk_norm=family == "qwen3", attention_bias="blk.0.attn_q.bias" in names,
        rope_base=_as_written(value("rope.freq_base", 10_000.0), where),
    )  # fmt: skip


def _as_written(number: Any, where: str) -> float:
    """A float32 as the short decimal that was meant: 1e-05, not 9.999999747378752e-06."""
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < float("inf"):
        raise BadInput(f"{where} has the number {number!r} where one above 0 must be: it is damaged.")
    return float(str(np.float32(number)))


def _weights(tensors: list[Any], family: str, config: GPTConfig) -> dict[str, GGUFTensor]:
    """The file's tensors by their names in `transformers`, without the family's prefix; other names stay."""
    from gguf import GGMLQuantizationType as Kind

    layer_names, top, block = (_GPT2_LAYER, _GPT2_TOP, "h") if family == "gpt2" else (_LAYER, _TOP, "layers")
    kept = {Kind.F16: torch.float16, Kind.BF16: torch.bfloat16}
    found = {}
    for tensor in tensors:
        module, _, kind = tensor.name.rpartition(".")
        head, _, rest = module.partition(".")
        layer, _, part = rest.partition(".")
        if head == "blk" and part in layer_names:
            name = f"{block}.{layer}.{layer_names[part]}.{kind}"
        else:
            name = f"{top[module]}.{kind}" if module in top else tensor.name
        shape: tuple[int, ...] = tuple(int(n) for n in reversed(tensor.shape))
        order, turned = None, family == "gpt2" and part in _GPT2_LAYER and len(shape) == 2
        if family == "llama" and part in ("attn_q", "attn_k"):
            order = _rope_order(shape[0], config.head_width)
        dtype = kept.get(tensor.tensor_type, torch.float32)
        found[name] = GGUFTensor(
            tensor.data, tensor.tensor_type, shape[::-1] if turned else shape, dtype, order, turned
        )
    return found


def _rope_order(n_rows: int, width: int) -> np.ndarray:
    """Where row 0, 1, 2, … of Llama's queries or keys lies in the file: pairs are neighbours there, halves here."""
    if n_rows % width:
        return np.arange(n_rows)  # misshapen: its shape is refused when the model is built
    return np.arange(n_rows).reshape(-1, width // 2, 2).swapaxes(1, 2).reshape(-1)


def _tokenizer(values: dict[str, Any], path: Path) -> HubTokenizer:
    """The byte-level BPE tokenizer that the file describes. BadInput for another kind."""
    about = {name.removeprefix("tokenizer.ggml."): value for name, value in values.items()}
    tokens, merges, cut = about.get("tokens", []), about.get("merges", []), about.get("pre", "gpt-2")
    ways = {
        "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
        "smollm": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        ),
        "llama-bpe": _split(_LLAMA3), "qwen2": _split(_QWEN2),
    }  # fmt: skip
    if about.get("model") != "gpt2" or cut not in list(ways) or not _texts(tokens) or not _texts(merges):
        raise BadInput(
            f"The tokenizer in {path} is of kind {about.get('model')!r}, cut as {cut!r}: only byte-level BPE, cut as "
            f"{', '.join(ways)}, is supported, so get the model's safetensors."
        )
    try:
        pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
        vocab = {token: id for id, token in enumerate(tokens)}
        fast = tokenizers.Tokenizer(models.BPE(vocab, pairs, ignore_merges=cut == "llama-bpe"))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise BadInput(f"The tokenizer in {path} is damaged ({first_line(error)}): download it again.") from error
    if cut == "qwen2":
        fast.normalizer = normalizers.NFC()
    fast.pre_tokenizer, fast.decoder = ways[cut], decoders.ByteLevel()
    kinds, adds, template = (about.get(name) for name in ("token_type", "add_bos_token", "tokenizer.chat_template"))
    if not (kinds is None or (isinstance(kinds, list) and len(kinds) == len(tokens))):
        raise BadInput(f"{path} does not say of each of its {len(tokens)} tokens of which type it is: it is damaged.")
    if not isinstance(adds, bool | None) or not isinstance(template, str | None):
        raise BadInput(f"add_bos_token or chat_template in {path} is not of the right type: it is damaged.")
    for special, wanted in ((True, 3), (False, 4)):  # llama.cpp's numbers: control tokens, and tokens added by a user
        added = [token for token, kind in zip(tokens, kinds or [], strict=False) if kind == wanted]
        fast.add_tokens([AddedToken(token, special=special, normalized=False) for token in added])
    named: dict[str, Any] = {}
    for name in ("bos", "eos", "padding", "unknown", "eot"):
        id = about.get(f"{name}_token_id")
        if id is not None and (type(id) is not int or not 0 <= id < len(tokens)):
            raise BadInput(f"{name}_token_id in {path} is {id!r}, which is none of its {len(tokens)} tokens.")
        named[name] = id
    begin = named["bos"] if adds or (adds is None and cut == "llama-bpe") else None
    if begin is not None:
        before = [(tokens[begin], begin)]
        fast.post_processor = processors.TemplateProcessing(single=f"{tokens[begin]} $A", special_tokens=before)
    names = {"bos": "bos_token", "eos": "eos_token", "padding": "pad_token", "unknown": "unk_token"}
    theirs = import_transformers().PreTrainedTokenizerFast(
        tokenizer_object=fast, clean_up_tokenization_spaces=False,
        **{theirs: tokens[named[ours]] if named[ours] is not None else None for ours, theirs in names.items()},
    )  # fmt: skip
    theirs.chat_template = template
    return HubTokenizer(theirs, [id for id in (named["eos"], named["eot"]) if id is not None])


def _split(pattern: str) -> Any:
    cut = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _texts(values: Any) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(isinstance(value, str) for value in values)
