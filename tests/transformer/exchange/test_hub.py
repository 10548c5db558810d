"""The same weights give the same logits and text in `transformers`, and folders are read and written whole or not."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange import weights
from insideout.transformer.exchange.families import weight_map
from insideout.transformer.exchange.hub import (
    config_from_hf,
    config_to_hf,
    from_hf,
    load,
    new_folder,
    save,
    to_hf,
)
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer
from insideout.transformer.vocabulary import grow
from tests.transformer.json_values import places_in, with_value

transformers = pytest.importorskip("transformers", reason="needs the extra 'hub'")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

SMALL = dict(vocab_size=61, context_length=48, d_model=32, n_layers=2, n_heads=4)
LLAMA3 = dict(rope_scaling="llama3", rope_factor=4.0, rope_original_length=16)
CONFIGS = [
    GPTConfig.gpt2(**SMALL),
    GPTConfig.gpt2(**SMALL, mlp="gelu", tie_embeddings=False, d_ff=72, dropout=0.1, norm_eps=1e-3),
    GPTConfig.llama(**SMALL, n_kv_heads=2, d_ff=56),
    GPTConfig.llama(**SMALL, n_kv_heads=4, d_ff=80, tie_embeddings=False, rope_base=10_000.0),
    GPTConfig.llama(**SMALL, n_kv_heads=1, d_ff=56, attention_bias=True, rope_scaling="linear", rope_factor=3.0),
    GPTConfig.llama(**SMALL, n_kv_heads=2, d_ff=56, d_head=10, bias=True, **LLAMA3),
    GPTConfig.llama(**SMALL, n_kv_heads=2, d_ff=56, rope_low_frequency=0.5, rope_high_frequency=2.0, **LLAMA3),
    GPTConfig.qwen3(**SMALL, n_kv_heads=1, d_head=16, d_ff=64),
    GPTConfig.qwen3(**SMALL, n_kv_heads=4, d_head=8, d_ff=64, attention_bias=True, tie_embeddings=False, **LLAMA3),
    GPTConfig.qwen3(**(SMALL | dict(d_model=30)), n_kv_heads=2, d_head=16, d_ff=64, window=7),
]

# What config.json holds of the models themselves, small: the old names of the fields, and fields that change nothing.
GPT2_JSON = dict(
    activation_function="gelu_new", architectures=["GPT2LMHeadModel"], attn_pdrop=0.1, bos_token_id=50256,
    embd_pdrop=0.1, eos_token_id=50256, initializer_range=0.02, layer_norm_epsilon=1e-05, model_type="gpt2", n_ctx=48,
    n_embd=32, n_head=4, n_layer=2, n_positions=48, resid_pdrop=0.1, summary_activation=None, summary_type="cls_index",
    summary_use_proj=True, task_specific_params={"text-generation": {"do_sample": True}}, vocab_size=61,
)  # fmt: skip
LLAMA_JSON = dict(
    architectures=["LlamaForCausalLM"], attention_bias=False, attention_dropout=0.0, bos_token_id=1, eos_token_id=2,
    head_dim=8, hidden_act="silu", hidden_size=32, initializer_range=0.02, intermediate_size=64,
    max_position_embeddings=64, mlp_bias=False, model_type="llama", num_attention_heads=4, num_hidden_layers=2,
    num_key_value_heads=2, pretraining_tp=1, rms_norm_eps=1e-05, rope_theta=500000.0, tie_word_embeddings=True,
    rope_scaling=dict(factor=32.0, high_freq_factor=4.0, low_freq_factor=1.0, original_max_position_embeddings=32,
                      rope_type="llama3"),
    torch_dtype="float32", transformers_version="4.45.0.dev0", use_cache=True, vocab_size=61,
)  # fmt: skip
QWEN3_JSON = dict(
    architectures=["Qwen3ForCausalLM"], attention_bias=False, attention_dropout=0.0, bos_token_id=3, eos_token_id=5,
    head_dim=16, hidden_act="silu", hidden_size=32, initializer_range=0.02, intermediate_size=64,
    max_position_embeddings=48, max_window_layers=28, model_type="qwen3", num_attention_heads=4, num_hidden_layers=2,
    num_key_value_heads=2, rms_norm_eps=1e-06, rope_scaling=None, rope_theta=1000000, sliding_window=None,
    tie_word_embeddings=True, torch_dtype="float32", transformers_version="4.51.0", use_cache=True,
    use_sliding_window=False, vocab_size=61,
)  # fmt: skip


def noisy(model: torch.nn.Module) -> torch.nn.Module:
    """Weights so large that every part of the model shows in the logits."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def theirs_from(values: dict) -> torch.nn.Module:
    return noisy(transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**values)))


def assert_same(model: GPT, theirs: torch.nn.Module) -> None:
    """Logits within 1e-5, and the same greedy text, with its own cache on either side."""
    ids = torch.randint(model.config.vocab_size, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert (model(ids) - theirs(ids).logits).abs().max() < 1e-5
    settings = dict(max_new_tokens=20, do_sample=False, eos_token_id=None)
    written = theirs.generate(ids, attention_mask=torch.ones_like(ids), **settings)
    assert generate(model, ids, 20, temperature=0.0) == written.tolist()


@pytest.fixture(scope="module")
def tokenizer() -> CharacterTokenizer:
    return CharacterTokenizer.train("abc def ghi jkl mno pqr stu vwx yz.")


def saved(folder, values: dict) -> torch.nn.Module:
    """A folder as `transformers` writes it, with this config.json."""
    theirs = theirs_from(values)
    theirs.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(values))
    CharacterTokenizer.train("abcdefghi ").save(folder / "tokenizer.json")
    return theirs


@pytest.mark.parametrize("config", CONFIGS, ids=range(len(CONFIGS)))
def test_logits_and_greedy_text_agree_both_ways(config):
    model = noisy(GPT(config))
    theirs = to_hf(model)
    assert_same(model, theirs)
    back, ids = from_hf(theirs), torch.randint(61, (2, 20))
    assert torch.equal(back(ids), model(ids))
    widths = replace(config, d_head=config.head_width, n_kv_heads=config.kv_heads, d_ff=config.ff_width)
    found = back.config
    assert replace(found, d_head=found.head_width, n_kv_heads=found.kv_heads) == replace(
        widths, attention_bias=config.attention_bias and not config.bias
    )


@pytest.mark.parametrize("values", [GPT2_JSON, LLAMA_JSON, QWEN3_JSON], ids=lambda values: values["model_type"])
def test_a_folder_of_theirs_is_loaded(values, tmp_path):
    theirs = saved(tmp_path, values)
    model, tokenizer = load(tmp_path)
    assert_same(model, theirs)
    assert_same(from_hf(theirs), theirs)
    assert model.config.tie_embeddings
    assert model.head.weight is model.token_embedding.weight
    assert tokenizer.decode(tokenizer.encode("a bad dig")) == "a bad dig"


@pytest.mark.parametrize("config", [CONFIGS[1], CONFIGS[4], CONFIGS[9]], ids=["gpt2", "llama", "qwen3"])
def test_a_saved_folder_is_loaded_by_theirs_and_ours(config, tokenizer, tmp_path):
    model = noisy(GPT(config))
    save(model, tokenizer, tmp_path / "new" / "model")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model"]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new" / "model")
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "new" / "model")
    assert_same(model, theirs)
    ids = tokenizer.encode("abc def.")
    assert their_tokenizer.encode("abc def.") == ids
    [ours] = generate(model, [ids], 12, temperature=0.0)
    written = theirs.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0].tolist()
    assert written == ours
    known = [id for id in ours if id < tokenizer.vocab_size]
    assert their_tokenizer.decode(known) == tokenizer.decode(known)
    again, same_tokenizer = load(tmp_path / "new" / "model")
    assert torch.equal(again(torch.tensor([ids])), model(torch.tensor([ids])))
    assert same_tokenizer.fingerprint == tokenizer.fingerprint
    with pytest.raises(BadInput, match="not empty"):
        save(model, tokenizer, tmp_path / "new" / "model")


def test_tokenizers_of_both_kinds_survive_a_saved_folder(tmp_path):
    ours = BPETokenizer.train("the cat sat on the mat. " * 20, 270, ["<|end|>"])
    model = noisy(GPT(GPTConfig.llama(**(SMALL | dict(vocab_size=300)), n_kv_heads=2, d_ff=56)))
    save(model, ours, tmp_path / "ours")
    text = "the cat's\n  café <|end|> ."
    assert load(tmp_path / "ours")[1].fingerprint == ours.fingerprint
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    assert theirs.encode(text) == ours.encode(text, special=True)
    assert theirs.decode(ours.encode(text)) == text

    import tokenizers

    fast = tokenizers.Tokenizer.from_file(str(tmp_path / "ours" / "tokenizer.json"))
    fast.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", ours.special_ids["<|end|>"])]
    )
    begins = transformers.PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<|end|>")
    save(model, begins, tmp_path / "theirs")
    found = load(tmp_path / "theirs")[1]
    assert found.encode("cat") == [ours.special_ids["<|end|>"], *ours.encode("cat")]
    about = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert about["eos_token_id"] == ours.special_ids["<|end|>"]
    with pytest.raises(BadInput, match="61"):
        save(noisy(GPT(CONFIGS[0])), ours, tmp_path / "too-many")
    assert not (tmp_path / "too-many").exists()


def test_shards_are_read_and_dtypes_kept(tmp_path):
    theirs = theirs_from(LLAMA_JSON).bfloat16()
    theirs.save_pretrained(tmp_path, max_shard_size="10KB")
    CharacterTokenizer.train("ab").save(tmp_path / "tokenizer.json")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    kept, widened = load(tmp_path)[0], load(tmp_path, dtype=torch.float32)[0]
    for name, weight in kept.named_parameters():
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight.float(), widened.get_parameter(name))
    assert torch.equal(kept.token_embedding.weight, theirs.model.embed_tokens.weight)
    assert kept.cosine.dtype == torch.float32
    next(iter(tmp_path.glob("*-00002-*"))).unlink()
    with pytest.raises(BadInput, match=r"00002.*missing"):
        load(tmp_path)


def test_gpt2_as_the_hub_keeps_it(tmp_path):
    """Without the prefix, with the causal masks stored, without a head."""
    theirs = saved(tmp_path, GPT2_JSON)
    path = tmp_path / "model.safetensors"
    tensors = {name.removeprefix("transformer."): each for name, each in safetensors.torch.load_file(path).items()}
    mask = torch.ones(1, 1, 48, 48).tril()
    tensors |= {"h.0.attn.bias": mask, "h.1.attn.bias": mask.byte(), "h.1.attn.masked_bias": torch.tensor(-1e4)}
    safetensors.torch.save_file(tensors, path)
    assert_same(load(tmp_path)[0], theirs)


@pytest.mark.parametrize("differs", [False, True])
def test_a_stored_head_of_a_tied_model(differs, tmp_path):
    saved(tmp_path, QWEN3_JSON)
    path = tmp_path / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 0.1 * differs
    safetensors.torch.save_file(tensors, path, {"format": "pt"})
    model = load(tmp_path)[0]
    assert model.config.tie_embeddings is not differs
    assert_same(model, transformers.AutoModelForCausalLM.from_pretrained(tmp_path))


MEASURE = """
import gc, sys
from pathlib import Path
import torch, transformers
from insideout.transformer.exchange.hub import load
status = lambda key: int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) * 1024
load(sys.argv[1])  # now everything is imported
for folder in sys.argv[2:]:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = status("VmRSS")
    model, _ = load(folder)
    own = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    print(own, (status("VmHWM") - before) / own)
    del model
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_loading_takes_at_most_1_2_times_the_weights(tmp_path):
    """Three shapes that are hard: an embedding that is most of the model, transposed matrices, a tied head stored."""
    sizes = dict(context_length=64, d_model=512, n_heads=8, vocab_size=50_000)
    small = GPTConfig.llama(**SMALL, n_kv_heads=2, d_ff=56)
    configs = [
        small,
        GPTConfig.qwen3(**sizes, n_layers=2, n_kv_heads=4, d_head=64, d_ff=1536),
        GPTConfig.gpt2(**(sizes | dict(vocab_size=99)), n_layers=9),
    ]
    for number, config in enumerate(configs):
        folder, theirs = tmp_path / str(number), config_to_hf(config)
        theirs.save_pretrained(folder)
        with torch.device("meta"):
            parts = weight_map(GPT(config), theirs.model_type)
        tensors = {name: torch.zeros(shape) for part in parts.values() for name, shape in part.items()}
        if theirs.model_type == "qwen3":
            tensors["lm_head.weight"] = tensors["embed_tokens.weight"].clone()
        safetensors.torch.save_file(tensors, folder / "model.safetensors")
        CharacterTokenizer.train("ab").save(folder / "tokenizer.json")
    command = [sys.executable, "-c", MEASURE, *(tmp_path / str(number) for number in range(len(configs)))]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 2
    for line in told:
        own, ratio = map(float, line.split())
        assert own > 100e6
        assert 0.9 < ratio < 1.2


def broken(kind: str, folder) -> None:
    """Spoil a folder in one way."""
    path, config = folder / "model.safetensors", json.loads((folder / "config.json").read_text())
    tensors = safetensors.torch.load_file(path)
    if kind == "missing":
        del tensors["model.layers.1.self_attn.k_proj.weight"]
    elif kind == "extra":
        tensors["score.weight"] = torch.zeros(2, 32)
    elif kind == "misshapen":
        tensors["model.norm.weight"] = torch.zeros(31)
    elif kind == "quantised":
        tensors["model.layers.0.mlp.up_proj.weight"] = torch.zeros(64, 32, dtype=torch.int8)
    safetensors.torch.save_file(tensors, path)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif kind == "pickle":
        path.rename(folder / "pytorch_model.bin")
    elif kind == "no weights":
        path.unlink()
    elif kind == "index":
        path.rename(folder / "all.safetensors")
        listed = {"weight_map": {"model.norm.weight": "all.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(listed))
    elif kind == "tokenizer":
        (folder / "tokenizer.json").unlink()
    config |= {
        "architecture": {"model_type": "mistral"}, "activation": {"hidden_act": "gelu"},
        "yarn": {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "nonsense": {"hidden_size": "wide"},
        "bits": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        "half windows": {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1},
        "zero": {"num_hidden_layers": 0},
    }.get(kind, {})  # fmt: skip
    (folder / "config.json").write_text("{" if kind == "json" else json.dumps(config))


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("missing", "lack layers.1.self_attn.k_proj.weight"),
        ("extra", "hold score.weight"),
        ("misshapen", r"norm.weight .* has shape \(31,\) .* asks for \(32,\)"),
        ("quantised", "stored as I8"),
        ("truncated", "truncated"),
        ("pickle", "pickle"),
        ("no weights", "no model.safetensors"),
        ("index", "disagree"),
        ("tokenizer", "no tokenizer"),
        ("architecture", "'mistral' is not supported"),
        ("activation", "hidden_act is 'gelu'"),
        ("yarn", "rope_type is 'yarn'"),
        ("nonsense", "hidden_size of .* is .wide.; it must be a whole number"),
        ("bits", "quantization_config"),
        ("half windows", "sliding window"),
        ("zero", "num_hidden_layers of .* is 0; it must be"),
        ("json", "not JSON"),
    ],
)
def test_a_folder_that_does_not_fit_gets_one_sentence(kind, word, tmp_path, monkeypatch):
    saved(tmp_path, QWEN3_JSON)
    broken(kind, tmp_path)
    monkeypatch.setattr(weights, "_fill", None)  # nothing is half-loaded: no weight is copied
    with pytest.raises(BadInput, match=word) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("someone/no-such-model", "Hub cannot be reached"),
        ("../nowhere", "no folder"),
        ("a--b", "could not be downloaded"),
        ("config.json", "no folder config.json"),
    ],
)
def test_a_name_that_is_not_there_says_what_to_do(name, word, tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadInput, match=word) as error:
        load(name)
    assert "\n" not in str(error.value)


WRONG = [None, "x", -1, 1e400, [], {}]


@pytest.mark.parametrize("values", [GPT2_JSON, LLAMA_JSON, QWEN3_JSON], ids=lambda values: values["model_type"])
def test_a_config_with_any_value_changed_is_refused_in_a_sentence_or_means_the_same(values, tmp_path):
    saved(tmp_path, values)
    right, ids, seen = load(tmp_path)[0], torch.randint(61, (1, 20)), 0
    for path in places_in(values):
        for value in WRONG:
            (tmp_path / "config.json").write_text(json.dumps(with_value(values, path, value)))
            before = {file: file.read_bytes() for file in tmp_path.iterdir()}
            try:
                model = load(tmp_path)[0]
            except BadInput as error:
                assert "\n" not in str(error) and str(error).endswith("."), (path, value)
                seen += 1
            else:
                with torch.no_grad():  # null means a setting's default, which may be another model, and right
                    assert value is None or torch.equal(model(ids), right(ids)), (path, value)
            assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert seen > 50


@pytest.mark.parametrize("name", ["generation_config.json", "model.safetensors.index.json", "tokenizer.json"])
def test_files_beside_it_with_any_value_changed_too(name, tmp_path):
    theirs = theirs_from(QWEN3_JSON)
    theirs.generation_config.eos_token_id = [3, 5]
    theirs.save_pretrained(tmp_path, max_shard_size="30KB")
    BPETokenizer.train("a b ab", 257).with_special(["<|x|>"]).save(tmp_path / "tokenizer.json")
    about, seen = json.loads((tmp_path / name).read_text()), 0
    stop_ids = load(tmp_path)[1].stop_ids
    assert stop_ids == (3, 5)
    ways = places_in(about)
    for path in ways if len(ways) < 60 else [*ways[:12], *ways[:: len(ways) // 12]]:
        for value in WRONG:
            (tmp_path / name).write_text(json.dumps(with_value(about, path, value)))
            try:
                tokenizer = load(tmp_path)[1]
            except BadInput as error:
                assert "\n" not in str(error) and str(error).endswith("."), (path, value)
                seen += 1
            else:
                if name == "generation_config.json" and path and path[0] != "eos_token_id":
                    assert tokenizer.stop_ids == stop_ids
    assert seen > 6


@pytest.mark.parametrize(
    "name", ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", "x.bin", "a\\b.safetensors"]
)
def test_an_index_reads_nothing_outside_its_folder(name, tmp_path):
    folder = tmp_path / "model"
    saved(folder, QWEN3_JSON)
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    weights_in = dict.fromkeys(safetensors.torch.load_file(tmp_path / "model.safetensors"), name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights_in}))
    with pytest.raises(BadInput, match="no safetensors file beside it: refused"):
        load(folder)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"num_hidden_layers": 10**12}, "num_hidden_layers of .* must be a whole number"),
        ({"num_hidden_layers": 9999}, "asks for 9999 layers and the weights have 2"),
        ({"max_position_embeddings": 2**30}, r"takes [\d,.]+ GB in memory .* and this machine has"),
        ({"intermediate_size": 2**31 - 1, "hidden_size": 2**31 - 4}, "no machine can hold"),
        ({"vocab_size": 10**9}, "has shape"),
        ({"vocab_size": 10**30}, "vocab_size of .* must be a whole number"),
        ({"rms_norm_eps": -1.0}, "norm_eps is -1.0; it must be at least 0"),
        ({"tie_word_embeddings": "yes"}, "tie_|true or false"),
    ],
)
def test_sizes_that_cannot_be_are_said_and_not_tried(changes, word, tmp_path):
    saved(tmp_path, QWEN3_JSON)
    (tmp_path / "config.json").write_text(json.dumps(QWEN3_JSON | changes))
    with pytest.raises(BadInput, match=word):
        load(tmp_path)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    saved(tmp_path, QWEN3_JSON)
    for wrong in (float("nan"), float("inf"), float("-inf")):
        tensors = safetensors.torch.load_file(tmp_path / "model.safetensors")
        tensors["model.layers.1.mlp.up_proj.weight"][5, 7] = wrong
        safetensors.torch.save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
        with pytest.raises(BadInput, match=r"layers.1.mlp.up_proj.weight of .* NaN or infinity"):
            load(tmp_path)


def test_paths_that_lead_nowhere_get_one_sentence(tmp_path, tokenizer):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("x")
    model = noisy(GPT(CONFIGS[2]))
    for path in (tmp_path / "loop", "x" * 5000, "~nobody-here/model", "a\0b", tmp_path / "file", "", "~" * 300):
        with pytest.raises(BadInput) as error:
            load(path)
        assert "\n" not in str(error.value)
    before = sorted(tmp_path.iterdir())
    for path in (tmp_path / "loop", tmp_path / "loop" / "x", tmp_path / ("x" * 300), tmp_path / "file", "a\0b"):
        with pytest.raises(BadInput):
            save(model, tokenizer, path)
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(BadInput, match="not a GPT-2"):
        save(GPT(GPTConfig(**SMALL)), tokenizer, tmp_path / "a" / "b" / "c")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a" / "b" / "c"):
        1 / 0  # noqa: B018
    assert sorted(tmp_path.iterdir()) == before  # the folders above are gone too


def test_a_model_knows_where_its_text_ends(tmp_path):
    """From generation_config.json, else from config.json, else from the tokenizer; and a saved one keeps it."""
    ours = BPETokenizer.train("the cat sat on the mat. " * 20, 270).with_special(["<|pad|>", "<|end|>"])
    with_end = BPETokenizer(ours.merges, ours.special_tokens, pad="<|pad|>", end="<|end|>")
    model = noisy(GPT(GPTConfig.llama(**(SMALL | dict(vocab_size=ours.vocab_size)), n_kv_heads=2, d_ff=56)))
    save(model, with_end, tmp_path / "one")
    found = load(tmp_path / "one")[1]
    assert found.stop_ids == with_end.stop_ids == (with_end.special_ids["<|end|>"],) and found.roles == with_end.roles
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "one")
    assert theirs.generation_config.eos_token_id == with_end.end_id
    assert theirs.generation_config.pad_token_id == with_end.pad_id
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "one")
    assert their_tokenizer.eos_token_id == with_end.end_id and their_tokenizer.pad_token_id == with_end.pad_id
    for seed in range(40):  # drawn text stops there by itself
        [text] = generate(model, [[1, 2]], 40, temperature=3.0, seed=seed, stop=found.stop_ids)
        assert with_end.end_id not in text[:-1]
    generation = tmp_path / "one" / "generation_config.json"
    generation.write_text(json.dumps({"eos_token_id": [7, with_end.end_id, 9999]}))
    assert load(tmp_path / "one")[1].stop_ids == (7, with_end.end_id)
    several = load(tmp_path / "one")
    save(*several, tmp_path / "two")
    assert load(tmp_path / "two")[1].stop_ids == (7, with_end.end_id)
    generation.unlink()
    assert load(tmp_path / "one")[1].stop_ids == (with_end.end_id,)
    save(model, ours, tmp_path / "none")
    assert load(tmp_path / "none")[1].stop_ids == ()


def test_a_model_grown_by_special_tokens_writes_the_same_text_in_transformers(tmp_path):
    plain = BPETokenizer.train("the cat sat on the mat. " * 20, 270)
    model = noisy(GPT(GPTConfig.llama(**(SMALL | dict(vocab_size=plain.vocab_size)), n_kv_heads=2, d_ff=56)))
    tokens = ["<|pad|>", "<|user|>", "<|end|>"]
    tokenizer = plain.with_special(tokens, pad="<|pad|>", end="<|end|>")
    grown = grow(model, tokenizer.vocab_size)
    save(grown, tokenizer, tmp_path / "model")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    text = "<|user|>the cat<|end|>"
    ids = tokenizer.encode(text, special=True)
    assert their_tokenizer.encode(text) == ids and len(their_tokenizer) == tokenizer.vocab_size
    written = theirs.generate(torch.tensor([ids]), max_new_tokens=20, do_sample=False).tolist()
    assert written == generate(grown, [ids], 20, temperature=0.0, stop=tokenizer.stop_ids)


def test_what_neither_side_can_hold_is_refused():
    with pytest.raises(BadInput, match="mistral"):
        config_from_hf(transformers.MistralConfig())
    with pytest.raises(BadInput, match="attention_bias"):
        config_from_hf(transformers.LlamaConfig(mlp_bias=True))
    with pytest.raises(BadInput, match="scale_attn_by_inverse_layer_idx"):
        config_from_hf(transformers.GPT2Config(scale_attn_by_inverse_layer_idx=True))
    for overrides in ({}, dict(mlp="none"), dict(mlp="swiglu", qk_norm=False, window=8), dict(mlp="swiglu", bias=True)):
        with pytest.raises(BadInput, match="not a GPT-2"):
            config_to_hf(GPTConfig(**SMALL, **overrides))
