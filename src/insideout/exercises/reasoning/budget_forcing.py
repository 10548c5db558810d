"""Exercises on budgets of thinking: close it by force, and make it go on with a word.

Practised in book/4-reasoning-with-transformers/08_budget_forcing.md; the module is insideout/reasoning/budget.py.
"""

import random

from insideout.exercises.catalogue import Exercise

Ids = list[int]
END = 90

# close: drawn, end, most -> the thinking with its end, and whether it was cut


def draw_thinking(rng: random.Random) -> tuple[Ids, int, int]:
    """Tokens, with an end or without, shorter and longer than the limit."""
    drawn = [rng.randint(1, 20) for _ in range(rng.randint(1, 7))]
    most = max(0, len(drawn) + rng.randint(-3, 2))
    return ([*drawn, END] if rng.random() < 0.6 else drawn), END, most


def inside_of(drawn: Ids, end: int) -> Ids:
    return drawn[:-1] if drawn and drawn[-1] == end else list(drawn)


def closed(drawn: Ids, end: int, most: int) -> tuple[Ids, bool]:
    ended = bool(drawn) and drawn[-1] == end
    inside = inside_of(drawn, end)
    return [*inside[:most], end], not ended or len(inside) > most


close = Exercise(
    "reasoning.budget_forcing.close", stars=1, minutes=8, reference=closed, draw=draw_thinking,
    edges=[
        ([3, 4, END], END, 2), ([3, 4, END], END, 1), ([3, 4], END, 2), ([3, 4], END, 5), ([END], END, 0), ([], END, 3),
        ([3, END], END, 0), ([3, 4, END], END, 3),
    ],
    section="The budget",
)  # fmt: skip
close.mistake("The end counts for the limit: thinking may have so many tokens without it.", lambda drawn, end, most: (
    [*inside_of(drawn, end)[:max(0, most - 1)], end], closed(drawn, end, max(0, most - 1))[1]))  # fmt: skip
close.mistake("The thinking is cut and not closed: without an end the model thinks on.", lambda drawn, end, most: (
    drawn[: most + 1] if drawn and drawn[-1] == end else drawn[:most], closed(drawn, end, most)[1]))  # fmt: skip
close.mistake("An end is added to one that is there already: it is closed once.", lambda drawn, end, most: (
    [*drawn[:most + 1], end], closed(drawn, end, most)[1]))  # fmt: skip
close.mistake("Thinking that ends right at the limit was not cut.", lambda drawn, end, most: (
    closed(drawn, end, most)[0], closed(drawn, end, most)[1] or len(inside_of(drawn, end)) == most))  # fmt: skip
close.mistake("Thinking that has no end of its own was cut, also where it is shorter than the limit.",
    lambda drawn, end, most: (closed(drawn, end, most)[0], len(inside_of(drawn, end)) > most))  # fmt: skip
close.mistake("Cut is told the wrong way round.", lambda drawn, end, most: (
    closed(drawn, end, most)[0], not closed(drawn, end, most)[1]))  # fmt: skip
close.mistake("Only the thinking is returned: whether it was cut is asked for too.", lambda drawn, end, most: (
    closed(drawn, end, most)[0]))  # fmt: skip
close.mistake("The thinking is returned without its end.", lambda drawn, end, most: (
    closed(drawn, end, most)[0][:-1], closed(drawn, end, most)[1]))  # fmt: skip
close.mistake("The last tokens are kept: the first ones are.", lambda drawn, end, most: (
    [*inside_of(drawn, end)[::-1][:most][::-1], end], closed(drawn, end, most)[1]))  # fmt: skip
close.mistake("Nothing was cut off: thinking may have `most` tokens, and no more.", lambda drawn, end, most: (
    [*inside_of(drawn, end), end], closed(drawn, end, most)[1]))  # fmt: skip

# wait: stretches, end, word, least, max_waits -> the thinking, and how often the word was put


def draw_stretches(rng: random.Random) -> tuple[list[Ids], int, Ids, int, int]:
    """A few stretches, each with its end, and budgets of which either part decides."""
    stretches = [[*(rng.randint(1, 20) for _ in range(rng.randint(1, 4))), END] for _ in range(5)]
    return (
        stretches,
        END,
        [rng.randint(30, 40) for _ in range(rng.randint(1, 2))],
        rng.randint(0, 14),
        rng.randint(0, 4),
    )


def waited(
    stretches: list[Ids], end: int, word: Ids, least: int, max_waits: int, *, keep_end: bool = False,
    count_words: bool = True, at_most: bool = False, last_word: bool = False,
) -> tuple[Ids, int]:  # fmt: skip
    """The rule, and ways to get it wrong."""
    thinking: Ids = []
    waits, own = 0, 0
    for stretch in stretches:
        thinking = thinking + stretch[:-1]
        own += len(stretch) - 1
        length = len(thinking) if count_words else own
        enough = length > least if at_most else length >= least
        if enough or waits >= max_waits:
            return (thinking + word if last_word else thinking), waits
        thinking, waits = thinking + ([end] if keep_end else []) + word, waits + 1
    return thinking, waits


wait = Exercise(
    "reasoning.budget_forcing.wait", stars=2, minutes=12, reference=waited, draw=draw_stretches,
    edges=[
        ([[3, 4, END], [5, END]], END, [7], 0, 3), ([[3, 4, END], [5, END]], END, [7], 2, 3),
        ([[3, 4, END], [5, END], [6, END]], END, [7], 9, 0), ([[3, END], [5, END], [6, END]], END, [7], 3, 3),
        ([[3, END], [5, END], [6, END]], END, [7, 8], 99, 2), ([[3, 4, END], [5, END]], END, [7], 3, 3),
    ],
    section="The budget",
)  # fmt: skip
wait.mistake("The end that was dropped stands in the thinking.", lambda *given: waited(*given, keep_end=True))
wait.mistake(
    "The words that were put are not counted for `least`: they belong to the thinking.",
    lambda *given: waited(*given, count_words=False),
)
wait.mistake(
    "Thinking with exactly `least` tokens is long enough.", lambda *given: waited(*given, at_most=True)
)  # fmt: skip
wait.mistake("A word is put after the last stretch too: there the end is kept.", lambda *given: waited(
    *given, last_word=True))  # fmt: skip
wait.mistake("`max_waits` is not looked at: the word is put so many times at most.", lambda s, end, word, least, most: (
    waited(s, end, word, least, 99)))  # fmt: skip
wait.mistake("`least` is not looked at: thinking that is long enough may end.", lambda s, end, word, least, most: (
    waited(s, end, word, 10_000, most)))  # fmt: skip
wait.mistake("One word too many is put: `max_waits` are allowed.", lambda s, end, word, least, most: (
    waited(s, end, word, least, most + 1)))  # fmt: skip
wait.mistake("One word too few is put: `max_waits` are allowed.", lambda s, end, word, least, most: (
    waited(s, end, word, least, max(0, most - 1))))  # fmt: skip
wait.mistake("Only the thinking is returned: how often the word was put is asked for too.", lambda *given: (
    waited(*given)[0]))  # fmt: skip
wait.mistake("Stretches are counted, and not the words between them.", lambda *given: (
    waited(*given)[0], waited(*given)[1] + 1))  # fmt: skip
wait.mistake("Only the last stretch is returned: the thinking is all of them.", lambda *given: (
    given[0][waited(*given)[1]][:-1], waited(*given)[1]))  # fmt: skip
