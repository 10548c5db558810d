"""Muon orthogonalises and agrees with torch's; each parameter goes to the optimizer and decay it should."""

import pytest
import torch
from torch import nn

from insideout.errors import BadInput
from insideout.training.optimizers import Muon, Optimizers, orthogonalise, roles
from tests.training.tiny import Tiny, batch, config, fingerprint, loss_fn


@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (8, 32), (32, 8)])
def test_singular_values_come_near_one_and_directions_stay(rows, columns):
    torch.manual_seed(0)
    matrix = torch.randn(3, rows, columns)
    result = orthogonalise(matrix)
    values = torch.linalg.svdvals(result)
    if rows != columns:  # a square one may have singular values too small to be lifted in five steps
        assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    in_its_own_axes = u.mT @ result @ vt.mT  # diagonal, if the singular directions are unchanged
    assert torch.allclose(in_its_own_axes, torch.diag_embed(in_its_own_axes.diagonal(dim1=1, dim2=2)), atol=1e-4)


def test_the_smallest_singular_values_are_lifted_only_part_of_the_way():
    before = torch.tensor([1.0, 0.3, 0.03, 0.002, 0.001, 0.0001], dtype=torch.float64)  # of the Frobenius norm, nearly
    after = orthogonalise(torch.diag(before / before.norm())[None])[0].diagonal()
    assert after[:4].min() > 0.68 and after.max() < 1.21
    assert after[4:].tolist() == pytest.approx([0.47, 0.05], rel=0.1)


def test_each_matrix_of_a_batch_is_as_if_alone():
    matrix = torch.randn(4, 6, 10, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([orthogonalise(one[None]) for one in matrix])
    assert torch.allclose(orthogonalise(matrix), alone, atol=1e-5)


def test_muon_equals_torchs_muon():
    start = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    ours, theirs = (nn.Parameter(start.clone()) for _ in range(2))
    mine = Muon([ours], lr=0.02, weight_decay=0.1)
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True)
    for step in range(5):
        gradient = torch.randn(12, 5, generator=torch.Generator().manual_seed(step))
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    assert (ours - start).norm() > 0.1
    assert torch.allclose(ours, theirs, atol=2e-3)  # torch's runs Newton-Schulz in bfloat16


def named(model):
    """The names of each role."""
    found = {"hidden": [], "decayed": [], "undecayed": []}
    for name, role in roles(model).items():
        found[role].append(name)
    return found["hidden"], found["decayed"], sorted(found["undecayed"])


def test_roles_where_a_model_says_nothing():
    hidden, decayed, undecayed = named(Tiny())
    assert hidden == ["blocks.0.weight", "blocks.1.weight"]
    assert decayed == ["head.weight"]
    assert undecayed == ["blocks.0.bias", "blocks.1.bias", "embedding.weight", "norm.bias", "norm.weight"]


class Adapter(nn.Module):
    """Says of its matrices that Muon is nothing for them."""

    def __init__(self, role="decayed"):
        super().__init__()
        self.a, self.b, self.role = nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False), role

    def parameter_roles(self):
        return {"a.weight": self.role, "b.weight": self.role}


class Stack(nn.Module):
    """Layers in a list, with an adapter inside one, and a projection outside that it says is hidden."""

    def __init__(self, say=None, inner="decayed"):
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), Adapter(inner)), nn.Linear(8, 8)])
        self.project = nn.Linear(8, 8)
        self.conv = nn.Conv1d(8, 8, 3)
        self.say = say or {}

    def parameter_roles(self):
        return self.say


def test_a_module_says_what_its_parameters_are_and_the_outer_one_goes_first():
    matrices = ["layers.0.0.weight", "layers.1.weight"]
    adapter = ["layers.0.1.a.weight", "layers.0.1.b.weight"]
    hidden, decayed, undecayed = named(Stack())
    assert (hidden, decayed) == (matrices, [*adapter, "project.weight", "conv.weight"])
    assert undecayed == ["conv.bias", "layers.0.0.bias", "layers.1.bias", "project.bias"]
    hidden, decayed, undecayed = named(Stack({"project.weight": "hidden", "layers.1.weight": "undecayed"}))
    assert hidden == ["layers.0.0.weight", "project.weight"] and "layers.1.weight" in undecayed
    hidden, decayed, _ = named(Stack({adapter[0]: "hidden"}, inner="undecayed"))
    assert adapter[0] in hidden and adapter[1] not in decayed


def test_muon_moves_what_a_model_says_is_hidden_and_nothing_else():
    model = Stack({"project.weight": "hidden"})
    optimizers = Optimizers(model, config(optimizer="muon"))
    [muon] = [part for part in optimizers.parts if isinstance(part, Muon)]
    names = {optimizers.names[p] for group in muon.param_groups for p in group["params"]}
    assert names == {"layers.0.0.weight", "layers.1.weight", "project.weight"}


@pytest.mark.parametrize(
    "say",
    [
        {"nowhere.weight": "decayed"},
        {"project.weight": "matrix"},
        {"project.bias": "hidden"},
        {"conv.weight": "hidden"},
    ],
)
def test_a_role_that_cannot_be_is_refused(say):
    with pytest.raises(BadInput, match=r"^Stack says that its parameter .* it must be one of its parameters"):
        roles(Stack(say))


def test_muon_with_nothing_hidden_is_refused():
    plain = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with pytest.raises(BadInput, match="Sequential has no hidden matrix to train: choose adamw, or give it a method"):
        Optimizers(plain, config(optimizer="muon"))
    assert Optimizers(plain, config(optimizer="adamw"))


@pytest.mark.parametrize("kind", ["grouped heads", "untied", "learned positions", "experts"])
def test_roles_of_a_gpt(kind):
    """The layers' matrices are hidden; a tied head is an embedding, a head of its own is decayed."""
    from insideout.transformer.config import GPTConfig
    from insideout.transformer.experts import MixtureOfExperts
    from insideout.transformer.model import GPT

    changes = {
        "grouped heads": {"n_kv_heads": 2, "mlp": "swiglu"},
        "untied": {"tie_embeddings": False, "bias": True},
        "learned positions": {"positions": "learned", "norm": "layernorm"},
        "experts": {},
    }[kind]
    model = GPT(GPTConfig(vocab_size=11, context_length=8, d_model=16, n_layers=2, n_heads=4, **changes))
    if kind == "experts":
        model.blocks[0].feed_forward = MixtureOfExperts(model.config, 2, 1)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "embedding" in name:
            expected = "undecayed"
        else:
            expected = "decayed" if name == "head.weight" else "hidden"
        assert roles(model)[name] == expected, name


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_only_matrices_decay(optimizer):
    model = Tiny()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizers = Optimizers(model, config(optimizer=optimizer, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizers.set_lr(0.01)
    optimizers.step()
    rate = {"adamw": 0.01, "muon": 0.02}[optimizer]
    for name, parameter in model.named_parameters():
        shrink = {"blocks.0.weight": rate, "blocks.1.weight": rate, "head.weight": 0.01}.get(name, 0.0)
        assert torch.allclose(parameter, before[name] * (1 - 0.5 * shrink), atol=1e-7), name


def test_tied_head_is_an_embedding_and_frozen_weights_are_left_out():
    model = Tiny()
    model.head.weight = model.embedding.weight
    model.blocks[0].weight.requires_grad_(False)
    hidden, decayed, undecayed = named(model)
    assert hidden == ["blocks.0.weight", "blocks.1.weight"] and not decayed
    assert "embedding.weight" in undecayed and "head.weight" not in undecayed
    optimizers = Optimizers(model, config(optimizer="muon"))
    held = [tuple(p.shape) for part in optimizers.parts for group in part.param_groups for p in group["params"]]
    assert sorted(held) == sorted(tuple(p.shape) for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_state_goes_through_a_dict_of_tensors(optimizer):
    def steps(model, optimizers, numbers):
        for number in numbers:
            optimizers.zero_grad()
            loss_fn(model, batch(number))[0].backward()
            optimizers.step()

    model = Tiny()
    optimizers = Optimizers(model, config(optimizer=optimizer))
    steps(model, optimizers, range(3))
    tensors = {name: tensor.clone() for name, tensor in optimizers.tensors().items()}
    twin = Tiny()
    twin.load_state_dict(model.state_dict())
    again = Optimizers(twin, config(optimizer=optimizer))
    again.load_tensors(tensors)
    steps(model, optimizers, range(3, 6))
    steps(twin, again, range(3, 6))
    assert fingerprint(model) == fingerprint(twin)
    with pytest.raises(BadInput, match="trains no parameter nowhere"):
        again.load_tensors({"nowhere/exp_avg": torch.zeros(1)})
    with pytest.raises(BadInput, match="does not fit"):
        again.load_tensors({"embedding.weight/exp_avg": torch.zeros(1)})


def test_nothing_to_train_is_bad_input():
    with pytest.raises(BadInput, match="no trainable parameter"):
        Optimizers(Tiny().requires_grad_(False), config())
