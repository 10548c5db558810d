"""What a reader has solved, kept on their own machine as one JSON file.

`$INSIDEOUT_HOME/progress.json`, else `progress.json` in the user's data folder. Written beside and renamed, under a
lock, so that answers graded at the same time are all kept, and a reader who pulls the plug loses at most the last. A
file that cannot be understood is set aside, not overwritten. Ids of earlier editions are carried over once.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insideout import files

Entry = dict[str, Any]
"""How many `attempts`, the date it was first `solved` (or None), how many `hints` were shown."""

EARLIER_TOPICS = {
    "hand_introduction": "gradients.introduction",
    "hand_embeddings": "gradients.tokens_and_embeddings",
    "hand_projections": "gradients.queries_keys_values",
    "hand_attention": "gradients.attention",
    "hand_heads": "gradients.multi_head_attention",
    "hand_feed_forward": "gradients.feed_forward",
    "hand_layer_norm": "gradients.residuals_and_layer_norm",
    "hand_loss": "gradients.loss",
    "hand_loss_gradient": "gradients.gradient_of_the_loss",
    "hand_backpropagation": "gradients.backpropagation",
    "hand_adamw": "gradients.adamw",
    "hand_training": "gradients.closing_the_loop",
    "hand_engine": "gradients.an_autograd_engine",
    "gpt_introduction": "transformer.introduction",
    "tokens": "transformer.tokens_embeddings_positions",
    "positions": "transformer.tokens_embeddings_positions",
    "attention": "transformer.attention",
    "multi_head": "transformer.multi_head_attention",
    "feed_forward": "transformer.feed_forward",
    "block": "transformer.transformer_block",
    "complete_model": "transformer.complete_model",
    "training_loop": "transformer.training",
    "cache": "transformer.kv_cache",
    "interpret": "transformer.interpretability",
    "scaling_laws": "transformer.scaling_laws",
}
"""What the first edition called the topics."""

MOVED = {
    "gradients.closing_the_loop.bound": "gradients.introduction.floor",
    "transformer.transformer_block.pre_norm": "gradients.residuals_and_layer_norm.block",
    "transformer.attention.gradient": "gradients.backpropagation.softmax",
    "transformer.multi_head_attention.cache_bytes": "transformer.kv_cache.memory",
}
"""Exercises that stood twice, and what the same task is called where it stayed."""


def progress_file() -> Path:
    """Where progress is kept."""
    return files.data_folder() / "progress.json"


def progress() -> dict[str, Entry]:
    """An entry for each exercise tried, under its present id. Raises OSError where the file cannot be read."""
    path = progress_file()
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not is_record(record):
            raise ValueError("not a record of exercises")
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        set_aside(path)
        return {}
    return carried_over(record)


def is_record(record: Any) -> bool:
    """Is this what `keep` writes?"""
    return isinstance(record, dict) and all(
        isinstance(entry, dict)
        and isinstance(entry.get("solved"), str | None)
        and all(is_count(entry.get(name, 0)) for name in ("attempts", "hints"))
        for entry in record.values()
    )


def is_count(x: Any) -> bool:
    return isinstance(x, int) and not isinstance(x, bool) and x >= 0


def set_aside(path: Path) -> None:
    """Rename a file that cannot be understood, over no other."""
    n = 1
    while (beside := path.with_suffix(".damaged.json" if n == 1 else f".damaged-{n}.json")).exists():
        n += 1
    path.replace(beside)


def carried_over(record: dict[str, Entry]) -> dict[str, Entry]:
    """The record under the present ids, whole entries; two entries for one exercise become one."""
    result: dict[str, Entry] = {}
    for id, entry in record.items():
        topic, _, name = id.rpartition(".")
        present = f"{EARLIER_TOPICS[topic]}.{name}" if topic in EARLIER_TOPICS else id
        present = MOVED.get(present, present)
        before = result.get(present, {"attempts": 0, "solved": None})
        dates = [date for date in (before["solved"], entry.get("solved")) if date]
        hints = max(before.get("hints", 0), entry.get("hints", 0))
        result[present] = {
            "attempts": before["attempts"] + entry.get("attempts", 0),
            "solved": min(dates, default=None),
        }
        if hints:
            result[present]["hints"] = hints
    return result


def keep(id: str, passed: bool) -> None:
    """Count an attempt, and note the first success. Raises OSError."""

    def attempt(entry: Entry) -> None:
        entry["attempts"] += 1
        if passed and not entry["solved"]:
            entry["solved"] = datetime.now(UTC).isoformat(timespec="seconds")

    change(id, attempt)


def keep_hint(id: str, shown: int) -> None:
    """Note that so many hints have been shown. Raises OSError."""
    change(id, lambda entry: entry.update(hints=shown))


def change(id: str, what: Callable[[Entry], None]) -> None:
    """Change one entry, while no other process changes any."""
    path = progress_file()
    with files.locked(path):
        record = progress()
        what(record.setdefault(id, {"attempts": 0, "solved": None}))
        files.write_whole(path, json.dumps(record, indent=1, ensure_ascii=False))
