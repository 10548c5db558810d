"""A GGUF file gives the logits, the text and the token ids that `transformers` gives, and damage gives one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.families import weight_map
from insideout.transformer.exchange.hub import load, save, to_hf
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer

gguf = pytest.importorskip("gguf", reason="needs the extra 'hub'")
transformers = pytest.importorskip("transformers", reason="needs the extra 'hub'")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

TEXT = "the cat sat on the mat in 1984 and 2024; it's\n\n1. one cat, 2. two mats\n\n  12 \t34 cafe\u0301 "
OURS = BPETokenizer.train(TEXT * 20, 300, ["<|end|>", "<|user|>"])
SIZES = dict(vocab_size=OURS.vocab_size, context_length=64, d_model=64, n_layers=2, n_heads=4)
CONFIGS = {
    "gpt2": GPTConfig.gpt2(**(SIZES | dict(context_length=1024))),
    "llama": GPTConfig.llama(**SIZES, n_kv_heads=2, d_ff=96, rope_base=10_000.0),
    # What it does not read transformers takes for its own default: GPT-2's 1024 positions, Qwen3's heads of 128.
    "llama, head apart": GPTConfig.llama(**SIZES, n_kv_heads=1, d_ff=96, tie_embeddings=False),
    "qwen3": GPTConfig.qwen3(**SIZES, n_kv_heads=2, d_head=128, d_ff=96),
}
NAMES = {
    "embed_tokens": "token_embd", "wte": "token_embd", "wpe": "position_embd", "norm": "output_norm",
    "ln_f": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm", "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}  # fmt: skip


def model_of(config: GPTConfig) -> GPT:
    torch.manual_seed(0)
    model = GPT(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def values_of(config: GPTConfig, family: str) -> dict:
    """What a file says of a model, under GGUF's names."""
    values: dict[str, float] = {
        "context_length": config.context_length, "embedding_length": config.d_model, "block_count": config.n_layers,
        "feed_forward_length": config.ff_width, "attention.head_count": config.n_heads,
    }  # fmt: skip
    if family == "gpt2":
        values["attention.layer_norm_epsilon"] = config.norm_eps
    else:
        values |= {
            "attention.head_count_kv": config.kv_heads, "attention.layer_norm_rms_epsilon": config.norm_eps,
            "rope.freq_base": config.rope_base, "rope.dimension_count": config.head_width,
            "attention.key_length": config.head_width, "attention.value_length": config.head_width,
        }  # fmt: skip
    tokens = sorted(OURS._fast.get_vocab(), key=OURS._fast.get_vocab().get)
    symbols = json.loads(OURS._fast.to_str())["model"]["merges"]
    about = {
        "model": "gpt2", "pre": "gpt-2", "tokens": tokens, "merges": [" ".join(pair) for pair in symbols],
        "token_type": [3 if token in OURS.special_ids else 1 for token in tokens],
        "bos_token_id": OURS.special_ids["<|user|>"], "eos_token_id": OURS.special_ids["<|end|>"],
    }  # fmt: skip
    return {f"{family}.{name}": value for name, value in values.items()} | {
        f"tokenizer.ggml.{name}": value for name, value in about.items()
    }


def write(path: Path, model: GPT, kind: str = "F32", changes: dict | None = None) -> Path:
    """A GGUF file of the model as llama.cpp's converter writes it, with some values changed or (None) left out."""
    theirs = to_hf(model)
    family = theirs.config.model_type
    writer = gguf.GGUFWriter(path, family)
    for name, value in (values_of(model.config, family) | (changes or {})).items():
        if value is None:
            continue
        if isinstance(value, list):
            writer.add_array(name, value)
        else:
            add = {bool: "bool", int: "int64" if isinstance(value, int) and value < 0 else "uint64", float: "float32"}
            getattr(writer, f"add_{add.get(type(value), 'string')}")(name, value)
    weights = theirs.state_dict()
    for parts in weight_map(model, family).values():
        for name in parts:
            found = next(each for each in (name, f"model.{name}", f"transformer.{name}") if each in weights)
            numbers, module = weights[found].numpy().astype(np.float32), name.rpartition(".")[0]
            layer = module.split(".")[1] if module.split(".")[0] in ("h", "layers") else ""
            ours = NAMES[module.split(".", 2)[2] if layer else module]
            if family == "gpt2" and ours in ("attn_qkv", "attn_output", "ffn_up", "ffn_down"):
                numbers = numbers.T
            if family == "llama" and ours in ("attn_q", "attn_k"):  # llama.cpp's own words for it
                heads = model.config.n_heads if ours == "attn_q" else model.config.kv_heads
                numbers = numbers.reshape(heads, 2, -1, *numbers.shape[1:]).swapaxes(1, 2).reshape(numbers.shape)
            name = f"blk.{layer}.{ours}." if layer else f"{ours}."
            stored = gguf.GGMLQuantizationType[kind if numbers.ndim > 1 else "F32"]
            numbers = np.ascontiguousarray(numbers)
            data = gguf.quantize(numbers, stored)
            raw = None if kind in ("F32", "F16") or numbers.ndim == 1 else stored
            writer.add_tensor(name + found.rpartition(".")[2], data, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [("gpt2", "F32"), ("llama", "F32"), ("llama", "Q8_0"), ("llama", "Q4_1"), ("llama", "F16"), ("llama", "BF16"),
     ("llama, head apart", "Q4_0"), ("qwen3", "F32"), ("qwen3", "Q8_0")],
)  # fmt: skip
def test_logits_and_text_are_those_of_transformers(name, kind, tmp_path):
    model = model_of(CONFIGS[name])
    path = write(tmp_path / "model.gguf", model, kind)
    ours, tokenizer = load(path, dtype=torch.float32)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=path.name, dtype=torch.float32)
    ids = torch.randint(SIZES["vocab_size"], (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (ours(ids) - theirs(ids).logits).abs().max() < 1e-5
        if kind == "F32":
            assert (ours(ids) - model(ids)).abs().max() < 1e-5
    settings = dict(max_new_tokens=20, do_sample=False, eos_token_id=None)
    written = theirs.generate(ids, attention_mask=torch.ones_like(ids), **settings).tolist()
    assert generate(ours, ids, 20, temperature=0.0) == written
    assert ours.config.tie_embeddings is model.config.tie_embeddings
    assert ours.config.norm_eps == model.config.norm_eps  # 1e-05, not 9.999999747378752e-06
    assert load(tmp_path)[0].config == ours.config  # the folder that holds it does as well
    kept = {"F16": torch.float16, "BF16": torch.bfloat16}.get(kind, torch.float32)
    assert load(path)[0].token_embedding.weight.dtype == kept
    assert tokenizer.stop_ids == (OURS.special_ids["<|end|>"],)


def test_what_transformers_leaves_out_is_read(tmp_path):
    """Linear scaling, biases of attention, heads of another width than Qwen's own."""
    more = dict(rope_scaling="linear", rope_factor=4.0, attention_bias=True)
    config = GPTConfig.llama(**SIZES, n_kv_heads=2, d_ff=96, **more)
    model = model_of(config)
    more = {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4.0}
    found = load(write(tmp_path / "model.gguf", model, changes=more))[0]
    ids = torch.randint(SIZES["vocab_size"], (2, 20))
    assert found.config == config and (found(ids) - model(ids)).abs().max() < 1e-5
    model = model_of(GPTConfig.qwen3(**SIZES, n_kv_heads=1, d_head=32, d_ff=96, tie_embeddings=False))
    found = load(write(tmp_path / "qwen.gguf", model))[0]
    assert found.config == model.config and (found(ids) - model(ids)).abs().max() < 1e-5


@pytest.mark.parametrize("cut", ["gpt-2", "llama-bpe", "qwen2", "smollm"])
def test_ids_are_those_of_the_model_that_the_file_was_made_of(cut, tmp_path):
    changes = {"tokenizer.ggml.pre": cut, "tokenizer.ggml.add_bos_token": False}
    path = write(tmp_path / "model.gguf", model_of(CONFIGS["llama"]), changes=changes)
    tokenizer = load(path)[1]
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)
    if cut == "smollm":  # there transformers takes GPT-2's way: two blank lines before a number become two tokens
        fast = tokenizers.Tokenizer.from_str(theirs.backend_tokenizer.to_str())
        one_by_one = tokenizers.pre_tokenizers.Digits(individual_digits=True)
        fast.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([one_by_one, fast.pre_tokenizer])
        theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=fast)
    for text in (TEXT.replace("e\u0301", "e"), "a\n\n\n1", "x  12", "IT'S don't\r\n\r\n5", "né 🙂"):
        assert tokenizer.encode(text) == theirs.encode(text), text
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("<|end|>", special=True) == theirs.encode("<|end|>") == [OURS.special_ids["<|end|>"]]
    assert tokenizer.encode("<|end|>") != theirs.encode("<|end|>")
    composed, apart = tokenizer.encode("caf\u00e9"), tokenizer.encode("cafe\u0301")
    assert (composed == apart) is (cut == "qwen2")  # as Qwen's own tokenizer composes them


def test_what_is_put_before_every_text(tmp_path):
    changes = {
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.eot_token_id": 3,
        "tokenizer.chat_template": "{{ x }}",
    }
    tokenizer = load(write(tmp_path / "model.gguf", model_of(CONFIGS["llama"]), changes=changes))[1]
    begin = OURS.special_ids["<|user|>"]
    assert tokenizer.encode("cat") == [begin, *tokenizer.encode("cat", around=False)]  # type: ignore[call-arg]
    assert tokenizer.encode("cat<|end|>", special=["<|end|>"]) == [*tokenizer.encode("cat"), tokenizer.end_id]
    assert tokenizer.begin_id == begin and tokenizer.stop_ids == (tokenizer.end_id, 3)
    assert tokenizer.theirs.chat_template == "{{ x }}"
    assert tokenizer.decode(tokenizer.encode("cat"), special=False) == "cat"


def test_a_model_read_from_a_file_is_saved_as_a_folder_that_transformers_loads(tmp_path):
    changes = {"tokenizer.ggml.pre": "smollm", "tokenizer.chat_template": "{{ messages[0]['content'] }}"}
    path = write(tmp_path / "model.gguf", model_of(CONFIGS["llama"]), "Q4_1", changes)
    model, tokenizer = load(path)
    save(model, tokenizer, tmp_path / "folder")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "folder")
    again, same = load(tmp_path / "folder")
    prompt = "the cat\n\n12 it's "
    ids = tokenizer.encode(prompt)
    assert their_tokenizer.encode(prompt) == same.encode(prompt) == ids
    settings = dict(max_new_tokens=30, do_sample=False)
    written = theirs.generate(torch.tensor([ids]), **settings).tolist()
    assert written == generate(model, [ids], 30, temperature=0.0, stop=tokenizer.stop_ids)
    assert written == generate(again, [ids], 30, temperature=0.0, stop=same.stop_ids)
    assert theirs.generation_config.eos_token_id == tokenizer.end_id and same.stop_ids == tokenizer.stop_ids
    assert same.theirs.chat_template == their_tokenizer.chat_template == "{{ messages[0]['content'] }}"


def test_special_tokens_can_be_added_to_a_models_own_tokenizer(tmp_path):
    path = write(tmp_path / "model.gguf", model_of(CONFIGS["llama"]))
    tokenizer = load(path)[1]
    more = tokenizer.with_special(["<|pad|>", "<|stop|>"], pad="<|pad|>", end="<|stop|>")
    n = OURS.vocab_size
    assert more.special_ids == tokenizer.special_ids | {"<|pad|>": n, "<|stop|>": n + 1}
    assert (more.pad_id, more.stop_ids, more.vocab_size) == (n, (n + 1,), n + 2)
    assert tokenizer.vocab_size == n and tokenizer.pad_id is None and more.fingerprint != tokenizer.fingerprint
    assert more.encode("cat<|stop|>") == tokenizer.encode("cat<|stop|>")
    assert more.encode("cat<|stop|>", special=True)[-1] == n + 1
    for tokens, roles, word in ((["<|end|>"], {}, "is a token already"), (["<|x|>"], {"end": "y"}, "eos_token is 'y'")):
        with pytest.raises(BadInput, match=word):
            tokenizer.with_special(tokens, **roles)
    for wrong in ([1.7], [True], [[1]], [n]):
        with pytest.raises(BadInput):
            tokenizer.decode(wrong)


# ---- damage --------------------------------------------------------------------------------------------------------


def refused(path: Path, word: str = "") -> None:
    before = path.read_bytes()
    with pytest.raises(BadInput, match=word) as error:
        load(path)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    assert path.read_bytes() == before


def test_a_truncated_or_foreign_file_gets_one_sentence(tmp_path):
    whole = write(tmp_path / "whole.gguf", model_of(CONFIGS["llama"]), "Q8_0").read_bytes()
    path = tmp_path / "cut.gguf"
    for size in [0, 3, 4, 8, 20, 24, 30, *range(40, len(whole), len(whole) // 25), len(whole) - 1]:
        path.write_bytes(whole[:size])
        refused(path, "truncated or not GGUF")
    path.write_bytes(b"no model" * 100)
    refused(path, "truncated or not GGUF")
    for at in (8, 16):  # so many tensors, so many values
        path.write_bytes(whole[:at] + b"\xff" * 7 + b"\x7f" + whole[at + 8 :])
        refused(path, "truncated or not GGUF")
    start = whole.index(b"tokenizer.ggml.tokens") + len("tokenizer.ggml.tokens") + 4 + 4
    for count in (2**63, 2**40, 2**23):
        path.write_bytes(whole[:start] + count.to_bytes(8, "little") + whole[start + 8 :])
        refused(path, "truncated or not GGUF.*a list of")


@pytest.mark.parametrize("name", sorted(values_of(CONFIGS["llama"], "llama")))
def test_a_value_of_another_kind_gets_one_sentence_or_changes_nothing(name, tmp_path):
    model = model_of(CONFIGS["llama"])
    right = load(write(tmp_path / "right.gguf", model))[1]
    for number, value in enumerate((None, "x", -1, 1e400, 2**60, [0.5])):
        path = write(tmp_path / f"{number}.gguf", model, changes={name: value})
        try:
            found, tokenizer = load(path)
        except BadInput as error:
            assert "\n" not in str(error) and str(error).endswith(".")
        else:  # what may be left out, or is a token's number, or just a large number
            if value == 2**60 and name in ("llama.rope.freq_base", "llama.attention.layer_norm_rms_epsilon"):
                continue
            assert found.config == model.config, (name, value)
            assert tokenizer.encode(TEXT) == right.encode(TEXT), (name, value)
            assert value is None or name.endswith("token_id")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"llama.block_count": 9000}, "asks for 9000 layers and the weights have 2"),
        ({"llama.block_count": 1 << 40}, "block_count|n_layers of .* must be a whole number"),
        ({"llama.context_length": 1 << 30}, r"takes [\d,.]+ GB in memory"),
        ({"llama.feed_forward_length": 1 << 30}, "has shape"),
        ({"llama.rope.scaling.type": "yarn"}, "slows RoPE"),
        ({"llama.expert_count": 8}, "expert_count 8"),
        ({"llama.rope.dimension_count": 8}, "a part of each head"),
        ({"tokenizer.ggml.model": "llama"}, "of kind 'llama'"),
        ({"tokenizer.ggml.pre": "tekken"}, "cut as 'tekken'"),
        ({"tokenizer.ggml.eos_token_id": 300}, "eos_token_id .* is 300, which is none"),
        ({"general.architecture": "mamba"}, "architecture 'mamba'"),
    ],
)
def test_what_we_have_no_part_for_is_said(changes, word, tmp_path):
    path = tmp_path / "model.gguf"
    if "general.architecture" in changes:
        writer = gguf.GGUFWriter(path, "mamba")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
    else:
        write(path, model_of(CONFIGS["llama"]), changes=changes)
    refused(path, word)
