"""Answers that readers might give to the chapter on distillation: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogue, and then by another way. Used by test_answers.py.
"""

from collections import Counter, defaultdict

import numpy as np
import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# loss: student_logits, teacher_logits, mask, tau -> a number


def by_torch(s, t, m, tau):
    log_s, log_t = F.log_softmax(s / tau, -1), F.log_softmax(t / tau, -1)
    return F.kl_div(log_s, log_t, log_target=True, reduction="none").sum(-1)[m].mean() * tau * tau


def by_cross_entropy(s, t, m, tau):
    s, p = s[m] / tau, (t[m] / tau).softmax(-1)
    entropy = -(p * p.log()).sum(-1)
    return tau**2 * (F.cross_entropy(s, p, reduction="none") - entropy).mean()


def by_loops(s, t, m, tau):
    total, n = 0.0, 0
    for b in range(s.shape[0]):
        for i in range(s.shape[1]):
            if m[b, i]:
                p, q = torch.softmax(t[b, i] / tau, 0), torch.softmax(s[b, i] / tau, 0)
                total, n = total + sum(p[v] * torch.log(p[v] / q[v]) for v in range(len(p))), n + 1
    return tau**2 * total / n


def by_numpy(s, t, m, tau):
    s, t = s.numpy()[m.numpy()] / tau, t.numpy()[m.numpy()] / tau
    p, q = (np.exp(x - x.max(-1, keepdims=True)) for x in (t, s))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return torch.tensor(tau**2 * (p * np.log(p / q)).sum() / len(p))


def by_weights(s, t, m, tau):
    p, q = (t / tau).softmax(-1), (s / tau).softmax(-1)
    each = (p * (p / q).log()).sum(-1)
    return (tau**2 * each * m).sum() / m.sum()


def one(s, t, m, tau, a=1, b=1, power=2, turned=False):
    log_s, log_t = (s / tau**a).log_softmax(-1), (t / tau**b).log_softmax(-1)
    if turned:
        log_s, log_t = log_t, log_s
    return tau**power * F.kl_div(log_s, log_t, log_target=True, reduction="none").sum(-1)[m]


ANSWERS["reasoning.distillation.loss"] = {
    RIGHT: [by_torch, by_cross_entropy, by_loops, by_numpy, by_weights],
    WRONG: [
        lambda s, t, m, tau: one(s, t, m, tau, turned=True).mean(),
        lambda s, t, m, tau: one(s, t, m, tau, power=0).mean(),
        lambda s, t, m, tau: one(s, t, m, tau, power=1).mean(),
        lambda s, t, m, tau: one(s, t, m, tau, a=0, b=0).mean(),
        lambda s, t, m, tau: one(s, t, m, tau, a=0, b=0, power=0).mean(),
        lambda s, t, m, tau: one(s, t, m, tau, a=0).mean(),
        lambda s, t, m, tau: one(s, t, m, tau, b=0).mean(),
        lambda s, t, m, tau: one(s, t, m, tau, a=-1, b=-1).mean(),
        lambda s, t, m, tau: one(s, t, m, tau).sum(),
        lambda s, t, m, tau: one(s, t, m, tau).sum() / s.shape[0],
        lambda s, t, m, tau: one(s, t, m, tau).sum() / m.numel(),
        lambda s, t, m, tau: one(s, t, torch.ones_like(m), tau).mean(),
        lambda s, t, m, tau: one(s, t, m.logical_not(), tau).mean(),
        lambda s, t, m, tau: one(s, t, m, tau).mean() / t.size(-1),
        lambda s, t, m, tau: tau**2 * F.cross_entropy(s[m] / tau, (t[m] / tau).softmax(-1)),
        lambda s, t, m, tau: -by_torch(s, t, m, tau),
        lambda s, t, m, tau: (tau**2 * (s[m] - t[m]).square()).mean(),
        lambda s, t, m, tau: one(s, t, m, tau),
        lambda s, t, m, tau: one(s, t, m, tau, power=-2).mean(),
    ],
}  # fmt: skip

# keep: traces, longest, of_each -> indices


def by_counter(traces, longest, of_each):
    said, number, kept = set(), Counter(), []
    for i, (q, a, right, finished, length) in enumerate(traces):
        if not right or not finished or length > longest:
            continue
        if (q, a) in said or number[q] == of_each:
            continue
        said.add((q, a))
        number[q] += 1
        kept.append(i)
    return kept


def by_questions(traces, longest, of_each):
    kept = []
    for q in {trace[0] for trace in traces}:
        first = {}
        for i, (other, a, right, finished, length) in enumerate(traces):
            if other == q and right and finished and length <= longest:
                first.setdefault(a, i)
        kept += list(first.values())[:of_each]
    return sorted(kept)


def by_stages(traces, longest, of_each):
    good = [i for i, t in enumerate(traces) if all((t[2], t[3], t[4] <= longest))]
    fresh = [i for i in good if not any(traces[j][:2] == traces[i][:2] for j in good if j < i)]
    return [i for i in fresh if sum(traces[j][0] == traces[i][0] for j in fresh if j < i) < of_each]


def by_default(traces, longest, of_each):
    said = defaultdict(list)
    out = []
    for i, t in enumerate(traces):
        if t[2] and t[3] and t[4] < longest + 1 and t[1] not in said[t[0]] and len(said[t[0]]) + 1 <= of_each:
            said[t[0]].append(t[1])
            out += [i]
    return out


def changed(index, value):
    """The traces with one of their columns set."""
    return lambda traces: [(*t[:index], value, *t[index + 1 :]) for t in traces]


ANSWERS["reasoning.distillation.keep"] = {
    RIGHT: [by_counter, by_questions, by_stages, by_default],
    WRONG: [
        lambda t, n, k: by_counter(changed(2, True)(t), n, k),
        lambda t, n, k: by_counter(changed(3, True)(t), n, k),
        lambda t, n, k: by_counter(t, n - 1, k),
        lambda t, n, k: by_counter(t, 10**6, k),
        lambda t, n, k: by_counter([(q, f"{a} {i}", *rest) for i, (q, a, *rest) in enumerate(t)], n, k),
        lambda t, n, k: by_counter(t, n, 10**6),
        lambda t, n, k: by_counter(t, n, k + 1),
        lambda t, n, k: by_counter(changed(0, 0)(t), n, k),
        lambda t, n, k: [t[i] for i in by_counter(t, n, k)],
        lambda t, n, k: [t[i][1] for i in by_stages(t, n, k)],
        lambda t, n, k: [i + 1 for i in by_counter(t, n, k)],
        lambda t, n, k: sorted(set(range(len(t))) - set(by_counter(t, n, k))),
        lambda t, n, k: [i for i, each in enumerate(t) if each[2] and each[3] and each[4] <= n],
        lambda t, n, k: by_counter(t, n, k)[::-1],
        lambda t, n, k: len(by_counter(t, n, k)),
        lambda t, n, k: by_counter(t[::-1], n, k),
        lambda t, n, k: [i for i in by_counter(t, n, k) if i],
        lambda t, n, k: by_counter([(q, "", *rest) for q, _, *rest in t], n, k),
    ],
}  # fmt: skip
