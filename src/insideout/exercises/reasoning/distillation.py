"""Exercises on distillation: the softened loss of a student, and which traces are worth learning.

Practised in book/4-reasoning-with-transformers/11_distillation.md; the module is insideout/reasoning/distillation.py.
Shapes: B answers, T positions, V vocabulary.
"""

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor
from insideout.reasoning.distillation import forward_kl

# loss: student_logits, teacher_logits, mask, tau -> the mean over the answers' tokens of τ² KL(teacher ‖ student)


def draw_logits(rng: random.Random, B: int, T: int = 2, V: int = 3) -> tuple[Tensor, Tensor, Tensor, float]:
    """Logits of both, places of answers, and a temperature that is not 1."""
    mask = torch.tensor([[rng.random() < 0.6 for _ in range(T)] for _ in range(B)])
    mask[0, 0], mask[-1, -1] = True, False
    return tensor(rng, B, T, V), tensor(rng, B, T, V, deviation=2.0), mask, rng.choice([0.5, 2.0, 3.0])


def student_loss(student_logits: Tensor, teacher_logits: Tensor, mask: Tensor, tau: float) -> Tensor:
    return forward_kl(student_logits, teacher_logits, temperature=tau)[mask].mean()


def kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q)."""
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def soft(logits: Tensor, tau: float) -> Tensor:
    return (logits / tau).log_softmax(-1)


loss = Exercise(
    "reasoning.distillation.loss", stars=2, minutes=12, reference=student_loss, draw=draw_logits,
    section="What the teacher believes", tolerance=1e-6,
)  # fmt: skip
loss.mistake(
    "The divergence is the wrong way round: the teacher's probabilities weigh the difference.",
    lambda s, t, m, tau: tau**2 * kl(soft(s, tau), soft(t, tau))[m].mean(),
)
loss.mistake("τ² is missing.", lambda s, t, m, tau: kl(soft(t, tau), soft(s, tau))[m].mean())
loss.mistake(
    "It is multiplied by τ and not by τ².", lambda s, t, m, tau: tau * kl(soft(t, tau), soft(s, tau))[m].mean()
)
loss.mistake(
    "The temperature is not used in the distributions: divide the logits by it.",
    lambda s, t, m, tau: tau**2 * kl(soft(t, 1.0), soft(s, 1.0))[m].mean(),
)
loss.mistake("The temperature is not used at all.", lambda s, t, m, tau: kl(soft(t, 1.0), soft(s, 1.0))[m].mean())
loss.mistake(
    "Only the teacher is softened: both distributions are.",
    lambda s, t, m, tau: tau**2 * kl(soft(t, tau), soft(s, 1.0))[m].mean(),
)
loss.mistake(
    "Only the student is softened: both distributions are.",
    lambda s, t, m, tau: tau**2 * kl(soft(t, 1.0), soft(s, tau))[m].mean(),
)
loss.mistake(
    "Logits are multiplied by the temperature: divide by it.",
    lambda s, t, m, tau: tau**2 * kl(soft(t, 1 / tau), soft(s, 1 / tau))[m].mean(),
)
loss.mistake(
    "Probabilities are divided by the temperature: it divides logits.",
    lambda s, t, m, tau: tau**2 * kl(soft(t.softmax(-1), tau), soft(s.softmax(-1), tau))[m].mean(),
)
loss.mistake(
    "The mask is not used: prompts and padding are learned.",
    lambda s, t, m, tau: tau**2 * kl(soft(t, tau), soft(s, tau)).mean(),
)
loss.mistake(
    "It is a sum over the answers' tokens: take their mean.",
    lambda s, t, m, tau: tau**2 * kl(soft(t, tau), soft(s, tau))[m].sum(),
)
loss.mistake(
    "It is divided by the number of answers, as kl_div's batchmean does: divide by the tokens of the mask.",
    lambda s, t, m, tau: tau**2 * kl(soft(t, tau), soft(s, tau))[m].sum() / len(s),
)
loss.mistake(
    "What the mask leaves out is 0, and counts in the mean: divide by the tokens of the mask.",
    lambda s, t, m, tau: tau**2 * (kl(soft(t, tau), soft(s, tau)) * m).mean(),
)
loss.mistake("The mask is turned around.", lambda s, t, m, tau: tau**2 * kl(soft(t, tau), soft(s, tau))[~m].mean())
loss.mistake(
    "This is the cross-entropy: the teacher's own entropy is to be taken off.",
    lambda s, t, m, tau: -(tau**2) * (soft(t, tau).exp() * soft(s, tau)).sum(-1)[m].mean(),
)
loss.mistake(
    "The mean runs over the vocabulary too: KL is a sum over it.",
    lambda s, t, m, tau: tau**2 * kl(soft(t, tau), soft(s, tau))[m].mean() / s.shape[-1],
)
loss.mistake("The sign is wrong.", lambda s, t, m, tau: -student_loss(s, t, m, tau))

# keep: traces, longest, of_each -> indices of those to learn from

Traces = Sequence[tuple[int, str, bool, bool, int]]


def draw_traces(rng: random.Random) -> tuple[list[tuple[int, str, bool, bool, int]], int, int]:
    """Answers to a few questions, some of them said twice, some too long, cut off or wrong."""
    longest, found = rng.randint(4, 8), []
    for _ in range(rng.randint(14, 22)):
        words = rng.choice(["3+4=7", "4+3=7", "so 7", "7"])
        length = rng.choice([longest - 2, longest, longest + 1])
        found.append((rng.randint(0, 2), words, rng.random() < 0.75, rng.random() < 0.8, length))
    return found, longest, rng.randint(1, 3)


def chosen(
    traces: Traces, longest: int, of_each: int, *, right: bool = True, finished: bool = True, strictly: bool = False,
    limit: bool = True, once: bool = True, together: bool = False, spare: int = 0,
) -> list[int]:  # fmt: skip
    """The indices kept, by rules that may be left out."""
    kept: list[int] = []
    said: dict[object, list[str]] = {}
    for i, (question, answer, is_right, ended, length) in enumerate(traces):
        before = said.setdefault(None if together else question, [])
        long = length >= longest if strictly else length > longest
        if long or (right and not is_right) or (finished and not ended):
            continue
        if (once and answer in before) or (limit and len(before) >= of_each + spare):
            continue
        before.append(answer)
        kept.append(i)
    return kept


def counted_first(traces: Traces, longest: int, of_each: int) -> list[int]:
    """The first `of_each` answers to each question, and of them those that pass."""
    number: dict[int, int] = {}
    firsts = []
    for i, trace in enumerate(traces):
        number[trace[0]] = number.get(trace[0], 0) + 1
        if number[trace[0]] <= of_each:
            firsts.append(i)
    return [i for i in firsts if i in chosen(traces, longest, of_each)]


def dropped_count(traces: Traces, longest: int, of_each: int) -> list[int]:
    """What was dropped counts as said before."""
    seen: set[tuple[int, str]] = set()
    first = []
    for i, (question, answer, *_) in enumerate(traces):
        if (question, answer) not in seen:
            first.append(i)
        seen.add((question, answer))
    inner = chosen([traces[i] for i in first], longest, of_each)
    return [first[i] for i in inner]


keep = Exercise(
    "reasoning.distillation.keep", stars=2, minutes=12, reference=chosen, draw=draw_traces,
    edges=[([], 5, 1), ([(0, "7", True, True, 5), (0, "7", True, True, 5), (1, "7", True, True, 6)], 5, 2)],
    section="What is worth learning",
)  # fmt: skip
keep.mistake("Wrong answers are kept.", lambda t, n, k: chosen(t, n, k, right=False))
keep.mistake("Answers that were cut off are kept.", lambda t, n, k: chosen(t, n, k, finished=False))
keep.mistake(
    "An answer of exactly `longest` tokens is left out: it is short enough.",
    lambda t, n, k: chosen(t, n, k, strictly=True),
)
keep.mistake("Long answers are kept.", lambda t, n, k: chosen(t, 10**9, k))
keep.mistake("What was said before is kept again.", lambda t, n, k: chosen(t, n, k, once=False))
keep.mistake("More than `of_each` of a question are kept.", lambda t, n, k: chosen(t, n, k, limit=False))
keep.mistake("One too many of a question is kept.", lambda t, n, k: chosen(t, n, k, spare=1))
keep.mistake(
    "`of_each`, and what was said before, are of each question, not of all together.",
    lambda t, n, k: chosen(t, n, k, together=True),
)
keep.mistake(
    "The first answers to each question are taken, then filtered: what was dropped must not use up a place.",
    counted_first,
)
keep.mistake("An answer that was dropped counts as said before: only what was kept does.", dropped_count)
keep.mistake("Answers are given where indices are asked for.", lambda t, n, k: [t[i][1] for i in chosen(t, n, k)])
keep.mistake("Those to leave out are given.", lambda t, n, k: [i for i in range(len(t)) if i not in chosen(t, n, k)])
keep.mistake("Indices begin at 0.", lambda t, n, k: [i + 1 for i in chosen(t, n, k)])
