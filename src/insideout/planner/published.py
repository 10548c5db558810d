"""Training runs whose makers published what they took, to hold the planner's arithmetic against.

    device hours = tokens · (6 M + 12 L A T) / (peak · utilisation · 3600)

The utilisation is the published one where there is one; else it is ours, and says so. Published hours may hold more
than the training itself, which the arithmetic does not know: restarts, repeated steps, a smaller batch at the start.
Used in book/2-building-a-transformer/07_training.md and by benchmarks/planner.py.
"""

from dataclasses import dataclass

from insideout.planner.counts import flops_per_token
from insideout.planner.devices import DEVICES
from insideout.transformer.config import GPTConfig


@dataclass(frozen=True)
class PublishedRun:
    """One run: what was trained on what, and what its makers say it took."""

    name: str
    config: GPTConfig
    tokens: float
    device: str
    """Its name in DEVICES; empty where only operations are compared."""
    utilisation: float
    """Share of the device's peak in bfloat16."""
    utilisation_is: str
    """Where that number comes from."""
    device_hours: float | None
    """Published hours of one device."""
    flops: float | None
    """Published operations of the whole run."""
    source: str
    also_in_hours: str = ""
    """What else the published hours hold."""

    @property
    def predicted_flops(self) -> float:
        return self.tokens * flops_per_token(self.config)

    @property
    def predicted_hours(self) -> float | None:
        """Of one device, by the formula above."""
        if not self.device:
            return None
        return self.predicted_flops / (DEVICES[self.device].flops("bfloat16") * self.utilisation * 3600)

    @property
    def hours_ratio(self) -> float | None:
        """Predicted over published device hours."""
        if self.predicted_hours is None or self.device_hours is None:
            return None
        return self.predicted_hours / self.device_hours

    @property
    def flops_ratio(self) -> float | None:
        """Predicted over published operations."""
        return None if self.flops is None else self.predicted_flops / self.flops


def _llama(d_model: int, n_layers: int, n_heads: int, d_ff: int, context_length: int, **more: int) -> GPTConfig:
    sizes = {"d_model": d_model, "n_layers": n_layers, "n_heads": n_heads, "n_kv_heads": n_heads, "d_ff": d_ff}
    return GPTConfig.llama(
        **({"vocab_size": 32_000} | sizes | more), context_length=context_length, tie_embeddings=False
    )


PUBLISHED = (
    PublishedRun(
        name="GPT-3 175B",
        config=GPTConfig.gpt2(context_length=2048, d_model=12_288, n_layers=96, n_heads=96),
        tokens=300e9,
        device="",
        utilisation=1.0,
        utilisation_is="not needed",
        device_hours=None,
        flops=3.14e23,
        source="Brown et al. 2020, appendix D, table D.1; it counts 6 operations a parameter and no attention",
    ),
    PublishedRun(
        name="GPT-2 124M in llm.c",
        config=GPTConfig.gpt2(vocab_size=50_304),
        tokens=10e9,
        device="a100-80",
        utilisation=0.6,
        utilisation_is="published: up to about 60%",
        device_hours=8 * 1.5,
        flops=None,
        source="Karpathy 2024, llm.c discussion 481: about 90 minutes on 8 A100 80 GB",
    ),
    PublishedRun(
        name="LLaMA 65B",
        config=_llama(8192, 80, 64, 22_016, 2048),
        tokens=1.4e12,
        device="a100-80",
        utilisation=0.5,
        utilisation_is="ours",
        device_hours=1_022_362,
        flops=None,
        source="Touvron et al. 2023 (LLaMA), §6, table 15",
    ),
    PublishedRun(
        name="Llama 2 7B",
        config=_llama(4096, 32, 32, 11_008, 4096),
        tokens=2e12,
        device="a100-80",
        utilisation=0.5,
        utilisation_is="ours",
        device_hours=184_320,
        flops=None,
        source="Touvron et al. 2023 (Llama 2), §2.2.1, table 2",
    ),
    PublishedRun(
        name="Llama 3.1 405B",
        config=_llama(16_384, 126, 128, 53_248, 8192, n_kv_heads=8, vocab_size=128_256),
        tokens=15.6e12,
        device="h100",
        utilisation=0.41,
        utilisation_is="published: 38 to 43%, 41% on 16,384 devices at 8,192 tokens",
        device_hours=30.84e6,
        flops=3.8e25,
        source="Grattafiori et al. 2024, §1 and §3.3, table 4; hours from the model card of Llama 3.1",
    ),
    PublishedRun(
        name="PaLM 540B",
        config=GPTConfig(
            vocab_size=256_000, context_length=2048, d_model=18_432, n_layers=118, n_heads=48, n_kv_heads=1, d_head=256,
            d_ff=73_728, mlp="swiglu", qk_norm=False,
        ),
        tokens=780e9,
        device="tpu-v4",
        utilisation=0.462,
        utilisation_is="published: 46.2% with attention",
        device_hours=6144 * 1200 + 3072 * 336,
        flops=2527.2e21,
        source="Chowdhery et al. 2022, appendix B, and its table of compute usage",
        also_in_hours="downtime and repeated steps, as its makers say",
    ),
)  # fmt: skip
