"""Exercises on tokens and embeddings: the product of two matrices, one-hot rows, words and places.

Practised in book/1-understanding-gradients/01_tokens_and_embeddings.md; the module is insideout/gradients/embedding.py.
Standard library only. Shapes: T places, C width, V vocabulary.
"""

import random

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix, embed, matmul, multiply, transpose, zeros

Ids = list[int]


def numbers(rng: random.Random, rows: int, columns: int) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(columns)] for _ in range(rows)]


# matmul: a, b -> a b


def draw_factors(rng: random.Random) -> tuple[Matrix, Matrix]:
    """Two square matrices, so that a factor that is not transposed still fits."""
    return numbers(rng, 4, 4), numbers(rng, 4, 4)


# one_hot: ids, vocab_size -> T×V


def draw_ids(rng: random.Random) -> tuple[Ids, int]:
    """As many ids as words, one of them twice: a matrix that lies on its side fits, and is another one."""
    while True:
        ids = [0, 1, 2, 3, 4, rng.randrange(6)]
        rng.shuffle(ids)
        if len(set(ids)) == 5:
            return ids, 6


def one_hot(ids: Ids, vocab_size: int) -> Matrix:
    return marked(ids, [1.0] * len(ids), vocab_size)


def marked(columns: Ids, marks: list[float], vocab_size: int) -> Matrix:
    """Row t holds marks[t] in columns[t], counted from the end when negative."""
    rows = zeros(len(columns), vocab_size)
    for row, column, mark in zip(rows, columns, marks, strict=True):
        row[column] = mark
    return rows


# embed: ids, token_embedding, position_embedding -> x


def draw_tables(rng: random.Random) -> tuple[Ids, Matrix, Matrix]:
    """Fewer ids than places, none of them the number of its place, and tables with as many rows as each other."""
    ids = [3, 3, 0, 1, 5]
    while any(t == token for t, token in enumerate(ids)):
        rng.shuffle(ids)
    return ids, numbers(rng, 7, 4), numbers(rng, 7, 4)


def embed_by_rows(words: Ids, places: Ids, token_embedding: Matrix, position_embedding: Matrix) -> Matrix:
    pairs = zip(words, places, strict=True)
    return [[a + b for a, b in zip(token_embedding[w], position_embedding[p], strict=True)] for w, p in pairs]


def embed_shifted(ids: Ids, token_embedding: Matrix, position_embedding: Matrix) -> Matrix:
    return embed_by_rows(ids, [t + 1 for t in range(len(ids))], token_embedding, position_embedding)


def embed_place_of_word(ids: Ids, token_embedding: Matrix, position_embedding: Matrix) -> Matrix:
    return embed_by_rows(ids, ids, token_embedding, position_embedding)


def embed_exchanged(ids: Ids, token_embedding: Matrix, position_embedding: Matrix) -> Matrix:
    return embed_by_rows(list(range(len(ids))), ids, token_embedding, position_embedding)


def embed_multiplied(ids: Ids, token_embedding: Matrix, position_embedding: Matrix) -> Matrix:
    return multiply([token_embedding[token] for token in ids], position_embedding[: len(ids)])


exercises: list[Exercise] = [
    Exercise(
        id="gradients.tokens_and_embeddings.matmul",
        difficulty=2,
        minutes=10,
        reference=matmul,
        draw=draw_factors,
        tolerance=1e-9,
        hints=[
            "Three things run: the rows i of a, the columns j of b, and k inside the sum.",
            "zip(*b) gives the columns of b, one after the other.",
        ],
        mistakes=[
            Mistake(
                "The rows of a meet the rows of b, which gives A Bᵀ: they must meet the columns of b.",
                lambda a, b: matmul(a, transpose(b)),
            ),
            Mistake(
                "The columns of a are used, which gives Aᵀ B: the sum runs along the rows of a.",
                lambda a, b: matmul(transpose(a), b),
            ),
            Mistake("The matrices are multiplied number by number: that is A ⊙ B.", multiply),
            Mistake("The factors are exchanged: B A is not A B.", lambda a, b: matmul(b, a)),
            Mistake(
                "The result lies on its side: entry ij belongs to row i of a and column j of b.",
                lambda a, b: transpose(matmul(a, b)),
            ),
        ],
    ),
    Exercise(
        id="gradients.tokens_and_embeddings.one_hot",
        difficulty=1,
        minutes=5,
        reference=one_hot,
        draw=draw_ids,
        tolerance=1e-9,
        hints=[
            "How many rows, and how long is each?",
            "Row t, column j is 1 where j is the id at place t, and 0 elsewhere. Ids count from 0.",
        ],
        mistakes=[
            Mistake(
                "The matrix lies on its side: rows are places and columns are words.",
                lambda ids, vocab_size: transpose(one_hot(ids, vocab_size)),
            ),
            Mistake(
                "The ids are counted from 1: id 0 belongs to column 0.",
                lambda ids, vocab_size: marked([token - 1 for token in ids], [1.0] * len(ids), vocab_size),
            ),
            Mistake(
                "The 1 stands in the column of the place: it must stand in the column of the word.",
                lambda ids, vocab_size: one_hot(list(range(len(ids))), vocab_size),
            ),
            Mistake(
                "The id itself is written where a 1 belongs.",
                lambda ids, vocab_size: marked(ids, [float(token) for token in ids], vocab_size),
            ),
        ],
    ),
    Exercise(
        id="gradients.tokens_and_embeddings.embed",
        difficulty=2,
        minutes=8,
        reference=embed,
        draw=draw_tables,
        tolerance=1e-9,
        hints=[
            "enumerate(ids) gives each place together with its id.",
            "Which table is asked with the id, and which with the place?",
        ],
        mistakes=[
            Mistake(
                "The row of the place is missing: the same word would have the same row everywhere.",
                lambda ids, tokens, places: [list(tokens[token]) for token in ids],
            ),
            Mistake(
                "The position embedding is asked with the id: ask it with the place.",
                embed_place_of_word,
            ),
            Mistake("The two tables are exchanged: words are asked by place and places by word.", embed_exchanged),
            Mistake("The places are counted from 1: the first word stands at place 0.", embed_shifted),
            Mistake("The two rows are multiplied: they are added.", embed_multiplied),
        ],
    ),
]
