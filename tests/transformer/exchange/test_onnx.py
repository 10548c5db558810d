"""The exported graph gives our logits and our greedy text, whatever the batch, the prompt and the past."""

from pathlib import Path

import jaxtyping
import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.onnx import OnnxGPT, export
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT

pytest.importorskip("onnxruntime", reason="needs the extra 'serve'")
pytest.importorskip("onnxscript", reason="needs the extra 'serve'")

SMALL = dict(vocab_size=61, context_length=32, d_model=32, n_heads=4)
CONFIGS = {
    "qwen3": GPTConfig.qwen3(
        **SMALL, n_layers=2, n_kv_heads=2, d_head=12, d_ff=48, window=6,
        rope_scaling="llama3", rope_factor=2.0, rope_original_length=16,
    ),
    "gpt2": GPTConfig.gpt2(**SMALL, n_layers=2, dropout=0.1),
    "alibi": GPTConfig(**SMALL, n_layers=1, positions="alibi", tie_embeddings=False),
}  # fmt: skip


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request, tmp_path_factory) -> tuple[GPT, OnnxGPT]:
    """A model and its export, once for all tests."""
    torch.manual_seed(0)
    model = GPT(CONFIGS[request.param])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("onnx") / "model"
    exported(model, folder)
    assert model.training
    return model.eval(), OnnxGPT(folder)


def exported(model: GPT, folder: Path) -> None:
    """While a graph is made sizes are symbols, which the run-time check of annotations does not take for int."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        export(model, folder)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("cuts", [(1,), (32,), (9, 1, 1, 1), (1, 1), (5, 7, 1, 12)], ids=str)
@pytest.mark.parametrize("batch", [1, 3])
def test_logits_equal_ours_over_prefill_and_decode_steps(pair, batch, cuts):
    model, graph = pair
    ids, past, pieces = torch.randint(61, (batch, sum(cuts))), None, []
    for part in ids.split(list(cuts), dim=1):
        logits, past = graph(part, past)
        pieces.append(logits)
    with torch.no_grad():
        assert (torch.cat(pieces, dim=1) - model(ids)).abs().max() < 1e-4
    layers, heads, width = model.config.n_layers, model.config.kv_heads, model.config.head_width
    assert past[0].shape == past[1].shape == (layers, batch, heads, sum(cuts), width)


def test_the_same_greedy_tokens(pair):
    model, graph = pair
    ids = torch.randint(61, (4, 7))
    text, new, past = ids, ids, None
    for _ in range(20):
        logits, past = graph(new, past)
        new = logits[:, -1:].argmax(-1)
        text = torch.cat([text, new], dim=1)
    assert text.tolist() == generate(model, ids, 20, temperature=0.0)


def test_bad_input_gets_one_sentence(pair, tmp_path):
    model, graph = pair
    past = graph(torch.zeros(1, 30, dtype=torch.long))[1]
    with pytest.raises(BadInput, match=r"33 tokens .* room for 32"):
        graph(torch.zeros(1, 3, dtype=torch.long), past)
    for wrong in (-1, 61):
        with pytest.raises(BadInput, match="outside the vocabulary of 61"):
            graph(torch.tensor([[wrong]]))
    with pytest.raises(BadInput, match="not a model that was exported"):
        OnnxGPT(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(BadInput, match="not a model that was exported"):
        OnnxGPT(tmp_path)
    with pytest.raises(BadInput, match="not empty"):
        export(model, tmp_path)
    with pytest.raises(BadInput, match="float32"):
        export(GPT(model.config).bfloat16(), tmp_path / "new")
    assert not (tmp_path / "new").exists()
