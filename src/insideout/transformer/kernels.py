"""The fast form of the model's operations, chosen here and nowhere else.

On a CPU a chain of small operations costs more than its arithmetic: autograd keeps the result of every operation of a
formula and makes one pass over memory for each. So there the gradients are written by hand, as in part 1:

    RMSNorm         r = 1/√(mean(x²) + ε), d = γ ⊙ g:    dx = r (d − x r² mean(d ⊙ x))     keeps x and r
    rotation        R_t is orthogonal:                   dx = R_t⁻¹ g, turned back         keeps nothing of x
    ReLU²           p = relu(h), y = p²:                 dh = 2 p ⊙ g                      keeps p
    cross-entropy   p = softmax(logits):                 dlogits = g (p − one-hot)         keeps e^logits
    attention       P = softmax(Q Kᵀ / √D), Z = P V:     dV = Pᵀ g, dP = g Vᵀ, ...         keeps Q, K and V

A GPU has kernels of its own, and torch.compile makes them; there the formulas are used. Attention's gradient is used
for bfloat16 alone, where torch's was measured to be the slower one (chapter 08 of part 2 times both).
Second derivatives are autograd's, of the formulas. Cross-entropy and attention have none, and say so: torch's own
cross-entropy has one, and attention with `explain=True`.
Equal to autograd's by test. Taught in book/2-building-a-transformer/05_transformer_block.md (RMSNorm); part 1 derives
the others. Shapes: B batch, T positions, S keys, H heads, D head width, C width, V vocabulary, N targets.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.errors import BadInput

EXACT = (torch.float32, torch.float64)
ROWS = 64
"""Queries whose pattern is computed at once in attention's backward pass: few enough that it stays near the core."""
LONGEST = 512
"""Positions up to which that was measured to be faster than torch's."""


def by_hand(*inputs: Tensor) -> bool:
    """Are these whole tensors on the CPU? Neither cut over several processes nor stand-ins while exporting.

    Whether a gradient is wanted makes no difference, so that no bit of a result differs.
    """
    return all(type(x) in (Tensor, nn.Parameter) and x.device.type == "cpu" for x in inputs)


def exact(x: Tensor) -> Tensor:
    """x in float32, or as it is if it has as many digits."""
    return x if x.dtype in EXACT else x.float()


def by_autograd(formula: Callable[..., Tensor], ctx: Any, g: Tensor, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The gradient at `inputs` as autograd finds it from the formula, so that it can be differentiated again."""
    wanted = [x for x, needed in zip(inputs, ctx.needs_input_grad, strict=True) if needed]
    found = iter(torch.autograd.grad(formula(*inputs), wanted, g, create_graph=True))
    return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)


def once(what: str, instead: str) -> None:
    """Raise BadInput where the gradient that is computed now is to be differentiated again, and would be a constant."""
    if torch.is_grad_enabled():
        raise BadInput(f"The gradient of {what} written by hand has no derivative of its own: use {instead}.")


def rms_norm(x: Float[Tensor, "*rows C"], gain: Float[Tensor, " C"], epsilon: float) -> Float[Tensor, "*rows C"]:
    """γ ⊙ x / √(mean(x²) + ε); by hand summed in 32 bits where x has 16."""
    if by_hand(x, gain) and gain.dtype in EXACT:
        normed: Tensor = RMSNorm.apply(x, gain, epsilon)  # type: ignore[no-untyped-call]
        return normed
    return F.rms_norm(x, gain.shape, gain, epsilon)


class RMSNorm(torch.autograd.Function):
    @staticmethod
    def formula(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
        wide = exact(x)
        return wide * (wide.square().mean(dim=-1, keepdim=True) + epsilon).rsqrt() * gain

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
        ctx.epsilon, wide = epsilon, exact(x)
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        r = length.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()  # (..., 1)
        ctx.save_for_backward(x, gain, r)
        return (wide * r).mul_(gain)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, gain, r = ctx.saved_tensors
        if torch.is_grad_enabled():
            return by_autograd(RMSNorm.formula, ctx, g, (x, gain, ctx.epsilon))
        wide = exact(x)
        gx = (g * wide).flatten(0, -2)  # (rows, C)
        along = (gx @ gain).view_as(r)  # the sum of d ⊙ x
        d_gain = r.flatten() @ gx
        dx = torch.addcmul(g * gain, wide, along * r.square() / -x.shape[-1]).mul_(r)
        return dx.to(x.dtype), d_gain, None


def rotate(
    x: Float[Tensor, "B H T D"], cosine: Float[Tensor, "#B 1 T D"], sine: Float[Tensor, "#B 1 T D"]
) -> Float[Tensor, "B H T D"]:
    """RoPE: each pair (x_i, x_(i+D/2)) turned by its angle. Rounded once, at the end.

    The tables' two halves are equal. They are not learned: they get no gradient.
    """
    if by_hand(x):
        turned: Tensor = Rotation.apply(x, cosine, sine)  # type: ignore[no-untyped-call]
        return turned
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


class Rotation(torch.autograd.Function):
    @staticmethod
    def turned(x: Tensor, cosine: Tensor, sine: Tensor, direction: int) -> Tensor:
        """Forward where the direction is 1, back where it is -1."""
        wide, half = exact(x), x.shape[-1] // 2
        out = wide * cosine
        out[..., :half].addcmul_(wide[..., half:], sine[..., half:], value=-direction)
        out[..., half:].addcmul_(wide[..., :half], sine[..., :half], value=direction)
        return out.to(x.dtype)

    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return Rotation.turned(x, cosine, sine, 1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        cosine, sine = ctx.saved_tensors
        return Rotation.turned(g, cosine, sine, -1), None, None  # linear in g: autograd goes on from here


def relu_squared(h: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """relu(h)²."""
    if by_hand(h):
        squared: Tensor = ReluSquared.apply(h)  # type: ignore[no-untyped-call]
        return squared
    return F.relu(h).square()


class ReluSquared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.save_for_backward(h)
        return h.clamp_min(0).square_()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (h,) = ctx.saved_tensors
        return h.clamp_min(0) * g * 2 if torch.is_grad_enabled() else h.clamp_min(0).mul_(g).mul_(2)


def cross_entropy(logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"], ignore: int) -> Float[Tensor, ""]:
    """Σ -log softmax(logits)[target] over the rows whose target is not `ignore`. Logits of 16 bits are summed in 32.

    By hand, the gradient is written over what the forward pass kept, so it can be asked for once.
    """
    if by_hand(logits):
        total: Tensor = CrossEntropy.apply(logits, targets, ignore)  # type: ignore[no-untyped-call]
        return total
    return F.cross_entropy(exact(logits), targets, ignore_index=ignore, reduction="sum")


class CrossEntropy(torch.autograd.Function):
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
        once("cross-entropy", "torch.nn.functional.cross_entropy")
        powers, total, at, counted = ctx.saved_tensors
        weight = g * counted  # (N, 1)
        return powers.mul_(weight / total).scatter_add_(1, at, -weight).to(ctx.dtype), None, None


def attention(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    v: Float[Tensor, "B H S D"],
    mask: Tensor | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
) -> Float[Tensor, "B H T D"]:
    """Fused attention: the pattern is never stored. `is_causal` is for as many queries as keys, without a mask."""
    low = by_hand(v) and v.dtype == torch.bfloat16 and v.requires_grad and v.shape[2] <= LONGEST
    if low and is_causal and dropout == 0:
        z: Tensor = Attention.apply(q.to(v.dtype), k.to(v.dtype), v)  # type: ignore[no-untyped-call]
        return z
    return F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=is_causal)


class Attention(torch.autograd.Function):
    """Causal attention. Forward is torch's; backward computes the pattern again, by rows.

    S = Q Kᵀ / √D below the diagonal, P = softmax(S), Z = P V. With g the gradient of Z:
    dV = Pᵀ g,  dP = g Vᵀ,  dS = P ⊙ (dP − Σ P ⊙ dP),  dQ = dS K / √D,  dK = dSᵀ Q / √D.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        once("attention", "the readable formula, explain=True")
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
