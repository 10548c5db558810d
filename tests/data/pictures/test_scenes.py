"""Scenes: captions read and written, combinations held out, and a checker that is right about real and changed ones."""

import itertools
import random
from collections import Counter

import pytest
import torch

from insideout.data.pictures.captions import (
    COLOURS,
    LONGEST,
    OPPOSITE,
    SHAPES,
    SIZES,
    VOCABULARY,
    Caption,
    Thing,
    encode,
    every_combination,
    parse,
)
from insideout.data.pictures.checker import judge, read
from insideout.data.pictures.scenes import AREAS, RADII, SIDE, Item, draw, place, scenes, stream
from insideout.errors import BadInput

N = 120


@pytest.fixture(scope="module")
def drawn():
    return scenes("train", N, seed=5)


def test_captions_come_back():
    source = stream("train", 3)
    for caption, _ in itertools.islice(source, 100):
        assert parse(str(caption)) == caption
    assert parse("Two small red circles.") == Caption(Thing("red", "circle", "small"), count=2)
    assert parse("a red circle left of a large blue square") == Caption(
        Thing("red", "circle"), "left of", Thing("blue", "square", "large")
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a rde circle", "'rde' is not a word of the captions; the nearest is 'red'"),
        ("a red sqare", "nearest is 'square'"),
        ("a red", "put together otherwise"),
        ("", "put together otherwise"),
        ("two red circle", "put together otherwise"),
        ("three red circles", "'three' is not a word"),
        ("a red circles", "put together otherwise"),
        ("a circle red", "put together otherwise"),
        ("two red circles above a blue square", "put together otherwise"),
        ("a red circle left a blue square", "put together otherwise"),
        ("a red circle above a blue square above a red circle", "put together otherwise"),
        ("a red circle above two blue squares", "put together otherwise"),
    ],
)
def test_captions_that_cannot_be_read_are_refused(text, words):
    with pytest.raises(BadInput, match=words):
        parse(text)


def test_ids_are_words_and_pads():
    rows = encode(["a small red circle left of a large blue square", "two blue squares", ""])
    assert [len(row) for row in rows] == [LONGEST] * 3 and 0 not in rows[0]
    assert [VOCABULARY[id] for id in rows[1]] == ["two", "blue", "squares"] + ["<pad>"] * (LONGEST - 3)
    assert rows[2] == [0] * LONGEST


def test_a_combination_lies_in_one_split_however_it_is_put():
    assert parse("a red circle above a blue square").combination == "red circle above blue square"
    for caption in every_combination():
        if caption.other is not None:
            turned = Caption(caption.other, OPPOSITE[caption.relation], caption.thing)
            assert (turned.combination, turned.split) == (caption.combination, caption.split)
        sized = Caption(caption.thing._replace(size="large"), caption.relation, caption.other, caption.count)
        assert sized.split == caption.split
    counts = Counter(caption.split for caption in every_combination())
    assert sum(counts.values()) == len({c.combination for c in every_combination()}) == 12 * 2 + 12 * 11 * 2
    assert 0.65 < counts["train"] / 300 < 0.85 and counts["test"] > 30 and counts["development"] > 15


def test_what_is_held_out_is_never_seen_and_its_parts_are(drawn):
    seen = {caption.combination for caption in drawn.captions}
    test = [caption for caption, _ in itertools.islice(stream("test", 0), 100)]
    assert not seen & {caption.combination for caption in test}
    for words, caption_words in ((COLOURS, "colour"), (SHAPES, "shape")):
        assert {getattr(caption.thing, caption_words) for caption in drawn.captions} == set(words)
    assert {caption.relation for caption in drawn.captions} == {"", *OPPOSITE}
    assert {caption.kind for caption in test} == {"one", "several", "two"}


def test_scenes_are_the_same_for_the_same_seed(drawn):
    assert torch.equal(scenes("train", 4, seed=5).pictures, drawn.pictures[:4])
    assert not torch.equal(scenes("train", 4, seed=6).pictures, drawn.pictures[:4])
    assert drawn.pictures.shape == (N, 3, SIDE, SIDE)
    assert drawn.pictures.min() == -1 and 0.99 < drawn.pictures.max() <= 1


def test_a_thing_has_the_area_that_its_shape_and_size_say():
    for shape, area in AREAS.items():  # soft edges add a little at the corners
        [picture] = draw([[Item(Thing("red", shape, "large"), 0.5, 0.5)]], side=64)
        assert float((picture[0] + 1).sum() / 2) / 64**2 == pytest.approx(area * RADII["large"] ** 2, rel=0.08)


def test_all_of_a_thing_is_to_be_seen_however_large():
    for made in (scenes("train", 60, seed=9), scenes("train", 60, seed=9, side=32)):
        edges = torch.cat([made.pictures[..., (0, -1), :].flatten(1), made.pictures[..., (0, -1)].flatten(1)], 1)
        assert edges.max() < 0.5  # soft edges may reach it, no thing does


@pytest.mark.parametrize(("side", "noise", "at_least"), [(16, 0.0, 1), (24, 0.0, 1), (16, 0.1, 0.99), (24, 0.1, 0.99)])
def test_the_checker_is_right_about_real_scenes(drawn, side, noise, at_least):
    pictures = draw(drawn.items, side)
    pictures = pictures + noise * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    right = [judge(caption, picture)["correct"] for caption, picture in zip(drawn.captions, pictures, strict=True)]
    assert sum(right) / N >= at_least


def test_the_checker_reads_what_was_drawn(drawn):
    for items, picture in zip(drawn.items[:40], drawn.pictures, strict=False):
        found = read(picture)
        assert Counter(Thing(s.colour, s.shape, s.size) for s in found) == Counter(item.thing for item in items)
        for item in items:
            assert any(abs(s.x - item.x) < 0.02 and abs(s.y - item.y) < 0.02 for s in found)


def changed(caption, source):
    """The caption with one thing in it changed, and the part of the verdict that must fall."""
    thing, part = caption.thing, source.choice(["colour", "shape", "count", "size", "relation"])
    if part == "relation" and caption.relation:
        return Caption(thing, source.choice([r for r in OPPOSITE if r != caption.relation]), caption.other), part
    if part == "count" and caption.other is None:
        return Caption(thing, count=3 - caption.count), part
    if part == "size" and thing.size:
        other_size = SIZES[1 - SIZES.index(thing.size)]
        if caption.other is None:
            return Caption(thing._replace(size=other_size), count=caption.count), part
    if part == "colour":
        thing = thing._replace(colour=source.choice([c for c in COLOURS if c != thing.colour]))
        return Caption(thing, caption.relation, caption.other, caption.count), part
    thing = thing._replace(shape=source.choice([s for s in SHAPES if s != thing.shape]))
    return Caption(thing, caption.relation, caption.other, caption.count), "shape"


def test_the_checker_is_right_about_changed_scenes(drawn):
    source, fallen, parts = random.Random(1), [], Counter()
    for caption in drawn.captions:
        other, part = changed(caption, source)
        verdict = judge(caption, draw([place(other, source)])[0])
        fallen.append(verdict["correct"] is False and verdict[part] is False)
        parts[part] += 1
    assert sum(fallen) / N >= 0.99
    assert set(parts) == {"colour", "shape", "count", "size", "relation"}


def test_two_things_that_change_their_colours_are_not_right():
    caption = parse("a red circle above a blue square")
    swapped = draw(
        [[Item(Thing("blue", "circle", "large"), 0.5, 0.25), Item(Thing("red", "square", "large"), 0.5, 0.75)]]
    )
    verdict = judge(caption, swapped[0])
    assert verdict["colour"] and verdict["shape"] and not verdict["correct"]


def test_neither_noise_nor_nothing_nor_a_blob_is_a_scene():
    caption = parse("a red circle")
    noise = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0))
    for picture in (noise, -torch.ones(3, 16, 16), torch.ones(3, 16, 16)):
        assert judge(caption, picture)["correct"] is False
    bar = -torch.ones(3, 16, 16)
    bar[0, 7:9, 2:14] = 1
    [seen] = read(bar)
    assert seen.colour == "red" and seen.shape == ""


def test_parts_that_are_not_spoken_of_are_none(drawn):
    verdict = judge("a red circle", draw([[Item(Thing("red", "circle", "small"), 0.5, 0.5)]])[0])
    assert dict(verdict.parts) == {
        "correct": True, "count": True, "colour": True, "shape": True, "size": None, "relation": None,
    }  # fmt: skip


def test_what_cannot_be_drawn_or_read_is_refused(monkeypatch):
    with pytest.raises(BadInput, match="side is 8"):
        scenes("train", 1, side=8)
    monkeypatch.setitem(RADII, "large", 0.5)
    with pytest.raises(BadInput, match="no room for two large red triangles"):
        place(parse("two large red triangles"), random.Random(0))
    with pytest.raises(BadInput, match="at least 1"):
        scenes("train", 0)
    with pytest.raises(BadInput, match="no scene"):
        draw([])
    with pytest.raises(BadInput, match="a scene's is"):
        read(torch.zeros(1, 16, 16))
