"""Documents packed together neither see each other nor share positions: loss and gradients are those of each alone."""

import pytest
import torch
from torch import nn

from insideout.data.batch import Batch, Segment, laid_out, packed, padded
from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.loss import cross_entropy, next_token_loss, token_logprobs
from insideout.transformer.model import GPT
from insideout.transformer.positions import positions_within

PAD = 22
VARIANTS = [
    *(dict(positions=positions) for positions in ["none", "learned", "sinusoidal", "alibi", "rope"]),
    dict(n_kv_heads=2), dict(n_kv_heads=1, positions="alibi"), dict(window=3), dict(window=3, positions="alibi"),
    dict(window=4, positions="learned", n_kv_heads=2), dict(norm="layernorm", bias=True, qk_norm=False, mlp="gelu"),
    dict(rope_scaling="linear", rope_factor=3.0), dict(token_shift=True), dict(pair_rows=40, logit_cap=3.0),
]  # fmt: skip
LAYOUTS = {
    "right": lambda documents: padded(documents, PAD),
    "left": lambda documents: padded(documents, PAD, side="left"),
    "packed": lambda documents: packed(documents, PAD, 20),
    "one row": lambda documents: packed(documents, PAD, 60),
    "other order": lambda documents: laid_out([[3, 0], [2, 4, 1]], documents, PAD),
}


def small(**overrides) -> GPT:
    """A random model with weights large enough that attention is far from uniform."""
    torch.manual_seed(0)
    sizes = dict(vocab_size=23, context_length=24, d_model=24, n_layers=2, n_heads=4, tie_embeddings=False)
    model = GPT(GPTConfig(**(sizes | overrides)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def documents(weight: float | bool = False) -> list[list[Segment]]:
    """Five conversations of 4 to 14 tokens."""
    torch.manual_seed(1)
    lengths = [(3, 4), (9, 5), (1, 3), (6, 1), (2, 9)]
    return [
        [Segment(torch.randint(22, (n,)).tolist(), weight), Segment(torch.randint(22, (m,)).tolist(), True)]
        for n, m in lengths
    ]


def alone(model: nn.Module, document: list[Segment]) -> torch.Tensor:
    """The loss of one document, written without a batch: what is read, and what is to be said at each place."""
    ids = torch.tensor([id for segment in document for id in segment.ids])
    weights = torch.tensor([float(segment.learn) for segment in document for _ in segment.ids])
    surprise = nn.functional.cross_entropy(model(ids[None, :-1])[0], ids[1:], reduction="none")
    return (weights[1:] * surprise).sum()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_loss_and_gradients_are_those_of_each_document_alone(variant, layout):
    model, batch = small(**variant), LAYOUTS[layout](documents())
    expected = torch.stack([alone(model, document) for document in documents()])
    expected.sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.zero_grad()
    total, count = next_token_loss(model, batch)
    total.backward()
    assert count == 22
    torch.testing.assert_close(total, expected.sum(), rtol=1e-6, atol=0)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-4, atol=1e-5, msg=name)
    each = -batch.sums(token_logprobs(model(batch.ids, **batch.reading), batch.targets))
    torch.testing.assert_close(each, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_naive_packing_is_another_loss(variant):
    """What the segments are for: the same rows read as if each were one document."""
    model, batch = small(**variant), packed(documents(), PAD, 20)
    right = batch.sums(token_logprobs(model(batch.ids, segments=batch.segments), batch.targets))
    leaking = batch.sums(token_logprobs(model(batch.ids), batch.targets))
    first = batch.starts == 0  # only what stands behind another document is misread
    torch.testing.assert_close(leaking[first], right[first])
    assert ((leaking - right).abs() > 0.01)[~first].any()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_no_logit_moves_when_another_document_or_the_padding_changes(variant):
    model = small(**variant).double().eval()
    for layout in ("left", "one row", "other order"):
        batch = LAYOUTS[layout](documents())
        logits = model(batch.ids, segments=batch.segments)
        for changed in (-1, 1, 3):
            ids = batch.ids.where(batch.segments != changed, (batch.ids + 5) % 23)
            moved = (model(ids, segments=batch.segments) - logits).abs().amax(-1) > 1e-9
            assert not moved[batch.segments != changed].any()
            assert moved[batch.segments == changed].any() or not (batch.segments == changed).any()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_readable_attention_equals_fused(variant):
    model, batch = small(**variant).double().eval(), packed(documents(), PAD, 20)
    logits = model(batch.ids, segments=batch.segments)
    torch.testing.assert_close(model(batch.ids, explain=True, segments=batch.segments), logits, atol=1e-11, rtol=1e-9)
    assert logits.isfinite().all(), "padding too reads something, if only itself"


def test_a_row_may_be_longer_than_the_context_but_a_document_may_not():
    model = small().eval()
    batch = packed(documents(), PAD, 48)
    assert batch.ids.shape[1] > model.config.context_length
    whole, _ = next_token_loss(model, batch)
    torch.testing.assert_close(whole, sum(alone(model, document) for document in documents()))
    with pytest.raises(BadInput, match="A document has 25 tokens and there is room for 24"):
        next_token_loss(model, packed([[Segment([1] * 25, True)], *documents()], PAD, 48))
    with pytest.raises(BadInput, match="without one"):
        model(batch.ids, KVCache(model.config, 1, 24), segments=batch.segments)


def test_a_weighted_prompt_counts_so_much():
    model = small()
    expected = sum(alone(model, document) for document in documents(0.25))
    for layout in LAYOUTS:
        total, count = next_token_loss(model, LAYOUTS[layout](documents(0.25)))
        assert count == 22 + 0.25 * (21 - 5)  # the first token of each prompt is said by nobody
        torch.testing.assert_close(total, expected, rtol=1e-6, atol=0)


def test_token_logprobs_are_the_loss_position_by_position():
    torch.manual_seed(0)
    logits, targets = 5 * torch.randn(3, 7, 11), torch.randint(11, (3, 7))
    targets[1, 2:] = -100
    logprobs = token_logprobs(logits, targets)
    torch.testing.assert_close(-logprobs.sum(), cross_entropy(logits.clone().flatten(0, 1), targets.flatten()))
    assert (logprobs[1, 2:] == 0).all() and (logprobs[0] < 0).all()


def test_positions_begin_anew_in_every_document():
    segments = torch.tensor([[4, 4, 4, 7, 7, -1, -1], [-1, -1, 0, 1, 1, 1, 1]])
    assert positions_within(segments).tolist() == [[0, 1, 2, 0, 1, 0, 0], [0, 0, 0, 0, 1, 2, 3]]
    batch = packed(documents(), PAD, 20)
    assert torch.equal(positions_within(batch.segments), batch.positions)


def test_activations_computed_anew_give_the_same_gradients():
    gradients = []
    for flag in (False, True):
        model = small().train()
        model.checkpoint_activations = flag
        next_token_loss(model, packed(documents(), PAD, 20))[0].backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_training_on_packed_rows_is_training_on_each_document(tmp_path):
    """Three updates, each of two parts of unequal size, moved to the device by the loop."""
    from insideout.training.config import TrainConfig
    from insideout.training.loop import train

    config = TrainConfig(steps=3, accumulation=2, lr=1e-2, warmup_steps=1, precision="float32", eval_every=0)
    weights = []
    for layout in ("left", "packed", "right"):
        model = small()

        def batch_at(step: int, micro_step: int, layout: str = layout) -> Batch:
            return LAYOUTS[layout](documents(0.5)[:2] if micro_step == 0 else documents(0.5)[2:])

        train(model, next_token_loss, batch_at, config, out=tmp_path / layout)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    start = torch.cat([parameter.detach().flatten() for parameter in small().parameters()])
    assert (weights[0] - start).abs().max() > 0.01
    torch.testing.assert_close(weights[1], weights[0], rtol=0, atol=2e-4)
    torch.testing.assert_close(weights[2], weights[0], rtol=0, atol=2e-4)
