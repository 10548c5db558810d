"""Training runs whose makers published what they took, to hold the planner's arithmetic against.

    utilisation = tokens · (operations a token) / (device hours · 3600 · peak), or tokens a second · … / peak

Makers count attention differently, and a check is only one within their own count: all of it (PaLM), the half under the
causal mask (llm.c), none (GPT-3 and Llama 3.1, whose totals are 6 · N · tokens and so check the count of N alone).
Where they published neither operations nor a utilisation, we count all. Published hours may hold more than the training
itself, which the arithmetic does not know: restarts, repeated steps, a smaller batch at the start.
Used in book/2-building-a-transformer/08_memory_and_speed.md and by benchmarks/planner.py.
"""

from dataclasses import dataclass
from typing import Literal

from insideout.planner.counts import count, flops_per_token, widths
from insideout.planner.devices import DEVICES
from insideout.transformer.config import GPTConfig


@dataclass(frozen=True)
class PublishedRun:
    """One run: what was trained on what, and what its makers say it took."""

    name: str
    config: GPTConfig
    parameters: float
    """As published."""
    tokens: float
    counts: Literal["all", "half", "none"]
    """How much of attention its makers count among the operations."""
    counts_is: str
    """Where that is said."""
    source: str
    device: str = ""
    """Its name in DEVICES; empty where only operations are compared."""
    device_hours: float | None = None
    """Published hours of one device."""
    tokens_per_second: float | None = None
    """Published speed of one device."""
    flops: float | None = None
    """Published operations of the whole run."""
    utilisation: float | None = None
    """Published share of the device's peak in bfloat16."""
    also_in_hours: str = ""
    """What else the published hours hold."""

    @property
    def flops_per_token(self) -> float:
        """Operations of a token, as its makers count."""
        n, attention = (
            count(self.config).total,
            self.config.n_layers * widths(self.config)[0] * self.config.context_length,
        )
        return {
            "all": flops_per_token(self.config),  # 6 M + 12 L A T
            "half": 6.0 * n + 6.0 * attention,
            "none": 6.0 * n,
        }[self.counts]

    @property
    def flops_ratio(self) -> float | None:
        """Ours over published operations of the run."""
        return None if self.flops is None else self.tokens * self.flops_per_token / self.flops

    @property
    def utilisation_of_hours(self) -> float | None:
        """What the published device hours imply."""
        if self.device_hours is None:
            return None
        return self.tokens * self.flops_per_token / (self.device_hours * 3600 * self._peak)

    @property
    def utilisation_of_speed(self) -> float | None:
        """What the published tokens a second imply."""
        return None if self.tokens_per_second is None else self.tokens_per_second * self.flops_per_token / self._peak

    @property
    def _peak(self) -> float:
        return DEVICES[self.device].flops("bfloat16")


def _llama(d_model: int, n_layers: int, n_heads: int, d_ff: int, context_length: int, **more: int) -> GPTConfig:
    sizes = {"d_model": d_model, "n_layers": n_layers, "n_heads": n_heads, "n_kv_heads": n_heads, "d_ff": d_ff}
    return GPTConfig.llama(
        **({"vocab_size": 32_000} | sizes | more), context_length=context_length, tie_embeddings=False
    )


PUBLISHED = (
    PublishedRun(
        name="GPT-3 175B",
        config=GPTConfig.gpt2(context_length=2048, d_model=12_288, n_layers=96, n_heads=96),
        parameters=175e9,
        tokens=300e9,
        counts="none",
        counts_is="Brown et al. 2020, appendix D",
        flops=3.14e23,
        source="Brown et al. 2020, table D.1",
    ),
    PublishedRun(
        name="GPT-2 124M in llm.c",
        config=GPTConfig.gpt2(vocab_size=50_304),
        parameters=124.5e6,
        tokens=10e9,
        counts="half",
        counts_is="llm.c, gpt2_estimate_mfu: 6 N + 6 L C T",
        device="a100-80",
        device_hours=8 * 1.5,
        utilisation=0.6,
        source="Karpathy 2024, llm.c discussion 481: about 90 minutes on 8 A100 80 GB, up to about 60%",
    ),
    PublishedRun(
        name="LLaMA 65B",
        config=_llama(8192, 80, 64, 22_016, 2048),
        parameters=65.2e9,
        tokens=1.4e12,
        counts="all",
        counts_is="ours",
        device="a100-80",
        device_hours=1_022_362,
        tokens_per_second=380,
        source="Touvron et al. 2023 (LLaMA), §2.4 and §6, table 15",
    ),
    PublishedRun(
        name="Llama 2 7B",
        config=_llama(4096, 32, 32, 11_008, 4096),
        parameters=6.74e9,
        tokens=2e12,
        counts="all",
        counts_is="ours",
        device="a100-80",
        device_hours=184_320,
        source="Touvron et al. 2023 (Llama 2), §2.2.1, table 2",
    ),
    PublishedRun(
        name="Llama 3.1 405B",
        config=_llama(16_384, 126, 128, 53_248, 8192, n_kv_heads=8, vocab_size=128_256),
        parameters=405e9,
        tokens=15.6e12,
        counts="none",
        counts_is="its total is 6 · N · tokens; how its utilisation counts is not said",
        device="h100",
        device_hours=30.84e6,
        flops=3.8e25,
        utilisation=0.41,
        source="Grattafiori et al. 2024, §1 and §3.3, table 4: 38 to 43%, 41% on 16,384 devices at 8,192 tokens; hours "
        "from the model card of Llama 3.1",
    ),
    PublishedRun(
        name="PaLM 540B",
        config=GPTConfig(
            vocab_size=256_000, context_length=2048, d_model=18_432, n_layers=118, n_heads=48, n_kv_heads=1, d_head=256,
            d_ff=73_728, mlp="swiglu", qk_norm=False,
        ),
        parameters=540.35e9,
        tokens=780e9,
        counts="all",
        counts_is="Chowdhery et al. 2022, appendix B",
        device="tpu-v4",
        device_hours=6144 * 1200 + 3072 * 336,
        tokens_per_second=238.3e3 / 6144,
        flops=2.56e24,
        utilisation=0.462,
        source="Chowdhery et al. 2022, §4.1 and appendix B",
        also_in_hours="downtime and repeated steps, as its makers say",
    ),
)  # fmt: skip
