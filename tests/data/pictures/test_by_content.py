"""A folder cut by what its pictures show: near copies on one side, whatever the files are called; what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from insideout.data.pictures.by_content import groups_alike, load_by_content, split_by_content
from insideout.data.pictures.labelled import Pictures
from insideout.errors import BadInput


def noise(n, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def write(folder, values, names):
    for value, name in zip(values, names, strict=True):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(value).save(file)
    return folder


def rows_of(splits):
    return {side: {each.numpy().tobytes() for each in of.pictures} for side, of in splits.items()}


def test_near_copies_are_on_one_side(tmp_path):
    for i, values in enumerate(noise(60, size=4)):  # each once more, half as large, a little lighter, as a JPEG
        picture = Image.fromarray(values).resize((48, 48))
        picture.save(tmp_path / f"{i}.png")
        picture.resize((24, 24)).point(lambda value: min(255, value + 2)).save(tmp_path / f"copy-{i}.jpg")
    splits = load_by_content(tmp_path, 24)
    assert {side: len(of) for side, of in splits.items()} == {"train": 96, "development": 12, "test": 12}
    groups = groups_alike(torch.cat([of.pictures for of in splits.values()]))
    sides = [side for side, of in splits.items() for _ in range(len(of))]
    assert len(set(groups)) == 60
    assert all(len({side for side, group in zip(sides, groups, strict=True) if group == g}) == 1 for g in set(groups))


def test_what_links_near_copies_makes_one_group():
    steps = torch.linspace(-1, 1, 101)[:, None, None, None].expand(-1, 1, 8, 8)  # each 0.02 from the next
    assert set(groups_alike(steps)) == {0} and len(set(groups_alike(steps, alike=0.019))) == 101


def test_names_and_order_do_not_matter_and_a_new_picture_moves_few(tmp_path):
    values = noise(101, size=8)
    one = load_by_content(write(tmp_path / "a", values[:100], [f"{i}.png" for i in range(100)]))
    other = load_by_content(write(tmp_path / "b", values[99::-1], [f"x{i}.png" for i in range(100)]))
    assert all(torch.equal(one[side].pictures, other[side].pictures) for side in one)
    more = load_by_content(write(tmp_path / "a", values[100:], ["new.png"]))
    before, after = rows_of(one), rows_of(more)
    assert sum(len(before[side] & after[side]) for side in before) >= 97
    every = before["train"] | before["development"] | before["test"]
    assert len(every) == 100 == sum(map(len, before.values()))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 1, 28), (5, 5, 1), (2, 2, 2), (1, 2, 3, 40)])
def test_every_split_has_something_however_large_the_groups(sizes):
    values = torch.linspace(-0.9, 0.9, len(sizes)).repeat_interleave(torch.tensor(sizes))[:, None, None, None]
    splits = split_by_content(Pictures(values.expand(-1, 1, 8, 8), torch.zeros(len(values)).long(), ("one",)), "these")
    assert all(len(each) for each in splits.values()) and sum(map(len, splits.values())) == sum(sizes)


def test_too_few_that_differ_and_a_class_without_any_are_refused(tmp_path):
    values = noise(2)
    with pytest.raises(BadInput, match="only 2 differ"):
        load_by_content(write(tmp_path / "same", values[[0, 0, 1, 1]], ["1.png", "2.png", "3.png", "4.png"]))
    names = [f"many/{i}.png" for i in range(10)]
    for i in range(40):  # of one class there is a single picture, which is held out now and then
        folder = tmp_path / str(i)
        write(folder, noise(11, size=8, seed=i), [*names, "one/1.png"])
        try:
            splits = load_by_content(folder)
        except BadInput as error:
            assert "All pictures of the class 'one'" in str(error)
            break
        assert 1 in splits["train"].labels
    else:
        raise AssertionError("it was never held out")
