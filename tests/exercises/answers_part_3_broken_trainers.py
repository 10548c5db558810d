"""Answers that readers might give to chapter 20 of part 3: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import math

import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# learned_stops


def learned_stops_right_1(targets, segments, stop):
    last = {}
    for row, where in zip(targets.tolist(), segments.tolist(), strict=False):
        for target, number in zip(row, where, strict=False):
            if number >= 0:
                last.setdefault(number, None)
                if target != -100:
                    last[number] = target
    return sum(each == stop for each in last.values()) / len(last)


def learned_stops_right_2(targets, segments, stop):
    found = []
    for n in sorted(set(segments.flatten().tolist()) - {-1}):
        t = targets[segments == n]
        t = t[t >= 0]
        found.append(t.numel() > 0 and t[-1].item() == stop)
    return sum(found) / len(found)


def learned_stops_right_3(targets, segments, stop):
    n = int(segments.max()) + 1
    flat, where = targets.flatten(), segments.flatten()
    place = torch.arange(len(flat))
    good = 0
    for number in range(n):
        at = place[(where == number) & (flat != -100)]
        if at.numel():
            good += int(flat[at.max()] == stop)
    return good / n


def learned_stops_right_4(targets, segments, stop):
    documents = {}
    for i in range(targets.shape[0]):
        for j in range(targets.shape[1]):
            n = int(segments[i, j])
            if n != -1:
                documents.setdefault(n, []).append(int(targets[i, j]))
    ok = 0
    for words in documents.values():
        words = [w for w in words if w != -100]
        ok += words[-1:] == [stop]
    return ok / len(documents)


def learned_stops_wrong_1(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist() if n >= 0]
    return sum(stop in x for x in d) / len(d)


def learned_stops_wrong_2(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist() if n >= 0]
    d = [x for x in d if x]
    return sum(x[-1] == stop for x in d) / len(d)


def learned_stops_wrong_3(t, s, stop):
    d = [r[r != -100].tolist() for r in t]
    return sum(x[-1:] == [stop] for x in d) / len(d)


def learned_stops_wrong_4(t, s, stop):
    d = [t[s == n].tolist() for n in s.unique().tolist() if n >= 0]
    return sum(x[-1] == stop for x in d) / len(d)


def learned_stops_wrong_5(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist()]
    return sum(x[-1:] == [stop] for x in d) / len(d)


def learned_stops_wrong_6(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist() if n >= 0]
    return sum(x[-1:] == [stop] for x in d)


def learned_stops_wrong_7(t, s, stop):
    return float((t == stop).sum()) / max(1, int((t != -100).sum()))


def learned_stops_wrong_8(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist() if n >= 0]
    return sum(x[-1:] == [stop] for x in d) / len(t)


def learned_stops_wrong_9(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist() if n >= 0]
    return sum(x[-1:] != [stop] for x in d) / len(d)


def learned_stops_wrong_10(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist() if n >= 0]
    return sum(x[:1] == [stop] for x in d) / len(d)


def learned_stops_wrong_11(t, s, stop):
    return int((t == stop).sum()) / (int(s.max()) + 1)


def learned_stops_wrong_12(t, s, stop):
    return 1.0


def learned_stops_wrong_13(t, s, stop):
    return None


def learned_stops_wrong_14(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist() if n >= 0]
    return [x[-1:] == [stop] for x in d]


def learned_stops_wrong_15(t, s, stop):
    d = [t[(s == n) & (t != -100)].tolist() for n in s.unique().tolist() if n > 0]
    return sum(x[-1:] == [stop] for x in d) / max(1, len(d))


ANSWERS["finetuning.broken_trainers.learned_stops"] = {
    RIGHT: [learned_stops_right_1, learned_stops_right_2, learned_stops_right_3, learned_stops_right_4],
    WRONG: [
        learned_stops_wrong_1,
        learned_stops_wrong_2,
        learned_stops_wrong_3,
        learned_stops_wrong_4,
        learned_stops_wrong_5,
        learned_stops_wrong_6,
        learned_stops_wrong_7,
        learned_stops_wrong_8,
        learned_stops_wrong_9,
        learned_stops_wrong_10,
        learned_stops_wrong_11,
        learned_stops_wrong_12,
        learned_stops_wrong_13,
        learned_stops_wrong_14,
        learned_stops_wrong_15,
    ],
}

# first_ratio


def first_ratio_right_1(logprobs, old_logprobs, mask):
    worst = 0.0
    for a, b, m in zip(
        logprobs.flatten().tolist(), old_logprobs.flatten().tolist(), mask.flatten().tolist(), strict=False
    ):
        if m:
            worst = max(worst, abs(math.expm1(a - b)))
    return worst


def first_ratio_right_2(logprobs, old_logprobs, mask):
    difference = torch.where(mask, logprobs, 0) - torch.where(mask, old_logprobs, 0)
    return (difference.exp() - 1).abs().max()


def first_ratio_right_3(logprobs, old_logprobs, mask):
    if not mask.any():
        return 0.0
    ratio = (logprobs[mask] - old_logprobs[mask]).exp()
    return max(float(ratio.max()) - 1, 1 - float(ratio.min()))


def first_ratio_right_4(logprobs, old_logprobs, mask):
    a, b = logprobs.masked_fill(~mask, 0.0), old_logprobs.masked_fill(~mask, 0.0)
    return torch.expm1(a - b).abs().amax().item()


def first_ratio_wrong_1(a, b, m):
    d = a[m] - b[m]
    return float(torch.expm1(d).max()) if len(d) else 0.0


def first_ratio_wrong_2(a, b, m):
    d = a[m] - b[m]
    return float(d.abs().max()) if len(d) else 0.0


def first_ratio_wrong_3(a, b, m):
    d = a[m] - b[m]
    return float(d.exp().max()) if len(d) else 1.0


def first_ratio_wrong_4(a, b, m):
    d = b[m] - a[m]
    return float(torch.expm1(d).abs().max()) if len(d) else 0.0


def first_ratio_wrong_5(a, b, m):
    d = a[m] - b[m]
    return float(torch.expm1(d).abs().mean()) if len(d) else 0.0


def first_ratio_wrong_6(a, b, m):
    d = a[m] - b[m]
    return abs(float(d.exp().mean()) - 1) if len(d) else 0.0


def first_ratio_wrong_7(a, b, m):
    d = (torch.where(m, a, 0) - torch.where(m, b, 0)).sum(-1)
    return float(torch.expm1(d).abs().max())


def first_ratio_wrong_8(a, b, m):
    return float((torch.expm1(a - b).abs() * m).max())


def first_ratio_wrong_9(a, b, m):
    d = a[~m] - b[~m]
    return float(torch.expm1(d).abs().max()) if len(d) else 0.0


def first_ratio_wrong_10(a, b, m):
    d = a[m] - b[m]
    return float((1 - d.exp()).max()) if len(d) else 0.0


def first_ratio_wrong_11(a, b, m):
    d = a[m] - b[m]
    return float(torch.expm1(d).abs().min()) if len(d) else 0.0


def first_ratio_wrong_12(a, b, m):
    d = a[m].exp() - b[m].exp()
    return float(d.abs().max()) if len(d) else 0.0


def first_ratio_wrong_13(a, b, m):
    return 0.0


def first_ratio_wrong_14(a, b, m):
    return torch.expm1(a[m] - b[m]).abs()


def first_ratio_wrong_15(a, b, m):
    return float(torch.expm1(a[m] - b[m]).abs().sum())


ANSWERS["finetuning.broken_trainers.first_ratio"] = {
    RIGHT: [first_ratio_right_1, first_ratio_right_2, first_ratio_right_3, first_ratio_right_4],
    WRONG: [
        first_ratio_wrong_1,
        first_ratio_wrong_2,
        first_ratio_wrong_3,
        first_ratio_wrong_4,
        first_ratio_wrong_5,
        first_ratio_wrong_6,
        first_ratio_wrong_7,
        first_ratio_wrong_8,
        first_ratio_wrong_9,
        first_ratio_wrong_10,
        first_ratio_wrong_11,
        first_ratio_wrong_12,
        first_ratio_wrong_13,
        first_ratio_wrong_14,
        first_ratio_wrong_15,
    ],
}
