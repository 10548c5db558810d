"""Run by test_kill.py: trains in forks of one process that has imported torch but not yet used it.

argv: a folder. Prints a JSON object: for each moment of death, the fingerprint and metrics after resuming.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer imports it: once here, not in every fork

from insideout.training import checkpoint
from insideout.training.loop import train
from tests.training.tiny import Replay, Tiny, batch_at, config, fingerprint, loss_fn, losses, validate

real_write = checkpoint.write


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_batch_at(step: int, micro_step: int):
    if (step, micro_step) == WHEN:
        die()
    return batch_at(step, micro_step)


class Dying(Replay):
    """A source with a memory: what the model itself wrote."""

    def batch_at(self, step: int, micro_step: int):
        if (step, micro_step) == WHEN:
            die()
        return super().batch_at(step, micro_step)


def dying_write(path: Path, data: bytes) -> None:
    """Slow and in pieces; dies in the middle of the file WHEN names."""
    if f"{path.parent.name}/{path.name}".endswith(str(WHEN)):
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            die()
    real_write(path, data)


def in_fork(work, *arguments) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            work(*arguments)
            code = 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return pid


def run(out: Path, resume: bool, memory: bool = False) -> None:
    """Train; with a memory on what the model writes, and with an average of the weights."""
    model = Tiny(dropout=0.3)
    batches = Dying(model, every=4) if memory else dying_batch_at
    settings = config(ema_half_life=3.0 if memory else 0.0)
    train(model, loss_fn, batches, settings, out=out, validate=validate, resume=resume)
    (out / "fingerprint").write_text(fingerprint(model))


def outcome(out: Path) -> dict:
    """The weights, the metrics, and every byte of the last checkpoint beside state.json, which holds the seconds."""
    files = sorted(checkpoint.latest(out).glob("*.safetensors"))
    stored = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {"fingerprint": (out / "fingerprint").read_text(), "losses": losses(out), "stored": stored}


base = Path(sys.argv[1])
WHEN: object = None
assert os.waitpid(in_fork(run, base / "straight", False), 0)[1] == 0
assert os.waitpid(in_fork(run, base / "memory", False, True), 0)[1] == 0
report = {"straight": outcome(base / "straight"), "memory": outcome(base / "memory")}

moments = {
    "first step": (0, 1),
    "middle of a step": (4, 1),
    "after a checkpoint": (6, 0),
    "last step": (11, 0),
    "first checkpoint, weights": "step-00000003.part/model.safetensors",
    "later checkpoint, optimizer": "step-00000009.part/optimizer.safetensors",
    "last checkpoint, state": "step-00000012.part/state.json",
    "memory, middle of a step": (7, 1),
    "memory checkpoint, source": "step-00000006.part/source-00000.safetensors",
    "memory checkpoint, average": "step-00000009.part/average.safetensors",
}
checkpoint.write = dying_write
for number, (name, when) in enumerate(moments.items()):
    out = base / f"killed-{number}"
    WHEN, memory = when, name.startswith("memory")
    status = os.waitpid(in_fork(run, out, False, memory), 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, name
    half = [path.name for path in (out / "checkpoints").glob(".*.part")]
    WHEN = None
    assert os.waitpid(in_fork(run, out, True, memory), 0)[1] == 0, name
    clean = not list((out / "checkpoints").glob(".*.part"))
    report[name] = outcome(out) | {"half_written": half, "clean": clean}

# And from outside, at moments nobody chose, again and again until the run gets through.
out = base / "outside"
checkpoint.write = lambda path, data: (time.sleep(0.004), real_write(path, data))[1]
kills = 0
for attempt in range(40):
    pid = in_fork(run, out, (out / "checkpoints").is_dir())
    time.sleep(0.02 + 0.03 * attempt)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    kills += os.WIFSIGNALED(status)
    if not os.WIFSIGNALED(status):
        assert status == 0
        break
report["outside"] = outcome(out) | {"kills": kills}
print(json.dumps(report))
