"""A GPT's forward pass written a second time, by the textbook and with none of the library's code, keeping everything.

The rotation of RoPE is a product of complex numbers here; the attention is a loop over heads and positions.
"""

import math

import torch
from torch.nn import functional as F

from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT


def small(seed: int = 0, **overrides) -> GPT:
    """A random model in float64 with weights large enough that attention is far from uniform."""
    torch.manual_seed(seed)
    sizes = dict(vocab_size=23, context_length=24, d_model=24, n_layers=2, n_heads=4, norm_eps=1e-6)
    model = GPT(GPTConfig(**(sizes | overrides))).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def normalised(w, config, name, x):
    if config.norm == "layernorm":
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w.get(f"{name}.bias"), config.norm_eps)
    return x / (x.square().mean(-1, keepdim=True) + config.norm_eps).sqrt() * w[f"{name}.weight"]


def linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def turned(x, base):
    """(B, H, T, D): dimension i and i + D/2 are one complex number, turned by t · base^(-2i/D)."""
    half = x.shape[-1] // 2
    number = torch.complex(x[..., :half], x[..., half:])
    angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(half, dtype=torch.float64) / half)
    number = number * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([number.real, number.imag], dim=-1)


def attend(w, config, name, x, kept):
    B, T, _ = x.shape
    H, G, D = config.n_heads, config.kv_heads, config.head_width
    q, k, v = linear(w, f"{name}.query_key_value", x).split([H * D, G * D, G * D], dim=-1)
    q, k, v = (part.reshape(B, T, -1, D).permute(0, 2, 1, 3) for part in (q, k, v))
    if config.qk_norm:
        q, k = (
            part / (part.square().mean(-1, keepdim=True) + config.norm_eps).sqrt() * w[f"{name}.{which}_norm.weight"]
            for part, which in ((q, "query"), (k, "key"))
        )
    if config.positions == "rope":
        q, k = turned(q, config.rope_base), turned(k, config.rope_base)
    scores = torch.full((B, H, T, T), -math.inf, dtype=x.dtype)
    pattern, z = torch.zeros(B, H, T, T, dtype=x.dtype), torch.zeros(B, H, T, D, dtype=x.dtype)
    for h in range(H):
        group = h // (H // G)
        for t in range(T):
            first = 0 if config.window is None else max(0, t + 1 - config.window)
            read = slice(first, t + 1)
            row = (k[:, group, read] @ q[:, h, t, :, None]).squeeze(-1) / math.sqrt(D)  # (B, positions read)
            if config.positions == "alibi":
                row = row - 2 ** (-8 * (h + 1) / H) * (t - torch.arange(first, t + 1))
            scores[:, h, t, read] = row
            pattern[:, h, t, read] = row.exp() / row.exp().sum(-1, keepdim=True)
            z[:, h, t] = (pattern[:, h, t, read, None] * v[:, group, read]).sum(1)
    names = ("query", "key", "value", "scores", "pattern", "z")
    k, v = (part.repeat_interleave(H // G, dim=1) for part in (k, v))  # as each head uses them
    kept |= {f"{name}.{each}": x for each, x in zip(names, (q, k, v, scores, pattern, z), strict=True)}
    kept[name] = linear(w, f"{name}.output", torch.cat([z[:, h] for h in range(H)], dim=-1))
    return kept[name]


def forward(model: GPT, ids) -> dict[str, torch.Tensor]:
    """Everything that the model computes, under the names that `hook_points` gives it."""
    w, config, kept = model.state_dict(), model.config, {}
    kept["token_embedding"] = w["token_embedding.weight"][ids]
    x = kept["token_embedding"]
    if config.positions == "learned":
        kept["position_embedding"] = w["position_embedding.weight"][: ids.shape[1]][None]
        x = x + kept["position_embedding"]
    if config.positions == "sinusoidal":
        t, i = torch.arange(ids.shape[1])[:, None], torch.arange(config.d_model // 2, dtype=torch.float64)
        angle = t / 10_000 ** (2 * i / config.d_model)
        x = x + torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
    kept["embedding"] = x
    for layer in range(config.n_layers):
        block = f"blocks.{layer}"
        kept[f"{block}.attention_norm"] = normalised(w, config, f"{block}.attention_norm", x)
        x = x + attend(w, config, f"{block}.attention", kept[f"{block}.attention_norm"], kept)
        if config.mlp != "none":
            read = kept[f"{block}.feed_forward_norm"] = normalised(w, config, f"{block}.feed_forward_norm", x)
            name = f"{block}.feed_forward"
            hidden = linear(w, f"{name}.up", read)
            if config.mlp == "swiglu":
                gate = linear(w, f"{name}.gate", read)
                hidden = gate * gate.sigmoid() * hidden
            elif config.mlp == "gelu":
                hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
            else:
                hidden = hidden.clamp(min=0) ** 2
            kept[f"{name}.hidden"] = hidden
            kept[name] = linear(w, f"{name}.down", hidden)
            x = x + kept[name]
        kept[block] = x
    kept["norm"] = normalised(w, config, "norm", x)
    kept["head"] = kept["norm"] @ w["head.weight"].T
    return kept
