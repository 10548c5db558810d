"""How long the readable BPE takes to learn 2,048 merges, and how fast encoding is beside Hugging Face tokenizers.

    INSIDEOUT_DATA=... python benchmarks/tokenizer.py

Both sides run in this process, in turns, on the same text with the same merges, and must give the same ids. Theirs is
one call of `encode` with the whole text. The ratio is the median over rounds of theirs / ours: above 1 ours is faster.
Prints the result and writes benchmarks/results/tokenizer.json.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import time
from pathlib import Path

from insideout.data.text.corpus import load_corpus
from insideout.transformer import bpe
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

MERGES, ROUNDS = 2048, 15
MOST_SECONDS, LEAST_RATIO = 10.0, 1.0


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    text = load_corpus(["tinyshakespeare"]).text()
    start = time.perf_counter()
    tokenizer = BPETokenizer.train(text, 256 + MERGES)
    training = time.perf_counter() - start

    ratios, ours, theirs = [], [], []
    for number in range(ROUNDS + 1):  # the first round warms both up
        start = time.perf_counter()
        their_ids = tokenizer._fast.encode(text).ids
        middle = time.perf_counter()
        our_ids = tokenizer.encode(text)
        end = time.perf_counter()
        assert our_ids == their_ids
        if number:
            theirs.append(middle - start)
            ours.append(end - middle)
            ratios.append(theirs[-1] / ours[-1])
    start = time.perf_counter()
    assert bpe.encode(text, tokenizer.merges) == our_ids
    readable = time.perf_counter() - start
    characters = CharacterTokenizer.train(text)
    start = time.perf_counter()
    characters.encode(text)
    by_character = time.perf_counter() - start

    megabytes = len(text.encode()) / 1e6
    result = {
        "corpus": "tinyshakespeare",
        "merges": len(tokenizer.merges),
        "training_seconds": round(training, 3),
        "training_seconds_at_most": MOST_SECONDS,
        "encode_ratio": round(statistics.median(ratios), 3),
        "encode_ratio_least_and_most": [round(min(ratios), 3), round(max(ratios), 3)],
        "encode_ratio_at_least": LEAST_RATIO,
        "rounds": ROUNDS,
        "megabytes_per_second": {
            "ours": round(megabytes / statistics.median(ours), 2),
            "hugging_face_encode": round(megabytes / statistics.median(theirs), 2),
            "readable": round(megabytes / readable, 2),
            "characters": round(megabytes / by_character, 2),
        },
        "reached": training <= MOST_SECONDS and statistics.median(ratios) >= LEAST_RATIO,
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"python": platform.python_version(), "tokenizers": importlib.metadata.version("tokenizers")},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    out = Path(__file__).parent / "results" / "tokenizer.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
