"""Answers that readers might give to chapter 21 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# families: n, pairs -> for each text the smallest number in its family


def by_parents(n, pairs):
    parent = list(range(n))

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        a, b = root(i), root(j)
        parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(n)]


def by_walking(n, pairs):
    near = {i: set() for i in range(n)}
    for i, j in pairs:
        near[i].add(j)
        near[j].add(i)
    found: list[int | None] = [None] * n
    for i in range(n):
        waiting = [i] if found[i] is None else []
        while waiting:
            k = waiting.pop()
            if found[k] is None:
                found[k] = i
                waiting += near[k]
    return found


def by_sets(n, pairs):
    groups = [{i} for i in range(n)]
    for i, j in pairs:
        one = next(g for g in groups if i in g)
        two = next(g for g in groups if j in g)
        if one is not two:
            groups.remove(two)
            one |= two
    return [min(next(g for g in groups if i in g)) for i in range(n)]


def until_still(n, pairs):
    family, changed = list(range(n)), True
    while changed:
        changed = False
        for i, j in pairs:
            low = min(family[i], family[j])
            if (family[i], family[j]) != (low, low):
                family[i] = family[j] = low
                changed = True
    return family


def twice(n, pairs):
    family = list(range(n))
    for _ in range(2):
        for i, j in pairs:
            family[i] = family[j] = min(family[i], family[j])
    return family


def named_by(of):
    def answer(n, pairs):
        found = by_sets(n, pairs)
        return [of([i for i in range(n) if found[i] == each]) for each in found]

    return answer


def first_twin(n, pairs):
    found = list(range(n))
    for i, j in pairs:
        found[max(i, j)] = min(i, j)
    return found


def without_lookup(n, pairs):
    parent = list(range(n))
    for i, j in pairs:
        parent[max(i, j)] = min(i, j)
    return [parent[parent[i]] for i in range(n)]


def smaller_takes(n, pairs):
    family = list(range(n))
    for i, j in sorted(pairs):
        family[j] = family[i]
    return family


ANSWERS["finetuning.your_own_assistant.families"] = {
    RIGHT: [by_parents, by_walking, by_sets, until_still],
    WRONG: [
        lambda n, pairs: [min([i, *[min(pair) for pair in pairs if i in pair]]) for i in range(n)],
        first_twin,
        without_lookup,
        smaller_takes,
        named_by(max),
        named_by(len),
        named_by(tuple),
        named_by(sum),
        lambda n, pairs: [sorted(set(by_sets(n, pairs))).index(each) for each in by_sets(n, pairs)],
        lambda n, pairs: sorted(set(by_walking(n, pairs))),
        lambda n, pairs: [each + 1 for each in by_parents(n, pairs)],
        lambda n, pairs: by_parents(n, pairs[:-1]),
        lambda n, pairs: by_walking(n, pairs[1:]),
        lambda n, pairs: [min(by_sets(n, pairs))] * n,
        lambda n, pairs: list(range(n)),
        lambda n, pairs: dict(enumerate(by_parents(n, pairs))),
        lambda n, pairs: [sum(i in pair for pair in pairs) for i in range(n)],
        lambda n, pairs: [by_sets(n, pairs)[i] for i in range(n) if any(i in pair for pair in pairs)],
    ],
}  # fmt: skip

# patience: losses, patience -> (the checkpoint that is kept, how many evaluations were made)


def counting(losses, patience):
    best, at, waited = float("inf"), 0, 0
    for i, loss in enumerate(losses):
        if loss < best:
            best, at, waited = loss, i, 0
        else:
            waited += 1
            if waited == patience:
                return at, i + 1
    return at, len(losses)


def by_slices(losses, patience):
    for n in range(1, len(losses) + 1):
        best = min(range(n), key=losses.__getitem__)
        if n - 1 - best >= patience:
            return best, n
    return losses.index(min(losses)), len(losses)


def by_while(losses, patience):
    i = best = 0
    while i < len(losses) and i - best <= patience:
        if losses[i] < losses[best]:
            best = i
        i += 1
        if i - 1 - best >= patience:
            break
    return [best, i]


def by_minima(losses, patience):
    lowest, minima = float("inf"), []
    for i, x in enumerate(losses):
        if x < lowest:
            lowest = x
            minima.append(i)
    for a, b in zip(minima, [*minima[1:], len(losses) + patience], strict=True):
        if b - a > patience and a + patience < len(losses):
            return a, a + patience + 1
    return minima[-1], len(losses)


def within(rule):
    def answer(losses, patience):
        best, waited = 0, 0
        for i, loss in enumerate(losses):
            best, waited, stop = rule(losses, i, best, waited, patience, loss)
            if stop:
                return best, i + 1
        return best, len(losses)

    return answer


def beside_the_last(losses, i, best, waited, patience, loss):
    worse = i > 0 and loss >= losses[i - 1]
    waited = waited + 1 if worse else 0
    return (i if loss < losses[best] else best), waited, waited >= patience


ANSWERS["finetuning.your_own_assistant.patience"] = {
    RIGHT: [counting, by_slices, by_while, by_minima],
    WRONG: [
        lambda x, p: (min(range(len(x)), key=x.__getitem__), counting(x, p)[1]),
        lambda x, p: (min(range(len(x)), key=x.__getitem__), len(x)),
        lambda x, p: (counting(x, p)[1] - 1, counting(x, p)[1]),
        lambda x, p: counting(x, p + 1),
        within(lambda x, i, b, w, p, v: (i, 0, False) if v <= x[b] else (b, w + 1, w + 1 >= p)),
        within(lambda x, i, b, w, p, v: (i, w, False) if v < x[b] else (b, w + (i > 0), w + (i > 0) >= p)),
        within(beside_the_last),
        lambda x, p: (counting(x, p)[0], counting(x, p)[1] - 1),
        lambda x, p: (counting(x, p)[0] + 1, counting(x, p)[1]),
        lambda x, p: counting(x, p)[0],
        lambda x, p: (counting(x, p)[1], counting(x, p)[0]),
        lambda x, p: (x[counting(x, p)[0]], counting(x, p)[1]),
        lambda x, p: counting([-v for v in x], p),
        within(lambda x, i, b, w, p, v: (i, 0, False) if i == 0 or v < x[b] else (b, 1, True)),
        lambda x, p: (max(0, counting(x, p)[1] - 1 - p), counting(x, p)[1]),
        lambda x, p: (counting(x, p)[0], len(x)),
        lambda x, p: (0, counting(x, p)[1]),
        lambda x, p: counting(x[1:], p),
    ],
}  # fmt: skip
