"""The filters by their definition, number by number: what the tests of sampling and of generate compare with."""

import math


def by_hand(logits, temperature, top_k, top_p, min_p):
    """The definition, number by number: a dictionary of what is kept."""
    best = max(logits)
    if temperature == 0:
        return {logits.index(best): 1.0}
    weights = {i: math.exp((score - best) / temperature) for i, score in enumerate(logits)}

    def normalised(kept):
        total = sum(kept.values())
        return {i: weight / total for i, weight in kept.items()}

    p = normalised(weights)
    ranked = sorted(p, key=lambda i: (-p[i], i))
    if top_k is not None and top_k < len(p):
        p = normalised({i: p[i] for i in p if p[i] >= p[ranked[top_k - 1]]})
    if top_p is not None:
        kept, reached = {}, 0.0
        for i in sorted(p, key=lambda i: (-p[i], i)):
            if reached >= top_p:
                break
            kept[i], reached = p[i], reached + p[i]
        p = normalised(kept)
    if min_p is not None:
        p = normalised({i: q for i, q in p.items() if q >= min_p * max(p.values())})
    return p
