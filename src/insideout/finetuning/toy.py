"""The countable toy: so few tokens and places that every answer can be listed, and nothing need be estimated.

    toy = Toy(n_tokens=3, longest=3)
    logits = torch.zeros(toy.n_prefixes, toy.vocab_size)         a policy: scores of the next token after each beginning
    toy.kl(logits, reference), toy.entropy(logits)               sums over all answers
    toy.best_at(0.5, toy.logprobs(reference), rewards)           the best there is at KL = 0.5

An answer is a row of tokens that ends with the stop or, cut off, at the longest. KL, entropy, gradients and the best
policy are exact, so that every estimator, and every method, can be held against the truth. The best policy for reward
r at a price β of KL is the tilted reference,

    π*(y) = π_ref(y) e^(r(y) / β) / Z        E[r] − β KL  =  β log Z

Taught in book/3-fine-tuning-a-transformer/09_policy_gradients.md and 13_over_optimisation.md. Used
wherever an estimate is held against the truth.
Sources: Rafailov et al. 2023, eq. 4 (the tilted reference); Beirami et al. 2024 (best of n, exactly).
Shapes: A answers, S beginnings, T places, V tokens.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from insideout.checks import check_finite, check_shapes, real, whole
from insideout.errors import BadInput
from insideout.finetuning import divergence

__all__ = ["Toy"]

MOST = 20_000
"""Answers that are still listed in no time."""


@dataclass(frozen=True)
class Toy:
    """All answers of at most `longest` tokens, out of `n_tokens` words and a stop."""

    n_tokens: int = 3
    longest: int = 3

    def __post_init__(self) -> None:
        for name in ("n_tokens", "longest"):
            whole(name, getattr(self, name), 0)
        if self.n_tokens < 1 or self.longest < 1 or self.n_tokens**self.longest > MOST:
            raise BadInput(
                f"A toy of {self.n_tokens} tokens and {self.longest} places cannot be counted: give at least 1 of "
                f"each, and so few that there are at most {MOST:,} answers."
            )

    @property
    def stop(self) -> int:
        """The token that ends an answer: the last one."""
        return self.n_tokens

    @property
    def vocab_size(self) -> int:
        """Words and the stop."""
        return self.n_tokens + 1

    @cached_property
    def prefixes(self) -> dict[tuple[int, ...], int]:
        """Every beginning after which a token is drawn, and its number; the empty one is 0."""
        return {prefix: number for number, prefix in enumerate(self._beginnings())}

    def _beginnings(self) -> Iterator[tuple[int, ...]]:
        level: list[tuple[int, ...]] = [()]
        for _ in range(self.longest):
            yield from level
            level = [(*prefix, token) for prefix in level for token in range(self.n_tokens)]

    @property
    def n_prefixes(self) -> int:
        """How many beginnings there are (S)."""
        return len(self.prefixes)

    @cached_property
    def answers(self) -> list[tuple[int, ...]]:
        """Every answer, its stop included where it has one."""
        return [
            (*prefix, token)
            for prefix in self.prefixes
            for token in range(self.vocab_size)
            if token == self.stop or len(prefix) == self.longest - 1
        ]

    @cached_property
    def ids(self) -> Int[Tensor, "A T"]:
        """The answers' tokens; the stop fills the places behind an end."""
        return torch.tensor([(*each, *[self.stop] * (self.longest - len(each))) for each in self.answers])

    @cached_property
    def mask(self) -> Bool[Tensor, "A T"]:
        """Which places belong to the answer."""
        lengths = torch.tensor([len(each) for each in self.answers])
        return torch.arange(self.longest) < lengths[:, None]

    @cached_property
    def places(self) -> Int[Tensor, "A T"]:
        """The number of the beginning before each token; 0 behind an end."""
        return torch.tensor(
            [
                [self.prefixes.get(each[:t], 0) if t < len(each) else 0 for t in range(self.longest)]
                for each in self.answers
            ]
        )

    def token_logprobs(self, logits: Float[Tensor, "S V"]) -> Float[Tensor, "A T"]:
        """log π of each token of each answer, in nats; 0 behind an end."""
        if logits.shape != (self.n_prefixes, self.vocab_size):
            raise BadInput(
                f"A policy of this toy is a table of shape {(self.n_prefixes, self.vocab_size)}, scores of each token "
                f"after each beginning; this one has shape {tuple(logits.shape)}."
            )
        return torch.where(self.mask, logits.log_softmax(-1)[self.places, self.ids], 0)

    def logprobs(self, logits: Float[Tensor, "S V"]) -> Float[Tensor, " A"]:
        """log π of each whole answer, in nats."""
        return self.token_logprobs(logits).sum(-1)

    def kl(self, logits: Float[Tensor, "S V"], reference: Float[Tensor, "S V"]) -> Float[Tensor, ""]:
        """KL(π ‖ π_ref) of answers, in nats."""
        return divergence.exact(self.logprobs(logits), self.logprobs(reference))

    def entropy(self, logits: Float[Tensor, "S V"]) -> Float[Tensor, ""]:
        """−Σ π log π over all answers, in nats."""
        logprobs = self.logprobs(logits)
        return torch.special.entr(logprobs.exp()).sum()  # what is never said adds 0

    def expected(self, logits: Float[Tensor, "S V"], rewards: Float[Tensor, " A"]) -> Float[Tensor, ""]:
        """E[r] over the policy's answers."""
        logprobs = self.logprobs(logits)
        self._check(logprobs=logprobs, rewards=rewards)
        return (logprobs.exp() * rewards).sum()

    def _check(self, **of_answers: Tensor) -> None:
        """One number an answer, and rewards that are numbers."""
        check_shapes(**of_answers)
        check_finite(rewards=of_answers["rewards"])

    def objective(
        self,
        logits: Float[Tensor, "S V"],
        reference: Float[Tensor, "S V"],
        rewards: Float[Tensor, " A"],
        *,
        beta: float,
    ) -> Float[Tensor, ""]:
        """E[r] − β KL(π ‖ π_ref): what fine-tuning with a leash is after. Its gradient is the exact policy gradient."""
        return self.expected(logits, rewards) - beta * self.kl(logits, reference)

    def gradient(
        self,
        logits: Float[Tensor, "S V"],
        reference: Float[Tensor, "S V"],
        rewards: Float[Tensor, " A"],
        *,
        beta: float,
    ) -> Float[Tensor, "S V"]:
        """The objective's gradient at a policy, by enumeration."""
        table = logits.detach().requires_grad_()
        return torch.autograd.grad(self.objective(table, reference, rewards, beta=beta), table)[0]

    def draw(self, logits: Float[Tensor, "S V"], n: int, seed: int) -> Int[Tensor, " n"]:
        """n answers drawn from the policy, by their numbers."""
        generator = torch.Generator().manual_seed(seed)
        return torch.multinomial(self.logprobs(logits).exp().detach(), n, replacement=True, generator=generator)

    # The best there is

    def tilted(
        self, reference: Float[Tensor, " A"], rewards: Float[Tensor, " A"], *, beta: float
    ) -> Float[Tensor, " A"]:
        """log π* of each answer: the policy of the highest E[r] − β KL(π ‖ π_ref).

        Raises BadInput unless β is above 0.
        """
        if not real("beta", beta) > 0:
            raise BadInput(f"beta is {beta}: it must be a finite number above 0.")
        self._check(reference=reference, rewards=rewards)
        return (reference + rewards / beta).log_softmax(-1)

    def best_at(
        self, kl: float, reference: Float[Tensor, " A"], rewards: Float[Tensor, " A"]
    ) -> tuple[Float[Tensor, " A"], float]:
        """log π of the highest E[r] among all policies at that KL from the reference, and the β that leads to it.

        Raises BadInput for a KL that is not above 0, or not below that of saying only the best answers.
        """
        self._check(reference=reference, rewards=rewards)
        best = torch.where(rewards == rewards.max(), reference, -math.inf)
        limit = -float(best.logsumexp(-1))
        if not 0 < kl < limit:
            raise BadInput(
                f"The KL is {kl}: it must lie above 0 and below {limit:.4g}, at which only the best is said."
            )
        low, high = -40.0, 40.0  # of log β; KL falls with it
        for _ in range(200):
            middle = (low + high) / 2
            tilted = self.tilted(reference, rewards, beta=math.exp(middle))
            low, high = (middle, high) if float(divergence.exact(tilted, reference)) > kl else (low, middle)
        return self.tilted(reference, rewards, beta=math.exp(high)), math.exp(high)

    def best_of(self, n: int, logprobs: Float[Tensor, " A"], rewards: Float[Tensor, " A"]) -> Float[Tensor, " A"]:
        """log-probability that an answer is the best of n draws; of equally good ones the first drawn counts."""
        n = whole("n", n, 1)
        self._check(logprobs=logprobs, rewards=rewards)
        p = logprobs.exp()
        below = torch.stack([p[rewards < reward].sum() for reward in rewards])  # (A,)
        alike = torch.stack([p[rewards == reward].sum() for reward in rewards])
        gain = torch.where(alike > 0, ((below + alike) ** n - below**n) / alike, 1)  # what is never drawn stays so
        return logprobs + torch.log(gain)

    def policy_of(self, logprobs: Float[Tensor, " A"]) -> Float[Tensor, "S V"]:
        """The policy, token by token, whose answers have these log-probabilities.

        p(token | beginning) = Σ of the answers that go on so / Σ of those that begin so.
        """
        table = torch.full((self.n_prefixes, self.vocab_size), -math.inf, dtype=logprobs.dtype)
        for prefix, s in self.prefixes.items():
            for token in range(self.vocab_size):
                begun = (*prefix, token)
                follows = torch.tensor([answer[: len(begun)] == begun for answer in self.answers])
                table[s, token] = logprobs[follows].logsumexp(-1)
        never = (table == -math.inf).all(-1, keepdim=True)  # a beginning that no answer has: any policy will do
        return torch.where(never, 0.0, table).log_softmax(-1)
