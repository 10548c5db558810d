"""Exercises on trees of thoughts: reading a judgement in words, and going down a tree and back.

Practised in book/4-reasoning-with-transformers/06_tree_of_thoughts.md; the module is insideout/reasoning/search.py.
"""

import random
import re
from collections.abc import Mapping, Sequence

from insideout.exercises.catalogue import Exercise

# rating: text, scale -> the number of the last word of the scale

Scale = dict[str, float]
Tree = dict[str, list[str]]

WORDS: Scale = {"sure": 1.0, "likely": 0.7, "possible": 0.4, "unlikely": 0.1, "impossible": 0.0}
FORMS = (
    "{a}", "{a}.", "It is {a}.", "**{a}**", "Not {a}, but {b}", "{a}? {b}!", "First I thought {a};\nnow: {b}",
    "{a} and {b}ish", "The target is near, so {a}", "perhaps", "{a} ({b})", "{b}, or {a}, I think",
)  # fmt: skip


def draw_text(rng: random.Random) -> tuple[str, Scale]:
    """A sentence with none, one or two words of the scale."""
    a, b = rng.sample(sorted(WORDS), 2)
    text = rng.choice(FORMS).format(a=a, b=b)
    scale = list(WORDS.items())
    rng.shuffle(scale)
    return rng.choice((text, text.upper(), text.capitalize())), dict(scale)


def words_in(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def read(text: str, scale: Scale) -> float | None:
    return next((scale[word] for word in reversed(words_in(text)) if word in scale), None)


rating = Exercise(
    "reasoning.tree_of_thoughts.rating", stars=1, minutes=8, reference=read, draw=draw_text, tolerance=0,
    edges=[("unlikely", WORDS), ("Impossible!", WORDS), ("", WORDS), ("It is possible, even likely.", WORDS)],
    section="\"Unlikely\" contains \"likely\"",
)  # fmt: skip
rating.mistake(
    "A word is found inside of another one: “unlikely” contains “likely”. Compare whole words.",
    lambda text, scale: next((number for word, number in scale.items() if word in text.lower()), None),
)
rating.mistake(
    "A word is found inside of another one, though the longest is tried first: “likelyish” is no word of the scale.",
    lambda text, scale: max(
        ((text.lower().rfind(word) + len(word), len(word), scale[word]) for word in scale if word in text.lower()),
        default=(0, 0, None),
    )[2],
)
rating.mistake(
    "The first word of the scale is taken: a text that changes its mind says what it means at the end.",
    lambda text, scale: next((scale[word] for word in words_in(text) if word in scale), None),
)
rating.mistake(
    "Capitals are not read: make the text small first.",
    lambda text, scale: next((scale[word] for word in reversed(re.findall(r"[A-Za-z]+", text)) if word in scale), None),
)
rating.mistake(
    "Words are parted by spaces alone, so that a full stop makes another word of “sure.”.",
    lambda text, scale: next((scale[word] for word in reversed(text.lower().split()) if word in scale), None),
)
rating.mistake(
    "Only the very last word is looked at: a word of the scale may stand before it.",
    lambda text, scale: scale.get((words_in(text) or [""])[-1]),
)
rating.mistake(
    "Where no word of the scale stands, 0 is returned, which is a judgement: return None.",
    lambda text, scale: read(text, scale) or 0.0,
)
rating.mistake(
    "Where no word of the scale stands, one half is returned, which is a judgement: return None.",
    lambda text, scale: 0.5 if read(text, scale) is None else read(text, scale),
)
rating.mistake(
    "The word is returned: its number on the scale is asked for.",
    lambda text, scale: next((word for word in reversed(words_in(text)) if word in scale), None),
)
rating.mistake(
    "A judgement of 0 counts as none: 0 is a number of the scale like the others.",
    lambda text, scale: read(text, scale) or None,
)
rating.mistake(
    "Of several words the best is taken: the last one is asked for.",
    lambda text, scale: max((scale[word] for word in words_in(text) if word in scale), default=None),
)
rating.mistake(
    "The mean of all words of the scale is taken: the last one is asked for.",
    lambda text, scale: (
        sum(found) / len(found) if (found := [scale[word] for word in words_in(text) if word in scale]) else None
    ),
)

# depth_first: tree, values, goals, start, threshold -> the nodes that are gone to, in their order


def draw_tree(rng: random.Random) -> tuple[Tree, Scale, list[str], str, float]:
    """A tree of three levels, with one or two goals or none."""
    tree: Tree = {}
    names = iter("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyz")
    start = next(names)
    level = [start]
    for depth in range(3):
        following = []
        for node in level:
            tree[node] = [next(names) for _ in range(rng.randint(0 if depth else 2, 3))]
            rng.shuffle(tree[node])
            following += tree[node]
        level = following
    tree |= {node: [] for node in level}
    values = {node: rng.randint(0, 8) / 8 for node in sorted(tree)}
    ends = [node for node in tree if not tree[node] and node != start]
    return (
        tree,
        values,
        rng.sample(ends, min(len(ends), rng.choice((0, 1, 1, 2)))),
        start,
        rng.choice((0.125, 0.25, 0.375)),
    )


def go_down(
    tree: Mapping[str, Sequence[str]], values: Scale, goals: Sequence[str], start: str, threshold: float
) -> list[str]:
    waiting, seen = [start], []
    while waiting:
        node = waiting.pop()
        seen.append(node)
        if node in goals:
            break
        kept = [child for child in tree[node] if values[child] >= threshold]
        waiting += sorted(kept, key=lambda child: values[child], reverse=True)[::-1]
    return seen


def widely(tree: Tree, values: Scale, goals: Sequence[str], start: str, threshold: float) -> list[str]:
    """Breadth first instead."""
    waiting, seen = [start], []
    while waiting:
        node = waiting.pop(0)
        seen.append(node)
        if node in goals:
            break
        kept = [child for child in tree[node] if values[child] >= threshold]
        waiting += sorted(kept, key=lambda child: values[child], reverse=True)
    return seen


def best_first(tree: Tree, values: Scale, goals: Sequence[str], start: str, threshold: float) -> list[str]:
    """The best of all that are open."""
    waiting, seen = [start], []
    while waiting:
        node = max(waiting, key=lambda each: values[each])
        waiting.remove(node)
        seen.append(node)
        if node in goals:
            break
        waiting += [child for child in tree[node] if values[child] >= threshold]
    return seen


def only_down(tree: Tree, values: Scale, goals: Sequence[str], start: str, threshold: float) -> list[str]:
    """Greedy: no way back."""
    seen = [start]
    while seen[-1] not in goals:
        kept = [child for child in tree[seen[-1]] if values[child] >= threshold]
        if not kept:
            break
        seen.append(max(kept, key=lambda child: values[child]))
    return seen


def first_end(tree: Tree, values: Scale, goals: Sequence[str], start: str, threshold: float) -> list[str]:
    """It stops at the first end, solution or not."""
    return go_down(tree, values, [node for node in tree if not tree[node]], start, threshold)


depth_first = Exercise(
    "reasoning.tree_of_thoughts.depth_first", stars=3, minutes=20, reference=go_down, draw=draw_tree, tolerance=0,
    edges=[
        ({"A": ["B", "C"], "B": [], "C": ["D"], "D": []}, {"A": 0.0, "B": 0.5, "C": 0.5, "D": 0.25}, ["D"], "A", 0.25),
        ({"A": []}, {"A": 0.5}, [], "A", 0.25),
    ],
    section="One tree, two ways to walk through it",
)  # fmt: skip
depth_first.mistake(
    "It stops at the first end, whether it is a goal or not: without a test for the goal nothing ever goes back.",
    first_end,
)
depth_first.mistake("It never goes back: when an end is no goal, go on with what is still waiting.", only_down)
depth_first.mistake(
    "It does not stop at a goal.",
    lambda tree, values, goals, start, threshold: go_down(tree, values, [], start, threshold),
)
depth_first.mistake(
    "The threshold is not used: what is judged below it is not gone to.",
    lambda tree, values, goals, start, threshold: go_down(tree, values, goals, start, -1.0),
)
depth_first.mistake(
    "A value that equals the threshold is left out: only what is below it is.",
    lambda tree, values, goals, start, threshold: go_down(tree, values, goals, start, threshold + 1e-9),
)
depth_first.mistake(
    "The child of the lowest value is gone to first: what is put on the list last is taken first.",
    lambda tree, values, goals, start, threshold: go_down(
        tree, {node: -value for node, value in values.items()}, goals, start, -1.0
    )
    if all(value >= threshold for value in values.values())
    else go_down(
        {node: [child for child in below if values[child] >= threshold] for node, below in tree.items()},
        {node: -value for node, value in values.items()}, goals, start, -1.0,
    ),
)  # fmt: skip
depth_first.mistake(
    "Children are gone to in their order in the tree: the one of the highest value comes first.",
    lambda tree, values, goals, start, threshold: go_down(
        {node: [child for child in below if values[child] >= threshold] for node, below in tree.items()},
        dict.fromkeys(values, 0.0), goals, start, -1.0,
    ),
)  # fmt: skip
depth_first.mistake(
    "Children of equal value are gone to in the reverse of their order in the tree.",
    lambda tree, values, goals, start, threshold: go_down(
        {node: list(below)[::-1] for node, below in tree.items()}, values, goals, start, threshold
    ),
)
depth_first.mistake("This goes level by level: follow a branch to its end first.", widely)
depth_first.mistake(
    "The best of all open nodes is taken, wherever it is: stay on the branch until it ends.", best_first
)
depth_first.mistake(
    "The start is missing.",
    lambda tree, values, goals, start, threshold: go_down(tree, values, goals, start, threshold)[1:],
)
depth_first.mistake(
    "The goal itself is missing: it was gone to.",
    lambda tree, values, goals, start, threshold: [
        node for node in go_down(tree, values, goals, start, threshold) if node not in goals
    ],
)
depth_first.mistake(
    "Only the goal is returned: the list of all that was gone to is asked for.",
    lambda tree, values, goals, start, threshold: [
        node for node in go_down(tree, values, goals, start, threshold) if node in goals
    ],
)
