"""Four gradients written by hand, as in part 1: on a CPU a chain of small operations costs more than its arithmetic.

Autograd would do the same from the formulas in norm.py, positions.py, feed_forward.py and loss.py, but it keeps the
result of every operation in them and makes one pass over memory for each. Written out, a gradient needs little of that:

    RMSNorm         r = 1/√(mean(x²) + ε), d = γ ⊙ g:    dx = r (d − x r² mean(d ⊙ x))     keeps x and r
    rotation        R_t is orthogonal:                   dx = R_t⁻¹ g, turned back         keeps nothing of x
    ReLU²           p = relu(h), y = p²:                 dh = 2 p ⊙ g                      keeps p
    cross-entropy   p = softmax(logits):                 dlogits = g (p − one-hot)         keeps e^logits

They are used on the CPU; a GPU has kernels of its own, and torch.compile makes them.
Equal to autograd's by test. Taught in book/2-building-a-transformer/05_transformer_block.md (RMSNorm) and in
book/1-understanding-gradients. Shapes: B batch, T positions, C width, V vocabulary, N targets.
"""

from typing import Any

import torch
from torch import Tensor, nn

EXACT = (torch.float32, torch.float64)


def on_cpu(*inputs: Tensor) -> bool:
    """Are these whole tensors on the CPU? Neither cut over several processes nor stand-ins while exporting."""
    return all(type(x) in (Tensor, nn.Parameter) and x.device.type == "cpu" for x in inputs)


def by_hand(*inputs: Tensor) -> bool:
    """The same, in full precision: torch sums numbers of 16 bits in 32.

    Whether a gradient is wanted makes no difference, so that no bit of a result differs.
    """
    return on_cpu(*inputs) and all(x.dtype in EXACT for x in inputs)


class RMSNorm(torch.autograd.Function):
    """γ ⊙ x / √(mean(x²) + ε) over the last dimension, (..., C)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        r = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()  # (..., 1)
        ctx.save_for_backward(x, gain, r)
        return (x * r).mul_(gain)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        x, gain, r = ctx.saved_tensors
        gx = (g * x).flatten(0, -2)  # (rows, C)
        along = (gx @ gain).view_as(r)  # the sum of d ⊙ x
        d_gain = r.flatten() @ gx
        return torch.addcmul(g * gain, x, along * r.square() / -x.shape[-1]).mul_(r), d_gain, None


def turned(x: Tensor, cosine: Tensor, sine: Tensor, direction: int) -> Tensor:
    """Each pair (x_i, x_(i+D/2)) turned by its angle, or back by it where the direction is -1."""
    out, half = torch.empty_like(x), x.shape[-1] // 2
    first, second, to_first, to_second = x[..., :half], x[..., half:], out[..., :half], out[..., half:]
    cosine, sine = cosine[..., :half], sine[..., :half]
    torch.mul(first, cosine, out=to_first).addcmul_(second, sine, value=-direction)
    torch.mul(second, cosine, out=to_second).addcmul_(first, sine, value=direction)
    return out


class Rotation(torch.autograd.Function):
    """RoPE of x, (B, H, T, D), by tables whose two halves are equal, (B or 1, 1, T, D)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return turned(x, cosine, sine, 1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return turned(g, cosine, sine, -1), None, None


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
        largest = logits.amax(dim=-1, keepdim=True)
        powers = (logits - largest).exp_()  # (N, V), at most 1
        total = powers.sum(dim=-1, keepdim=True)
        ctx.save_for_backward(powers, total, at, counted)
        return (total.log() + largest - logits.gather(1, at)).mul_(counted).sum()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        powers, total, at, counted = ctx.saved_tensors
        weight = g * counted  # (N, 1)
        return powers.mul_(weight / total).scatter_add_(1, at, -weight), None, None
