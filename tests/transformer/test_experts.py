"""A mixture of experts: the loop equals the dense computation, and the balance loss is Switch's."""

import copy
from dataclasses import replace

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.experts import MixtureOfExperts, balance_loss, mean_balance_loss
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.loss import next_token_loss
from insideout.transformer.model import GPT

CONFIG = GPTConfig(vocab_size=23, context_length=16, d_model=12, n_layers=2, n_heads=2, d_ff=20)


def layer(n_experts: int, top_k: int, **overrides) -> MixtureOfExperts:
    torch.manual_seed(0)
    return MixtureOfExperts(replace(CONFIG, **overrides), n_experts, top_k).double()


def dense(experts: MixtureOfExperts, x: torch.Tensor) -> torch.Tensor:
    """Every expert computes every position; the ones not among the k largest get the gate 0."""
    p = torch.softmax(x @ experts.router.weight.T, dim=-1)  # (B, T, E)
    rank = (p[..., None, :] > p[..., :, None]).sum(dim=-1)  # how many are larger
    gates = torch.where(rank < experts.top_k, p, 0)
    if experts.top_k > 1:
        gates = gates / gates.sum(dim=-1, keepdim=True)
    answers = torch.stack([expert(x) for expert in experts.experts], dim=-1)  # (B, T, C, E)
    return (answers * gates[..., None, :]).sum(dim=-1)


@pytest.mark.parametrize(("n_experts", "top_k"), [(4, 1), (4, 2), (5, 3), (3, 3), (1, 1), (40, 2)])
@pytest.mark.parametrize("mlp", ["relu2", "swiglu"])
def test_values_and_gradients_equal_the_dense_computation(n_experts, top_k, mlp):
    experts = layer(n_experts, top_k, mlp=mlp, bias=True)
    x = torch.randn(2, 7, 12, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(2, 7, 12, dtype=torch.float64)
    found = {}
    for name, function in (("loop", experts), ("dense", lambda x: dense(experts, x))):
        out = function(x)
        parameters = [x, *experts.parameters()]
        found[name] = [out, *torch.autograd.grad((out * direction).sum(), parameters, materialize_grads=True)]
    for one, other in zip(found["loop"], found["dense"], strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)  # the router's softmax is float32


def test_every_parameter_has_a_gradient_and_the_router_learns():
    for n_experts, top_k in ((4, 1), (40, 2)):
        experts = layer(n_experts, top_k)
        experts(torch.randn(1, 5, 12, dtype=torch.float64)).square().sum().backward()
        assert all(parameter.grad is not None for parameter in experts.parameters())
        assert experts.router.weight.grad.abs().max() > 1e-6
        unused = [each for each in experts.experts if each.up.weight.grad.abs().max() == 0]
        assert (len(unused) > 0) == (n_experts > 5 * top_k)


def test_balance_loss_by_hand():
    uniform = torch.full((6, 3), 1 / 3)
    assert balance_loss(uniform, torch.tensor([[0], [1], [2], [0], [1], [2]])) == pytest.approx(1.0)
    assert balance_loss(uniform, torch.tensor([[0, 1]] * 6)) == pytest.approx(1.0)  # f · P with an even P
    certain = torch.tensor([[1.0, 0.0, 0.0]] * 4)
    assert balance_loss(certain, torch.tensor([[0]] * 4)) == pytest.approx(3.0)
    even = torch.tensor([[0.5, 0.5, 0.0]] * 4)
    assert balance_loss(even, torch.tensor([[0, 1]] * 4)) == pytest.approx(3 / 2)
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    by_hand = 3 * (0.5 * (0.7 + 0.1) / 2 + 0.5 * (0.2 + 0.6) / 2)
    assert balance_loss(probabilities, torch.tensor([[0], [1]])) == pytest.approx(by_hand)


def test_balance_loss_of_a_router_that_prefers_nobody():
    experts = layer(4, 2)
    experts.router.weight.data.zero_()
    experts(torch.randn(2, 9, 12, dtype=torch.float64))
    assert mean_balance_loss(experts).item() == pytest.approx(1.0)


def test_the_balance_loss_alone_spreads_the_choices():
    torch.manual_seed(1)
    experts, x = MixtureOfExperts(CONFIG, 4, 1), torch.randn(8, 32, 12)
    with torch.no_grad():
        x[..., 0] = 2.0
        experts.router.weight[2, 0] += 2.0  # nearly all go to expert 2
    optimizer = torch.optim.Adam([experts.router.weight], lr=0.03)
    shares = []
    for _ in range(150):
        experts(x)
        loss = mean_balance_loss(experts)
        shares.append(experts.routing[1].flatten().bincount(minlength=4) / 256)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert shares[0][2] > 0.9
    assert shares[-1].max() < 0.4
    assert abs(loss.item() - 1) < 0.1


def test_experts_take_the_feed_forward_layers_place():
    torch.manual_seed(0)
    model = GPT(CONFIG)
    for block in model.blocks:
        block.feed_forward = MixtureOfExperts(CONFIG, 4, 2)
    model.initialise()
    written = [p.std() for name, p in model.named_parameters() if name.endswith("down.weight")]
    assert len(written) == 8
    assert 0.008 < torch.stack(written).mean() < 0.012  # 0.02 / √(2 n_layers)
    ids = torch.randint(23, (2, 12))
    total, count = next_token_loss(model, (ids[:, :-1], ids[:, 1:]))
    (total / count + 0.01 * mean_balance_loss(model)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    again = copy.deepcopy(model).eval()
    cache = KVCache(CONFIG, 2, 12)
    pieces = [again(part, cache) for part in ids.split(5, dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model.eval()(ids))


def test_bad_input_gets_one_sentence():
    for n_experts, top_k in ((4, 0), (4, 5), (0, 1)):
        with pytest.raises(BadInput, match="top_k"):
            MixtureOfExperts(CONFIG, n_experts, top_k)
    with pytest.raises(BadInput, match="mlp"):
        MixtureOfExperts(GPTConfig(mlp="none"), 4, 2)
    with pytest.raises(BadInput, match="call the model first"):
        mean_balance_loss(GPT(CONFIG))
