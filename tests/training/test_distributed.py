"""Two gloo processes give the losses of one process with the larger batch, by DDP and by FSDP2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_two_processes_equal_one(tmp_path):
    child = Path(__file__).with_name("several_ranks.py")
    done = subprocess.run([sys.executable, str(child), str(tmp_path)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)

    def same(a, b, steps):
        assert [record[0] for record in report[a]] == list(range(1, steps + 1))
        for one, other in zip(report[a], report[b], strict=True):
            assert one == pytest.approx(other, abs=1e-5), (a, b)

    for optimizer in ("adamw", "muon"):
        for parallel in ("ddp", "fsdp"):
            same(f"one-{optimizer}", f"{parallel}-{optimizer}", 6)
    same("longer-one", "longer-fsdp", 8)
    same("longer-one-muon", "longer-moved", 8)
