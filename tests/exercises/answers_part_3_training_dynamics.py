"""Answers that readers might give to chapter 12 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# explained_variance: returns, values, mask -> 1 - Var(R - V) / Var(R) over the mask


def plain(returns, values, mask):
    R, E = returns[mask], (returns - values)[mask]
    spread = ((R - R.mean()) ** 2).mean()
    return (1 - ((E - E.mean()) ** 2).mean() / spread).item() if spread > 0 else 0.0


def by_numpy(returns, values, mask):
    R, V = (x.numpy()[mask.numpy()] for x in (returns, values))
    return float(1 - np.var(R - V) / np.var(R)) if np.var(R) else 0.0


def by_loop(returns, values, mask):
    R, E = [], []
    for b in range(len(mask)):
        for t in range(mask.shape[1]):
            if mask[b, t]:
                R.append(float(returns[b, t]))
                E.append(float(returns[b, t] - values[b, t]))
    mean_r, mean_e = sum(R) / len(R), sum(E) / len(E)
    spread = sum((x - mean_r) ** 2 for x in R)
    return 1 - sum((x - mean_e) ** 2 for x in E) / spread if spread else 0.0


def by_weights(returns, values, mask):
    n = mask.sum()

    def centre(x):
        return (x - (x * mask).sum() / n) * mask

    spread = centre(returns).square().sum()
    return 0.0 if spread == 0 else 1 - float(centre(returns - values).square().sum() / spread)


def unbiased_both(returns, values, mask):
    R, V = returns[mask], values[mask]
    return torch.tensor(0.0) if R.std() == 0 else 1 - (R - V).var() / R.var()


def over(of):
    def answer(returns, values, mask):
        R, V = (x.numpy()[mask.numpy()] for x in (returns, values))
        return float(of(R, V)) if np.var(R) else 0.0

    return answer


ANSWERS["finetuning.training_dynamics.explained_variance"] = {
    RIGHT: [plain, by_numpy, by_loop, by_weights, unbiased_both],
    WRONG: [
        over(lambda R, V: 1 - ((R - V) ** 2).mean() / np.var(R)),
        lambda r, v, m: float(1 - (r - v).var() / r.var()),
        lambda r, v, m: float(1 - ((r - v) * m).var() / (r * m).var()),
        over(lambda R, V: np.var(R - V) / np.var(R)),
        over(lambda R, V: 1 - np.var(R - V) / np.var(V)),
        over(lambda R, V: np.var(V) / np.var(R)),
        over(lambda R, V: 1 - np.std(R - V) / np.std(R)),
        over(lambda R, V: np.corrcoef(R, V)[0, 1] ** 2),
        over(lambda R, V: np.corrcoef(R, V)[0, 1]),
        over(lambda R, V: max(0.0, 1 - np.var(R - V) / np.var(R))),
        over(lambda R, V: 1 - np.var(V - R) / np.var(V) if np.var(V) else 0.0),
        over(lambda R, V: 1 - np.var(R + V) / np.var(R)),
        over(lambda R, V: np.var(R) - np.var(R - V)),
        over(lambda R, V: 1 - np.var(R - V) / (R**2).mean()),
        over(lambda R, V: 1 - abs(R - V).mean() / abs(R - R.mean()).mean()),
        over(lambda R, V: 1 - np.var(R - V, ddof=1) / np.var(R)),
        lambda r, v, m: float(1 - (r - v)[m].var() / r[m].var()),
        over(lambda R, V: 1 - np.var(V) / np.var(R)),
    ],
}

# whiten: advantages, mask -> mean 0 and deviation 1 over the mask, 0 elsewhere


def into_zeros(advantages, mask):
    found = torch.zeros_like(advantages)
    found[mask] = (advantages[mask] - advantages[mask].mean()) / advantages[mask].std(unbiased=False)
    return found


def by_sums(advantages, mask):
    a = torch.where(mask, advantages, 0.0)
    n = mask.sum()
    mean = a.sum() / n
    deviation = (torch.where(mask, (a - mean) ** 2, 0.0).sum() / n) ** 0.5
    return torch.where(mask, (a - mean) / deviation, 0.0)


def filled(advantages, mask):
    inside = advantages.masked_fill(~mask, 0)
    mean = inside.sum() / mask.sum()
    centred = (inside - mean).masked_fill(~mask, 0)
    return centred / (centred.square().sum() / mask.sum()).sqrt()


def as_numpy(advantages, mask):
    a, m = advantages.numpy(), mask.numpy()
    found = np.zeros_like(a)
    found[m] = (a[m] - a[m].mean()) / a[m].std()
    return torch.from_numpy(found)


def standardised(of):
    def answer(advantages, mask):
        found = torch.zeros_like(advantages)
        found[mask] = of(advantages[mask])
        return found

    return answer


ANSWERS["finetuning.training_dynamics.whiten"] = {
    RIGHT: [into_zeros, by_sums, filled, as_numpy],
    WRONG: [
        lambda a, m: (a - a.mean()) / a.std(correction=0),
        lambda a, m: torch.where(m, (a - a.mean()) / a.std(correction=0), 0),
        lambda a, m: (a - a[m].mean()) / a[m].std(correction=0) * m,
        lambda a, m: (a - a[m].mean()) / a[m].std(correction=0),
        standardised(lambda x: x - x.mean()),
        standardised(lambda x: x / x.std(correction=0)),
        standardised(lambda x: (x - x.mean()) / x.var(correction=0)),
        standardised(lambda x: (x - x.mean()) / x.std()),
        lambda a, m: torch.stack([into_zeros(row, kept) for row, kept in zip(a, m, strict=True)]),
        standardised(lambda x: (x - x.median()) / x.std(correction=0)),
        standardised(lambda x: (x - x.mean()) / x.abs().mean()),
        standardised(lambda x: (x - x.mean()) / (x - x.mean()).abs().max()),
        standardised(lambda x: (x - x.mean()) / x.square().mean().sqrt()),
        standardised(lambda x: (x.mean() - x) / x.std(correction=0)),
        standardised(lambda x: (x - x.min()) / (x.max() - x.min())),
        lambda a, m: torch.where(m, into_zeros(torch.where(m, a, 0), torch.ones_like(m)), 0),
        standardised(lambda x: x / x.abs().sum()),
        lambda a, m: into_zeros(a, ~m),
    ],
}  # fmt: skip
