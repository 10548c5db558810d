"""The learning rate of each step: a straight climb, then a cosine or a straight line down.

    climb   lr(s) = lr · (s + 1) / warmup                          for s < warmup
    fall    lr(s) = min_lr + (lr - min_lr) · shape(p)              p goes from 0 to 1 over the other steps
            shape(p) = (1 + cos πp) / 2   or   1 - p

Taught in book/2-building-a-transformer/07_training.md and book/3-fine-tuning-a-transformer/18_hyperparameters.md.
Sources: warm-up, Goyal et al. 2017, §2.2; cosine, Loshchilov and Hutter 2017, §3.
"""

import math

from insideout.training.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """Learning rate of update number `step`, counted from 0. The last one, steps - 1, has exactly min_lr."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    # With no warm-up the first step has p = 0; after a warm-up, whose last step had lr, the fall begins at once.
    top = max(config.warmup_steps - 1, 0)
    progress = min((step - top) / max(config.steps - 1 - top, 1), 1.0)
    shape = (1 + math.cos(math.pi * progress)) / 2 if config.decay == "cosine" else 1 - progress
    return config.min_lr + (config.lr - config.min_lr) * shape
