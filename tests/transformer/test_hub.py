"""The same weights give the same logits in `transformers`, for GPT-2, Llama and Qwen3."""

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generate import generate
from insideout.transformer.hub import config_from_hf, from_hf, to_hf
from insideout.transformer.model import GPT

transformers = pytest.importorskip("transformers", reason="needs the extra 'hub'")

SMALL = dict(vocab_size=61, context_length=48, d_model=32, n_layers=3, n_heads=4)
CONFIGS = [
    GPTConfig.gpt2(**SMALL),
    GPTConfig.gpt2(**SMALL, mlp="gelu", tie_embeddings=False),
    GPTConfig.llama(**SMALL, n_kv_heads=2, d_ff=56),
    GPTConfig.llama(**SMALL, n_kv_heads=4, d_ff=80, tie_embeddings=False, rope_base=10_000.0),
    GPTConfig.qwen3(**SMALL, n_kv_heads=1, d_head=16, d_ff=64),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.positions}-{c.kv_heads}-{c.qk_norm}-{c.tie_embeddings}")
def test_logits_and_greedy_text_agree_both_ways(config):
    torch.manual_seed(0)
    model = GPT(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    ids = torch.randint(61, (2, 20))
    theirs = to_hf(model)
    back = from_hf(theirs)
    with torch.no_grad():
        assert (model(ids) - theirs(ids).logits).abs().max() < 1e-5
        assert torch.equal(back(ids), model(ids))
    assert back.config == model.config or config.d_head is None
    written = theirs.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)
    assert generate(model, ids, 20, temperature=0.0) == written.tolist()


def test_an_unknown_architecture_is_named():
    with pytest.raises(BadInput, match="mistral"):
        config_from_hf(transformers.MistralConfig())
    with pytest.raises(BadInput, match="not a GPT-2"):
        to_hf(GPT(GPTConfig(**SMALL)))
