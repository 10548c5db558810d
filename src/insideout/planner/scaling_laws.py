"""Scaling laws: the loss of a run from the size of its model and its data, learned from small runs.

    L(N, D) = E + A / N^a + B / D^b

E is what no model of this family and no amount of this data can go below; the second term is the price of a model with
only N parameters, the third that of only D tokens. Fitted in logarithms with a Huber loss, from many starts.

Taught in book/2-building-a-transformer/11_scaling_laws.md. Sources: Hoffmann et al. 2022, §3.3 and appendix D.3 (the
form and its fit); Kaplan et al. 2020 (the first such laws); Besiroglu et al. 2024 (a fit that stopped too early).
Shapes: R runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from itertools import product
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.errors import BadInput

FLOPS_PER_PARAMETER_AND_TOKEN = 6
"""Two for the forward pass, a multiplication and an addition, and twice as many for the backward pass."""


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = E + A / N^a + B / D^b, in nats a token."""

    E: float
    A: float
    a: float
    B: float
    b: float

    def loss(self, n: Any, d: Any) -> Any:
        """The loss that the law gives a model of `n` parameters after `d` tokens: numbers or tensors."""
        return self.E + self.A * n**-self.a + self.B * d**-self.b

    def optimal(self, flops: float) -> tuple[float, float]:
        """Parameters and tokens of the lowest loss at 6 N D = `flops`.

        Put D = C / (6 N) into L and set its derivative by N to 0: a A / N^a = b B / D^b.
        """
        product = flops / FLOPS_PER_PARAMETER_AND_TOKEN  # N D
        n = ((self.a * self.A) / (self.b * self.B) * product**self.b) ** (1 / (self.a + self.b))
        return n, product / n


def huber(residuals: Float[Tensor, " R"], delta: float) -> Float[Tensor, ""]:
    """Σ r²/2 where |r| ≤ δ, and δ (|r| − δ/2) beyond: a run that went astray pulls with a constant force only."""
    size = residuals.abs()
    return torch.where(size <= delta, residuals**2 / 2, delta * (size - delta / 2)).sum()


def log_loss(
    theta: Float[Tensor, "5"], log_n: Float[Tensor, " R"], log_d: Float[Tensor, " R"]
) -> Float[Tensor, " R"]:  # fmt: skip
    """log L of each run; `theta` holds the logarithms of E, A, a, B and b, so that all five stay positive."""
    log_e, log_a, a, log_b, b = theta[0], theta[1], theta[2].exp(), theta[3], theta[4].exp()
    terms = [log_e.expand_as(log_n), log_a - a * log_n, log_b - b * log_d]
    return torch.logsumexp(torch.stack(terms), dim=0)  # (3, R) -> (R,)


def minimise(
    objective: Callable[[Tensor], Tensor], starts: Sequence[Sequence[float]], steps: int = 300
) -> tuple[Tensor, float]:
    """The lowest point that L-BFGS finds, and its value: a few steps from every start, then all of them from the best.

    Raises BadInput when no start leads anywhere finite.
    """
    if len(starts) > 1:
        ends = [descend(objective, start, steps=40) for start in starts]
        starts = [min(ends, key=lambda end: end[1])[0].tolist()]
    theta, value = descend(objective, starts[0], steps)
    if not math.isfinite(value):
        raise BadInput("No start of the fit led anywhere: check that sizes, tokens and losses are those of real runs.")
    return theta, value


def descend(objective: Callable[[Tensor], Tensor], start: Sequence[float], steps: int) -> tuple[Tensor, float]:
    """Where L-BFGS ends from one start, and the value there; infinite where the numbers ran away."""
    theta = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [theta], max_iter=steps, tolerance_grad=1e-6, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def value() -> Tensor:
        theta.grad = None
        result = objective(theta)
        result.backward()  # type: ignore[no-untyped-call]
        return result

    search.step(value)  # type: ignore[no-untyped-call]
    end = theta.detach()
    found = float(objective(end))
    return end, found if math.isfinite(found) and bool(torch.isfinite(end).all()) else math.inf


def fit(
    n: Sequence[float], d: Sequence[float], loss: Sequence[float], *, delta: float = 1e-2,
    start: ScalingLaw | None = None, steps: int = 300,
) -> ScalingLaw:  # fmt: skip
    """The law nearest to these runs: the least Huber loss of log L, from a grid of starts or from `start` alone.

    Raises BadInput for fewer than 6 runs, for numbers that are not positive, or where all sizes or all tokens agree.
    """
    log_n, log_d, log_l = checked(n, d, loss)
    # In units of the runs' geometric mean the five parameters are of similar size, which the search needs.
    n_mean, d_mean = log_n.mean(), log_d.mean()
    log_n, log_d = log_n - n_mean, log_d - d_mean

    def objective(theta: Tensor) -> Tensor:
        residuals = log_loss(theta, log_n, log_d) - log_l
        return huber(residuals / delta, 1.0)  # δ² times less; near 1, or the search would stop too early

    if start is None:
        thetas = [starting_point(log_l.min(), *guess) for guess in product((0.3, 0.8), (0.2, 0.7), (0.2, 0.7))]
    else:
        e, a_size, a, b_size, b = torch.tensor(astuple(start), dtype=torch.float64).log()
        e = torch.maximum(e, log_l.min() - 3)  # not at 0, where log E has no slope and E could never come back
        thetas = [[float(x) for x in (e, a_size - a.exp() * n_mean, a, b_size - b.exp() * d_mean, b)]]
    theta, _ = minimise(objective, thetas, steps)
    e, a_size, a, b_size, b = theta.tolist()
    exponent_a, exponent_b = float(theta[2].exp()), float(theta[4].exp())
    log_a, log_b = a_size + exponent_a * float(n_mean), b_size + exponent_b * float(d_mean)
    return ScalingLaw(*torch.tensor([e, log_a, a, log_b, b], dtype=torch.float64).exp().tolist())


def starting_point(lowest: Tensor, share: float, a: float, b: float) -> list[float]:
    """`share` of the lowest loss is E; the rest is split evenly between the other two terms."""
    e = lowest + torch.tensor(share).double().log()
    rest = lowest + torch.tensor((1 - share) / 2).double().log()
    return [float(x) for x in (e, rest, torch.tensor(a).log(), rest, torch.tensor(b).log())]


def bootstrap(
    law: ScalingLaw, n: Sequence[float], d: Sequence[float], loss: Sequence[float], *,
    resamples: int = 100, delta: float = 1e-2, seed: int = 0,
) -> tuple[list[ScalingLaw], Float[Tensor, " R"]]:  # fmt: skip
    """Laws fitted to runs as they might have come out, and the residuals of log L that these were drawn from.

    Each resample has the same sizes and tokens; its losses are the law's, each times a residual drawn with replacement
    (Efron and Tibshirani 1993, §9.3). Residuals are widened by √(R / (R − 5)), for the five parameters they were fitted
    with.
    """
    _, _, log_l = checked(n, d, loss)
    predicted = law.loss(torch.tensor(n, dtype=torch.float64), torch.tensor(d, dtype=torch.float64)).log()
    runs = len(log_l)
    residuals = (log_l - predicted) * (runs / (runs - 5)) ** 0.5
    rng = torch.Generator().manual_seed(seed)
    laws = []
    for _ in range(resamples):
        drawn = residuals[torch.randint(runs, (runs,), generator=rng)]
        laws.append(fit(n, d, (predicted + drawn).exp().tolist(), delta=delta, start=law, steps=100))
    return laws, residuals


def checked(n: Sequence[float], d: Sequence[float], loss: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
    """The logarithms of sizes, tokens and losses, (R,) each. Raises BadInput where no law can be fitted."""
    if not len(n) == len(d) == len(loss):
        raise BadInput(
            f"There are {len(n)} sizes, {len(d)} token counts and {len(loss)} losses: give one of each a run."
        )
    if len(n) < 6:
        raise BadInput(f"A law of five parameters needs at least 6 runs; there are {len(n)}.")
    columns = [torch.tensor(list(column), dtype=torch.float64) for column in (n, d, loss)]
    for name, column in zip(("sizes", "token counts", "losses"), columns, strict=True):
        if not bool((torch.isfinite(column) & (column > 0)).all()):
            raise BadInput(f"The {name} must be finite numbers above 0: leave out runs that diverged.")
    for name, column in zip(("size", "number of tokens"), columns, strict=False):
        if len(set(column.tolist())) < 2:
            raise BadInput(f"All runs have the same {name}, so its exponent cannot be known: vary it.")
    log_n, log_d, log_l = (column.log() for column in columns)
    return log_n, log_d, log_l
