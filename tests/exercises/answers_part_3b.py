"""Answers that readers might give to chapter 02 of part 3: right ones in other styles, and plausible wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import numpy as np
import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# render: turns, markers, stop -> ids, mask


def by_pairs(turns, markers, stop):
    pairs = []
    for role, words in turns:
        mine = role == "assistant"
        pairs += [(markers[role], 0)] + [(each, int(mine)) for each in words] + [(stop, 1)] * mine
    return [id for id, _ in pairs], [learn for _, learn in pairs]


def by_searching(turns, markers, stop):
    """The mask is looked for afterwards: safe only because a marker's id is never a word's."""
    ids = by_pairs(turns, markers, stop)[0]
    mask, speaks = [], False
    for id in ids:
        mask.append(int(speaks and id not in markers.values()))
        if id in markers.values():
            speaks = id == markers["assistant"]
    return ids, mask


def changed(change):
    """The right answer with its pairs (role, id, learn, what) changed."""

    def answer(turns, markers, stop):
        found = []
        for role, words in turns:
            mine = int(role == "assistant")
            found.append((role, markers[role], 0, "marker"))
            found += [(role, each, mine, "word") for each in words]
            found += [(role, stop, 1, "stop")] * mine
        found = change(found)
        return [each[1] for each in found], [each[2] for each in found]

    return answer


def stops_everywhere_learned(turns, markers, stop):
    ids, mask = [], []
    for role, words in turns:
        ids += [markers[role], *words, stop]
        mask += [0] + [role == "assistant"] * len(words) + [1]
    return ids, [int(each) for each in mask]


ANSWERS["finetuning.chat_formats.render"] = {
    RIGHT: [
        by_pairs,
        by_searching,
        changed(lambda found: found),
        lambda turns, markers, stop: [list(each) for each in by_pairs(turns, markers, stop)],
    ],
    WRONG: [
        changed(lambda found: [each for each in found if each[3] != "stop"]),
        changed(lambda found: [(r, i, learn * (what != "stop"), what) for r, i, learn, what in found]),
        changed(lambda found: [(r, i, int(r == "assistant"), what) for r, i, learn, what in found]),
        changed(lambda found: [(r, i, int(what != "marker"), what) for r, i, learn, what in found]),
        changed(lambda found: [(r, i, int(r != "system") * (what != "marker"), what) for r, i, learn, what in found]),
        changed(lambda found: [(r, i, 1, what) for r, i, learn, what in found]),
        changed(lambda found: [(r, i, 0, what) for r, i, learn, what in found]),
        changed(lambda found: [(r, i, 1 - learn, what) for r, i, learn, what in found]),
        changed(lambda found: [each for each in found if each[3] != "marker"]),
        changed(lambda found: [each for each in found if each[0] != "system"] + [found[-1]]),
        changed(lambda found: [(r, i, int(what == "stop"), what) for r, i, learn, what in found]),
        lambda turns, markers, stop: by_pairs(turns[-2:], markers, stop),
        lambda turns, markers, stop: by_pairs([*turns, ("user", [])], markers, stop),
        lambda turns, markers, stop: by_pairs(turns, markers, stop)[0],
        lambda turns, markers, stop: by_pairs(turns, markers, stop)[1],
        lambda turns, markers, stop: by_pairs(turns, markers, stop)[::-1],
        lambda turns, markers, stop: (
            by_pairs(turns, markers, stop)[0], [0, *by_pairs(turns, markers, stop)[1]][:-1]
        ),
        lambda turns, markers, stop: (
            by_pairs(turns, markers, stop)[0], [*by_pairs(turns, markers, stop)[1], 0][1:]
        ),
        stops_everywhere_learned,
    ],
}  # fmt: skip

# targets: ids, mask -> what each position says


def by_loops(ids, mask):
    found = torch.full(ids.shape, -100)
    for b in range(ids.shape[0]):
        for t in range(ids.shape[1] - 1):
            if mask[b, t + 1]:
                found[b, t] = ids[b, t + 1]
    return found


def label(ids, mask):
    return ids.masked_fill(~mask, -100)


ANSWERS["finetuning.chat_formats.targets"] = {
    RIGHT: [
        by_loops,
        lambda ids, mask: F.pad(label(ids, mask)[:, 1:], (0, 1), value=-100),
        lambda ids, mask: by_loops(ids, mask).numpy(),
        lambda ids, mask: torch.cat([label(ids, mask)[:, 1:], torch.full((len(ids), 1), -100)], 1),
        lambda ids, mask: by_loops(ids, mask).tolist(),
    ],
    WRONG: [
        label,
        lambda ids, mask: F.pad(ids[:, 1:], (0, 1), value=-100),
        lambda ids, mask: F.pad(ids[:, 1:], (0, 1), value=-100).masked_fill(~mask, -100),
        lambda ids, mask: F.pad(label(ids, mask)[:, :-1], (1, 0), value=-100),
        lambda ids, mask: label(ids, mask).roll(-1, dims=1),
        lambda ids, mask: label(ids, mask)[:, 1:],
        lambda ids, mask: F.pad(label(ids, mask)[:, 1:], (0, 1), value=0),
        lambda ids, mask: F.pad((ids * mask)[:, 1:], (0, 1)),
        lambda ids, mask: F.pad(ids.masked_fill(~mask, -1)[:, 1:], (0, 1), value=-1),
        lambda ids, mask: F.pad(label(ids, ~mask)[:, 1:], (0, 1), value=-100),
        lambda ids, mask: torch.full_like(ids, -100),
        lambda ids, mask: F.pad(mask[:, 1:].long(), (0, 1), value=-100),
        lambda ids, mask: label(ids, mask.roll(-1, dims=1)),
        lambda ids, mask: label(ids, F.pad(mask[:, 1:], (0, 1), value=False)),
        lambda ids, mask: F.pad(label(ids, mask)[:, 2:], (0, min(2, ids.shape[1])), value=-100),
        lambda ids, mask: F.pad(label(ids, mask)[:, 1:], (0, 1), value=100),
        lambda ids, mask: by_loops(ids, mask)[:, :-1],
        lambda ids, mask: by_loops(ids, mask)[0],
    ],
}

# means: losses, mask -> the mean over tokens, the mean over answers


def rows(losses, mask):
    return [row[kept] for row, kept in zip(losses, mask, strict=True)]


def weighted(losses, mask):
    weights = mask / mask.sum(1, keepdim=True) / len(mask)
    return (losses * mask).sum() / mask.sum(), (losses * weights).sum()


ANSWERS["finetuning.chat_formats.means"] = {
    RIGHT: [
        lambda losses, mask: (losses[mask].mean(), torch.stack([row.mean() for row in rows(losses, mask)]).mean()),
        weighted,
        lambda losses, mask: [float(x) for x in weighted(losses, mask)],
        lambda losses, mask: (
            np.mean(losses[mask].numpy()), np.mean([np.mean(row.numpy()) for row in rows(losses, mask)])
        ),
    ],
    WRONG: [
        lambda losses, mask: weighted(losses, mask)[::-1],
        lambda losses, mask: (losses[mask].mean(), losses[mask].mean()),
        lambda losses, mask: (losses.mean(), losses.mean(1).mean()),
        lambda losses, mask: ((losses * mask).mean(), (losses * mask).mean(1).mean()),
        lambda losses, mask: (losses[mask].mean(), (losses * mask).mean(1).mean()),
        lambda losses, mask: (losses[mask].mean(), sum(row.mean() for row in rows(losses, mask))),
        lambda losses, mask: (losses[mask].mean(), torch.stack([row.sum() for row in rows(losses, mask)]).mean()),
        lambda losses, mask: (losses[mask].sum(), torch.stack([row.sum() for row in rows(losses, mask)]).sum()),
        lambda losses, mask: losses[mask].mean(),
        lambda losses, mask: torch.stack([row.mean() for row in rows(losses, mask)]).mean(),
        lambda losses, mask: (losses[mask].sum() / len(losses), weighted(losses, mask)[1]),
        lambda losses, mask: weighted(losses, ~mask),
        lambda losses, mask: (weighted(losses, mask)[1],) * 2,
        lambda losses, mask: tuple(-x for x in weighted(losses, mask)),
        lambda losses, mask: (losses[mask].mean(), torch.stack([row.mean() for row in rows(losses, mask)])),
        lambda losses, mask: (losses[mask].median(), weighted(losses, mask)[1]),
        lambda losses, mask: (losses[mask].mean(), rows(losses, mask)[0].mean()),
    ],
}  # fmt: skip
