"""Exercises on tokens and embeddings: the product of two matrices, one-hot rows, words and positions.

Practised in book/1-understanding-gradients/01_tokens_and_embeddings.md; the module is insideout/gradients/embedding.py.
Standard library only. Shapes: T positions, C width, V vocabulary.
"""

import random

from insideout.exercises import drawing
from insideout.exercises.catalogue import Exercise
from insideout.gradients import Matrix, matmul, multiply, transpose, zeros
from insideout.gradients import embed as library_embed

Ids = list[int]

# matmul: a, b -> a b


def draw_factors(rng: random.Random, I: int, K: int, J: int) -> tuple[Matrix, Matrix]:
    return drawing.matrix(rng, I, K), drawing.matrix(rng, K, J)


def one_term(a: Matrix, b: Matrix, k: int) -> Matrix:
    """The k-th term of each sum alone."""
    return [[row[k] * number for number in b[k]] for row in a]


product = Exercise(
    "gradients.tokens_and_embeddings.matmul", stars=2, minutes=10, reference=matmul, draw=draw_factors,
    section="The product of two matrices",
)  # fmt: skip
product.mistake(
    "The rows of a meet the rows of b, which gives A Bᵀ: they must meet the columns of b.",
    lambda a, b: matmul(a, transpose(b)),
)
product.mistake(
    "The columns of a are used, which gives Aᵀ B: the sum runs along the rows of a.",
    lambda a, b: matmul(transpose(a), b),
)
product.mistake("The matrices are multiplied number by number: that is A ⊙ B.", multiply)
product.mistake("The factors are exchanged: B A is not A B.", lambda a, b: matmul(b, a))
product.mistake(
    "The result lies on its side: entry ij belongs to row i of a and column j of b.",
    lambda a, b: transpose(matmul(a, b)),
)
product.mistake(
    "All three indices run to len(a): the columns of b are len(b[0]) in number, the terms of each sum len(b).",
    lambda a, b: [[sum(a[i][k] * b[k][j] for k in range(len(a))) for j in range(len(a))] for i in range(len(a))],
)
product.mistake(
    "`=` where `+=` is due: each entry keeps only the last term of its sum.", lambda a, b: one_term(a, b, len(b) - 1)
)
product.mistake("Each entry has only the first term of its sum.", lambda a, b: one_term(a, b, 0))
product.mistake(
    "The last term of each sum is missing: k runs to len(b) − 1, and `range(n)` stops there by itself.",
    lambda a, b: [
        [x - y for x, y in zip(*rows, strict=True)]
        for rows in zip(matmul(a, b), one_term(a, b, len(b) - 1), strict=True)
    ],
)
product.mistake(
    "Row i of a meets column i of b alone, in every entry: entry ij belongs to column j.",
    lambda a, b: [
        [sum(x * y for x, y in zip(row, column, strict=True))] * len(b[0])
        for row, column in zip(a, transpose(b), strict=True)
    ],
)
product.mistake(
    "Sums are multiplied: multiply first, pair by pair, and then add up.",
    lambda a, b: [[sum(row) * sum(column) for column in transpose(b)] for row in a],
)
product.mistake(
    "The numbers are added, not multiplied, inside the sum.",
    lambda a, b: [[sum(x + y for x, y in zip(row, column, strict=True)) for column in transpose(b)] for row in a],
)

# one_hot: ids, vocab_size -> T×V


def draw_ids(rng: random.Random, T: int, V: int) -> tuple[Ids, int]:
    """Ids with repeats, and words that do not occur; the last word of the vocabulary now and then."""
    return [rng.randrange(V) for _ in range(T)] if rng.random() < 0.5 else drawing.ids(rng, T, V), V


def one_hot_rows(ids: Ids, vocab_size: int) -> Matrix:
    return marked(ids, [1.0] * len(ids), vocab_size)


def marked(columns: Ids, marks: list[float], vocab_size: int) -> Matrix:
    """Row t holds marks[t] in columns[t], counted from the end when negative."""
    rows = zeros(len(columns), vocab_size)
    for row, column, mark in zip(rows, columns, marks, strict=True):
        row[column] = mark
    return rows


one_hot = Exercise(
    "gradients.tokens_and_embeddings.one_hot", stars=1, minutes=5, reference=one_hot_rows, draw=draw_ids,
    edges=[([1, 0, 1], 4), ([0, 0], 3)], section="A word picks a row",
)  # fmt: skip
one_hot.mistake(
    "The matrix lies on its side: rows are positions and columns are words.",
    lambda ids, vocab_size: transpose(one_hot_rows(ids, vocab_size)),
)
one_hot.mistake(
    "The ids are counted from 1: id 0 belongs to column 0.",
    lambda ids, vocab_size: marked([token - 1 for token in ids], [1.0] * len(ids), vocab_size),
)
one_hot.mistake(
    "There is one column too many: ids run from 0 to vocab_size − 1.",
    lambda ids, vocab_size: one_hot_rows(ids, vocab_size + 1),
)
one_hot.mistake(
    "The 1 stands in the column of the position: it must stand in the column of the word.",
    lambda ids, vocab_size: one_hot_rows(list(range(len(ids))), vocab_size),
)
one_hot.mistake(
    "The id itself is written where a 1 belongs.",
    lambda ids, vocab_size: marked(ids, [float(token) for token in ids], vocab_size),
)
one_hot.mistake(
    "The matrix is as wide as the largest id needs: it has a column for each of vocab_size words.",
    lambda ids, vocab_size: one_hot_rows(ids, max(ids) + 1),
)
one_hot.mistake(
    "There is a row for each word: there must be one for each position, also where a word comes twice.",
    lambda ids, vocab_size: [
        [1.0 if j == i and j in ids else 0.0 for j in range(vocab_size)] for i in range(vocab_size)
    ],
)
one_hot.mistake(
    "0 and 1 have changed places.",
    lambda ids, vocab_size: [[1.0 - number for number in row] for row in one_hot_rows(ids, vocab_size)],
)
one_hot.mistake(
    "All rows are one and the same list, as `[[0] * n] * m` makes them: a 1 written into one is in all.",
    lambda ids, vocab_size: [[1.0 if j in ids else 0.0 for j in range(vocab_size)]] * len(ids),
)
one_hot.mistake(
    "The counts of the words are returned, in one row: there must be a row for each position.",
    lambda ids, vocab_size: [float(ids.count(j)) for j in range(vocab_size)],
)
one_hot.mistake(
    "The id 0 gets no 1: `if token:` is false for it.",
    lambda ids, vocab_size: marked(ids, [1.0 if token else 0.0 for token in ids], vocab_size),
)

# embed: ids, token_embedding, position_embedding -> x


def draw_tables(rng: random.Random, T: int, C: int, V: int) -> tuple[Ids, Matrix, Matrix]:
    """Ids, a table of V words, and one of at least T positions."""
    n_positions = T + rng.choice((0, 1, 3))
    return draw_ids(rng, T, V)[0], drawing.matrix(rng, V, C), drawing.matrix(rng, n_positions, C)


def rows_of(words: Ids, positions: Ids, token_embedding: Matrix, position_embedding: Matrix) -> Matrix:
    pairs = zip(words, positions, strict=True)
    return [[a + b for a, b in zip(token_embedding[w], position_embedding[p], strict=True)] for w, p in pairs]


embed = Exercise(
    "gradients.tokens_and_embeddings.embed", stars=2, minutes=8, reference=library_embed, draw=draw_tables,
    section="The position picks another",
)  # fmt: skip
embed.mistake(
    "The row of the position is missing: the same word would have the same row everywhere.",
    lambda ids, tokens, positions: [list(tokens[token]) for token in ids],
)
embed.mistake(
    "The row of the word is missing.", lambda ids, tokens, positions: [list(row) for row in positions[: len(ids)]]
)
embed.mistake(
    "The position embedding is asked with the id: ask it with the position.",
    lambda ids, tokens, positions: rows_of(ids, ids, tokens, positions),
)
embed.mistake(
    "The two tables are exchanged: words are asked by position and positions by word.",
    lambda ids, tokens, positions: rows_of(list(range(len(ids))), ids, tokens, positions),
)
embed.mistake(
    "The words are asked by position: `enumerate(ids)` gives the position first, then the id.",
    lambda ids, tokens, positions: rows_of(list(range(len(ids))), list(range(len(ids))), tokens, positions),
)
embed.mistake(
    "The positions are counted from 1: the first word stands at position 0.",
    lambda ids, tokens, positions: rows_of(ids, [t + 1 for t in range(len(ids))], tokens, positions),
)
embed.mistake(
    "The two rows are multiplied: they are added.",
    lambda ids, tokens, positions: multiply([tokens[token] for token in ids], positions[: len(ids)]),
)
embed.mistake(
    "The row of the position is subtracted: it is added.",
    lambda ids, tokens, positions: [
        [a - b for a, b in zip(tokens[token], positions[t], strict=True)] for t, token in enumerate(ids)
    ],
)
embed.mistake(
    "The number of the position is added, and not its row.",
    lambda ids, tokens, positions: [[a + t for a in tokens[token]] for t, token in enumerate(ids)],
)
embed.mistake(
    "The positions run backward: the first word stands at position 0.",
    lambda ids, tokens, positions: rows_of(ids, list(range(len(ids)))[::-1], tokens, positions),
)
embed.mistake(
    "The positions are counted from −1: the first word stands at position 0.",
    lambda ids, tokens, positions: rows_of(ids, [t - 1 for t in range(len(ids))], tokens, positions),
)
embed.mistake(
    "The last rows of the position table are taken: the first word stands at position 0.",
    lambda ids, tokens, positions: rows_of(
        ids, list(range(len(positions) - len(ids), len(positions))), tokens, positions
    ),
)
embed.mistake(
    "`+` of two lists puts one behind the other: add them number by number.",
    lambda ids, tokens, positions: [tokens[token] + positions[t] for t, token in enumerate(ids)],
)
embed.mistake(
    "A word gets the row of the position where it first stands: `ids.index` finds no other. Count with `enumerate`.",
    lambda ids, tokens, positions: rows_of(ids, [ids.index(token) for token in ids], tokens, positions),
)
embed.mistake(
    "A row is made for each position of the table: there are only len(ids) of them here.",
    lambda ids, tokens, positions: library_embed(ids, tokens, positions) + [list(row) for row in positions[len(ids) :]],
)
embed.mistake(
    "All positions get the row of position 0.",
    lambda ids, tokens, positions: rows_of(ids, [0] * len(ids), tokens, positions),
)
