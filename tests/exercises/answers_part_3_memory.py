"""Answers that readers might give to chapter 17 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math
from fractions import Fraction

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# state: n_frozen, n_trained, bits -> bytes


def by_bits(n_frozen, n_trained, bits):
    return (n_frozen * bits + n_trained * 32 * 4) / 8


def by_parts(n_frozen, n_trained, bits):
    weights = n_frozen * (bits / 8) + 4 * n_trained
    gradients = 4 * n_trained
    first = second = 4 * n_trained
    return weights + gradients + first + second


def by_fraction(n_frozen, n_trained, bits):
    return float(Fraction(bits, 8) * n_frozen + 16 * n_trained)


def by_numpy(n_frozen, n_trained, bits):
    return np.dot([n_frozen, n_trained], [bits / 8, 16])


def by_torch(n_frozen, n_trained, bits):
    return (torch.tensor([n_frozen, n_trained], dtype=torch.float64) * torch.tensor([bits / 8, 16.0])).sum()


def state_with(frozen=lambda bits: bits / 8, trained=16, end=lambda x: x):
    return lambda n_frozen, n_trained, bits: end(n_frozen * frozen(bits) + n_trained * trained)


ANSWERS["finetuning.memory.state"] = {
    RIGHT: [by_bits, by_parts, by_fraction, by_numpy, by_torch],
    WRONG: [
        state_with(end=lambda x: 8 * x),
        state_with(frozen=lambda bits: bits),
        state_with(trained=8),
        state_with(trained=12),
        state_with(trained=4),
        state_with(frozen=lambda bits: bits / 2),
        state_with(frozen=lambda bits: 2 * bits / 8),
        state_with(frozen=lambda bits: 0),
        state_with(frozen=lambda bits: 4),
        lambda n_frozen, n_trained, bits: (n_frozen + n_trained + 3 * n_trained) * bits / 8,
        lambda n_frozen, n_trained, bits: n_trained * bits / 8 + 16 * n_frozen,
        state_with(frozen=lambda bits: 16),
        state_with(end=lambda x: x / 2**30),
        state_with(end=lambda x: x / 1e6),
        state_with(frozen=lambda bits: bits / 8 + 8 / 64),
        state_with(trained=14),
        state_with(end=lambda x: x / 1e9),
    ],
}

# batch: room, state, T, n_layers, block, residual, again -> how many sequences


def by_if(room, state, T, n_layers, block, residual, again):
    if again:
        a_token = n_layers * residual + block
    else:
        a_token = n_layers * block
    if room <= state:
        return 0
    return (room - state) // (a_token * T)


def by_search(room, state, T, n_layers, block, residual, again):
    n = 0
    each = n_layers * residual + block if again else n_layers * block
    while state + (n + 1) * each * T <= room:
        n += 1
    return n


def by_floor(room, state, T, n_layers, block, residual, again):
    each = T * (n_layers * residual + block if again else n_layers * block)
    return max(0, math.floor(Fraction(room - state, each)))


def by_sum(room, state, T, n_layers, block, residual, again):
    layers = [residual if again else block] * n_layers
    each = sum(layers) + (block if again else 0)
    return max(0, int((room - state) / T / each))


def batch_with(
    token=lambda n, b, x, again: n * x + b if again else n * b,
    left=lambda room, state: room - state,
    end=lambda free, each: max(0, free // each),
    length=lambda T: T,
):
    def answer(room, state, T, n_layers, block, residual, again):
        return end(left(room, state), length(T) * token(n_layers, block, residual, again))

    return answer


ANSWERS["finetuning.memory.batch"] = {
    RIGHT: [by_if, by_search, by_floor, by_sum, batch_with()],
    WRONG: [
        batch_with(token=lambda n, b, x, again: n * b),
        batch_with(token=lambda n, b, x, again: n * x + b),
        batch_with(token=lambda n, b, x, again: n * x if again else n * b),
        batch_with(token=lambda n, b, x, again: n * (x + b) if again else n * b),
        batch_with(token=lambda n, b, x, again: n * x + b if again else n * (b + x)),
        batch_with(left=lambda room, state: room),
        batch_with(length=lambda T: 1),
        batch_with(end=lambda free, each: max(0, -(-free // each))),
        batch_with(end=lambda free, each: max(0, round(free / each))),
        batch_with(end=lambda free, each: max(0.0, free / each)),
        batch_with(end=lambda free, each: free // each),
        batch_with(end=lambda free, each: max(1, free // each)),
        batch_with(token=lambda n, b, x, again: x + b if again else b),
        batch_with(token=lambda n, b, x, again: n * b + x if again else n * x),
        batch_with(token=lambda n, b, x, again: n * b if again else n * x + b),
        batch_with(left=lambda room, state: room + state),
        batch_with(token=lambda n, b, x, again: 4 * (n * x + b if again else n * b)),
    ],
}
