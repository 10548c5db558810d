"""kill -9 at any moment, then resume: the weights and the metrics of the run that was never stopped, bit for bit."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_killed_and_resumed_is_the_run_that_was_never_stopped(tmp_path):
    command = [sys.executable, "-m", "tests.training.killed_run", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    straight, with_memory = report.pop("straight"), report.pop("memory")
    assert len(with_memory["stored"]) == 4 and with_memory["fingerprint"] != straight["fingerprint"]
    assert [record[0] for record in straight["losses"]] == list(range(1, 13))
    outside = report.pop("outside")
    assert len(report) == 10
    for name, after in report.items():
        expected = with_memory if name.startswith("memory") else straight
        for what in ("fingerprint", "losses", "stored"):
            assert after[what] == expected[what], (name, what)
        assert bool(after["half_written"]) == ("checkpoint," in name), name
        assert after["clean"], name
    assert outside["kills"] >= 1
    assert outside["fingerprint"] == straight["fingerprint"]
    assert outside["losses"] == straight["losses"]
