"""The planner: its counts are the model's, its bytes the allocator's, its hours those of published runs."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from insideout.cli import main as cli
from insideout.errors import BadInput
from insideout.lab.allocations import peak_bytes, timeline, training_peak
from insideout.planner.counts import count, flops_per_token, recomputed_flops_per_token, shape_of
from insideout.planner.devices import DEVICES, choose_device
from insideout.planner.memory import Bytes, Load, moments, peak
from insideout.planner.plan import GIB, Setup, plan, preset, remedies, room
from insideout.planner.published import PUBLISHED
from insideout.transformer import kernels
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT

SMALL = GPTConfig(vocab_size=97, context_length=48, d_model=32, n_layers=3, n_heads=4)
KINDS = {
    "default": {},
    "gpt2": {"positions": "learned", "norm": "layernorm", "mlp": "gelu_tanh", "bias": True, "qk_norm": False},
    "llama": {"n_kv_heads": 2, "d_ff": 88, "mlp": "swiglu", "qk_norm": False, "tie_embeddings": False},
    "qwen3": {"n_kv_heads": 1, "d_head": 16, "d_ff": 90, "mlp": "swiglu"},
    "alibi": {"positions": "alibi", "attention_bias": True, "mlp": "gelu"},
    "window": {"positions": "sinusoidal", "window": 8, "qk_norm": False},
    "attention alone": {"mlp": "none", "bias": True, "positions": "none", "token_shift": True},
    "pairs, capped": {"pair_rows": 50, "logit_cap": 15.0, "zero_init_outputs": True},
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_the_model(kind):
    config = replace(SMALL, **KINDS[kind])
    assert count(config).total == GPT(config).n_parameters


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "window"])
def test_operations_are_those_that_torch_counts(kind):
    """Forward, by the readable formula, in which all T × T products are matrix products that torch's counter sees."""
    config = replace(SMALL, **KINDS[kind])
    model, ids = GPT(config).eval(), torch.zeros(2, config.context_length, dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(ids, explain=True)
    forward = counter.get_total_flops() / ids.numel()
    assert flops_per_token(config) == pytest.approx(3 * forward)
    head = 2 * config.vocab_size * config.d_model
    assert recomputed_flops_per_token(config) == pytest.approx(forward - head)


WIDE = {"d_model": 128, "n_layers": 2, "context_length": 16}
LOADS = {
    **{kind: Load(replace(SMALL, **changes), 4) for kind, changes in KINDS.items()},
    **{f"{kind}, bfloat16": Load(replace(SMALL, **KINDS[kind]), 4, precision="bfloat16") for kind in KINDS},
    "deep, bfloat16": Load(replace(SMALL, n_layers=12), 4, precision="bfloat16"),
    "long, bfloat16": Load(replace(SMALL, context_length=200), 1, precision="bfloat16", checkpoint_activations=True),
    "large vocabulary": Load(replace(SMALL, vocab_size=2000), 2),
    "wide: gradients at the end": Load(replace(SMALL, **WIDE), 1),
    "large vocabulary, few tokens": Load(replace(SMALL, **WIDE | {"context_length": 4}, vocab_size=800), 1),
    "wide, Muon": Load(replace(SMALL, **WIDE), 1, optimizer="muon"),
    "wide, accumulated": Load(replace(SMALL, **WIDE), 1, accumulation=2),
    "deep, recomputed": Load(replace(SMALL, n_layers=12), 4, checkpoint_activations=True),
}


WORSE = {"attention alone": 0.05, "wide, accumulated": 0.04}


@pytest.mark.parametrize("name", LOADS)
def test_memory_is_what_torch_allocates_while_training(name):
    """To 1% in float32, but for two shapes; to 8% in bfloat16."""
    predicted, measured = peak(LOADS[name])[1].total, training_peak(LOADS[name])
    within = 0.08 if LOADS[name].precision == "bfloat16" else WORSE.get(name, 0.01)
    assert predicted == pytest.approx(measured, rel=within)
    if name == "default":
        assert training_peak(LOADS[name]) == measured  # the same each time


LAYER_NORM = replace(SMALL, norm="layernorm", mlp="gelu")


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        (replace(LAYER_NORM, qk_norm=False), "float32"),
        (replace(LAYER_NORM, qk_norm=False, mlp="swiglu", n_kv_heads=2), "float32"),
        (replace(LAYER_NORM, qk_norm=False, positions="learned"), "bfloat16"),
        (LAYER_NORM, "bfloat16"),
        (replace(LAYER_NORM, n_kv_heads=2, mlp="relu2"), "bfloat16"),
    ],
)
def test_what_a_gpus_kernels_keep_is_exact_for_autograds_own_where_all_norms_are_one_kernel(
    config, precision, monkeypatch
):
    monkeypatch.setattr(kernels, "by_hand", lambda *inputs: False)
    load = Load(config, 4, precision=precision, kernels="gpu")
    state = 5056  # bytes of the generator that the loop sets aside, to hand it back as it was
    assert peak(load)[1].total + state == pytest.approx(training_peak(load), rel=0.001)


def test_where_rms_norm_is_not_fused_the_formula_for_a_gpu_says_too_little(monkeypatch):
    monkeypatch.setattr(kernels, "by_hand", lambda *inputs: False)
    for config in (SMALL, replace(LAYER_NORM, positions="learned")):  # the second: of queries and keys only
        load = Load(config, 4, kernels="gpu")
        measured = training_peak(load)
        assert 0.75 * measured < peak(load)[1].total < 0.95 * measured


def test_what_queries_and_keys_of_a_token_leave():
    """By hand from the list in memory.py, for C 64, H 4, G 2, D 16, so A 64 and K 32, with RoPE."""
    config = replace(SMALL, d_model=64, n_heads=4, n_kv_heads=2, context_length=32)

    def keeps(precision, qk_norm=True, **more):
        load = Load(replace(config, qk_norm=qk_norm), 1, precision=precision, **more)
        return Bytes(load).attention_keeps / config.context_length

    low, full = 4 * 64 + 4 + 2 * 64, 4 * 64 + 4 + 4 * 64  # the norm, and what it hands on
    sums, sizes, fused = 4 * 4, 4 * (4 + 2), 64 + 2 * 32
    assert keeps("float32") == full + 4 * 4 * 64 + sums + sizes + 4 * fused
    assert keeps("float32", qk_norm=False) == full + 4 * 4 * 64 + sums
    assert keeps("bfloat16") == low + 2 * 4 * 64 + sizes + 2 * fused  # attention by hand keeps no sums
    assert keeps("bfloat16", kernels="gpu") == low + 2 * 4 * 64 + sums + sizes + 8 * (64 + 32) + 2 * 64
    assert keeps("float32", kernels="gpu") == keeps("float32")
    dealt = {"parallel": "tensor", "n_devices": 2}  # half the heads; autograd's norms keep 4C more, 4(A + K) + cA more
    assert keeps("float32", **dealt) == (
        full + 4 * 64 + 4 * 4 * 32 + (sums + sizes) / 2 + 4 * fused / 2 + 4 * (32 + 16) + 4 * 32
    )


def test_each_moment_is_the_peak_of_some_training():
    assert {peak(load)[0] for load in LOADS.values()} == set(moments(LOADS["default"]))


def test_allocations_are_counted_to_the_byte():
    def work():
        kept = torch.zeros(1000)
        torch.zeros(5000)  # freed at once
        return kept

    assert peak_bytes(work) == 4 * 6000


def test_a_timeline_knows_when_each_block_began():
    def work():
        with torch.profiler.record_function("first"):
            kept = torch.zeros(1000)
        with torch.profiler.record_function("second"):
            torch.zeros(5000)  # freed at once
        return kept

    seen = timeline(work)
    assert seen.held == [4000, 24000, 4000]
    (one, first), (two, second) = seen.marks
    assert (one, two) == ("first", "second")
    assert first <= seen.seconds[0] == 0 < second <= seen.seconds[1] <= seen.seconds[2]


def test_more_devices_need_less_memory_each_when_they_share():
    for parallel in ("fsdp", "tensor"):
        needs = [peak(Load(preset("gpt2"), 1, parallel=parallel, n_devices=n))[1] for n in (2, 4, 6, 12)]
        assert all(a.total > b.total for a, b in pairwise(needs)), parallel
        assert needs[0].optimizer == pytest.approx(6 * needs[3].optimizer, rel=0.2)
    alone, copies = (peak(Load(preset("gpt2"), 1, n_devices=n))[1] for n in (1, 2))
    assert copies.total - alone.total == pytest.approx(4 * count(preset("gpt2")).total)  # DDP's buckets


def test_recomputing_and_smaller_batches_save_activations_only():
    load = Load(preset("gpt2"), 8)
    for other in (replace(load, checkpoint_activations=True), replace(load, batch_size=1)):
        before, after = moments(load)["loss"], moments(other)["loss"]
        assert after.activations < before.activations / 4
        assert (after.parameters, after.optimizer) == (before.parameters, before.optimizer)


def test_published_runs_by_their_own_count_of_attention():
    runs = {run.name.split()[0] + " " + run.name.split()[1]: run for run in PUBLISHED}
    for run in PUBLISHED:
        assert run.source and run.counts_is
        assert count(run.config).total == pytest.approx(run.parameters, rel=0.003), run.name
    for name in ("GPT-3 175B", "Llama 3.1"):  # six for each parameter and token: a check of the parameters alone
        assert runs[name].counts == "none" and runs[name].flops_ratio == pytest.approx(1, abs=0.002)
    palm = runs["PaLM 540B"]  # all of attention, as the planner counts
    assert palm.tokens * flops_per_token(palm.config) == pytest.approx(2.56e24, rel=0.002)
    assert palm.utilisation_of_speed == pytest.approx(palm.utilisation, abs=0.001)
    without = replace(palm, counts="none")
    assert without.utilisation_of_speed == pytest.approx(0.457, abs=0.001)  # as published, without attention
    assert palm.also_in_hours and palm.utilisation_of_hours < 0.9 * palm.utilisation
    gpt2 = runs["GPT-2 124M"]
    assert gpt2.utilisation_of_hours == pytest.approx(gpt2.utilisation, abs=0.01)
    assert replace(gpt2, counts="all").utilisation_of_hours == pytest.approx(0.63, abs=0.01)  # another count, not 0.6
    llama = runs["LLaMA 65B"]
    assert llama.tokens / llama.tokens_per_second / 3600 == pytest.approx(llama.device_hours, rel=0.005)
    assert llama.utilisation_of_speed == pytest.approx(0.495, abs=0.001)


def test_time_and_cost_by_hand():
    config = preset("gpt2")
    load = Load(config, 4, accumulation=2, precision="bfloat16", n_devices=8)
    made = plan(Setup(load, DEVICES["a100-80"], tokens=1e9, price=2.0, utilisation=0.5))
    n_matrices = 124_439_808 - 1024 * 768 - 768 * 2 - 12 * (768 * 4 + 3 * 768 + 768 + 4 * 768 + 768)
    flops = 6 * n_matrices + 12 * 12 * 768 * 1024
    assert made.flops_per_token == flops
    assert made.tokens_per_step == 4 * 1024 * 2 * 8
    assert made.step_seconds == pytest.approx(made.tokens_per_step * flops / (8 * 312e12 * 0.5))
    assert made.steps == -(-1_000_000_000 // made.tokens_per_step)
    assert made.cost == pytest.approx(made.steps * made.step_seconds / 3600 * 8 * 2.0)

    back = plan(Setup(load, DEVICES["a100-80"], budget=made.cost * 1.00001, price=2.0, utilisation=0.5))
    assert back.steps == made.steps and back.cost <= made.cost * 1.00001
    again = plan(Setup(replace(load, checkpoint_activations=True), DEVICES["a100-80"], tokens=1e9, utilisation=0.5))
    assert made.step_seconds * 1.2 < again.step_seconds < made.step_seconds * 4 / 3
    default = plan(Setup(load, DEVICES["a100-80"]))
    assert default.tokens == pytest.approx(20 * made.parameters, rel=0.01)
    shared = plan(Setup(replace(load, parallel="tensor", n_devices=4), DEVICES["a100-80"]))
    assert shared.tokens_per_step == 4 * 1024 * 2  # all four work on the same tokens
    tiny_batch = plan(Setup(Load(replace(config, context_length=1)), DEVICES["h100"], utilisation=1.0))
    assert tiny_batch.step_seconds == tiny_batch.update_seconds  # reading and writing takes longer than computing


def test_what_does_not_fit_says_by_how_much_and_what_would():
    load = Load(shape_of(7e9), 8, precision="bfloat16", n_devices=8, kernels="gpu")  # as plan() counts any load
    needed = peak(load)[1].total
    assert needed > peak(replace(load, kernels="cpu"))[1].total
    with pytest.raises(BadInput) as said:
        plan(Setup(load, DEVICES["h100"]))
    numbers = [float(each) for each in re.findall(r"([\d.]+) GiB", str(said.value))]
    there = room(DEVICES["h100"]) / GIB
    assert numbers[:3] == pytest.approx([needed / GIB, needed / GIB - there, there], abs=0.06)
    assert numbers[3] <= there
    remedy = next(load for words, load in remedies(load) if f"with {words} it would" in str(said.value))
    made = plan(Setup(remedy, DEVICES["h100"], tokens=1e9))
    assert made.memory.total / GIB == pytest.approx(numbers[3], abs=0.06)
    with pytest.raises(BadInput, match="nothing makes it fit"):
        plan(Setup(Load(PUBLISHED[-1].config, 1), DEVICES["l4"]))


@pytest.mark.parametrize("wanted", [2e7, 1.24e8, 1.3e9, 7e9, 7e10, 4e11])
def test_a_shape_for_a_number_of_parameters(wanted):
    config = shape_of(wanted)
    assert count(config).total == pytest.approx(wanted, rel=0.05)
    assert 50 < config.d_model / config.n_layers < 200
    assert config.head_width in (64, 128) and config.d_model % config.n_heads == 0


def test_devices():
    assert all(each.source and each.flops("bfloat16") > 0 for each in DEVICES.values())
    assert DEVICES["a100-80"].flops("float32") == 19.5e12
    with pytest.raises(BadInput, match="No float32 speed"):
        DEVICES["tpu-v4"].flops("float32")
    for name, device in DEVICES.items():
        if name.startswith("tpu"):
            with pytest.raises(BadInput, match="no float16"):
                device.flops("float16")
        else:
            assert device.flops("float16") == device.flops("bfloat16")
    assert (DEVICES["l40s"].memory, DEVICES["l4"].memory) == (45.0, 22.5)  # a sixteenth holds error correction
    b200 = DEVICES["b200"]  # all from one sheet: an eighth of an HGX B200
    assert (b200.flops("bfloat16"), b200.flops("float32"), b200.memory, b200.bandwidth) == (2250e12, 75e12, 180, 7.7e12)
    own = choose_device("custom", 0.1, 8, 20)
    assert (own.flops("float32"), own.memory, own.bandwidth) == (1e11, 8, 2e10)


@pytest.fixture
def call(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            cli.main(["plan", *arguments])
        shown = capsys.readouterr()
        return left.value.code, shown.out, shown.err

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--preset cake", "gpt2, llama, qwen3"),
        ("--preset gpt2 --parameters 1e9", "both given"),
        ("--parameters many", "'many'"),
        ("--parameters 1000", "too few"),
        ("--device abacus", "a100-40"),
        ("--device custom --tflops 1", "--memory"),
        ("--memory 80", "--device custom"),
        ("--device tpu-v4 --precision float32", "No float32 speed"),
        ("--device tpu-v5p --precision float16", "no float16"),
        ("--parameters 1e20", "at most 1e+15"),
        ("--parameters inf", "at most 1e+15"),
        ("--parameters nan", "at most 1e+15"),
        ("--devices 99999999999999999999", "n_devices is about 10^20"),
        ("--batch-size 1000000000000", "batch_size · context_length"),
        ("--accumulation 1000000000000", "accumulation · context_length"),
        ("--n-layers 99999999999999", "n_layers is 99999999999999; it must be at least 1"),
        ("--n-layers 999999999999", "parameters; it must be at most 1e+15"),
        ("--tokens 1e300", "tokens is 1e+300"),
        ("--tokens nan", "tokens is nan"),
        ("--budget 1e300 --price 1e-300", "budget is 1e+300"),
        ("--price 1e-300", "price is 1e-300"),
        ("--utilisation 1e-300", "at least 1e-09"),
        ("--utilisation nan", "utilisation is nan"),
        ("--device custom --tflops 1e300 --memory 80 --bandwidth 1000", "--tflops is 1e+300"),
        ("--device custom --tflops inf --memory 80 --bandwidth 1000", "needs --tflops"),
        ("--device custom --tflops 1 --memory nan --bandwidth 1000", "needs --memory"),
        ("--devices 0", "n_devices is 0"),
        ("--batch-size 0", "batch_size is 0"),
        ("--devices 5 --parallel tensor", "n_heads 12"),
        ("--preset qwen3 --devices 3 --parallel tensor", "n_heads 16"),
        ("--n-kv-heads 4 --devices 6 --parallel tensor", "n_kv_heads 4"),
        ("--n-heads 5", "n_heads 5"),
        ("--dropout 0.1", "dropout is 0.1"),
        ("--utilisation 1.5", "utilisation is 1.5"),
        ("--tokens -1", "tokens is -1"),
        ("--tokens 1e9 --budget 10 --price 1", "both given"),
        ("--budget 10", "without a price"),
        ("--budget 0.0000001 --price 1", "one step takes"),
        ("--parameters 70e9", "would need"),
    ],
)
def test_impossible_input_is_one_sentence(call, arguments, says):
    code, out, err = call(*arguments.split())
    assert code == 2 and out == "" and err.count("\n") == 1 and says in err, err


@pytest.mark.parametrize(
    "arguments",
    [
        "--parameters 1e15",
        "--parameters 1e15 --devices 1000000 --parallel fsdp --batch-size 1 --checkpoint-activations",
        "--tokens 1e21 --price 1e21 --utilisation 1e-9",
        "--tokens 1e-9 --price 1e-9",
        "--budget 1e21 --price 1e-9",
        "--device custom --tflops 1e-9 --memory 1e9 --bandwidth 1e-9 --tokens 1e21",
        "--device custom --tflops 1e9 --memory 1e9 --bandwidth 1e9 --budget 1e21 --price 1e-9",
        "--vocab-size 999999999",
    ],
)
def test_the_largest_and_smallest_numbers_are_answered(call, arguments):
    for flags in ([], ["--json"]):
        code, out, err = call(*arguments.split(), *flags)
        if code:
            assert code == 2 and out == "" and err.count("\n") == 1, err
        elif flags:
            json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} in the plan"))
        else:
            assert "nan" not in out and "inf" not in out


def test_the_command_prints_a_table_or_json(call):
    code, out, _ = call(
        "--preset", "gpt2", "--devices", "8", "--device", "a100-80", "--tokens", "10e9", "--price", "1.75"
    )
    assert code == 0
    for wanted in ("124,439,808", "activations", "GiB", "8 a100-80", "312 TFLOP/s", "40%", "device hours", "cost"):
        assert wanted in out
    flags = "--preset gpt2 --n-layers 6 --devices 8 --device a100-80 --tokens 10e9 --price 1.75 --json"
    made = json.loads(call(*flags.split())[1])
    assert made["model"]["n_layers"] == 6 and made["load"]["n_devices"] == 8
    parts = [value for name, value in made["memory_bytes"].items() if name not in ("total", "usable")]
    assert sum(parts) == pytest.approx(made["memory_bytes"]["total"])
    assert made["cost"] == pytest.approx(made["device_hours"] * 1.75)
    assert json.loads(call("--parameters", "1e9", "--json")[1])["parameters"] == pytest.approx(1e9, rel=0.05)
