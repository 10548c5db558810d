"""Exercises on conversations as tokens: ids with their mask, the targets of a mask, two means of one loss.

Practised in book/3-fine-tuning-a-transformer/02_chat_formats.md; the modules are insideout/finetuning/chat.py and
insideout/data/batch.py. Shapes: B rows, T positions.
"""

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from insideout.data.batch import IGNORE
from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

Turns = Sequence[tuple[str, list[int]]]
Rendered = tuple[list[int], list[int]]

# render: turns, markers, stop -> ids, mask


def draw_turns(rng: random.Random) -> tuple[list[tuple[str, list[int]]], dict[str, int], int]:
    """Two or three questions and answers, now and then after a system's words; the ids of markers and stop."""
    *marked, stop = rng.sample(range(100, 110), 4)
    markers = dict(zip(("system", "user", "assistant"), marked, strict=True))
    roles = ["system"] * rng.randint(0, 1) + ["user", "assistant"] * rng.randint(2, 3)
    return [(role, rng.sample(range(100), rng.randint(1, 4))) for role in roles], markers, stop


def rendered(
    turns: Turns,
    markers: dict[str, int],
    stop: int,
    *,
    learned: Callable[[int, str], bool] = lambda i, role: role == "assistant",
    marker: bool = False,
    stop_learned: bool = True,
    stops: Sequence[str] = ("assistant",),
) -> Rendered:
    """The right answer, and by its switches the usual wrong ones."""
    ids: list[int] = []
    mask: list[int] = []
    for i, (role, words) in enumerate(turns):
        learn = int(learned(i, role))
        ids += [markers[role], *words]
        mask += [learn * marker] + [learn] * len(words)
        if role in stops:
            ids.append(stop)
            mask.append(learn * stop_learned)
    return ids, mask


def from_first_answer(turns: Turns, markers: dict[str, int], stop: int) -> Rendered:
    ids, mask = rendered(turns, markers, stop)
    first = mask.index(1)
    return ids, [int(i >= first) for i in range(len(ids))]


def one_late(turns: Turns, markers: dict[str, int], stop: int) -> Rendered:
    ids, mask = rendered(turns, markers, stop)
    return ids, [0, *mask[:-1]]


def one_early(turns: Turns, markers: dict[str, int], stop: int) -> Rendered:
    ids, mask = rendered(turns, markers, stop)
    return ids, [*mask[1:], 0]


render = Exercise(
    "finetuning.chat_formats.render", stars=1, minutes=10, reference=rendered, draw=draw_turns, tolerance=0,
    edges=[([("user", [7]), ("assistant", [7])], {"system": 100, "user": 101, "assistant": 102}, 103)],
    section="From segments to a mask",
)  # fmt: skip
render.mistake(
    "The stop is not learned: the model will never learn to end an answer.",
    lambda turns, markers, stop: rendered(turns, markers, stop, stop_learned=False),
)
render.mistake(
    "There is no stop behind the answers: nothing says where they end.",
    lambda turns, markers, stop: rendered(turns, markers, stop, stops=()),
)
render.mistake(
    "A stop stands behind the user's words too: here only an answer ends with it.",
    lambda turns, markers, stop: rendered(turns, markers, stop, stops=("user", "assistant")),
)
render.mistake(
    "A stop stands behind every turn: here only an answer ends with it.",
    lambda turns, markers, stop: rendered(turns, markers, stop, stops=("system", "user", "assistant")),
)
render.mistake(
    "The assistant's marker is learned: it is given to the model, which never has to say it.",
    lambda turns, markers, stop: rendered(turns, markers, stop, marker=True),
)
render.mistake(
    "Only the last answer is learned: each answer of the conversation teaches.",
    lambda turns, markers, stop: rendered(turns, markers, stop, learned=lambda i, role: i == len(turns) - 1),
)
render.mistake(
    "Only the first answer is learned: each answer of the conversation teaches.",
    lambda turns, markers, stop: rendered(
        turns, markers, stop, learned=lambda i, role: i == [role for role, _ in turns].index("assistant")
    ),
)
render.mistake(
    "Everything behind the first answer's beginning is learned: the user's next question among it.", from_first_answer
)
render.mistake(
    "The user's words are learned too: only the assistant's are.",
    lambda turns, markers, stop: rendered(turns, markers, stop, learned=lambda i, role: role != "system"),
)
render.mistake(
    "What everybody says is learned: only the assistant's words are.",
    lambda turns, markers, stop: rendered(turns, markers, stop, learned=lambda i, role: True),
)
render.mistake(
    "The mask is inverted: 1 stands for what is learned.",
    lambda turns, markers, stop: (
        rendered(turns, markers, stop)[0], [1 - learn for learn in rendered(turns, markers, stop)[1]]
    ),
)  # fmt: skip
render.mistake(
    "Every token is learned: the mask must leave out what others say, and the markers.",
    lambda turns, markers, stop: (
        rendered(turns, markers, stop)[0], [1] * len(rendered(turns, markers, stop)[0])
    ),
)  # fmt: skip
render.mistake("The mask lies one token too late: it belongs to the token itself.", one_late)
render.mistake("The mask lies one token too early: the shift comes later, with the targets.", one_early)
render.mistake(
    "Ids and mask have changed places: first the ids.",
    lambda turns, markers, stop: rendered(turns, markers, stop)[::-1],
)

# targets: ids, mask -> what each position says


def draw_masked(rng: random.Random, B: int, T: int = 2) -> tuple[Tensor, Tensor]:
    """Ids from 1 to 99, (B, T), and which of them are learned, (B, T)."""
    ids = torch.tensor([[rng.randint(1, 99) for _ in range(T)] for _ in range(B)])
    mask = torch.tensor([[rng.random() < 0.5 for _ in range(T)] for _ in range(B)])
    return ids, mask


def targets_of(ids: Tensor, mask: Tensor, fill: int = IGNORE) -> Tensor:
    targets = torch.full_like(ids, fill)
    targets[:, :-1] = ids[:, 1:].where(mask[:, 1:], fill)
    return targets


def rolled(ids: Tensor, mask: Tensor) -> Tensor:
    return ids.roll(-1, 1).where(mask.roll(-1, 1), IGNORE)


targets = Exercise(
    "finetuning.chat_formats.targets", stars=2, minutes=8, reference=targets_of, draw=draw_masked, tolerance=0,
    edges=[
        (torch.tensor([[5, 6, 7, 8]]), torch.tensor([[True, False, False, True]])),
        (torch.tensor([[5, 6, 7], [8, 9, 5]]), torch.ones(2, 3, dtype=torch.bool)),
    ],
    section="The shift by one",
)  # fmt: skip
targets.mistake(
    "There is no shift: position t would learn to say the token that it reads.",
    lambda ids, mask: ids.where(mask, IGNORE),
)
targets.mistake(
    "The ids are shifted and the mask is not: the mask belongs to the token that is said.",
    lambda ids, mask: targets_of(ids, torch.cat([torch.zeros_like(mask[:, :1]), mask[:, :-1]], 1)),
)
targets.mistake(
    "The mask is shifted and the ids are not: position t says the token after it.",
    lambda ids, mask: ids.where(torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], 1), IGNORE),
)
targets.mistake(
    "The shift goes the other way: position t would say the token before it.",
    lambda ids, mask: torch.cat([torch.full_like(ids[:, :1], IGNORE), ids[:, :-1].where(mask[:, :-1], IGNORE)], 1),
)
targets.mistake("The last position learns to say the first token of its row: nothing follows it.", rolled)
targets.mistake(
    "The targets are one shorter than the ids: the last position has none, and says so by −100.",
    lambda ids, mask: targets_of(ids, mask)[:, :-1],
)
targets.mistake(
    "What is not learned is 0, which is a token: the sign for it is −100.", lambda ids, mask: targets_of(ids, mask, 0)
)
targets.mistake(
    "What is not learned is −1: the sign that `cross_entropy` passes over is −100.",
    lambda ids, mask: targets_of(ids, mask, -1),
)
targets.mistake(
    "The mask is used the wrong way round: True is what is learned.", lambda ids, mask: targets_of(ids, ~mask)
)
targets.mistake(
    "The mask is not used: the prompt would be learned too.", lambda ids, mask: targets_of(ids, torch.ones_like(mask))
)
targets.mistake(
    "The shift is by two: position t says the token right after it.",
    lambda ids, mask: torch.cat(
        [ids[:, 2:].where(mask[:, 2:], IGNORE), torch.full_like(ids, IGNORE)], 1
    )[:, : ids.shape[1]],
)  # fmt: skip
targets.mistake(
    "The first target is cut off, so that the batch is one position short: keep a target for every position.",
    lambda ids, mask: ids[:, 1:].where(mask[:, 1:], IGNORE)[:, 1:],
)

# means: losses, mask -> the mean over tokens, the mean over answers


def draw_losses(rng: random.Random, B: int, T: int = 2) -> tuple[Tensor, Tensor]:
    """Each token's loss, (B, T), in nats, and which are learned: some of every row."""
    mask = torch.zeros(B, T, dtype=torch.bool)
    for row in range(B):
        start = rng.randrange(T)
        mask[row, start : start + rng.randint(1, T)] = True
    return tensor(rng, B, T).abs(), mask


def both_means(losses: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    kept = losses * mask
    return kept.sum() / mask.sum(), (kept.sum(1) / mask.sum(1)).mean()


means = Exercise(
    "finetuning.chat_formats.means", stars=2, minutes=10, reference=both_means, draw=draw_losses, tolerance=1e-5,
    edges=[
        (torch.tensor([[1.0, 1.0, 1.0, 1.0], [9.0, 5.0, 9.0, 9.0]], dtype=torch.float64),
         torch.tensor([[True, True, True, True], [False, True, False, False]])),
    ],
    section="Token mean and sequence mean",
)  # fmt: skip
means.mistake(
    "The two have changed places: the mean over all tokens comes first.",
    lambda losses, mask: both_means(losses, mask)[::-1],
)
means.mistake(
    "The mask is not used: the prompt is in both means.",
    lambda losses, mask: both_means(losses, torch.ones_like(mask)),
)
means.mistake(
    "The sums are right, and are divided by all positions: only the learned ones count.",
    lambda losses, mask: ((losses * mask).mean(), (losses * mask).mean(1).mean()),
)
means.mistake(
    "Both are the mean over tokens: in the second, each answer counts once.",
    lambda losses, mask: (both_means(losses, mask)[0],) * 2,
)
means.mistake(
    "Both are the mean over answers: in the first, each token counts once.",
    lambda losses, mask: (both_means(losses, mask)[1],) * 2,
)
means.mistake(
    "The second is the sum of each answer's mean: divide it by the number of answers.",
    lambda losses, mask: (both_means(losses, mask)[0], both_means(losses, mask)[1] * len(losses)),
)
means.mistake(
    "The second is the mean of each answer's sum: a long answer counts more than a short one.",
    lambda losses, mask: (both_means(losses, mask)[0], (losses * mask).sum(1).mean()),
)
means.mistake(
    "These are sums: divide by how many are learned.",
    lambda losses, mask: ((losses * mask).sum(), (losses * mask).sum(1).sum()),
)
means.mistake(
    "The first sum is divided by the number of answers: it is a mean over tokens.",
    lambda losses, mask: ((losses * mask).sum() / len(losses), both_means(losses, mask)[1]),
)
means.mistake(
    "The second is the mean over columns: each row is one answer.",
    lambda losses, mask: (
        both_means(losses, mask)[0], ((losses * mask).sum(0) / mask.sum(0).clamp(min=1)).mean()
    ),
)  # fmt: skip
means.mistake(
    "The second is divided by the length of the whole row, prompt and all.",
    lambda losses, mask: (both_means(losses, mask)[0], (losses * mask).mean(1).mean()),
)
means.mistake("The mask is inverted: True is what is learned.", lambda losses, mask: both_means(losses, ~mask))
means.mistake("Only the mean over tokens is returned.", lambda losses, mask: both_means(losses, mask)[0])
means.mistake("Only the mean over answers is returned.", lambda losses, mask: both_means(losses, mask)[1])
