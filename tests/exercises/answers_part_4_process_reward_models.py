"""Answers that readers might give to the chapter on process reward models: right in other styles, plausibly wrong."""

from itertools import accumulate, pairwise
from math import exp, log, log1p

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# marks: tokens of the question, pieces -> where each step ends


def by_index(n_prompt, pieces):
    found = []
    for i in range(len(pieces)):
        if pieces[i][1]:
            found.append(n_prompt + sum(len(ids) for ids, _ in pieces[: i + 1]) - 1)
    return found


def by_flags(n_prompt, pieces):
    flags = [False] * n_prompt
    for ids, is_step in pieces:
        flags += [False] * (len(ids) - 1) + [is_step]
    return [i for i, flag in enumerate(flags) if flag]


def by_accumulate(n_prompt, pieces):
    after = list(accumulate([n_prompt - 1, *(len(ids) for ids, _ in pieces)]))
    return [end for (_, end), (_, is_step) in zip(pairwise(after), pieces, strict=False) if is_step]


def by_last(n_prompt, pieces):
    last, found = n_prompt - 1, []
    for ids, is_step in pieces:
        last += len(ids)
        found += [last] * is_step
    return found


def with_start(pieces, start):
    return by_index(start, pieces)


ANSWERS["reasoning.process_reward_models.marks"] = {
    RIGHT: [by_index, by_flags, by_accumulate, by_last],
    WRONG: [
        lambda n_prompt, pieces: [m + 1 for m in by_index(n_prompt, pieces)],
        lambda n_prompt, pieces: [m - 1 for m in by_index(n_prompt, pieces)],
        lambda n_prompt, pieces: with_start(pieces, 0),
        lambda n_prompt, pieces: with_start(pieces, 1),
        lambda n_prompt, pieces: by_index(n_prompt, [(ids, True) for ids, _ in pieces]),
        lambda n_prompt, pieces: by_index(n_prompt, [(ids, not s) for ids, s in pieces]),
        lambda n_prompt, pieces: by_index(n_prompt, [(ids, s) for ids, s in pieces if s]),
        lambda n_prompt, pieces: [i for i, (_, s) in enumerate(pieces) if s],
        lambda n_prompt, pieces: [n_prompt + i for i, (_, s) in enumerate(pieces) if s],
        lambda n_prompt, pieces: by_index(n_prompt, pieces)[-1:],
        lambda n_prompt, pieces: by_index(n_prompt, pieces)[:1],
        lambda n_prompt, pieces: by_index(n_prompt, pieces)[:-1],
        lambda n_prompt, pieces: by_index(n_prompt, pieces)[::-1],
        lambda n_prompt, pieces: [
            m - len(p[0]) + 1 for m, p in zip(by_last(n_prompt, pieces), [p for p in pieces if p[1]], strict=False)
        ],
        lambda n_prompt, pieces: [ids[-1] for ids, s in pieces if s],
        lambda n_prompt, pieces: [len(ids) for ids, s in pieces if s],
        lambda n_prompt, pieces: [n_prompt + len(ids) - 1 for ids, s in pieces if s],
        lambda n_prompt, pieces: tuple(by_index(n_prompt, pieces)) if pieces else None,
        lambda n_prompt, pieces: [*by_index(n_prompt, pieces), n_prompt + sum(len(ids) for ids, _ in pieces) - 1],
    ],
}

# loss: logits, labels -> the mean over the steps up to the first error


def one(z, right):
    x = -z if right else z
    return x + log1p(exp(-x)) if x > 0 else log1p(exp(x))


def by_cutting(logits, labels):
    n = labels.index(False) + 1 if False in labels else len(labels)
    return sum(one(z, right) for z, right in zip(logits[:n], labels[:n], strict=False)) / n


def by_all(logits, labels):
    counted = [i for i in range(len(labels)) if all(labels[:i])]
    return sum(one(logits[i], labels[i]) for i in counted) / len(counted)


def by_torch(logits, labels):
    import torch

    n = next((i + 1 for i, right in enumerate(labels) if not right), len(labels))
    return float(
        torch.nn.functional.binary_cross_entropy_with_logits(
            torch.tensor(logits[:n], dtype=torch.double), torch.tensor(labels[:n], dtype=torch.double)
        )
    )


def by_while(logits, labels):
    i = total = 0
    while i < len(labels):
        total += max(0, logits[i]) - logits[i] * labels[i] + log1p(exp(-abs(logits[i])))
        i += 1
        if not labels[i - 1]:
            break
    return total / i


def cut(logits, labels, more=1):
    n = labels.index(False) + more if False in labels else len(labels)
    return [one(z, right) for z, right in zip(logits[:n], labels[:n], strict=False)]


def sigma(z):
    return 1 / (1 + exp(-z)) if z > -700 else 0.0


ANSWERS["reasoning.process_reward_models.loss"] = {
    RIGHT: [by_cutting, by_all, by_torch, by_while],
    WRONG: [
        lambda logits, labels: sum(map(one, logits, labels)) / len(labels),
        lambda logits, labels: sum(map(one, logits, labels)),
        lambda logits, labels: sum(cut(logits, labels)),
        lambda logits, labels: sum(cut(logits, labels)) / len(labels),
        lambda logits, labels: sum(cut(logits, labels, 0)) / max(1, len(cut(logits, labels, 0))),
        lambda logits, labels: by_cutting([-z for z in logits], labels),
        lambda logits, labels: -by_cutting(logits, labels),
        lambda logits, labels: by_cutting(logits, labels) / log(2),
        lambda logits, labels: cut(logits, labels)[-1],
        lambda logits, labels: cut(logits, labels)[0],
        lambda logits, labels: max(cut(logits, labels)),
        lambda logits, labels: (
            sum(one(z, True) for z, right in zip(logits, labels, strict=False) if right) / max(1, sum(labels))
        ),
        lambda logits, labels: sum(one(z, True) for z in logits[: len(cut(logits, labels))]) / len(cut(logits, labels)),
        lambda logits, labels: (
            sum(one(z, r and all(labels[:i])) for i, (z, r) in enumerate(zip(logits, labels, strict=False)))
            / len(labels)
        ),
        lambda logits, labels: sum(1 - exp(-x) for x in cut(logits, labels)) / len(cut(logits, labels)),
        lambda logits, labels: (
            sum(-log(sigma(z) if r else 1 - sigma(z)) for z, r in zip(logits, labels, strict=False)) / len(labels)
        ),
        lambda logits, labels: sum((sigma(z) - r) ** 2 for z, r in zip(logits, labels, strict=False)) / len(labels),
        lambda logits, labels: cut(logits, labels),
        lambda logits, labels: 0.0 if all(labels) else by_cutting(logits, labels),
    ],
}
