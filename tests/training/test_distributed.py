"""Two and four gloo processes give the losses of one, however they are joined, killed and started again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from insideout.errors import BadInput
from insideout.training import checkpoint
from insideout.transformer import tensor_parallel
from insideout.transformer.config import GPTConfig
from insideout.transformer.experts import MixtureOfExperts
from insideout.transformer.model import GPT
from tests.training.tiny import Tiny


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of all runs, their losses by name, and what the processes told of themselves."""
    folder = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "-m", "tests.training.several_ranks", str(folder)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder, *json.loads(done.stdout).values()


def same(losses, a, b):
    assert [record[0] for record in losses[a]] == list(range(1, 9))
    for one, other in zip(losses[a], losses[b], strict=True):
        assert one == pytest.approx(other, abs=1e-5), (a, b)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_several_processes_equal_one(runs, optimizer):
    _, losses, _ = runs
    for parallel in ("ddp", "fsdp"):
        same(losses, f"one-{optimizer}", f"{parallel}-2-{optimizer}")
    same(losses, f"one-gpt-{optimizer}", f"tensor-2-{optimizer}")
    for parallel in ("fsdp", "tensor"):
        same(losses, "one-gpt-muon", f"{parallel}-4-muon")
    looked = losses["one-muon"][-1]
    assert None not in looked and looked[3] != looked[4]  # the held-out loss, also of the averaged weights
    assert losses[f"one-{optimizer}"][0][1] != losses[f"one-gpt-{optimizer}"][0][1]


def test_a_split_gpt_has_the_gradients_and_the_text_of_the_whole_one(runs):
    found = [told[1:] for told in runs[2] if told[0] == "gradients"]
    assert len(found) == 2 * 4 + 4 * 2
    for ranks, kind, result in found:
        assert result["same text"] and result["worst"] < 1e-5, (ranks, kind)


def test_killed_and_resumed_by_other_numbers_of_processes(runs):
    _, losses, told = runs
    same(losses, "one-gpt-muon", "moved-muon")
    first, half_written, last = (each[1] for each in told if each[0] == "moved")
    assert first == ["step-00000003"]
    assert half_written == [".step-00000006.part", "step-00000003"]  # killed while it wrote step 6
    assert last == ["step-00000006", "step-00000008"]


def test_a_partly_frozen_model_is_the_same_on_many_and_moves_between_them(runs):
    folder, losses, _ = runs
    for run in ("ddp-2-frozen", "fsdp-2-frozen", "moved-frozen"):
        same(losses, "one-frozen", run)
    found = {run: checkpoint.load(checkpoint.latest(folder / run)) for run in ("one-frozen", "fsdp-2-frozen")}
    for each in found.values():
        assert sorted(each.model) == sorted(each.average) == ["blocks.0.bias", "blocks.0.weight", "head.weight"]
        assert each.state["base"] == found["one-frozen"].state["base"] is not None
    assert len(list(checkpoint.latest(folder / "fsdp-2-frozen").rglob("average/*.safetensors"))) == 2


def test_each_process_has_a_memory_of_its_own_and_goes_on_with_it(runs):
    folder, losses, told = runs
    memories = {tuple(each[1:3]): each[3:] for each in told if each[0] == "memory"}
    assert len(memories) == 4 and losses["memory"] == losses["memory-killed"]
    for rank in (0, 1):
        assert memories["memory", rank] == memories["memory-killed", rank]
    assert memories["memory", 0][0] == memories["memory", 1][0] and memories["memory", 0][1] != memories["memory", 1][1]
    [said] = [each[1] for each in told if each[0] == "other ranks"]
    assert "a source with a memory, in 2 processes: go on with as many" in said
    names = sorted(path.name for path in checkpoint.latest(folder / "memory").iterdir())
    assert names == [
        "model.safetensors", "optimizer.safetensors", "source-00000.safetensors", "source-00001.safetensors",
        "state.json",
    ]  # fmt: skip


@pytest.mark.parametrize(("run", "ranks"), [("fsdp-2-adamw", 2), ("fsdp-4-muon", 4), ("tensor-4-muon", 4)])
def test_each_process_writes_its_slices_and_nothing_is_pickled(runs, run, ranks):
    folder = checkpoint.latest(runs[0] / run)
    found = checkpoint.load(folder)
    assert found.state["data_ranks"] == (1 if run.startswith("tensor") else ranks)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = {"model": found.model, "optimizer": found.optimizer} | ({"average": found.average} if "muon" in run else {})
    assert {path.suffix for path in files} == {".safetensors", ".json"} and len(files) == 1 + len(parts) * ranks
    for part, tensors in parts.items():
        written = dict.fromkeys(tensors, 0)
        for file in (folder / part).iterdir():
            with safe_open(file, "pt") as slices:
                for name in slices.keys():  # noqa: SIM118
                    numel = slices.get_tensor(name).numel()
                    written[name] += numel
                    whole = run.startswith("tensor") and name.startswith("pair_embedding")  # as vectors are
                    if tensors[name].ndim == 2 and not whole:
                        assert numel <= -(-tensors[name].shape[0] // ranks) * tensors[name].shape[1]
        assert written == {name: tensor.numel() for name, tensor in tensors.items()}


def test_slices_hold_the_tensors_that_one_process_would_write(runs):
    one, many = (checkpoint.load(checkpoint.latest(runs[0] / run)) for run in ("one-gpt-muon", "moved-muon"))
    for mine, theirs in ((one.model, many.model), (one.optimizer, many.optimizer), (one.average, many.average)):
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert torch.allclose(mine[name], theirs[name], atol=1e-5), name


@pytest.mark.parametrize("damage", ["truncated", "missing", "foreign", "same length"])
@pytest.mark.parametrize("file", ["model/shard-00001", "optimizer/shard-00002"])
def test_damaged_slices_are_bad_input(runs, damage, file):
    folder = checkpoint.latest(runs[0] / "tensor-2-muon")
    path = next(path for path in folder.rglob("*") if path.relative_to(folder).as_posix().startswith(file))
    before = path.read_bytes()
    try:
        if damage == "missing":
            path.unlink()
        else:
            foreign = b"\x80\x04\x95 a pickle, perhaps"
            path.write_bytes({"truncated": before[:-9], "foreign": foreign}.get(damage, foreign.ljust(len(before))))
        with pytest.raises(BadInput, match=f"checkpoint {folder} is damaged"):
            checkpoint.load(folder)
    finally:
        path.write_bytes(before)
    checkpoint.load(folder)


def test_a_full_disk_on_one_process_is_bad_input_on_all(runs):
    found = [told[2] for told in runs[2] if told[0] == "full disk"]
    assert len(found) == 2
    for result in found:
        assert result["said"].startswith("The disk is full") and result["left"] == ["step-00000001"] and result["whole"]


def test_what_cannot_be_split_is_said_in_one_sentence():
    sizes = {"vocab_size": 11, "context_length": 4, "d_model": 12, "n_heads": 6, "n_layers": 1}
    with pytest.raises(BadInput, match=r"^n_heads 6 cannot be dealt out to 4 processes: .*fsdp\.$"):
        tensor_parallel.split(GPT(GPTConfig(**sizes)), torch.device("cpu"), 4)
    with pytest.raises(BadInput, match=r"^n_heads 6 cannot be dealt out to 12 processes"):
        tensor_parallel.split(GPT(GPTConfig(**sizes)), torch.device("cpu"), 12)
    with pytest.raises(BadInput, match=r"^d_ff 32 cannot be dealt out to 3 processes"):
        tensor_parallel.split(GPT(GPTConfig(**sizes, d_ff=32)), torch.device("cpu"), 3)
    with pytest.raises(BadInput, match=r"^n_kv_heads 2 and 3 processes do not divide each other"):
        tensor_parallel.split(GPT(GPTConfig(**sizes, n_kv_heads=2)), torch.device("cpu"), 3)
    mixed = GPT(GPTConfig(**sizes))
    mixed.blocks[0].feed_forward = MixtureOfExperts(mixed.config, 2, 1)
    with pytest.raises(BadInput, match=r"^MixtureOfExperts cannot be split"):
        tensor_parallel.split(mixed, torch.device("cpu"), 2)
    with pytest.raises(BadInput, match=r"^Tiny cannot be split by heads"):
        tensor_parallel.split(Tiny(), torch.device("cpu"), 2)


@pytest.mark.parametrize(
    ("n_heads", "n_kv_heads", "ranks"), [(8, 8, 4), (8, 2, 2), (8, 2, 4), (8, 1, 8), (12, 4, 2), (12, 2, 4)]
)
def test_heads_are_dealt_out_with_the_key_heads_they_read(n_heads, n_kv_heads, ranks):
    dealt = []
    for rank in range(ranks):
        heads, kv_heads = tensor_parallel.own_heads(n_heads, n_kv_heads, ranks, rank)
        dealt += heads
        for i, head in enumerate(heads):  # as repeat_interleave will pair them
            assert kv_heads[i * len(kv_heads) // len(heads)] == head * n_kv_heads // n_heads
    assert dealt == list(range(n_heads))
