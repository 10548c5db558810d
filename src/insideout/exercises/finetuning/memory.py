"""Exercises on the memory of fine-tuning: what stays, and how many sequences fit beside it.

Practised in book/3-fine-tuning-a-transformer/17_memory.md; the modules are insideout/finetuning/quantised.py and
insideout/planner/memory.py. Sources: Dettmers et al. 2023 (QLoRA); Chen et al. 2016 (computing again).
"""

import math
import random
from collections.abc import Callable

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distinct

# state: n_frozen, n_trained, bits -> bytes


def draw_state(rng: random.Random) -> tuple[int, int, int]:
    """Many frozen ones, fewer that are trained, and how many bits the frozen have; all divisible by 8."""
    frozen, trained = distinct(rng, 2, 3, 60)
    return 800 * frozen, 8 * trained, rng.choice([4, 8, 16])


def state_of(n_frozen: int, n_trained: int, bits: int) -> float:
    return n_frozen * bits / 8 + 16 * n_trained


State = Callable[[int, int, int], float]

state = Exercise(
    "finetuning.memory.state", stars=1, minutes=8, reference=state_of, draw=draw_state,
    edges=[(0, 7, 16), (16, 0, 4), (80, 8, 32)], section="What it should hold",
)  # fmt: skip
STATE_MISTAKES: list[tuple[str, State]] = [
    ("These are bits: eight of them are a byte.", lambda f, t, bits: f * bits + 128 * t),
    ("The frozen weights are counted in bits: eight of them are a byte.", lambda f, t, bits: f * bits + 16 * t),
    (
        "The two moments are missing: AdamW keeps two numbers for each trained parameter.",
        lambda f, t, bits: f * bits / 8 + 8 * t,
    ),
    ("AdamW has two moments, and one is counted.", lambda f, t, bits: f * bits / 8 + 12 * t),
    ("Only weights are counted, no gradients and no moments.", lambda f, t, bits: f * bits / 8 + 4 * t),
    (
        "The frozen weights have gradients and moments here: they need none.",
        lambda f, t, bits: f * bits / 8 * 4 + 16 * t,
    ),
    ("The frozen weights have gradients here: they need none.", lambda f, t, bits: f * bits / 4 + 16 * t),
    ("The frozen weights are missing: they lie in memory too.", lambda f, t, bits: 16.0 * t),
    ("The frozen weights are taken in 32 bits, whatever `bits` says.", lambda f, t, bits: 4 * f + 16.0 * t),
    (
        "The trained ones are taken in `bits` bits: they, their gradients and moments are in 32.",
        lambda f, t, bits: (f + 4 * t) * bits / 8,
    ),
    ("The frozen ones are taken for trained, and the trained for frozen.", lambda f, t, bits: state_of(t, f, bits)),
    (
        "Everything is trained here: 16 bytes for all parameters.",
        lambda f, t, bits: 16.0 * (f + t),
    ),
    ("These are gibibytes: bytes are asked for.", lambda f, t, bits: state_of(f, t, bits) / 2**30),
    ("These are megabytes: bytes are asked for.", lambda f, t, bits: state_of(f, t, bits) / 1e6),
]  # fmt: skip
for diagnosis, made in STATE_MISTAKES:
    state.mistake(diagnosis, made)


# batch: room, state, T, n_layers, block, residual, again -> how many sequences


def draw_room(rng: random.Random) -> tuple[int, int, int, int, int, int, bool]:
    """Room for a few dozen sequences beside the state; a block keeps several times what its input takes."""
    T, n_layers, residual = distinct(rng, 3, 3, 12)
    block, again = residual * rng.randrange(4, 9) + 1, rng.random() < 0.5
    a_token = n_layers * residual + block if again else n_layers * block
    taken = rng.randrange(500, 3000) * T
    return taken + int(T * a_token * (rng.randrange(12, 60) + 0.7)), taken, T, n_layers, block, residual, again


def fitting(room: int, state: int, T: int, n_layers: int, block: int, residual: int, again: bool) -> int:
    return max(0, (room - state) // (T * token_of(n_layers, block, residual, again)))


def token_of(n_layers: int, block: int, residual: int, again: bool) -> int:
    return n_layers * residual + block if again else n_layers * block


Batch = Callable[[int, int, int, int, int, int, bool], float]

batch = Exercise(
    "finetuning.memory.batch", stars=2, minutes=12, reference=fitting, draw=draw_room, tolerance=0,
    edges=[
        (1000, 1400, 5, 2, 30, 6, False), (1000, 1400, 5, 2, 30, 6, True), (1000, 400, 5, 2, 30, 6, False),
        (1000, 370, 5, 2, 30, 6, True), (1000, 990, 5, 2, 30, 6, True), (900, 0, 3, 1, 20, 5, True),
    ],
    section="What it should hold",
)  # fmt: skip
BATCH_MISTAKES: list[tuple[str, Batch]] = [
    (
        "`again` makes no difference here: with it a block keeps `residual` bytes a token, one of them `block` too.",
        lambda r, s, T, L, b, x, again: fitting(r, s, T, L, b, x, False),
    ),
    (
        "Activations are computed again here whether `again` says so or not.",
        lambda r, s, T, L, b, x, again: fitting(r, s, T, L, b, x, True),
    ),
    (
        "The block under way is missing: while it is computed again, it has all its bytes.",
        lambda r, s, T, L, b, x, again: max(0, (r - s) // (T * L * (x if again else b))),
    ),
    (
        "Every block has its `block` bytes besides: only one does at a time.",
        lambda r, s, T, L, b, x, again: max(0, (r - s) // (T * L * (x + b if again else b))),
    ),
    (
        "Where activations are kept, the residual is counted besides: it is among the `block` bytes.",
        lambda r, s, T, L, b, x, again: max(0, (r - s) // (T * (L * x + b if again else L * (b + x)))),
    ),
    ("What is taken already is not subtracted.", lambda r, s, T, L, b, x, again: fitting(r, 0, T, L, b, x, again)),
    (
        "This counts tokens: divide by the tokens of a sequence.",
        lambda r, s, T, L, b, x, again: max(0, (r - s) // token_of(L, b, x, again)),
    ),
    (
        "Rounded up: the last sequence does not fit whole.",
        lambda r, s, T, L, b, x, again: max(0, math.ceil((r - s) / (T * token_of(L, b, x, again)))),
    ),
    (
        "Rounded to the nearest: a sequence that fits in part does not fit.",
        lambda r, s, T, L, b, x, again: max(0, round((r - s) / (T * token_of(L, b, x, again)))),
    ),
    (
        "Not rounded down: whole sequences are asked for.",
        lambda r, s, T, L, b, x, again: max(0.0, (r - s) / (T * token_of(L, b, x, again))),
    ),
    (
        "It falls below 0 where nothing fits.",
        lambda r, s, T, L, b, x, again: (r - s) // (T * token_of(L, b, x, again)),
    ),
    (
        "There is at least one here, whether it fits or not.",
        lambda r, s, T, L, b, x, again: max(1, fitting(r, s, T, L, b, x, again)),
    ),
    (
        "The number of blocks is missing.",
        lambda r, s, T, L, b, x, again: fitting(r, s, T, 1, b, x, again),
    ),
    (
        "`block` and `residual` have changed places.",
        lambda r, s, T, L, b, x, again: fitting(r, s, T, L, x, b, again),
    ),
    (
        "The block under way is counted once for the whole batch: each of its sequences has it.",
        lambda r, s, T, L, b, x, again: max(0, (r - s - T * b * again) // (T * L * (x if again else b))),
    ),
]  # fmt: skip
for diagnosis, wrong in BATCH_MISTAKES:
    batch.mistake(diagnosis, wrong)
