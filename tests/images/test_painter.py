"""From a sentence to a picture: what it is told, and that each depends on its own caption alone."""

import pytest
import torch

from insideout.data.pictures.captions import LONGEST, VOCABULARY, encode
from insideout.errors import BadInput
from insideout.images.config import DiTConfig
from insideout.images.painter import NEAREST, Painter, draw_captions, painter_loss
from insideout.images.text_encoder import CLIPConfig

DIT = DiTConfig(size=16, channels=3, patch=4, d_model=16, n_layers=2, n_heads=2, text_width=12)
WORDS = CLIPConfig(vocab_size=len(VOCABULARY), length=LONGEST, d_model=12, n_layers=1, n_heads=2)


@pytest.fixture(scope="module")
def painter():
    torch.manual_seed(0)
    model = Painter(DIT, WORDS)
    with torch.no_grad():
        for parameter in model.parameters():  # adaLN-Zero begins as nothing at all
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def test_a_caption_that_says_nothing_is_no_caption(painter):
    x, t = torch.randn(2, 3, 16, 16), torch.tensor([0.3, 0.8])
    silent = torch.zeros(2, LONGEST, dtype=torch.int64)
    torch.testing.assert_close(painter(x, t, silent), painter(x, t), atol=1e-6, rtol=1e-5)


def test_words_and_their_order_are_heard(painter):
    x, t = torch.randn(1, 3, 16, 16).expand(3, -1, -1, -1), torch.full((3,), 0.5)
    said = ["a red circle above a blue square", "a blue square above a red circle", "a red circle above a green square"]
    found = painter(x, t, torch.tensor(encode(said)))
    for i in range(3):
        for j in range(i):
            assert (found[i] - found[j]).abs().max() > 1e-4


def test_its_velocity_leads_to_the_picture_that_it_believes_in(painter):
    x, t = torch.randn(3, 3, 16, 16), torch.tensor([0.0, 0.5, 1.0])
    ids = torch.tensor(encode(["a red circle", "two blue squares", ""]))
    text, mask = painter.words(ids)
    data = painter.dit(x, t, text=text, text_mask=mask)
    for i, left in enumerate((1.0, 0.5, NEAREST)):
        torch.testing.assert_close(x[i] + left * painter(x, t, ids)[i], data[i])


def test_the_loss_is_of_velocities_at_the_times_asked_for():
    seen = []

    class Knows(torch.nn.Module):  # the noise is x0 where the data are 0
        def forward(self, x, t, ids):
            seen.append(t)
            return -x / (1 - t)[:, None, None, None] + 0.5

    batch = {"pictures": torch.zeros(500, 3, 16, 16), "ids": torch.zeros(500, 2, dtype=torch.int64)}
    torch.manual_seed(0)
    total, count, metrics = painter_loss(-2.0, 0.5)(Knows(), batch)
    assert count == 500 and float(total) / 500 == pytest.approx(0.25, rel=1e-3)
    assert 0.10 < float(seen[0].median()) < 0.14 and float(seen[0].max()) <= 1 - NEAREST
    assert sum(int(each[1]) for each in metrics.values()) == 500
    painter_loss(9.0)(Knows(), batch)
    assert float(seen[1].max()) == pytest.approx(1 - NEAREST)


def test_each_picture_is_drawn_as_it_would_be_alone(painter):
    captions = ["a red circle", "two blue squares", ""]
    together = draw_captions(painter, captions, n_steps=3, solver="heun", guidance=2.0, keep_trajectory=True)
    assert together.x.shape == (3, 3, 16, 16) and together.n_calls == 6 and len(together.trajectory) == 4
    alone = draw_captions(painter, captions[:1], n_steps=3, guidance=2.0)
    torch.testing.assert_close(together.x[:1], alone.x, atol=1e-5, rtol=1e-5)


def test_guidance_of_one_and_zero_are_the_caption_and_nothing(painter):
    captions = ["a red circle", "two blue squares"]
    plain = draw_captions(painter, captions, n_steps=3).x
    nothing = draw_captions(painter, ["", ""], n_steps=3).x
    assert torch.equal(draw_captions(painter, captions, n_steps=3, guidance=1.0).x, plain)
    torch.testing.assert_close(
        draw_captions(painter, captions, n_steps=3, guidance=0.0).x, nothing, atol=1e-5, rtol=1e-5
    )
    assert not torch.allclose(plain, nothing, atol=1e-3)


@pytest.mark.parametrize(
    ("captions", "how", "words"),
    [
        ([], {}, "at least one caption"),
        (["a red circel"], {}, "the nearest is 'circle'"),
        (["red a circle"], {}, "put together otherwise"),
        (["a red circle"], {"n_steps": 0}, "steps is 0"),
        (["a red circle"], {"guidance": float("nan")}, "w is nan"),
        (["a red circle"], {"interval": (0.5, 0.2)}, "interval"),
    ],
)
def test_bad_input_gets_one_sentence(painter, captions, how, words):
    with pytest.raises(BadInput, match=words):
        draw_captions(painter, captions, **how)


def test_widths_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="text_width"):
        Painter(DIT, CLIPConfig(vocab_size=len(VOCABULARY), length=LONGEST, d_model=16, n_layers=1, n_heads=2))
