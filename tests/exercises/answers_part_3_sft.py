"""Answers that readers might give to chapter 04 of part 3: right ones in other styles, and plausible wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import numpy as np
import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# loss: logits, ids, weights -> a number


def surprise(logits, ids):
    """Of each token that is said, (B, T - 1)."""
    flat = F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1), reduction="none")
    return flat.view(len(ids), -1)


def by_loops(logits, ids, weights):
    total = count = 0.0
    for b in range(len(ids)):
        for t in range(ids.shape[1] - 1):
            p = torch.exp(logits[b, t] - logits[b, t].max())
            total -= weights[b, t + 1] * torch.log(p[ids[b, t + 1]] / p.sum())
            count += weights[b, t + 1]
    return total / count


def by_rows(logits, ids, weights):
    w = weights[:, 1:]
    return torch.stack([(a * b).sum() / b.sum() for a, b in zip(surprise(logits, ids), w, strict=True)]).mean()


def padded(logits, ids, weights):
    """Rolled, with nothing learned at the end."""
    w = F.pad(weights[:, 1:], (0, 1))
    said = logits.log_softmax(-1).gather(-1, ids.roll(-1, 1)[..., None])[..., 0]
    return -(w * said).sum() / w.sum()


def cross(logits, ids, weights):
    """Nothing shifted."""
    said = F.cross_entropy(logits.flatten(0, 1), ids.flatten(), reduction="none").view_as(weights)
    return (said * weights).sum() / weights.sum()


ANSWERS["finetuning.supervised_fine_tuning.loss"] = {
    RIGHT: [
        by_loops,
        padded,
        lambda logits, ids, weights: (surprise(logits, ids) * weights[:, 1:]).sum() / weights[:, 1:].sum(),
        lambda logits, ids, weights: float(by_loops(logits, ids, weights)),
        lambda logits, ids, weights: np.average(surprise(logits, ids).numpy(), weights=weights[:, 1:].numpy()),
    ],
    WRONG: [
        cross,
        by_rows,
        lambda logits, ids, weights: surprise(logits, ids).mean(),
        lambda logits, ids, weights: surprise(logits, ids)[weights[:, 1:] > 0].mean(),
        lambda logits, ids, weights: surprise(logits, ids)[weights[:, 1:] == 1].mean(),
        lambda logits, ids, weights: (surprise(logits, ids) * weights[:, 1:]).mean(),
        lambda logits, ids, weights: (surprise(logits, ids) * weights[:, 1:]).sum(),
        lambda logits, ids, weights: (surprise(logits, ids) * weights[:, 1:]).sum() / len(ids),
        lambda logits, ids, weights: (surprise(logits, ids) * weights[:, 1:]).sum() / weights.sum(),
        lambda logits, ids, weights: (surprise(logits, ids) * weights[:, :-1]).sum() / weights[:, :-1].sum(),
        lambda logits, ids, weights: (surprise(logits, ids) * weights[:, 1:]).sum() / (weights[:, 1:] > 0).sum(),
        lambda logits, ids, weights: (surprise(logits, ids) * weights[:, 1:]).sum() / weights[:, :-1].sum(),
        lambda logits, ids, weights: -by_loops(logits, ids, weights),
        lambda logits, ids, weights: by_loops(logits, ids, weights) / np.log(2),
        lambda logits, ids, weights: by_loops(logits, ids, weights).exp(),
        lambda logits, ids, weights: by_loops(logits.softmax(-1), ids, weights),
        lambda logits, ids, weights: by_loops(logits, ids, weights**2),
        lambda logits, ids, weights: cross(logits[:, :-1], ids[:, 1:], weights[:, :-1]),
        lambda logits, ids, weights: cross(logits[:, 1:], ids[:, :-1], weights[:, :-1]),
        lambda logits, ids, weights: padded(logits.log_softmax(1), ids, weights),
        lambda logits, ids, weights: padded(logits, ids, weights)[None],
    ],
}

# gradient: logits, targets -> (T, V)


def by_autograd(logits, targets):
    x = logits.clone().requires_grad_()
    with torch.enable_grad():
        F.cross_entropy(x, targets, ignore_index=-100).backward()
    return x.grad


def by_positions(logits, targets):
    found = torch.zeros_like(logits)
    n = sum(int(t) != -100 for t in targets)
    for t, target in enumerate(targets.tolist()):
        if target != -100:
            found[t] = torch.softmax(logits[t], 0) / n
            found[t, target] -= 1 / n
    return found


def summed(logits, targets):
    return by_positions(logits, targets) * (targets != -100).sum()


def hot(logits, targets):
    return F.one_hot(targets.clamp(min=0), logits.shape[-1]).to(logits.dtype)


ANSWERS["finetuning.supervised_fine_tuning.gradient"] = {
    RIGHT: [
        by_autograd,
        by_positions,
        lambda logits, targets: (
            (logits.softmax(-1) - hot(logits, targets)) * (targets != -100)[:, None] / (targets != -100).sum()
        ),
        lambda logits, targets: by_positions(logits, targets).tolist(),
        lambda logits, targets: by_positions(logits, targets).numpy(),
    ],
    WRONG: [
        summed,
        lambda logits, targets: summed(logits, targets) / len(targets),
        lambda logits, targets: (logits.softmax(-1) - hot(logits, targets)) / len(targets),
        lambda logits, targets: (logits.softmax(-1) - hot(logits, targets)) / (targets != -100).sum(),
        lambda logits, targets: -by_positions(logits, targets),
        lambda logits, targets: -summed(logits, targets),
        lambda logits, targets: by_positions(logits, targets) * hot(logits, targets),
        lambda logits, targets: logits.softmax(-1) * (targets != -100)[:, None] / (targets != -100).sum(),
        lambda logits, targets: (
            (logits - hot(logits, targets)) * (targets != -100)[:, None] / (targets != -100).sum()
        ),
        lambda logits, targets: (
            (logits.softmax(0) - hot(logits, targets)) * (targets != -100)[:, None] / (targets != -100).sum()
        ),
        lambda logits, targets: (
            (logits.softmax(-1) + hot(logits, targets)) * (targets != -100)[:, None] / (targets != -100).sum()
        ),
        lambda logits, targets: by_positions(logits, targets)[targets != -100],
        lambda logits, targets: by_positions(logits, torch.cat([targets[1:], torch.tensor([-100])])),
        lambda logits, targets: by_positions(logits, targets.where(targets != -100, 0)),
        lambda logits, targets: by_positions(logits, targets).T,
        lambda logits, targets: by_positions(logits, targets).sum(0),
        lambda logits, targets: by_positions(logits, targets).abs(),
        lambda logits, targets: by_positions(logits, targets) * logits.softmax(-1),
        lambda logits, targets: torch.zeros_like(logits),
    ],
}  # fmt: skip
