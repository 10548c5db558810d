"""Exercises on training: the mean of gradients, the least loss without attention, and writing word by word.

Practised in book/1-understanding-gradients/11_closing_the_loop.md; the module is insideout/gradients/model.py.
Standard library only.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import combinations, pairwise
from math import log

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix

Gradients = dict[str, Matrix]
LogitsOf = Callable[[Sequence[int]], Matrix]


# mean: a list of dicts of matrices -> their mean


def draw_many(rng: random.Random) -> tuple[list[Gradients]]:
    """The gradients of three sentences, two parameters each."""
    shapes = {"attention.query": (2, 3), "lm_head": (3, 4)}
    return (
        [
            {name: [[rng.gauss(0.0, 1.0) for _ in range(n)] for _ in range(m)] for name, (m, n) in shapes.items()}
            for _ in range(3)
        ],
    )


def weighted(many: list[Gradients], weights: Sequence[float]) -> Gradients:
    """Σ weight · gradients."""
    return {
        name: [
            [sum(w * x for w, x in zip(weights, numbers, strict=True)) for numbers in zip(*rows, strict=True)]
            for rows in zip(*(gradients[name] for gradients in many), strict=True)
        ]
        for name in many[0]
    }


def mean_gradients(many: list[Gradients]) -> Gradients:
    return weighted(many, [1.0 / len(many)] * len(many))


# bound: sentences -> the least mean loss from word and place alone


def bound_by(key: Callable[[int, int], Hashable]) -> Callable[[list[list[int]]], float]:
    """The least loss of a model that sees only `key(place, word)`."""

    def bound(sentences: list[list[int]]) -> float:
        groups: defaultdict[Hashable, list[int]] = defaultdict(list)
        for ids in sentences:
            for place, (word, following) in enumerate(pairwise(ids)):
                groups[key(place, word)].append(following)
        costs = [-log(group.count(word) / len(group)) for group in groups.values() for word in group]
        return sum(costs) / len(costs)

    return bound


smallest_loss = bound_by(lambda place, word: (place, word))
by_word = bound_by(lambda place, word: word)
by_place = bound_by(lambda place, word: place)


def over_all_places(sentences: list[list[int]]) -> float:
    length = len(sentences[0])
    return smallest_loss(sentences) * (length - 1) / length


def in_bits(sentences: list[list[int]]) -> float:
    return smallest_loss(sentences) / log(2.0)


def equally_likely(sentences: list[list[int]]) -> float:
    """Each next word that occurs in a group counts as equally likely, however often it occurs."""
    groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for ids in sentences:
        for place in range(len(ids) - 1):
            groups[place, ids[place]].append(ids[place + 1])
    costs = [log(len(set(group))) for group in groups.values() for _ in group]
    return sum(costs) / len(costs)


def draw_sentences(rng: random.Random) -> tuple[list[list[int]]]:
    """Five sentences of six words in which every catalogued mistake gives another number."""
    answers = (smallest_loss, by_word, by_place, over_all_places, in_bits, equally_likely)
    while True:
        sentences = [[rng.randrange(3) for _ in range(6)] for _ in range(5)]
        values = [answer(sentences) for answer in answers]
        if all(abs(a - b) > 1e-3 for a, b in combinations(values, 2)):
            return (sentences,)


# generate: logits_of, ids, n_tokens -> all ids


def write_on(logits_of: LogitsOf, ids: list[int], n_tokens: int) -> list[int]:
    result = list(ids)
    for _ in range(n_tokens):
        result.append(likeliest(logits_of(result)[-1]))
    return result


def likeliest(logits: Sequence[float]) -> int:
    return max(range(len(logits)), key=logits.__getitem__)


def from_the_first_row(logits_of: LogitsOf, ids: list[int], n_tokens: int) -> list[int]:
    return write_on(lambda context: logits_of(context)[:1], ids, n_tokens)


def prompt_only(logits_of: LogitsOf, ids: list[int], n_tokens: int) -> list[int]:
    return [*ids, *[likeliest(logits_of(ids)[-1])] * n_tokens]


def newest_only(logits_of: LogitsOf, ids: list[int], n_tokens: int) -> list[int]:
    return write_on(lambda context: logits_of(context[-1:]), ids, n_tokens)


def new_tokens_only(logits_of: LogitsOf, ids: list[int], n_tokens: int) -> list[int]:
    return write_on(logits_of, ids, n_tokens)[len(ids) :]


def one_short(logits_of: LogitsOf, ids: list[int], n_tokens: int) -> list[int]:
    return write_on(logits_of, ids, n_tokens - 1)


def draw_model(rng: random.Random) -> tuple[LogitsOf, list[int], int]:
    """A small made-up model, a prompt and a length, such that every catalogued mistake writes something else."""
    answers = (write_on, from_the_first_row, prompt_only, newest_only, new_tokens_only, one_short)
    while True:
        logits_of, ids, n_tokens = made_up_model(rng), [rng.randrange(5) for _ in range(3)], 6
        if all(a != b for a, b in combinations([answer(logits_of, ids, n_tokens) for answer in answers], 2)):
            return logits_of, ids, n_tokens


def made_up_model(rng: random.Random) -> LogitsOf:
    """Row t adds up a row of numbers for each token so far, older ones counting less."""
    table = [[rng.gauss(0.0, 1.0) for _ in range(5)] for _ in range(5)]

    def logits_of(ids: Sequence[int]) -> Matrix:
        logits, row = [], [0.0] * 5
        for token in ids:
            row = [0.7 * old + new for old, new in zip(row, table[token], strict=True)]
            logits.append(row)
        return logits

    return logits_of


exercises: list[Exercise] = [
    Exercise(
        id="gradients.closing_the_loop.mean",
        difficulty=1,
        minutes=6,
        reference=mean_gradients,
        draw=draw_many,
        tolerance=1e-9,
        hints=[
            "The gradient of a mean is the mean of the gradients: add up all sentences, then divide once.",
            "zip(*(gradients[name] for gradients in many)) walks through the same row of every sentence.",
        ],
        mistakes=[
            Mistake(
                "This is the sum of the gradients: the loss is a mean, so divide by the number of sentences.",
                lambda many: weighted(many, [1.0] * len(many)),
            ),
            Mistake(
                "`=` where `+=` is due: only the last sentence's gradient is left.",
                lambda many: weighted(many, [0.0] * (len(many) - 1) + [1.0]),
            ),
            Mistake(
                "This is the gradient of the first sentence alone; the others count too.",
                lambda many: weighted(many, [1.0] + [0.0] * (len(many) - 1)),
            ),
            Mistake(
                "The mean is taken two by two, so later sentences weigh more: add up all, then divide once.",
                lambda many: weighted(many, [0.25, 0.25, 0.5]),
            ),
        ],
    ),
    Exercise(
        id="gradients.closing_the_loop.bound",
        difficulty=3,
        minutes=20,
        reference=smallest_loss,
        draw=draw_sentences,
        tolerance=1e-9,
        hints=[
            "Predictions that look the same to the model, with equal place and equal word, get the same distribution. "
            "Group them. The best distribution of a group is the share of each next word in it.",
            "A next word with a share q in its group costs −ln q each time it comes up. Average over all predictions.",
        ],
        mistakes=[
            Mistake("The place is left out: the same word at another place may be told apart.", by_word),
            Mistake("The word is left out: two words at the same place are told apart.", by_place),
            Mistake("The mean runs over all places: the last place of a sentence predicts nothing.", over_all_places),
            Mistake("This is in bits: the loss is in nats, so take the natural logarithm.", in_bits),
            Mistake(
                "Every next word of a group counts as equally likely: use the share with which each one comes up.",
                equally_likely,
            ),
        ],
    ),
    Exercise(
        id="gradients.closing_the_loop.generate",
        difficulty=2,
        minutes=10,
        reference=write_on,
        draw=draw_model,
        tolerance=0.0,
        hints=[
            "Which row of the logits speaks about the token after the last one?",
            "The new token is part of the context for the next one.",
        ],
        mistakes=[
            Mistake("The first row of the logits is used: it predicts the second token.", from_the_first_row),
            Mistake("The context does not grow: every new token is predicted from the prompt alone.", prompt_only),
            Mistake("Only the newest token is fed back: the model must see all tokens so far.", newest_only),
            Mistake("Only the new tokens are returned: the given ones come first.", new_tokens_only),
            Mistake("One token is missing: append n_tokens of them.", one_short),
        ],
    ),
]
