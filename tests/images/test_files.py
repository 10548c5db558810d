"""Pictures as files: what is read back is what was drawn."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from insideout.errors import BadInput
from insideout.images.files import sheet, write_animation, write_png


def test_a_sheet_has_every_picture_in_its_place(tmp_path):
    pictures = torch.linspace(-1, 1, 5).reshape(5, 1, 1, 1).expand(5, 1, 2, 3)
    whole = sheet(pictures, columns=2, enlarged=2, gap=1)
    assert whole.shape == (3 * 4 + 4, 2 * 6 + 3, 3)
    assert (whole[1:5, 1:7] == 0).all() and (whole[1:5, 8:14] == 64).all() and (whole[11:15, 1:7] == 255).all()
    assert (whole[0] == 128).all() and (whole[11:15, 8:14] == 128).all()
    write_png(whole, tmp_path / "drawn.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "drawn.png")), whole.numpy())


@pytest.mark.parametrize("ending", ["gif", "png"])
def test_an_animation_shows_its_frames_and_rests_on_the_last(tmp_path, ending):
    frames = [sheet(torch.full((1, 3, 4, 4), level)) for level in (-1.0, 0.0, 1.0)]
    path = tmp_path / f"way.{ending}"
    write_animation(frames, path, milliseconds=80, last=1500)
    with Image.open(path) as shown:
        assert len(list(ImageSequence.Iterator(shown))) == 3 and shown.info["loop"] == 0
        times = []
        for i in range(3):
            shown.seek(i)
            times.append(shown.info["duration"])
            level = np.asarray(shown.convert("RGB"))[2, 2, 0]
            assert abs(int(level) - int(frames[i][2, 2, 0])) <= 1
    assert times == [80, 80, 1500]


def test_what_cannot_be_shown_is_refused(tmp_path):
    with pytest.raises(BadInput, match="of 1 or 3 channels"):
        sheet(torch.zeros(1, 2, 4, 4))
    with pytest.raises(BadInput, match="at least 1, 1 and 0"):
        sheet(torch.zeros(1, 1, 4, 4), columns=0)
    with pytest.raises(BadInput, match="not finite"):
        sheet(torch.full((1, 1, 4, 4), float("nan")))
    with pytest.raises(BadInput, match="no frame"):
        write_animation([], tmp_path / "way.gif")
    with pytest.raises(BadInput, match=r"ends in \.mp4"):
        write_animation([sheet(torch.zeros(1, 1, 4, 4))], tmp_path / "way.mp4")
    assert not list(tmp_path.iterdir())
