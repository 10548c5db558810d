"""What is recorded is what a second forward pass computes; what is edited is what the model goes on with."""

import re

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.generation.generate import generate
from insideout.transformer.interpret import edit, hook_points, record
from tests.transformer.interpret.by_hand_forward import forward, small

VARIANTS = [
    dict(),
    dict(positions="none", mlp="none", bias=True),
    dict(positions="learned", norm="layernorm", bias=True, qk_norm=False, mlp="gelu", tie_embeddings=False),
    dict(positions="alibi", n_kv_heads=2, d_head=10, d_ff=40),
    dict(positions="sinusoidal", norm="layernorm", n_kv_heads=1),
    dict(mlp="swiglu", n_kv_heads=2, rope_base=500.0),
    dict(positions="none", window=3, attention_bias=True),
]
IDS = torch.randint(23, (2, 9), generator=torch.Generator().manual_seed(5))


def backwards(x):
    return x.flip(-1)


def no_hooks(model) -> bool:
    return not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_hook_point_holds_what_a_second_forward_pass_computes(variant):
    model = small(**variant)
    held, expected = record(model, IDS, "*"), forward(model, IDS)
    assert list(held) == list(hook_points(model)) and set(held) == set(expected)
    precision = 1e-4 if variant.get("positions", "rope") in ("rope", "sinusoidal") else 1e-10  # float32 tables
    for name, x in held.items():
        torch.testing.assert_close(x, expected[name], atol=precision, rtol=precision, msg=lambda m, n=name: f"{n}: {m}")
    assert no_hooks(model)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_shapes_are_those_that_hook_points_tells(variant):
    model = small(**variant)
    config = model.config
    sizes = dict(B=2, T=9, S=9, C=24, H=4, D=config.head_width, V=23, d_ff=config.ff_width)
    for name, x in record(model, IDS, "*").items():
        shape = re.search(r"\(([^()]*)\)$", hook_points(model)[name])[1].split(", ")
        assert x.shape == tuple(int(sizes.get(size, size)) for size in shape), name


def test_recording_is_exact_and_leaves_the_model_as_it_was():
    model = small(dropout=0.5).train()
    held = record(model, IDS, ["head", "blocks.*"])
    assert model.training and no_hooks(model)
    assert torch.equal(held["head"], model.eval()(IDS)) and not held["head"].requires_grad
    assert list(held) == ["blocks.0", "blocks.1", "head"]


def test_globs():
    model = small()
    assert list(record(model, IDS, "*.pattern")) == ["blocks.0.attention.pattern", "blocks.1.attention.pattern"]
    assert list(record(model, IDS, "blocks.1.attention.*")) == [
        f"blocks.1.attention.{part}" for part in ("query", "key", "value", "scores", "pattern", "z")
    ]
    assert list(record(model, IDS, "blocks.*.attention")) == ["blocks.0.attention", "blocks.1.attention"]


@pytest.mark.parametrize("name", list(hook_points(small(positions="learned"))))
def test_an_edit_of_any_hook_point_goes_on_into_the_logits(name):
    model = small(positions="learned")
    plain, before = model(IDS), record(model, IDS, name)[name]
    with edit(model, {name: lambda x: x}):
        torch.testing.assert_close(model(IDS), plain, atol=1e-10, rtol=0)
    with edit(model, {name: backwards}):
        after, edited = record(model, IDS, [name, "head"]), model(IDS)
    assert torch.equal(after[name], backwards(before))
    assert torch.equal(after["head"], edited) and (edited - plain).abs().max() > 1e-3
    assert torch.equal(model(IDS), plain) and no_hooks(model)


def test_edits_are_worth_changed_weights():
    """Doubling what a sublayer adds, its z, values, pattern or hidden neurons is doubling a weight."""
    model = small(positions="learned")
    same = {
        "blocks.1.attention.output.weight": ("", ".z", ".value", ".pattern"),
        "blocks.0.feed_forward.down.weight": ("", ".hidden"),
        "norm.weight": ("",),
    }
    for weight, suffixes in same.items():
        changed = small(positions="learned")
        with torch.no_grad():
            changed.get_parameter(weight).mul_(2)
        for suffix in suffixes:
            place = weight.removesuffix(".weight").removesuffix(".output").removesuffix(".down") + suffix
            with edit(model, {place: lambda x: 2 * x}):
                torch.testing.assert_close(model(IDS), changed(IDS), atol=1e-11, rtol=1e-11)


def test_the_embedding_is_the_residual_stream_that_the_first_block_gets():
    model, changed = small(), small()
    changed.token_embedding.weight = torch.nn.Parameter(2 * model.token_embedding.weight)  # no longer tied
    with edit(model, {"embedding": lambda x: 2 * x}):
        torch.testing.assert_close(model(IDS), changed(IDS), atol=1e-11, rtol=1e-11)


def test_masked_scores_are_not_read():
    """Attention knocked out before the softmax: the rest of the row is renormalised."""
    model = small()
    before = record(model, IDS, "*.pattern")["blocks.0.attention.pattern"]

    def blind(scores):
        scores = scores.clone()
        scores[:, 2, 4:, 3] = float("-inf")
        return scores

    with edit(model, {"blocks.0.attention.scores": blind}):
        after = record(model, IDS, "*.pattern")["blocks.0.attention.pattern"]
    expected = before.clone()
    expected[:, 2, 4:, 3] = 0
    torch.testing.assert_close(after, expected / expected.sum(-1, keepdim=True))


def test_edits_apply_in_order_and_the_outer_first():
    model, order = small(), []

    def say(word):
        return lambda x: (order.append(word), x)[1]

    with edit(model, {"blocks.0": say("first"), "blocks.*": say("second")}), edit(model, {"blocks.0": say("third")}):
        model(IDS)
    assert order == ["first", "second", "third", "second"]


@pytest.mark.parametrize("variant", [VARIANTS[1], VARIANTS[2]], ids=str)
def test_an_edit_in_place_is_worth_one_that_is_not(variant):
    """At every place; what was recorded before, or earlier in the same pass, stays what it was."""
    model = small(**variant)
    plain = record(model, IDS, "*")
    kept = {name: x.clone() for name, x in plain.items()}
    for name in (each for each in hook_points(model) if "blocks.1." not in each):
        with edit(model, {name: lambda x: x * 3}):
            expected = record(model, IDS, "*")
        with edit(model, {name: lambda x: x.mul_(3)}):
            found = record(model, IDS, "*")
        before = list(hook_points(model))[: list(hook_points(model)).index(name)]
        assert all(torch.equal(found[each], expected[each]) for each in found), name
        assert all(torch.equal(found[each], kept[each]) for each in before), name
    assert all(torch.equal(plain[each], kept[each]) for each in plain)
    seen = []
    with edit(model, {"blocks.0": lambda x: seen.append(x) or x}), edit(model, {"blocks.0": lambda x: x.zero_()}):
        record(model, IDS, "blocks.0")
    torch.testing.assert_close(seen[0], kept["blocks.0"])


def test_an_edit_reaches_generation_with_and_without_the_cache():
    model = small()
    plain = generate(model, IDS, 8, temperature=0.0)
    for name in ("blocks.1.attention.z", "blocks.0.attention.key", "blocks.0.attention.scores", "blocks.0"):
        with edit(model, {name: lambda x: -x.nan_to_num(neginf=float("inf"))}):
            cached = generate(model, IDS, 8, temperature=0.0)
            assert cached == generate(model, IDS, 8, temperature=0.0, use_cache=False)
        assert cached != plain
    assert generate(model, IDS, 8, temperature=0.0) == plain


def test_gradients_pass_through_an_edit():
    model, direction = small(), torch.zeros(24, dtype=torch.float64, requires_grad=True)
    with edit(model, {"blocks.0": lambda x: x + direction}):
        model(IDS)[0, -1, 3].backward()
    assert direction.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("blocks.1.attention.patern", "blocks.1.attention.pattern"),
        ("blocks.7.attention.z", "blocks.1.attention.z"),
        ("*.atention.pattern", "blocks.*.attention.pattern"),
        ("blocks.*.feedforward", "blocks.*.feed_forward"),
        ("pattern", "*.pattern"),
    ],
)
def test_an_unknown_name_offers_the_nearest(name, nearest):
    model = small()
    for attempt in (lambda: record(model, IDS, ["norm", name]), lambda: edit(model, {name: backwards}).__enter__()):
        with pytest.raises(BadInput, match=f"'{re.escape(name)}'.*did you mean '{re.escape(nearest)}") as error:
            attempt()
        assert "\n" not in str(error.value) and no_hooks(model)


def test_a_name_like_no_other_offers_the_list():
    with pytest.raises(BadInput, match=r"There is no hook point 'xyz' in this model: hook_points\(model\) lists"):
        record(small(), IDS, "xyz")


def test_a_hook_point_that_this_model_lacks_is_unknown():
    model = small(mlp="none")
    assert not any("feed_forward" in name or name == "position_embedding" for name in hook_points(model))
    with pytest.raises(BadInput, match=r"There is no hook point 'blocks\.0\.feed_forward'"):
        record(model, IDS, "blocks.0.feed_forward")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: None, "returned NoneType: return the tensor"),
        (lambda x: x[:1], r"shape \(1, 9, 24\): return torch.float64 of shape \(2, 9, 24\)"),
        (lambda x: x.float(), "returned torch.float32"),
    ],
)
@pytest.mark.parametrize("name", ["blocks.0", "embedding"])
def test_an_edit_that_returns_something_else_is_refused(name, function, said):
    model = small()
    with pytest.raises(BadInput, match=f"The edit of '{name}' .*{said}"), edit(model, {name: function}):
        model(IDS)
    assert no_hooks(model)


@pytest.mark.parametrize("ids", [[[0, 23]], [[-1, 0]], [[]], []])
def test_ids_that_cannot_be_read_are_refused(ids):
    with pytest.raises(BadInput, match=r"nothing to read|outside the vocabulary of 23"):
        record(small(), torch.tensor(ids, dtype=torch.long).reshape(len(ids), -1 if ids and ids[0] else 0), "head")
