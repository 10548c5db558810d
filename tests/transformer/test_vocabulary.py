"""A model grows rows for new tokens, and says of the old ones what it said before."""

import dataclasses

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT
from insideout.transformer.vocabulary import grow

SIZES = dict(vocab_size=61, context_length=24, d_model=32, n_layers=2, n_heads=4)


def model_of(**overrides) -> GPT:
    torch.manual_seed(0)
    model = GPT(GPTConfig.llama(**SIZES, n_kv_heads=2, d_ff=48, **overrides)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("tied", [True, False])
@torch.no_grad()
def test_old_tokens_keep_their_logits_and_new_ones_take_little(tied):
    model = model_of(tie_embeddings=tied)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    grown, ids = grow(model, 66, seed=1), torch.randint(61, (3, 20))
    assert grown.config == dataclasses.replace(model.config, vocab_size=66)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert (grown.head.weight is grown.token_embedding.weight) is tied
    assert not grown.training and grow(model.train(), 62).training
    logits, old = grown(ids), model.eval()(ids)
    assert (logits[..., :61] - old).abs().max() < 1e-5
    new = logits.softmax(-1)[..., 61:].sum(-1)
    assert new.max() < 1.5 * 5 / 66  # at most k / (n + k), but for the noise
    off = (logits[..., 61:] - old.mean(-1, keepdim=True)).abs() / old.std(-1, keepdim=True)
    assert off.max() < 0.5
    rows = grown.token_embedding.weight[61:]
    assert torch.pdist(rows).min() > 0.05 * torch.pdist(model.token_embedding.weight).mean()
    assert torch.equal(rows, grow(model, 66, seed=1).token_embedding.weight[61:])
    assert not torch.equal(rows, grow(model, 66, seed=2).token_embedding.weight[61:])


def test_a_grown_model_learns_its_new_rows_and_keeps_its_precision():
    grown = grow(model_of(), 63)
    loss = grown(torch.tensor([[61, 62]])).logsumexp(-1).sum()
    loss.backward()
    assert grown.token_embedding.weight.grad[61:].abs().sum() > 0
    assert grown.n_parameters == model_of().n_parameters + 2 * 32
    low = grow(model_of().bfloat16(), 63)
    assert {parameter.dtype for parameter in low.parameters()} == {torch.bfloat16}
    assert grow(model_of(), 61).config.vocab_size == 61


def test_a_vocabulary_does_not_shrink():
    with pytest.raises(BadInput, match="61 tokens and vocab_size is 60"):
        grow(model_of(), 60)
