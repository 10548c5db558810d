"""Patching puts back what it should: everything where everything is put back, nothing where nothing differs."""

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.interpret import edit, patch, record
from tests.transformer.interpret.by_hand_forward import small

CLEAN = torch.randint(23, (3, 9), generator=torch.Generator().manual_seed(5))
CORRUPTED = CLEAN.clone()
CORRUPTED[:, 4] = (CLEAN[:, 4] + 3) % 23


def at_the_end(logits):
    return (logits[:, -1, 2] - logits[:, -1, 9]).mean()


def rest_of_the_model(model, x, first):
    """The blocks from `first` on, then norm and head, applied to a residual stream."""
    context = model._context(torch.arange(x.shape[1])[None], None)
    for block in model.blocks[first:]:
        x = block(x, context)
    return model.head(model.norm(x))


@pytest.mark.parametrize("variant", [dict(n_layers=3), dict(positions="alibi", norm="layernorm", bias=True)], ids=str)
def test_the_residual_stream_patched_by_hand(variant):
    model = small(**variant)
    effect = patch(model, CLEAN, CORRUPTED, at_the_end)
    clean, corrupted = record(model, CLEAN, "blocks.*"), record(model, CORRUPTED, "blocks.*")
    best, worst = at_the_end(model(CLEAN)), at_the_end(model(CORRUPTED))
    assert effect.shape == (model.config.n_layers, 9)
    for layer, name in enumerate(clean):
        for t in range(9):
            x = corrupted[name].clone()
            x[:, t] = clean[name][:, t]
            expected = ((at_the_end(rest_of_the_model(model, x, layer + 1)) - worst) / (best - worst)).detach()
            assert abs(float(effect[layer, t] - expected)) < 1e-10


def test_all_positions_of_a_layer_restore_the_clean_answer_exactly():
    model = small(n_layers=3)
    clean = record(model, CLEAN, ["embedding", "blocks.*", "head"])
    for name in ("embedding", "blocks.0", "blocks.1", "blocks.2"):
        with edit(model, {name: lambda x, name=name: clean[name]}):
            assert torch.equal(at_the_end(model(CORRUPTED)), at_the_end(clean["head"]))


def test_what_is_certain():
    model = small(n_layers=3)
    for component in ("residual", "attention", "feed_forward"):
        effect = patch(model, CLEAN, CORRUPTED, at_the_end, component)
        assert (effect[:, :4] == 0).all()  # nothing before the corrupted token differs
        assert (effect[-1, :-1] == 0).all()  # after the last layer nothing is read from other positions
        assert effect[0, 4] != 0
    assert patch(model, CLEAN, CORRUPTED, at_the_end)[-1, -1] == 1


def test_sublayers_patched_by_hand():
    model = small()
    best, worst = at_the_end(model(CLEAN)), at_the_end(model(CORRUPTED))
    for component in ("attention", "feed_forward"):
        effect = patch(model, CLEAN, CORRUPTED, at_the_end, component)
        clean, corrupted = record(model, CLEAN, "*"), record(model, CORRUPTED, "*")
        x = corrupted["blocks.1"].clone()
        name = f"blocks.1.{component}"
        if component == "feed_forward":  # the last to write: the stream changes by the difference
            x[:, -1] += clean[name][:, -1] - corrupted[name][:, -1]
        else:  # the feed-forward layer reads the change as well
            x = x - corrupted["blocks.1.feed_forward"]
            x[:, -1] += clean[name][:, -1] - corrupted[name][:, -1]
            x = x + model.blocks[1].feed_forward(model.blocks[1].feed_forward_norm(x))
        expected = ((at_the_end(rest_of_the_model(model, x, 2)) - worst) / (best - worst)).detach()
        assert abs(float(effect[1, -1] - expected)) < 1e-10


@pytest.mark.parametrize(
    ("clean", "corrupted", "metric", "said"),
    [
        (CLEAN, CORRUPTED[:, :8], at_the_end, "do not align: clean has 3 of 9 tokens, corrupted has 3 of 8"),
        (CLEAN, CORRUPTED[:2], at_the_end, "corrupted has 2 of 9"),
        (CLEAN, torch.cat([CORRUPTED[:1], CLEAN[1:2], CORRUPTED[2:]]), at_the_end, "pair 1 are the same"),
        (CLEAN, CORRUPTED, lambda logits: logits[:, 0].sum(), "for the clean and for the corrupted prompts"),
        (CLEAN, CORRUPTED, lambda logits: logits[:, -1, 0], r"shape \(3,\): it must give one number"),
        (CLEAN, CORRUPTED, lambda logits: float("nan"), "The metric gave nan"),
    ],
)
def test_what_cannot_be_patched_is_refused(clean, corrupted, metric, said):
    with pytest.raises(BadInput, match=said) as error:
        patch(small(), clean, corrupted, metric)
    assert "\n" not in str(error.value)


def test_a_component_that_cannot_be_patched_is_refused():
    with pytest.raises(BadInput, match="at 'heads': choose one of residual, attention, feed_forward"):
        patch(small(), CLEAN, CORRUPTED, at_the_end, "heads")
    with pytest.raises(BadInput, match=r"no hook point 'blocks\.0\.feed_forward'"):
        patch(small(mlp="none"), CLEAN, CORRUPTED, at_the_end, "feed_forward")
