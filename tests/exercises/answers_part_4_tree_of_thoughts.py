"""Answers that readers might give to the chapter on trees of thoughts: right in other styles, and plausibly wrong."""

import re
import string

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# rating: text, scale -> the number of the last word of the scale


def by_bounds(text, scale):
    found = None
    for match in re.finditer(r"\b(" + "|".join(map(re.escape, scale)) + r")\b", text, re.IGNORECASE):
        found = scale[match[1].lower()]
    return found


def by_letters(text, scale):
    only = "".join(letter if letter.isalpha() else " " for letter in text.lower())
    known = [word for word in only.split() if word in scale]
    return scale[known[-1]] if known else None


def by_stripping(text, scale):
    for word in text.split()[::-1]:
        word = word.strip(string.punctuation).lower()
        if word in scale:
            return scale[word]
    return None


def by_splitting(text, scale):
    last = None
    for word in re.split(r"[^a-z]+", text.lower()):
        last = scale.get(word, last)
    return last


def known_in(text, scale):
    return [word for word in re.split(r"[^a-z]+", text.lower()) if word in scale]


ANSWERS["reasoning.tree_of_thoughts.rating"] = {
    RIGHT: [by_bounds, by_letters, by_stripping, by_splitting],
    WRONG: [
        lambda text, scale: next((scale[word] for word in scale if word in text.lower()), None),
        lambda text, scale: next((v for k, v in scale.items() if text.lower().count(k)), None),
        lambda text, scale: scale[known_in(text, scale)[0]] if known_in(text, scale) else None,
        lambda text, scale: by_splitting(text, scale) or None,
        lambda text, scale: by_splitting(text, scale) or 0,
        lambda text, scale: 0.5 if by_splitting(text, scale) is None else by_splitting(text, scale),
        lambda text, scale: (known_in(text, scale) or [None])[-1],
        lambda text, scale: max((scale[word] for word in known_in(text, scale)), default=None),
        lambda text, scale: min((scale[word] for word in known_in(text, scale)), default=None),
        lambda text, scale: (
            sum(scale[word] for word in known_in(text, scale)) / len(known_in(text, scale))
            if known_in(text, scale) else None
        ),
        lambda text, scale: next((scale[word] for word in text.lower().split()[::-1] if word in scale), None),
        lambda text, scale: scale.get(text.lower().strip(".!* ")),
        lambda text, scale: next((scale[w] for w in re.findall(r"[a-zA-Z]+", text)[::-1] if w in scale), None),
        lambda text, scale: scale.get((re.findall(r"[a-z]+", text.lower()) or ["none"])[-1]),
        lambda text, scale: [scale[word] for word in known_in(text, scale)],
        lambda text, scale: next(iter(scale.values())),
    ],
}  # fmt: skip

# depth_first: tree, values, goals, start, threshold -> the nodes that are gone to, in their order


def by_recursion(tree, values, goals, start, threshold):
    seen = []

    def go(node):
        seen.append(node)
        if node in goals:
            return True
        for child in sorted(tree[node], key=lambda each: -values[each]):
            if values[child] >= threshold and go(child):
                return True
        return False

    go(start)
    return seen


def by_prepending(tree, values, goals, start, threshold):
    waiting, seen = [start], []
    while waiting:
        node, *waiting = waiting
        seen += [node]
        if node in goals:
            return seen
        below = [child for child in tree[node] if not values[child] < threshold]
        below.sort(key=values.__getitem__, reverse=True)
        waiting = below + waiting
    return seen


def by_generator(tree, values, goals, start, threshold):
    def walk(node):
        yield node
        for child in sorted(tree[node], key=values.get, reverse=True):
            if values[child] >= threshold:
                yield from walk(child)

    seen = []
    for node in walk(start):
        seen.append(node)
        if node in goals:
            break
    return seen


def by_iterators(tree, values, goals, start, threshold):
    seen, path = [start], [iter(sorted(tree[start], key=lambda n: values[n], reverse=True))]
    while path and seen[-1] not in goals:
        child = next(path[-1], None)
        if child is None:
            path.pop()
        elif values[child] >= threshold:
            seen.append(child)
            path.append(iter(sorted(tree[child], key=lambda n: values[n], reverse=True)))
    return seen


def level_by_level(tree, values, goals, start, threshold):
    seen, level = [], [start]
    while level:
        following = []
        for node in level:
            seen.append(node)
            if node in goals:
                return seen
            following += sorted((c for c in tree[node] if values[c] >= threshold), key=values.get, reverse=True)
        level = following
    return seen


def first_leaf(tree, values, goals, start, threshold):
    return by_recursion(tree, values, [node for node in tree if not tree[node]], start, threshold)


def lowest_first(tree, values, goals, start, threshold):
    seen = []

    def go(node):
        seen.append(node)
        return node in goals or any(
            go(child) for child in sorted(tree[node], key=values.get) if values[child] >= threshold
        )

    go(start)
    return seen


def in_order(tree, values, goals, start, threshold):
    seen = []

    def go(node):
        seen.append(node)
        return node in goals or any(go(child) for child in tree[node] if values[child] >= threshold)

    go(start)
    return seen


def greedy(tree, values, goals, start, threshold):
    node, seen = start, [start]
    while node not in goals:
        kept = [child for child in tree[node] if values[child] >= threshold]
        if not kept:
            return seen
        node = max(kept, key=values.get)
        seen.append(node)
    return seen


def reversed_ties(tree, values, goals, start, threshold):
    return by_recursion({node: tree[node][::-1] for node in tree}, values, goals, start, threshold)


def strictly(tree, values, goals, start, threshold):
    kept = {node: [child for child in tree[node] if values[child] > threshold] for node in tree}
    return by_recursion(kept, values, goals, start, -1)


ANSWERS["reasoning.tree_of_thoughts.depth_first"] = {
    RIGHT: [by_recursion, by_prepending, by_generator, by_iterators],
    WRONG: [
        level_by_level,
        first_leaf,
        lowest_first,
        in_order,
        greedy,
        reversed_ties,
        strictly,
        lambda tree, values, goals, start, threshold: by_recursion(tree, values, [], start, threshold),
        lambda tree, values, goals, start, threshold: by_prepending(tree, values, goals, start, 0),
        lambda tree, values, goals, start, threshold: by_generator(tree, values, goals, start, threshold)[1:],
        lambda tree, values, goals, start, threshold: by_generator(tree, values, goals, start, threshold)[:-1],
        lambda tree, values, goals, start, threshold: [
            node for node in by_recursion(tree, values, goals, start, threshold) if node in goals
        ],
        lambda tree, values, goals, start, threshold: set(by_recursion(tree, values, goals, start, threshold)),
        lambda tree, values, goals, start, threshold: len(by_recursion(tree, values, goals, start, threshold)),
        lambda tree, values, goals, start, threshold: by_recursion(tree, values, goals, start, threshold)[::-1],
        lambda tree, values, goals, start, threshold: first_leaf(tree, values, goals, start, 0),
        lambda tree, values, goals, start, threshold: lowest_first(tree, values, goals, start, threshold)[1:],
    ],
}
