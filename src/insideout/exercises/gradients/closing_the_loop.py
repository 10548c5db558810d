"""Exercises on training: the mean of gradients, the loop, and writing word by word.

Practised in book/1-understanding-gradients/11_closing_the_loop.md; the module is insideout/gradients/model.py.
Standard library only.
"""

import random
from collections.abc import Callable, Sequence

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import described, matrix, vector
from insideout.gradients import Matrix

Gradients = dict[str, Matrix]

# mean: a list of dicts of matrices -> their mean


def draw_many(rng: random.Random, N: int, I: int, J: int) -> tuple[list[Gradients]]:
    """The gradients of N sentences: two parameters of unlike shapes each, or three."""
    shapes = {"attention.query": (I, I), "lm_head": (I, J)} | rng.choice(({}, {"feed_forward.up": (J, I)}))
    return ([{name: matrix(rng, *shape) for name, shape in shapes.items()} for _ in range(N)],)


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


def two_by_two(n: int) -> list[float]:
    """The weights of ((a + b)/2 + c)/2 and so on."""
    return [0.5 ** (n - max(i, 1)) for i in range(n)]


mean = Exercise(
    "gradients.closing_the_loop.mean", stars=1, minutes=6, reference=mean_gradients, draw=draw_many,
    section="One loss, one gradient",
)  # fmt: skip
mean.mistake(
    "This is the sum of the gradients: the loss is a mean, so divide by the number of sentences.",
    lambda many: weighted(many, [1.0] * len(many)),
)
mean.mistake(
    "`=` where `+=` is due: only the last sentence's gradient is left.",
    lambda many: weighted(many, [0.0] * (len(many) - 1) + [1.0]),
)
mean.mistake(
    "`=` where `+=` is due, and divided by the number of sentences: only the last one is left.",
    lambda many: weighted(many, [0.0] * (len(many) - 1) + [1.0 / len(many)]),
)
mean.mistake(
    "This is the gradient of the first sentence alone; the others count too.",
    lambda many: weighted(many, [1.0] + [0.0] * (len(many) - 1)),
)
mean.mistake(
    "The mean is taken two by two, so later sentences weigh more: add up all, then divide once.",
    lambda many: weighted(many, two_by_two(len(many))),
)
mean.mistake(
    "It is divided by 2, whatever the number of sentences: divide by len(many).",
    lambda many: weighted(many, [0.5] * len(many)),
)
mean.mistake(
    "The first sentence counts twice: begin with zeros, or with the first, and not with both.",
    lambda many: weighted(many, [2.0 / len(many)] + [1.0 / len(many)] * (len(many) - 1)),
)
mean.mistake(
    "The last sentence is left out.",
    lambda many: weighted(many, [1.0 / len(many)] * (len(many) - 1) + [0.0]),
)
mean.mistake(
    "It is divided by the number of parameters: divide by the number of sentences.",
    lambda many: weighted(many, [1.0 / len(many[0])] * len(many)),
)
mean.mistake(
    "It is divided by the number of rows of each matrix: divide by the number of sentences.",
    lambda many: {
        name: [[x / len(rows) for x in row] for row in rows] for name, rows in weighted(many, [1.0] * len(many)).items()
    },
)
mean.mistake(
    "Only one parameter is there: go through all names.",
    lambda many: dict(list(mean_gradients(many).items())[-1:]),
)

# descend: loss_and_slopes, x, lr, goal, most -> (losses, x)

LossAndSlopes = Callable[[list[float]], tuple[float, list[float]]]
Descent = tuple[list[float], list[float]]


def draw_bowl(rng: random.Random, N: int) -> tuple[LossAndSlopes, list[float], float, float, int]:
    """A bowl that is steeper in some numbers than in others; the goal is met, missed, or met at once."""
    steep, bottom = [rng.uniform(0.5, 2.0) for _ in range(N)], [rng.uniform(-1.0, 1.0) for _ in range(N)]

    def bowl(x: list[float]) -> tuple[float, list[float]]:
        terms = list(zip(steep, x, bottom, strict=True))
        return sum(a * (y - b) ** 2 for a, y, b in terms), [2 * a * (y - b) for a, y, b in terms]

    text = " + ".join(f"{a:.2g} (x{i} − {b:.2g})²" for i, (a, b) in enumerate(zip(steep, bottom, strict=True)))
    x, lr, most = (
        [b + rng.choice((-1.0, 1.0)) * rng.uniform(1.0, 2.0) for b in bottom],
        rng.uniform(0.05, 0.2),
        rng.randint(2, 6),
    )
    losses = descent(bowl, x, lr, 0.0, 9)[0]
    after = rng.randint(1, most + 2)
    return described(bowl, text + ", and its slopes"), x, lr, (losses[after - 1] + losses[after]) / 2, most


def descent(
    loss_and_slopes: LossAndSlopes, x: list[float], lr: float, goal: float, most: int, uphill: bool = False,
    stale: bool = False, too_far: bool = False,
) -> Descent:  # fmt: skip
    losses: list[float] = []
    first = loss_and_slopes(x)[1]
    while True:
        loss, slopes = loss_and_slopes(x)
        losses.append(loss)
        stop = loss < goal or len(losses) > most
        if stop and not too_far:
            return losses, x
        x = [a - (-lr if uphill else lr) * s for a, s in zip(x, first if stale else slopes, strict=True)]
        if stop:
            return losses, x


def of_the_end(change: Callable[[Descent, list[float]], Descent]) -> Callable[..., Descent]:
    """The right descent, changed with the start at hand."""
    return lambda f, x, lr, goal, most: change(descent(f, x, lr, goal, most), list(x))


descend = Exercise(
    "gradients.closing_the_loop.descend", stars=2, minutes=12, reference=descent, draw=draw_bowl,
    edges=[
        (described(lambda x: (x[0] ** 2, [2 * x[0]]), "x0², and its slope"), [3.0], 0.25, 100.0, 5),
        (described(lambda x: (x[0] ** 2, [2 * x[0]]), "x0², and its slope"), [3.0], 0.25, 0.0, 0),
        (described(lambda x: (x[0] ** 2, [2 * x[0]]), "x0², and its slope"), [4.0], 0.25, 4.0, 5),
    ], section="The loop",
)  # fmt: skip
descend.mistake(
    "The steps go uphill: the slope points to where the loss grows, so it is subtracted.",
    lambda f, x, lr, goal, most: descent(f, x, lr, goal, most, uphill=True),
)
descend.mistake(
    "The slopes are computed once, before the loop: each step needs those of where it starts.",
    lambda f, x, lr, goal, most: descent(f, x, lr, goal, most, stale=True),
)
descend.mistake(
    "One step is taken after the loss was below the goal or the steps were used up: look, then stop, then step.",
    lambda f, x, lr, goal, most: descent(f, x, lr, goal, most, too_far=True),
)
descend.mistake(
    "The goal is not looked at: no step is taken once the loss is below it.",
    lambda f, x, lr, goal, most: descent(f, x, lr, -1.0, most),
)
descend.mistake(
    "`most` is not looked at: at most so many steps are taken.",
    lambda f, x, lr, goal, most: descent(f, x, lr, goal, most + 40),
)
descend.mistake(
    "One step too few: `most` counts steps, and the losses are one more.",
    lambda f, x, lr, goal, most: descent(f, x, lr, goal, max(most - 1, 0)),
)
descend.mistake(
    "One step too many: `most` counts steps, not the looks before them.",
    lambda f, x, lr, goal, most: descent(f, x, lr, goal, most + 1),
)
descend.mistake(
    "The loss at the end is missing: after the last step, look once more.",
    of_the_end(lambda right, x: (right[0][:-1], right[1])),
)
descend.mistake(
    "The loss at the start is missing: look before the first step.",
    of_the_end(lambda right, x: (right[0][1:], right[1])),
)
descend.mistake("The start is returned: x must be where the steps ended.", of_the_end(lambda right, x: (right[0], x)))
descend.mistake(
    "Only the last loss is returned: keep a list of all.",
    of_the_end(lambda right, x: (right[0][-1], right[1])),  # type: ignore[arg-type, return-value]
)
descend.mistake("The two results have changed places.", of_the_end(lambda right, x: (right[1], right[0])))
descend.mistake(
    "The loop goes on while the loss is below the goal: it stops there.",
    lambda f, x, lr, goal, most: (
        descent(f, x, lr, -1.0, most) if f(x)[0] < goal else ([f(x)[0]], list(x))
    ),
)  # fmt: skip
descend.mistake(
    "The learning rate is not used: a step is lr times the slope.",
    lambda f, x, lr, goal, most: descent(f, x, 1.0, goal, most),
)
# generate: logits_of, ids, n_tokens -> all ids

LogitsOf = Callable[[Sequence[int]], Matrix]


def write_on(logits_of: LogitsOf, ids: list[int], n_tokens: int) -> list[int]:
    result = list(ids)
    for _ in range(n_tokens):
        result.append(likeliest(logits_of(result)[-1]))
    return result


def likeliest(logits: Sequence[float]) -> int:
    return max(range(len(logits)), key=logits.__getitem__)


def draw_model(rng: random.Random, T: int, V: int = 3) -> tuple[LogitsOf, list[int], int]:
    """A made-up model whose logits depend on all tokens so far, older ones counting less; a prompt and a length."""
    table = [vector(rng, V, 2.0) for _ in range(V)]

    def logits_of(ids: Sequence[int]) -> Matrix:
        logits, row = [], [0.1 * j for j in range(V)]
        for token in ids:
            row = [0.7 * old + new for old, new in zip(row, table[token], strict=True)]
            logits.append(row)
        return logits

    return described(logits_of, f"a model of {V} words"), [rng.randrange(V) for _ in range(T)], rng.randint(2, 7)


generate = Exercise(
    "gradients.closing_the_loop.generate", stars=2, minutes=10, reference=write_on, draw=draw_model, tolerance=0,
    edges=[lambda rng: (*draw_model(rng, 3, 4)[:2], 0), lambda rng: (*draw_model(rng, 1, 5)[:2], 1)],
    section="It writes",
)  # fmt: skip
generate.mistake(
    "The first row of the logits is used: it predicts the second token.",
    lambda logits_of, ids, n: write_on(lambda context: logits_of(context)[:1], ids, n),
)
generate.mistake(
    "The last row but one is used: it predicts the token that is there already.",
    lambda logits_of, ids, n: write_on(lambda context: logits_of(context)[-2:][:1], ids, n),
)
generate.mistake(
    "The context does not grow: every new token is predicted from the prompt alone.",
    lambda logits_of, ids, n: [*ids, *[likeliest(logits_of(ids)[-1])] * n],
)
generate.mistake(
    "Only the newest token is fed back: the model must see all tokens so far.",
    lambda logits_of, ids, n: write_on(lambda context: logits_of(context[-1:]), ids, n),
)
generate.mistake(
    "Only the new tokens are returned: the given ones come first.",
    lambda logits_of, ids, n: write_on(logits_of, ids, n)[len(ids) :],
)
generate.mistake(
    "One token is missing: append n_tokens of them.", lambda logits_of, ids, n: write_on(logits_of, ids, n - 1)
)
generate.mistake(
    "One token too many: append n_tokens of them.", lambda logits_of, ids, n: write_on(logits_of, ids, n + 1)
)
generate.mistake(
    "n_tokens is taken for the length of the whole: so many are added to the given ones.",
    lambda logits_of, ids, n: write_on(logits_of, ids, max(0, n - len(ids))),
)
generate.mistake(
    "The least likely token is taken: the largest logit is the likeliest.",
    lambda logits_of, ids, n: write_on(lambda context: [[-x for x in row] for row in logits_of(context)], ids, n),
)
generate.mistake(
    "The largest logit itself is appended: its place in the row is the id.",
    lambda logits_of, ids, n: [
        *ids,
        *(max(logits_of([*ids, *write_on(logits_of, ids, n)[len(ids) :]][: len(ids) + i])[-1]) for i in range(n)),
    ],
)
generate.mistake(
    "The new tokens stand in front: they follow the given ones.",
    lambda logits_of, ids, n: write_on(logits_of, ids, n)[len(ids) :] + list(ids),
)
generate.mistake(
    "The likeliest token of all rows is taken: only the last row speaks about the next token.",
    lambda logits_of, ids, n: write_on(lambda context: [max(logits_of(context), key=max)], ids, n),
)
generate.mistake(
    "The ids are counted from 1: the first place of the row is id 0.",
    lambda logits_of, ids, n: [*ids, *(token + 1 for token in write_on(logits_of, ids, n)[len(ids) :])],
)
