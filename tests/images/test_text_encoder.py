"""Texts and pictures in one space: the loss against loops, pads, captions that come twice, and what is learned."""

import math

import pytest
import torch

from insideout.data.pictures.captions import COLOURS, LONGEST, VOCABULARY, Caption, Thing, encode
from insideout.data.pictures.scenes import Item, draw
from insideout.errors import BadInput
from insideout.images.text_encoder import CLIP, CLIP_METRICS, CLIPConfig, TextEncoder, clip_loss, contrastive_loss
from insideout.training.objective import Objective, Sums

SMALL = CLIPConfig(vocab_size=len(VOCABULARY), length=LONGEST, d_model=16, n_layers=1, n_heads=2, d_common=8)


def test_the_loss_is_both_cross_entropies_in_plain_loops():
    similarity = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double()
    found = contrastive_loss(similarity)
    s = similarity.tolist()
    for i in range(4):
        row = -s[i][i] + math.log(sum(math.exp(value) for value in s[i]))
        column = -s[i][i] + math.log(sum(math.exp(s[j][i]) for j in range(4)))
        assert float(found[i]) == pytest.approx((row + column) / 2)


def test_one_direction_alone_would_miss_what_the_other_sees():
    """Every picture finds its caption, and one caption does not find its picture."""
    similarity = torch.tensor([[1.0, 0.0], [5.0, 6.0]])
    assert (similarity.argmax(1) == torch.arange(2)).all() and similarity[:, 0].argmax() == 1
    assert contrastive_loss(similarity)[0] > torch.nn.functional.cross_entropy(similarity, torch.arange(2))


def test_captions_that_are_the_same_words_are_right_for_each_other():
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    perfect = torch.where(same, 30.0, 0.0)
    assert contrastive_loss(perfect, same)[:2].tolist() == pytest.approx([math.log(2)] * 2, rel=1e-4)  # its entropy
    assert contrastive_loss(perfect, same).sum() == contrastive_loss(perfect).sum()
    leaning = perfect.clone()
    leaning[0, 0] += 3  # tells apart what cannot be told apart
    assert contrastive_loss(leaning, same).sum() > contrastive_loss(perfect, same).sum()
    with pytest.raises(BadInput, match="diagonal"):
        contrastive_loss(perfect, ~same)


def test_pads_are_neither_read_nor_counted():
    torch.manual_seed(0)
    encoder = TextEncoder(SMALL)
    short = torch.tensor([encode(["a red circle"])[0][:3]])
    padded = torch.tensor(encode(["a red circle"]))
    torch.testing.assert_close(encoder.pooled(short), encoder.pooled(padded))
    vectors, mask = encoder(padded)
    assert mask.tolist() == [[True] * 3 + [False] * 7]
    torch.testing.assert_close(vectors[:, :3], encoder(short)[0])
    nothing = encoder.pooled(torch.zeros(1, LONGEST, dtype=torch.int64))
    assert (nothing == 0).all()


def test_the_order_of_words_is_heard():
    torch.manual_seed(0)
    encoder = TextEncoder(SMALL)
    above, below = encoder.pooled(
        torch.tensor(encode(["a red circle above a blue square", "a blue square above a red circle"]))
    )
    assert (above - below).abs().max() > 1e-4


def test_it_learns_to_tell_colours():
    captions = [Caption(Thing(colour, "circle", "large")) for colour in COLOURS]
    pictures = draw([[Item(caption.thing, 0.5, 0.5)] for caption in captions])
    ids = torch.tensor(encode(captions))
    torch.manual_seed(0)
    model = CLIP(SMALL)
    sums = Sums(Objective(clip_loss, CLIP_METRICS, counted="pairs"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(36):
        optimizer.zero_grad()
        loss, count = sums.add(clip_loss(model, {"pictures": pictures, "ids": ids}))
        (loss / count).backward()
        optimizer.step()
        losses.append(float(loss.detach()) / count)
    assert losses[0] == pytest.approx(math.log(4), abs=0.5) and losses[-1] < 0.3
    assert (model(pictures, ids).argmax(1) == torch.arange(4)).all()
    assert float(model.temperature.detach()) != pytest.approx(1 / 0.07, rel=1e-3)
    assert 0 < sums.means()["finds_caption"] <= 1 and sums.means()["temperature"] > 1
    torch.testing.assert_close(model.embed_text(ids).norm(dim=1), torch.ones(4))


def test_the_temperature_never_passes_100():
    model = CLIP(SMALL)
    with torch.no_grad():
        model.log_temperature.fill_(9.0)
    assert float(model.temperature.detach()) == pytest.approx(100)


def test_what_cannot_be_encoded_is_refused():
    model = CLIP(SMALL)
    with pytest.raises(BadInput, match="at most 10"):
        model.embed_text(torch.ones(1, 11, dtype=torch.int64))
    with pytest.raises(BadInput, match="ids go from 0"):
        model.embed_text(torch.full((1, 3), 99))
    with pytest.raises(BadInput, match="the encoder reads"):
        model.embed_pictures(torch.zeros(1, 3, 8, 8))
    with pytest.raises(BadInput, match="not divisible by patch"):
        CLIPConfig(size=16, patch=5)
    with pytest.raises(BadInput, match="not divisible by n_heads"):
        CLIPConfig(d_model=6, n_heads=4)
