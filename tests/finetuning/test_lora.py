"""LoRA: begins as the base, learns in A and B alone, merges to the same, and computes what peft computes."""

import json
import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.finetuning.lora import (
    LoRAConfig,
    LoRALinear,
    adapted,
    adapters,
    adapters_off,
    add_adapter,
    merge,
    merged_copy,
    unmerge,
    use,
)
from insideout.finetuning.peft_files import load_adapter, save_adapter
from insideout.training.weights import trained_tensors
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.decoder import can_decode
from insideout.transformer.model import GPT

SMALL = dict(vocab_size=61, context_length=24, d_model=32, n_layers=2, n_heads=4)
CONFIGS = {
    "ours": GPTConfig(**SMALL),
    "llama": GPTConfig.llama(**SMALL, n_kv_heads=2, d_ff=56),
    "qwen3": GPTConfig.qwen3(**SMALL, n_kv_heads=1, d_head=16, d_ff=64),
    "gpt2": GPTConfig.gpt2(**SMALL),
}
IDS = torch.arange(22).view(2, 11) * 7 % 61


def model_of(name, seed=0):
    torch.manual_seed(seed)
    return GPT(CONFIGS[name]).eval()


def moved(model, name="default", seed=1):
    """As if trained: B is no longer 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in adapted(model).values():
            if name in layer.adapters:
                for b in layer.adapters[name].B.values():
                    b.copy_(torch.randn(b.shape, generator=generator) / 4)
    return model


@pytest.mark.parametrize("name", CONFIGS)
def test_it_begins_as_the_base_and_off_it_is_the_base(name):
    model = model_of(name)
    base = model(IDS)
    add_adapter(model, LoRAConfig(rank=4))
    assert torch.equal(model(IDS), base)
    moved(model)
    assert (model(IDS) - base).abs().max() > 1e-2
    with adapters_off(model):
        assert torch.equal(model(IDS), base)
    assert not torch.equal(model(IDS), base)


def test_by_hand():
    """W = 1 2, A = (1, 1), B = 3, alpha 2 of rank 1: y = x1 + 2 x2 + 2 · 3 (x1 + x2)."""
    from insideout.finetuning.lora import Adapter

    linear = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[1.0, 2.0]]))
        layer = LoRALinear(linear)
        layer.adapters["default"] = Adapter(linear, {"all": (0, 1)}, LoRAConfig(1, 2.0), torch.Generator())
        layer.active = ("default",)
        layer.adapters["default"].A["all"].fill_(1.0)
        layer.adapters["default"].B["all"].fill_(3.0)
    assert layer(torch.tensor([1.0, 10.0])).tolist() == [21.0 + 66.0] and layer.weight.tolist() == [[7.0, 8.0]]


def test_scales():
    assert LoRAConfig(rank=4, alpha=16.0).scale == 4 and LoRAConfig(rank=4, alpha=16.0, rslora=True).scale == 8
    add_adapter(model := model_of("llama"), LoRAConfig(rank=4))
    a = model.blocks[0].feed_forward.up.adapters["default"].A["all"]
    assert a.abs().max() <= 1 / math.sqrt(32) and a.std().item() == pytest.approx(1 / math.sqrt(96), rel=0.1)


def test_only_a_and_b_are_trained_and_each_gets_a_gradient():
    model = model_of("llama").train()
    add_adapter(model, LoRAConfig(rank=2))
    moved(model)
    trained = trained_tensors(model)
    assert len(trained) == 2 * 2 * (3 + 1 + 3) and all(".adapters.default." in name for name in trained)
    model(IDS).logsumexp(-1).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters() if p.requires_grad)
    assert all(p.grad is None for p in model.parameters() if not p.requires_grad)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (("query", "value"), {"query", "value"}),
        (("attention.output",), {"output"}),
        (("query_key_value",), {"query", "key", "value"}),
        (("blocks.1.*.up", "blocks.0.feed_forward.down"), {"up", "down"}),
    ],
)
def test_targets_by_pattern(targets, expected):
    model = model_of("llama")
    base = model(IDS)
    add_adapter(model, LoRAConfig(rank=2, targets=targets))
    found = {
        name.rpartition(".")[2] if part == "all" else part
        for name, layer in adapted(model).items() for part in layer.adapters["default"].parts
    }  # fmt: skip
    assert found == expected
    moved(model)
    changed = merged_copy(model).state_dict()
    rows = {name for name, tensor in model_of("llama").state_dict().items() if not torch.equal(tensor, changed[name])}
    assert len(rows) == len(adapted(model)) and (model(IDS) - base).abs().max() > 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_merging_changes_nothing_and_can_be_undone(name):
    model = model_of(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    add_adapter(model, LoRAConfig(rank=4, targets=("blocks.*.attention.*", "down")))
    wanted = moved(model)(IDS)
    plain = merged_copy(model)
    torch.testing.assert_close(plain(IDS), wanted, atol=1e-5, rtol=1e-5)
    assert not adapted(plain) and plain.state_dict().keys() == before.keys() and can_decode(plain) == can_decode(
        model_of(name)
    )  # fmt: skip
    assert not can_decode(model), "the prepared decoder knows no adapters"
    merge(model)
    torch.testing.assert_close(model(IDS), wanted, atol=1e-5, rtol=1e-5)
    for wrong in (merge, use, lambda model: adapters_off(model).__enter__()):
        with pytest.raises(BadInput, match="unmerge it first"):
            wrong(model)
    unmerge(model)
    torch.testing.assert_close(model(IDS), wanted, atol=1e-5, rtol=1e-5)
    with adapters_off(model):
        for key, tensor in model.state_dict().items():
            if ".adapters." not in key:
                torch.testing.assert_close(tensor, before[key.replace(".base.", ".")], atol=1e-6, rtol=1e-6)


def test_several_adapters_share_a_base():
    model = model_of("llama")
    base = model(IDS)
    add_adapter(model, LoRAConfig(rank=2, targets=("up",)), "one")
    one = moved(model, "one", 1)(IDS)
    add_adapter(model, LoRAConfig(rank=3, targets=("up", "value")), "two", seed=5)
    assert torch.equal(model(IDS), base), "a new one begins as the base"
    two = moved(model, "two", 2)(IDS)
    assert adapters(model) == ["one", "two"]
    use(model, "one")
    assert torch.equal(model(IDS), one) and {name.split(".adapters.")[1][:3] for name in trained_tensors(model)} == {
        "one"
    }
    use(model, "two")
    assert torch.equal(model(IDS), two)
    use(model, "one", "two")
    up = model.blocks[0].feed_forward.up
    expected = up.base.weight + up.adapters["one"].delta() + up.adapters["two"].delta()
    torch.testing.assert_close(up.weight, expected)
    use(model)
    assert torch.equal(model(IDS), base)


def test_dropout_acts_on_what_a_reads_while_training():
    model = moved_with_dropout = model_of("llama")
    add_adapter(model, LoRAConfig(rank=4, dropout=0.5))
    moved(moved_with_dropout)
    assert torch.equal(model(IDS), model(IDS))
    model.train()
    assert not torch.equal(model(IDS), model(IDS))
    with adapters_off(model):
        assert torch.equal(model(IDS), model(IDS))


def test_what_cannot_be_is_refused():
    for wrong in ({"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}, {"targets": ()}):
        with pytest.raises(BadInput, match="rank must be"):
            LoRAConfig(**wrong)
    model = model_of("llama")
    before = model.state_dict().keys()
    with pytest.raises(BadInput, match=r"fits 'mlp\.c_fc'.*feed_forward\.up"):
        add_adapter(model, LoRAConfig(targets=("up", "mlp.c_fc")))
    with pytest.raises(BadInput, match="more than the 16 × 32"):
        add_adapter(model, LoRAConfig(rank=17))
    with pytest.raises(BadInput, match="the embedding's too"):
        add_adapter(model, LoRAConfig(targets=("head",)))
    assert model.state_dict().keys() == before, "nothing was changed"
    add_adapter(model, LoRAConfig())
    for name in ("default", "a.b", "keys"):
        with pytest.raises(BadInput, match="choose another"):
            add_adapter(model, LoRAConfig(), name)
    with pytest.raises(BadInput, match="no adapter 'other'"):
        use(model, "other")


# peft


@pytest.fixture(scope="module")
def peft():
    return pytest.importorskip("peft", reason="peft is not installed")


THEIRS = {
    "llama": (["q_proj", "v_proj", "up_proj"], ("query", "value", "up"), False),
    "qwen3": (["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], ("blocks.*",), True),
    "gpt2": (["c_attn", "c_proj"], ("query_key_value", "attention.output", "down"), False),
}


@torch.no_grad()
def same_logits(ours, theirs):
    """In float64, so that what is left is not rounding."""
    assert (ours.double()(IDS) - theirs.double()(IDS).logits).abs().max() < 1e-6


@pytest.mark.parametrize("name", THEIRS)
def test_equal_to_peft_both_ways(peft, name, tmp_path):
    from insideout.transformer.exchange.hub import to_hf

    targets, ours, rslora = THEIRS[name]
    base = model_of(name)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, use_rslora=rslora, task_type="CAUSAL_LM",
                             init_lora_weights=False)  # fmt: skip
    theirs = peft.get_peft_model(to_hf(base), config).eval()
    with torch.no_grad():
        for key, parameter in theirs.named_parameters():
            if "lora_" in key:
                parameter.normal_(std=0.2)
    theirs.save_pretrained(tmp_path / "theirs")
    load_adapter(base, tmp_path / "theirs")
    same_logits(base, theirs)
    with adapters_off(base.float()):
        assert torch.equal(base(IDS), model_of(name)(IDS))

    mine = model_of(name)
    add_adapter(mine, LoRAConfig(rank=3, alpha=7.0, targets=ours, rslora=rslora))
    logits = moved(mine)(IDS)
    save_adapter(mine, tmp_path / "ours", base="somewhere")
    assert json.loads((tmp_path / "ours" / "adapter_config.json").read_text())["target_modules"] == sorted(targets)
    same_logits(mine, peft.PeftModel.from_pretrained(to_hf(model_of(name)), tmp_path / "ours").eval())
    again = model_of(name)
    load_adapter(again, tmp_path / "ours", "mine")
    assert torch.equal(again(IDS), logits) and adapters(again) == ["mine"]


def test_folders_that_are_not_for_this_model(tmp_path):
    model = model_of("llama")
    add_adapter(model, LoRAConfig(rank=2, targets=("blocks.0.feed_forward.up",)))
    save_adapter(moved(model), tmp_path / "a")
    about = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert about["target_modules"] == ["model.layers.0.mlp.up_proj"], "of one layer only: the whole name"
    other = model_of("llama", seed=3)
    before = other.state_dict().keys()
    with pytest.raises(BadInput, match="learned beside other weights"):
        load_adapter(other, tmp_path / "a")
    (tmp_path / "a" / "insideout.json").unlink()
    load_adapter(other, tmp_path / "a")
    for wrong, words in (({"use_dora": True}, "use_dora"), ({"peft_type": "IA3"}, "only LoRA"), ({"r": 5}, "shapes")):
        (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(about | wrong))
        with pytest.raises(BadInput, match=words):
            load_adapter(third := model_of("llama"), tmp_path / "a")
    assert third.state_dict().keys() == before
    with pytest.raises(BadInput, match="no layer: it is for another one"):
        (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(about))
        load_adapter(model_of("gpt2"), tmp_path / "a")
    with pytest.raises(BadInput, match="Could not read"):
        load_adapter(model_of("llama"), tmp_path / "none")
    with pytest.raises(BadInput, match="exists and is not empty"):
        save_adapter(model, tmp_path / "a")
    with pytest.raises(BadInput, match="not a GPT-2, Llama or Qwen3"):
        add_adapter(ours := model_of("ours"), LoRAConfig())
        save_adapter(ours, tmp_path / "b")
