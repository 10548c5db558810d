"""Exercises on the example of part 1: counting the parameters, a slope by nudging, the floor without attention.

Practised in book/1-understanding-gradients/00_introduction.md; the module is insideout/gradients/config.py.
Standard library only.
"""

import math
import random
from collections.abc import Callable, Hashable, Sequence

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import away, described, distinct
from insideout.gradients import Config, count_parameters

Ids = list[int]
Function = Callable[[float], float]

# parameters: vocab_size, context_length, d_model, n_layers, d_ff -> how many numbers are learned


def count(vocab_size: int, context_length: int, d_model: int, n_layers: int, d_ff: int) -> int:
    return count_parameters(Config(vocab_size, context_length, d_model, n_layers, n_heads=1, d_ff=d_ff))


parameters = Exercise(
    "gradients.introduction.parameters", stars=2, minutes=10, reference=count,
    draw=lambda rng: distinct(rng, 5, 2, 60), tolerance=0, edges=[(5, 8, 12, 1, 48), (2, 1, 1, 1, 1)],
    section="Counting the numbers",
)  # fmt: skip
parameters.mistake(
    "Only one block is counted: everything in a block stands there n_layers times.",
    lambda v, t, c, n, f: count(v, t, c, 1, f),
)
parameters.mistake(
    "The positions are missing: each has a row of d_model numbers too.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - t * c,
)
parameters.mistake(
    "The LM head is missing. Here it is a matrix of its own, not the token embedding used again.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - c * v,
)
parameters.mistake("The LM head is given a bias: here it has none.", lambda v, t, c, n, f: count(v, t, c, n, f) + v)
parameters.mistake(
    "Attention has four matrices: the output projection is missing.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - n * c * c,
)
parameters.mistake(
    "Attention is given biases: here its four matrices have none.",
    lambda v, t, c, n, f: count(v, t, c, n, f) + n * 4 * c,
)
parameters.mistake(
    "The biases of the feed-forward network are missing: d_ff on the way up, d_model on the way down.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - n * (f + c),
)
parameters.mistake(
    "The feed-forward network is counted one way: there is a matrix up and a matrix down.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - n * c * f,
)
parameters.mistake(
    "The feed-forward network is taken to be 4 · d_model wide: its width is d_ff.",
    lambda v, t, c, n, f: count(v, t, c, n, 4 * c),
)
parameters.mistake(
    "The norm after the last block is missing: it too has a gain and a bias.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - 2 * c,
)
parameters.mistake(
    "Each block is given one norm: it has two, one before attention and one before the feed-forward network.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - 2 * n * c,
)
parameters.mistake(
    "The norms are missing: two in each block and one at the end, each with a gain and a bias.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - (4 * n + 2) * c,
)
parameters.mistake(
    "The norms have gains but no biases: both are learned.",
    lambda v, t, c, n, f: count(v, t, c, n, f) - (2 * n + 1) * c,
)
parameters.mistake(
    "All is multiplied by n_layers: the embeddings, the last norm and the LM head stand there once.",
    lambda v, t, c, n, f: n * count(v, t, c, 1, f),
)

# slope: f, x, h -> (f(x + h) − f(x − h)) / 2h


def draw_function(rng: random.Random) -> tuple[Function, float, float]:
    """A cubic with a slope, a bend and a twist at x, and a nudge large enough that they show."""
    a, b, c = away(rng, 3)
    x, h = away(rng, 1, 0.2, 1.5)[0], rng.uniform(0.1, 0.4)

    def cubic(at: float) -> float:
        d = at - x
        return 1.0 + a * d + b * d * d + c * d * d * d

    sign = "−" if x > 0 else "+"
    text = f"1 + {a:.2g} d + {b:.2g} d² + {c:.2g} d³, where d is its input {sign} {abs(x):.2g}"
    return described(cubic, text), x, h


def central(f: Function, x: float, h: float) -> float:
    return (f(x + h) - f(x - h)) / (2.0 * h)


slope = Exercise(
    "gradients.introduction.slope", stars=1, minutes=5, reference=central, draw=draw_function,
    edges=[(described(lambda x: x * x, "x²"), 3.0, 0.5), (described(abs, "|x|"), 0.0, 0.1)],
    section="What a gradient is",
)  # fmt: skip
slope.mistake("Divided by h: from x − h to x + h the input moved by 2h.", lambda f, x, h: (f(x + h) - f(x - h)) / h)
slope.mistake(
    "Only nudged up: the bend of the curve stays in. Take f(x + h) − f(x − h).", lambda f, x, h: (f(x + h) - f(x)) / h
)
slope.mistake(
    "Only nudged down: the bend of the curve stays in. Take f(x + h) − f(x − h).", lambda f, x, h: (f(x) - f(x - h)) / h
)
slope.mistake("The sign is wrong: a slope is positive where the function rises.", lambda f, x, h: -central(f, x, h))
slope.mistake(
    "The bracket is missing: a / 2 * h divides by 2 and multiplies by h. Write a / (2 * h).",
    lambda f, x, h: (f(x + h) - f(x - h)) / 2 * h,
)
slope.mistake(
    "The nudges are added up, not subtracted: a slope is a change.", lambda f, x, h: (f(x + h) + f(x - h)) / (2 * h)
)
slope.mistake("The change is not divided by the way: 2h.", lambda f, x, h: f(x + h) - f(x - h))
slope.mistake("The nudge is not h: use the given one.", lambda f, x, h: central(f, x, 1e-6))
slope.mistake("The nudge is twice the given one.", lambda f, x, h: central(f, x, 2 * h))
slope.mistake("The nudge is half the given one: f(x + h) and f(x − h).", lambda f, x, h: central(f, x, h / 2))
slope.mistake(
    "The bracket is missing: f(x + h) − f(x − h) / 2h divides the second value alone.",
    lambda f, x, h: f(x + h) - f(x - h) / (2 * h),
)
slope.mistake("One side is nudged, and divided by 2h: nudge both ways.", lambda f, x, h: (f(x + h) - f(x)) / (2 * h))
slope.mistake(
    "Both points lie above x: take one on either side, x + h and x − h.",
    lambda f, x, h: (f(x + 2 * h) - f(x)) / (2 * h),
)
slope.mistake(
    "The nudge is a share of x: it is h itself, added and subtracted.",
    lambda f, x, h: (f(x * (1 + h)) - f(x * (1 - h))) / (2 * h),
)
slope.mistake("This is the function's value: its slope is asked for.", lambda f, x, h: f(x))
slope.mistake("It is divided by 2x: the input moved by 2h.", lambda f, x, h: (f(x + h) - f(x - h)) / (2 * x))
slope.mistake(
    "This is the curvature, f(x + h) − 2 f(x) + f(x − h) over h².",
    lambda f, x, h: (f(x + h) - 2 * f(x) + f(x - h)) / (h * h),
)

# floor: sentences -> the lowest mean loss from word and position


def draw_sentences(rng: random.Random, N: int, T: int = 2) -> tuple[list[Ids]]:
    """N sentences of T words out of three, in which word, position and what follows are tangled."""
    return ([[rng.randrange(3) for _ in range(T)] for _ in range(N)],)


def answers(sentences: Sequence[Ids], seen: Callable[[Ids, int], Hashable]) -> list[Ids]:
    """For each thing that can be seen, the ids that came next."""
    found: dict[Hashable, Ids] = {}
    for ids in sentences:
        for t in range(len(ids) - 1):
            found.setdefault(seen(ids, t), []).append(ids[t + 1])
    return list(found.values())


def word_and_position(ids: Ids, t: int) -> Hashable:
    return t, ids[t]


def lowest(groups: list[Ids]) -> float:
    """The mean of −ln(share) over all answers."""
    losses = [-math.log(group.count(answer) / len(group)) for group in groups for answer in group]
    return sum(losses) / len(losses)


def lowest_loss(sentences: Sequence[Ids]) -> float:
    return lowest(answers(sentences, word_and_position))


def over_groups(sentences: Sequence[Ids], of_group: Callable[[Ids], float]) -> float:
    """The mean over groups that count once each."""
    groups = answers(sentences, word_and_position)
    return sum(map(of_group, groups)) / len(groups)


def over_answers(sentences: Sequence[Ids], of_group: Callable[[Ids], float]) -> float:
    """The mean over all answers."""
    groups = answers(sentences, word_and_position)
    return sum(len(group) * of_group(group) for group in groups) / sum(map(len, groups))


floor = Exercise(
    "gradients.introduction.floor", stars=3, minutes=15, reference=lowest_loss, draw=draw_sentences,
    edges=[([[0, 1, 2]],), ([[0, 1], [0, 2]],), ([[5, 5, 5, 7], [5, 5, 7, 7], [5, 5, 7, 5]],)],
    section="The same by counting",
)  # fmt: skip
floor.mistake(
    "The position is ignored: the same word at another position may be followed by something else.",
    lambda sentences: lowest(answers(sentences, lambda ids, t: ids[t])),
)
floor.mistake(
    "The word is ignored: the model sees which word stands at the position.",
    lambda sentences: lowest(answers(sentences, lambda ids, t: t)),
)
floor.mistake(
    "Word and position are both ignored: group the answers by the pair.",
    lambda sentences: lowest(answers(sentences, lambda ids, t: None)),
)
floor.mistake(
    "All words before are looked at: the model sees one word and its position.",
    lambda sentences: lowest(answers(sentences, lambda ids, t: tuple(ids[: t + 1]))),
)
floor.mistake(
    "The logarithm has base 2: that is the loss in bits, and nats are asked for.",
    lambda sentences: lowest_loss(sentences) / math.log(2.0),
)
floor.mistake(
    "The sign is wrong: ln of a share is negative, and the loss is −ln.", lambda sentences: -lowest_loss(sentences)
)
floor.mistake(
    "The sum is divided by the number of words: the last word of a sentence predicts nothing.",
    lambda sentences: lowest_loss(sentences) * (len(sentences[0]) - 1) / len(sentences[0]),
)
floor.mistake(
    "The losses are added up for each sentence: the mean over all predictions is asked for.",
    lambda sentences: lowest_loss(sentences) * (len(sentences[0]) - 1),
)
floor.mistake(
    "The losses are added up: the mean over all predictions is asked for.",
    lambda sentences: lowest_loss(sentences) * (len(sentences[0]) - 1) * len(sentences),
)
floor.mistake(
    "Each pair of word and position counts once: it must count as often as it occurs.",
    lambda sentences: over_groups(sentences, lambda group: lowest([group])),
)
floor.mistake(
    "Each answer of a pair counts as equally likely: use the share with which it comes up.",
    lambda sentences: over_answers(sentences, lambda group: math.log(len(set(group)))),
)
floor.mistake(
    "Each answer of a pair counts once: it must count as often as it comes up.",
    lambda sentences: over_answers(
        sentences, lambda group: sum(-math.log(group.count(w) / len(group)) for w in set(group)) / len(set(group))
    ),
)
floor.mistake(
    "Only the likeliest answer of each pair is counted: the others come up too, and cost more.",
    lambda sentences: over_answers(
        sentences, lambda group: -math.log(max(group.count(word) for word in group) / len(group))
    ),
)
floor.mistake(
    "The losses of the pairs are added up, each pair once: take the mean over all predictions.",
    lambda sentences: sum(lowest([group]) for group in answers(sentences, word_and_position)),
)
floor.mistake(
    "The logarithm of the mean share is taken: take the mean of the logarithms.",
    lambda sentences: (
        -math.log(over_answers(sentences, lambda group: sum(group.count(w) for w in group) / len(group) ** 2))
    ),
)
floor.mistake(
    "An answer costs the logarithm of the size of its group: it costs −ln of its share there.",
    lambda sentences: over_answers(sentences, lambda group: math.log(len(group))),
)
floor.mistake(
    "All answers of a pair count as equally likely, and each pair once.",
    lambda sentences: over_groups(sentences, lambda group: math.log(len(set(group)))),
)
floor.mistake(
    "This is ln of the number of words, the loss of a model that sees nothing.",
    lambda sentences: math.log(len({word for ids in sentences for word in ids})),
)
floor.mistake(
    "This is how unevenly the words are spread over all: look at what follows each pair of word and position.",
    lambda sentences: lowest([[word for ids in sentences for word in ids]]),
)
floor.mistake(
    "Pairs with one answer are left out of the mean: they cost nothing, and count.",
    lambda sentences: lowest([group for group in answers(sentences, word_and_position) if len(group) > 1] or [[0]]),
)
floor.mistake(
    "The price of an answer is taken as 1 − its share: it is −ln of the share.",
    lambda sentences: over_answers(
        sentences, lambda group: sum(1 - group.count(word) / len(group) for word in group) / len(group)
    ),
)
