"""What happened at each step, one JSON object a line, in a file that a resumed run takes up without a seam."""

import json
import os
from pathlib import Path
from typing import Any

from insideout.training.checkpoint import disk_trouble


class MetricsFile:
    """`out/metrics.jsonl`, opened to go on after `step`: later lines, and one cut off by a crash, are dropped."""

    def __init__(self, path: Path, step: int):
        self.path = path
        try:
            if path.exists():
                kept = [json.dumps(record) for record in read(path) if record["step"] <= step]
                beside = path.with_name(path.name + ".partial")
                beside.write_text("".join(line + "\n" for line in kept))
                beside.replace(path)
            self.file = path.open("a")
        except OSError as error:
            raise disk_trouble(error, path) from error

    def write(self, record: dict[str, Any]) -> None:
        try:
            self.file.write(json.dumps(record) + "\n")
            self.file.flush()
        except OSError as error:
            raise disk_trouble(error, self.path) from error

    def sync(self) -> None:
        """Force the lines to disk: a checkpoint must not be newer than the lines it stands for."""
        try:
            os.fsync(self.file.fileno())
        except OSError as error:
            raise disk_trouble(error, self.path) from error

    def close(self) -> None:
        self.file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics file. A last line that was cut off is left out."""
    records = []
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "step" in record:
            records.append(record)
    return records
