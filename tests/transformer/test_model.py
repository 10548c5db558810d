"""The GPT: causal, the same read at once or through the cache, the same readable or fused."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.transformer.attention import attention, attention_pattern
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.loss import next_token_loss
from insideout.transformer.model import GPT
from insideout.transformer.positions import rope_frequencies, rope_table, rotate, scaled_frequencies
from tests.transformer.interpret.by_hand_forward import small

POSITIONS = ["none", "learned", "sinusoidal", "alibi", "rope"]


VARIANTS = [
    *(dict(positions=positions) for positions in POSITIONS),
    dict(n_kv_heads=2), dict(n_kv_heads=1, positions="alibi"), dict(d_head=10), dict(mlp="swiglu"), dict(mlp="gelu"),
    dict(norm="layernorm", bias=True, qk_norm=False, tie_embeddings=False), dict(mlp="none"), dict(attention_bias=True),
    dict(rope_scaling="linear", rope_factor=3.0), dict(rope_scaling="llama3", rope_factor=8.0, rope_original_length=12),
    dict(window=5), dict(window=5, positions="alibi"), dict(window=1, positions="learned"),
    dict(window=9, n_kv_heads=2), dict(window=24), dict(token_shift=True),
    dict(pair_rows=37, logit_cap=2.5), dict(pair_rows=600, token_shift=True, tie_embeddings=False, logit_cap=30.0),
]  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_future_never_moves_the_past(variant):
    model = small(**variant)
    ids = torch.randint(23, (2, 24))
    changed = ids.clone()
    changed[:, 13:] = (changed[:, 13:] + 1) % 23
    before, after = model(ids), model(changed)
    assert torch.equal(before[:, :13], after[:, :13])
    assert not torch.allclose(before[:, 13:], after[:, 13:])


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_readable_attention_equals_fused(variant):
    model = small(**variant)
    ids = torch.randint(23, (3, 17))
    torch.testing.assert_close(model(ids, explain=True), model(ids), atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_cache_in_pieces_equals_reading_at_once(variant):
    model = small(**variant)
    ids = torch.randint(23, (2, 24))
    whole = model(ids)
    for cuts in [(1,) * 24, (24,), (5, 1, 1, 10, 7), (23, 1)]:
        cache = KVCache(model.config, 2, 24, dtype=torch.float64)
        pieces = [model(part, cache) for part in ids.split(list(cuts), dim=1)]
        torch.testing.assert_close(torch.cat(pieces, dim=1), whole, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@settings(max_examples=3, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_cache_equality_with_rows_of_different_lengths(variant, lengths):
    model = small(**variant)
    rows = [torch.randint(23, (length + 6,)) for length in lengths]
    cache = KVCache(model.config, len(rows), 24, dtype=torch.float64)
    padded = torch.zeros(len(rows), max(lengths), dtype=torch.long)
    for row, (ids, length) in enumerate(zip(rows, lengths, strict=True)):
        padded[row, :length] = ids[:length]
    model(padded, cache)
    cache.set_lengths(lengths)
    for step in range(6):
        new = torch.stack([ids[length + step] for ids, length in zip(rows, lengths, strict=True)])[:, None]
        together = model(new, cache)[:, -1]
        for row, (ids, length) in enumerate(zip(rows, lengths, strict=True)):
            alone = model(ids[None, : length + step + 1])[0, -1]
            torch.testing.assert_close(together[row], alone, atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("positions", ["rope", "alibi"])
def test_a_window_ends_with_the_position_itself(positions):
    model, seen = small(window=4, positions=positions, n_layers=1), []
    model.blocks[0].attention.pattern.register_forward_hook(lambda module, args, out: seen.append(out))
    ids = torch.randint(23, (1, 12))
    logits = model(ids, explain=True)
    read = seen[0] > 0
    for query, key in itertools.product(range(12), range(12)):
        assert bool(read[..., query, key].all()) == bool(read[..., query, key].any()) == (query - 4 < key <= query)
    for changed in range(12):
        other = ids.clone()
        other[0, changed] = (other[0, changed] + 1) % 23
        moved = (model(other) - logits).abs().amax(-1)[0] > 1e-9
        assert moved.nonzero().flatten().tolist() == list(range(changed, min(changed + 4, 12)))


def test_a_window_no_shorter_than_the_text_changes_nothing():
    ids = torch.randint(23, (2, 12))
    assert torch.equal(small(window=12)(ids), small()(ids))


def test_a_block_without_feed_forward_is_attention_alone():
    model = small(mlp="none", n_layers=1)
    assert not [name for name, _ in model.named_parameters() if "feed_forward" in name]
    ids = torch.randint(23, (2, 9))
    x = model.embed(ids, torch.arange(9)[None])
    block = model.blocks[0]
    x = x + block.attention(block.attention_norm(x), model._context(torch.arange(9)[None], None))
    torch.testing.assert_close(model(ids), model.head(model.norm(x)))


def test_explained_pattern_passes_through_its_address():
    model, seen = small(), []
    model.blocks[1].attention.pattern.register_forward_hook(lambda module, args, out: seen.append(out))
    model(torch.randint(23, (2, 9)), explain=True)
    assert seen[0].shape == (2, 4, 9, 9)
    torch.testing.assert_close(seen[0].sum(-1), torch.ones(2, 4, 9, dtype=torch.float64))
    assert seen[0].triu(1).abs().max() == 0


def test_attention_equals_torch_and_float64():
    q, k, v = (torch.randn(2, 3, 11, 8) for _ in range(3))
    torch.testing.assert_close(attention(q, k, v), F.scaled_dot_product_attention(q, k, v, is_causal=True))
    exact = attention(q.double(), k.double(), v.double())
    assert (attention(q, k, v).double() - exact).abs().max() < 1e-5
    offset = attention_pattern(q[:, :, -4:], k)
    torch.testing.assert_close(offset, attention_pattern(q, k)[:, :, -4:])


def test_rope_scores_depend_on_distance_alone():
    cosine, sine = (table.double()[None, None] for table in rope_table(64, rope_frequencies(16, 10_000.0)))
    q, k = torch.randn(2, 16, dtype=torch.float64)
    every = [rotate(x.expand(1, 1, 64, 16), cosine, sine)[0, 0] for x in (q, k)]
    scores = every[0] @ every[1].T  # (query position, key position)
    for distance in (0, 1, 7, 30):
        diagonal = scores.diagonal(-distance)
        assert (diagonal - diagonal[0]).abs().max() < 1e-5  # the table is kept in float32


@pytest.mark.parametrize(
    ("base", "d_head", "low", "high", "factor", "original"),
    [(500_000.0, 64, 1.0, 4.0, 32.0, 8192), (10_000.0, 128, 0.5, 8.0, 4.0, 512), (10_000.0, 16, 1.0, 2.0, 2.0, 64)],
)
def test_scaled_rope_equals_transformers_at_every_frequency(base, d_head, low, high, factor, original):
    transformers = pytest.importorskip("transformers", reason="needs the extra 'hub'")
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    kinds = {
        "linear": {"factor": factor},
        "llama3": {"factor": factor, "low_freq_factor": low, "high_freq_factor": high,
                   "original_max_position_embeddings": original},
    }  # fmt: skip
    plain = rope_frequencies(d_head, base)
    for kind, settings_ in kinds.items():
        theirs = transformers.LlamaConfig(
            hidden_size=4 * d_head, num_attention_heads=4, max_position_embeddings=10 * original,
            rope_parameters={"rope_type": kind, "rope_theta": base, **settings_},
        )  # fmt: skip
        expected, attention_factor = ROPE_INIT_FUNCTIONS[kind](theirs, "cpu")
        config = GPTConfig(
            rope_scaling=kind, rope_factor=factor, rope_low_frequency=low, rope_high_frequency=high,
            rope_original_length=original,
        )  # fmt: skip
        scaled = scaled_frequencies(plain, config)
        assert attention_factor == 1
        torch.testing.assert_close(scaled.float(), expected, rtol=2e-6, atol=0)
        assert 0 < float((scaled < plain).float().mean()) <= 1
    assert torch.equal(scaled_frequencies(plain, GPTConfig()), plain)


def test_linear_scaling_puts_positions_between_those_trained_on():
    ids = torch.randint(23, (1, 8))
    plain, slowed = small(), small(rope_scaling="linear", rope_factor=4.0)
    torch.testing.assert_close(slowed.cosine[0:24:4], plain.cosine[:6], atol=1e-7, rtol=0)
    torch.testing.assert_close(slowed.sine[0:24:4], plain.sine[:6], atol=1e-7, rtol=0)
    assert not torch.allclose(plain(ids), slowed(ids))


def test_checkpointed_activations_give_the_same_gradients():
    grads = []
    for flag in (False, True):
        model = small().train()
        model.checkpoint_activations = flag
        total, count = next_token_loss(model, (torch.arange(20)[None] % 23, torch.arange(1, 21)[None] % 23))
        (total / count).backward()
        grads.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other)


def test_initial_loss_is_that_of_a_uniform_guess():
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=300, d_model=64, n_layers=2))
    ids = torch.randint(300, (8, 65))
    total, count = next_token_loss(model, (ids[:, :-1], ids[:, 1:]))
    assert abs(float(total.detach()) / count - torch.log(torch.tensor(300.0))) < 0.1


def test_presets_have_the_published_sizes():
    with torch.device("meta"):
        assert GPT(GPTConfig.gpt2()).n_parameters == 124_439_808
        assert GPT(GPTConfig.llama()).n_parameters == 1_235_814_400
        assert GPT(GPTConfig.qwen3()).n_parameters == 596_049_920


@pytest.mark.parametrize(
    "wrong",
    [
        dict(d_model=30, n_heads=4),
        dict(n_heads=4, n_kv_heads=3),
        dict(dropout=1.0),
        dict(n_layers=0),
        dict(d_head=3),
        dict(n_kv_heads=0),
        dict(d_ff=0),
        dict(d_head=0),
        dict(window=0),
        dict(mlp="none", d_ff=64),
        dict(rope_factor=2.0),
        dict(rope_scaling="linear", rope_factor=2.0, positions="alibi"),
        dict(rope_scaling="linear", rope_factor=0.5),
        dict(rope_scaling="llama3", rope_factor=2.0, rope_low_frequency=4.0),
        dict(rope_scaling="llama3", rope_factor=2.0, rope_original_length=0),
    ],
    ids=str,
)
def test_a_config_that_cannot_be_built_is_refused_in_one_sentence(wrong):
    with pytest.raises(BadInput) as error:
        GPTConfig(**wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("positions", "none, learned"),
        ("norm", "layernorm, rmsnorm"),
        ("mlp", "gelu, "),
        ("rope_scaling", "none, linear"),
    ],
)
def test_a_choice_that_does_not_exist_is_told_the_others(name, others):
    config = GPTConfig()
    object.__setattr__(config, name, "other")  # in tests the constructor enforces its annotations, and would come first
    with pytest.raises(BadInput, match=f"{name} is 'other'; it must be one of {others}"):
        config.__post_init__()


def test_a_text_longer_than_the_context_is_refused():
    with pytest.raises(BadInput, match="25 tokens"):
        small()(torch.zeros(1, 25, dtype=torch.long))
    cache = KVCache(small().config, 1, 8, dtype=torch.float64)
    with pytest.raises(BadInput, match="room for 8"):
        small()(torch.zeros(1, 9, dtype=torch.long), cache)


def test_every_combination_of_choices_runs():
    mlps = ["gelu", "relu2", "swiglu", "none"]
    choices = itertools.product(POSITIONS, ["layernorm", "rmsnorm"], mlps, [True, False])
    for positions, norm, mlp, bias in choices:
        model = small(positions=positions, norm=norm, mlp=mlp, bias=bias, n_layers=1)
        assert model(torch.zeros(1, 3, dtype=torch.long)).shape == (1, 3, 23)


@pytest.mark.parametrize(
    "change",
    [
        {"norm_eps": -1.0}, {"norm_eps": float("nan")}, {"norm_eps": 1e300}, {"rope_base": -5.0}, {"rope_base": 0.0},
        {"rope_base": float("inf")}, {"rope_base": float("nan")}, {"d_model": 10**400}, {"n_layers": 10**13},
        {"rope_scaling": "linear", "rope_factor": float("nan")}, {"dropout": float("nan")}, {"n_heads": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_model_that_can_only_diverge_or_never_fit_is_refused(change):
    [name] = [each for each in change if each != "rope_scaling"]
    with pytest.raises(BadInput, match=rf"^{name} is") as refused:
        GPTConfig(**change)
    assert len(str(refused.value)) < 500


def test_what_this_machine_cannot_hold_is_said_before_it_is_tried():
    from insideout.recipes.pretrain import check_fits
    from insideout.training.config import TrainConfig

    for model, batch_size in ((GPTConfig(n_layers=10**9), 8), (GPTConfig(), 10**9), (GPTConfig(d_model=4 * 10**6), 1)):
        with pytest.raises(BadInput, match="GiB of memory at the least"):
            check_fits(model, TrainConfig(batch_size=batch_size), 1)
    check_fits(GPTConfig(), TrainConfig(), 1)
