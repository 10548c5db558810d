"""Every value of a JSON file, each to be exchanged for another."""

import json


def places_in(value, path=(), short=1_000) -> list[tuple]:
    """The way to every value of a JSON file; of lists and objects that are not short the first, a middle, the last."""
    inside = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    some = inside if len(inside) < short else [inside[0], inside[len(inside) // 2], inside[-1]]
    return [path, *(place for key in some for place in places_in(value[key], (*path, key), short))]


def with_value(about, path: tuple, value):
    if not path:
        return value
    kept = json.loads(json.dumps(about))
    inside = kept
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = value
    return kept
