"""Run by test_distributed.py: the same training by one process, by two and by four, joined in each way.

argv: a folder. Forks before torch is used. An update is made from the same four parts, however they are dealt out.
"""

import errno
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer imports it: once here, not in every fork
import torch.distributed.fsdp
import torch.distributed.tensor.parallel
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter

from insideout.errors import BadInput
from insideout.training import checkpoint, distributed, shards
from insideout.training.distributed import gradient_norm, whole
from insideout.training.invariants import every_group_changes
from insideout.training.loop import train
from insideout.training.metrics import Metric
from insideout.training.objective import Objective
from insideout.transformer import tensor_parallel
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT
from tests.training.tiny import VOCABULARY, Replay, Tiny, batch, config, fingerprint, loss_fn, records, validate

base = Path(sys.argv[1])
PARTS = 4
GPTS = {
    "grouped": {"n_kv_heads": 2, "mlp": "swiglu", "n_layers": 2, "token_shift": True, "pair_rows": 13},
    "one key head": {"n_kv_heads": 1, "mlp": "none", "d_ff": None, "attention_bias": True, "window": 3},
    "biased": {"positions": "learned", "norm": "layernorm", "mlp": "gelu_tanh", "bias": True, "qk_norm": False},
    "untied": {"positions": "alibi", "tie_embeddings": False, "n_kv_heads": 2, "d_head": 6, "logit_cap": 4.0},
}


def gpt(kind: str, seed: int = 0) -> GPT:
    """A small GPT whose gains and biases are not the ones and zeros they usually start from."""
    torch.manual_seed(seed)
    sizes = {"vocab_size": VOCABULARY, "context_length": 12, "d_model": 16, "n_layers": 1, "n_heads": 4, "d_ff": 24}
    model = GPT(GPTConfig(**(sizes | GPTS[kind])))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def with_metrics(model, ids_and_targets):
    """The loss, the probability of the right token, and that at the first place, where often nothing is asked."""
    found = []
    loss, count = loss_fn(lambda ids: found.append(model(ids)) or found[0], ids_and_targets)
    _, targets = ids_and_targets
    right = found[0].softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0] * (targets != -100)
    return loss, count, {"right": right.sum(), "first": (right[:, 0].sum(), (targets[:, 0] != -100).sum())}


OBJECTIVE = Objective(with_metrics, (Metric("right"), Metric("first")), checks=(every_group_changes(),))


def training(
    name: str,
    model: str = "tiny",
    optimizer: str = "adamw",
    parallel: str = "ddp",
    resume: bool = False,
    die: tuple[int, int] | str = "",
    frozen: bool = False,
    memory: bool = False,
) -> None:
    """Train; `die` at a (step, rank), or while a checkpoint's files are being written.

    With Muon an average of the weights is kept too. `frozen`: only the first layer and the head are trained; `memory`:
    on what the model itself writes.
    """

    def batch_at(step: int, micro_step: int):
        if die == (step, distributed.rank()):
            os.kill(os.getpid(), signal.SIGKILL)
        rank, ranks = distributed.data_rank(parallel), distributed.data_ranks(parallel)
        share = range(rank * PARTS // ranks, (rank + 1) * PARTS // ranks)
        parts = [batch(1000 * step + 10 * micro_step + part) for part in share]  # how many targets differs by part
        return tuple(torch.cat(both) for both in zip(*parts, strict=True))

    def dying_write(folder: Path, tensors) -> None:
        written(folder, tensors)
        if die and folder.parent.name.endswith(str(die)):
            os.kill(os.getpid(), signal.SIGKILL)

    written, shards.write = shards.write, dying_write
    seed = distributed.rank()  # rank 0's weights must reach everyone
    made = Tiny(seed=seed) if model == "tiny" else gpt(model, seed)
    if frozen:
        for parameter_name, parameter in made.named_parameters():
            parameter.requires_grad_(parameter_name.startswith(("blocks.0", "head")))
    size = 2 * PARTS // distributed.data_ranks(parallel)
    settings = config(
        optimizer=optimizer, parallel=parallel, steps=8, eval_every=4, batch_size=size,
        ema_half_life=3.0 if optimizer == "muon" else 0.0,
    )  # fmt: skip
    source = Dying(made, die) if memory else batch_at
    train(made, OBJECTIVE, source, settings, out=base / name, validate=validate, resume=resume)
    shards.write = written
    if memory:
        tell("memory", name, distributed.rank(), fingerprint(made), source.counts["history"])


class Dying(Replay):
    """What the model writes, until the process is killed."""

    def __init__(self, model, die) -> None:
        super().__init__(model, every=5)
        self.die = die

    def batch_at(self, step: int, micro_step: int):
        if self.die == (step, distributed.rank()):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().batch_at(step, micro_step)


def other_ranks(name: str) -> None:
    """A source's memory cannot be dealt out anew."""
    try:
        training(name, memory=True, resume=True)
        said = ""
    except BadInput as error:
        said = str(error)
    tell("other ranks", said)


def gradients(n_ranks: int, *kinds: str) -> None:
    """Loss, gradients, their norm and greedy text of a split GPT are those of the whole one."""
    for kind in kinds:
        one, many = gpt(kind), gpt(kind)
        text = generate(one.eval(), [[1, 2, 3]], 3, temperature=0)
        tensor_parallel.split(many, torch.device("cpu"), n_ranks)
        totals = []
        for model in (one, many):
            for _ in range(2):  # gradients add up
                loss, count = loss_fn(model.train(), batch(3))
                (loss / count).backward()
            totals.append(float(loss.detach()))
        worst = abs(totals[0] - totals[1]) / totals[0]
        expected = dict(one.named_parameters())
        assert many.n_parameters == one.n_parameters
        for name, parameter in many.named_parameters():
            assert not any(place.is_partial() for place in parameter.grad.placements), name
            right = expected[name].grad
            worst = max(worst, float((whole(parameter.grad) - right).norm() / right.norm()))
        norms = [gradient_norm(model.parameters(), 0) for model in (one, many)]
        worst = max(worst, abs(norms[0] - norms[1]) / norms[0])
        same_text = generate(many.eval(), [[1, 2, 3]], 3, temperature=0) == text
        tell("gradients", n_ranks, kind, {"worst": worst, "same text": same_text})


def full_disk() -> None:
    """Rank 1 cannot write its slices: every rank hears of it, and the checkpoint before stays whole."""
    write_data = HuggingFaceStorageWriter.write_data

    def no_room(self, plan, planner):
        if distributed.rank() == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_data(self, plan, planner)

    model = gpt("grouped")
    tensor_parallel.split(model, torch.device("cpu"), distributed.world_size())
    folders = [checkpoint.folder_of(base / "full", step) for step in (1, 2)]
    checkpoint.save(folders[0], model, {}, {"step": 1})
    HuggingFaceStorageWriter.write_data = no_room
    try:
        checkpoint.save(folders[1], model, {}, {"step": 2})
        said = ""
    except BadInput as error:
        said = str(error)
    HuggingFaceStorageWriter.write_data = write_data
    distributed.barrier()
    left = [path.name for path in folders[0].parent.iterdir()]
    again = gpt("grouped", seed=1)
    checkpoint.load_model(again, checkpoint.load(folders[0]).model)
    whole_again = fingerprint(again) == fingerprint(gpt("grouped"))
    tell("full disk", distributed.rank(), {"said": said, "left": left, "whole": whole_again})


def tell(*words) -> None:
    with (base / f"report-{distributed.rank()}.jsonl").open("a") as file:
        file.write(json.dumps(words) + "\n")


def forked(ranks: int, *jobs, may_die: bool = False) -> None:
    """Do the jobs, one after the other, in so many processes that know of each other."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = set()
    for rank in range(ranks):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                torch.set_num_threads(1)
                if ranks > 1:
                    os.environ |= {
                        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks),
                        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                    }  # fmt: skip
                distributed.start("cpu")
                for work, *arguments in jobs:
                    work(*arguments[:-1], **arguments[-1])
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.add(pid)
    while children:
        pid, status = os.waitpid(-1, 0)
        children.discard(pid)
        if status and may_die:  # one was killed: a cluster ends the others
            for other in children:
                os.kill(other, signal.SIGKILL)
        assert status == 0 or may_die, (ranks, jobs, status)


def job(name: str, **settings):
    return (training, name, settings)


optimizers = ("adamw", "muon")
straight = [job(f"one-{each}", optimizer=each) for each in optimizers]
straight += [job("one-frozen", optimizer="muon", frozen=True)]
forked(1, *straight, *(job(f"one-gpt-{each}", model="grouped", optimizer=each) for each in optimizers))
two = [job(f"{way}-2-{each}", optimizer=each, parallel=way) for way in ("ddp", "fsdp") for each in optimizers]
two += [job(f"{way}-2-frozen", optimizer="muon", parallel=way, frozen=True) for way in ("ddp", "fsdp")]
two += [job("memory", memory=True)]
two += [job(f"tensor-2-{each}", model="grouped", optimizer=each, parallel="tensor") for each in optimizers]
forked(2, *two, (gradients, 2, *GPTS, {}), (full_disk, {}))
four = [job(f"{way}-4-muon", model="grouped", optimizer="muon", parallel=way) for way in ("fsdp", "tensor")]
forked(4, *four, (gradients, 4, "grouped", "one key head", {}))

# One run, killed again and again, that goes on each time with other processes. A checkpoint is made every 3 steps.
moved = {"name": "moved-muon", "model": "grouped", "optimizer": "muon"}
folder = base / "moved-muon" / "checkpoints"
forked(2, job(**moved, parallel="fsdp", die=(4, 1)), may_die=True)
tell("moved", sorted(path.name for path in folder.iterdir()))
forked(4, job(**moved, parallel="tensor", resume=True, die="step-00000006.part"), may_die=True)
tell("moved", sorted(path.name for path in folder.iterdir()))
forked(1, job(**moved, resume=True, die=(6, 0)), may_die=True)
forked(2, job(**moved, parallel="tensor", resume=True))
tell("moved", sorted(path.name for path in folder.iterdir()))

# A model that is partly frozen, begun by two processes and gone on with by one; a source with a memory in each of two.
forked(2, job("moved-frozen", optimizer="muon", parallel="fsdp", frozen=True, die=(4, 1)), may_die=True)
forked(1, job("moved-frozen", optimizer="muon", frozen=True, resume=True))
forked(2, job("memory-killed", memory=True, die=(4, 1)), may_die=True)
forked(1, (other_ranks, "memory-killed", {}))
forked(2, job("memory-killed", memory=True, resume=True))

NUMBERS = ("step", "loss", "lr", "validation_loss", "ema_validation_loss", "right", "first", "gradient_norm")
report = {
    path.parent.name: [[r.get(k) for k in NUMBERS] for r in records(path.parent)]
    for path in base.glob("*/metrics.jsonl")
}
told = [json.loads(line) for path in sorted(base.glob("report-*.jsonl")) for line in path.read_text().splitlines()]
print(json.dumps({"losses": report, "told": told}))
