"""What a reader has solved, kept on their own machine as one JSON file.

`$INSIDEOUT_HOME/progress.json`, else `progress.json` in the user's data folder. Written beside and renamed, so
that a reader who pulls the plug loses at most the last answer. A damaged file is set aside, not overwritten.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insideout import files


def progress_file() -> Path:
    """Where progress is kept."""
    return files.data_folder() / "progress.json"


def progress() -> dict[str, dict[str, Any]]:
    """For each exercise tried: how many `attempts`, and the date it was first `solved` (or None)."""
    path = progress_file()
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not all(isinstance(value, dict) for value in record.values()):
            raise ValueError("not a record of exercises")
    except FileNotFoundError:
        return {}
    except ValueError:
        path.replace(path.with_suffix(".damaged.json"))
        return {}
    return record


def keep(id: str, passed: bool) -> None:
    """Count an attempt, and note the first success."""
    record = progress()
    entry = record.setdefault(id, {"attempts": 0, "solved": None})
    entry["attempts"] = entry.get("attempts", 0) + 1
    if passed and not entry.get("solved"):
        entry["solved"] = datetime.now(UTC).isoformat(timespec="seconds")
    files.write_whole(progress_file(), json.dumps(record, indent=1, ensure_ascii=False))
