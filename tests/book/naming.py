"""One rule of names: what belongs to a chapter is named for its part's package and for the chapter's own word."""

from pathlib import Path

PARTS = {"1": "gradients", "2": "transformer", "3": "finetuning", "4": "reasoning", "5": "images"}


def topic(chapter: Path) -> str:
    """`transformer.kv_cache` for 2-building-a-transformer/09_kv_cache.md."""
    return f"{PARTS[chapter.parent.name[0]]}.{chapter.stem[3:]}"
