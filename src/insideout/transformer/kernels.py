"""Gradients written by hand, as in part 1: on a CPU a chain of small operations costs more than its arithmetic.

Autograd would do the same from the formulas in norm.py, positions.py, feed_forward.py and loss.py, but it keeps the
result of every operation in them and makes one pass over memory for each. Written out, a gradient needs little of that:

    RMSNorm         r = 1/√(mean(x²) + ε), d = γ ⊙ g:    dx = r (d − x r² mean(d ⊙ x))     keeps x and r
    rotation        R_t is orthogonal:                   dx = R_t⁻¹ g, turned back         keeps nothing of x
    ReLU²           p = relu(h), y = p²:                 dh = 2 p ⊙ g                      keeps p
    cross-entropy   p = softmax(logits):                 dlogits = g (p − one-hot)         keeps e^logits
    attention       P = softmax(Q Kᵀ / √D), Z = P V:     dV = Pᵀ g, dP = g Vᵀ, ...         keeps Q, K and V

They are used on the CPU; a GPU has kernels of its own, and torch.compile makes them. Attention's is used for bfloat16
alone, where torch's was measured to be the slower one (chapter 07 of part 2 times both); in float32 it is the faster.
Equal to autograd's by test. Taught in book/2-building-a-transformer/05_transformer_block.md (RMSNorm) and in
book/1-understanding-gradients. Shapes: B batch, T positions, H heads, D head width, C width, V vocabulary, N targets.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXACT = (torch.float32, torch.float64)
ROWS = 64
"""Queries whose pattern is computed at once in attention's backward pass: few enough that it stays near the core."""
LONGEST = 512
"""Positions up to which that was measured to be faster than torch's."""


def on_cpu(*inputs: Tensor) -> bool:
    """Are these whole tensors on the CPU? Neither cut over several processes nor stand-ins while exporting.

    Whether a gradient is wanted makes no difference, so that no bit of a result differs.
    """
    return all(type(x) in (Tensor, nn.Parameter) and x.device.type == "cpu" for x in inputs)


def attends_by_hand(v: Tensor) -> bool:
    """Is attention over these values, (B, H, T, D), faster with the gradient below?"""
    return on_cpu(v) and v.dtype == torch.bfloat16 and v.requires_grad and v.shape[2] <= LONGEST


def exact(x: Tensor) -> Tensor:
    """x in float32, or as it is if it has as many digits."""
    return x if x.dtype in EXACT else x.float()


class RMSNorm(torch.autograd.Function):
    """γ ⊙ x / √(mean(x²) + ε) over the last dimension, (..., C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
        ctx.dtype, wide = x.dtype, exact(x)
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        r = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()  # (..., 1)
        ctx.save_for_backward(x, gain, r)
        return (wide * r).mul_(gain)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        x, gain, r = ctx.saved_tensors
        x = exact(x)
        gx = (g * x).flatten(0, -2)  # (rows, C)
        along = (gx @ gain).view_as(r)  # the sum of d ⊙ x
        d_gain = r.flatten() @ gx
        dx = torch.addcmul(g * gain, x, along * r.square() / -x.shape[-1]).mul_(r)
        return dx.to(ctx.dtype), d_gain, None


def turned(x: Tensor, cosine: Tensor, sine: Tensor, direction: int) -> Tensor:
    """Each pair (x_i, x_(i+D/2)) turned by its angle, or back by it where the direction is -1."""
    half = x.shape[-1] // 2
    out = x * cosine
    out[..., :half].addcmul_(x[..., half:], sine[..., half:], value=-direction)
    out[..., half:].addcmul_(x[..., :half], sine[..., :half], value=direction)
    return out


class Rotation(torch.autograd.Function):
    """RoPE of x, (B, H, T, D), by tables whose two halves are equal, (B or 1, 1, T, D). Rounded once, at the end."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return turned(exact(x), cosine, sine, 1).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return turned(exact(g), cosine, sine, -1).to(g.dtype), None, None


class ReluSquared(torch.autograd.Function):
    """relu(h)²."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        positive = h.clamp_min(0)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return (g * positive).mul_(2)


class CrossEntropy(torch.autograd.Function):
    """Σ -log softmax(logits)[target] over rows of (N, V), less those whose target is `ignore`.

    The gradient is written over what the forward pass kept, so it can be asked for once.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, ignore: int) -> Tensor:
        counted = (targets != ignore)[:, None]  # (N, 1)
        at = targets[:, None].where(counted, 0)
        scores = exact(logits)
        largest, right = scores.amax(dim=-1, keepdim=True), scores.gather(1, at)
        powers = (scores - largest if scores is logits else scores.sub_(largest)).exp_()  # (N, V), at most 1
        total = powers.sum(dim=-1, keepdim=True)
        ctx.save_for_backward(powers, total, at, counted)
        ctx.dtype = logits.dtype
        return (total.log() + largest - right).mul_(counted).sum()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        powers, total, at, counted = ctx.saved_tensors
        weight = g * counted  # (N, 1)
        return powers.mul_(weight / total).scatter_add_(1, at, -weight).to(ctx.dtype), None, None


class Attention(torch.autograd.Function):
    """Causal attention, (B, H, T, D) each. Forward is torch's; backward computes the pattern again, by rows.

    S = Q Kᵀ / √D below the diagonal, P = softmax(S), Z = P V. With g the gradient of Z:
    dV = Pᵀ g,  dP = g Vᵀ,  dS = P ⊙ (dP − Σ P ⊙ dP),  dQ = dS K / √D,  dK = dSᵀ Q / √D.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape, scale = g.shape, g.shape[-1] ** -0.5
        q, k, v, g = (x.reshape(-1, *shape[2:]) for x in (*ctx.saved_tensors, g))  # (B H, T, D)
        q = q * scale
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for first in range(0, shape[2], ROWS):
            last = min(first + ROWS, shape[2])
            q_rows, g_rows, k_seen, v_seen = q[:, first:last], g[:, first:last], k[:, :last], v[:, :last]
            mask = torch.full((last - first, last), -torch.inf, dtype=q.dtype).triu_(first + 1)
            pattern = torch.baddbmm(mask, q_rows, k_seen.mT).softmax(dim=-1)  # (B H, rows, last)
            d_pattern = torch.bmm(g_rows, v_seen.mT)
            d_scores = torch._softmax_backward_data(d_pattern, pattern, -1, pattern.dtype)
            torch.bmm(d_scores, k_seen, out=dq[:, first:last])
            dk[:, :last].baddbmm_(d_scores.mT, q_rows)
            dv[:, :last].baddbmm_(pattern.mT, g_rows)
        return dq.mul_(scale).view(shape), dk.view(shape), dv.view(shape)
