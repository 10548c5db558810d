"""Learning from rewards: answers are drawn, weighed, learned from, and drawn anew. PPO, RLOO and GRPO are choices here.

    round:    prompts -> G answers to each -> rewards -> advantages      (finetuning/experience.py)
    update:   a part of the round's answers -> loss -> one step          (training/loop.py), `epochs` times over all

    loss = Σ w (−min(ratio · A, clip(ratio) · A) + c_v · critic − c_e · entropy + β · KL) / Σ w's count

Three choices make the methods, each a word in `PolicyConfig`:

| | advantage | ratio | aggregation |
|---|---|---|---|
| PPO (Schulman et al. 2017) | gae, with a critic | token | token_mean |
| RLOO (Ahmadian et al. 2024) | leave_one_out | answer | answer_mean |
| GRPO (Shao et al. 2024) | group_std | token | answer_mean |
| Dr. GRPO (Liu et al. 2025) | group_mean | token | constant |
| GSPO (Zheng et al. 2025) | group_std | geometric | answer_mean |
| RAFT (Dong et al. 2023) | raw, rewards of 0 and 1 | token | answer_mean |

Part 4 takes its choices from here; another reward (a verifier), other questions and another method are arguments of
`Rounds` and entries of ADVANTAGES. `Rounds` is a source with a memory: the answers of the present round, and the price
of KL, go into the checkpoint, and what is drawn follows from (seed, round), so that a stopped run goes on bit for bit.
Departures from the papers: PPO's policy and critic share one optimizer and one rate; the reference stays the model that
training began with. Taught in book/3-fine-tuning-a-transformer/12_training_dynamics.md. Used in part 4 too.
Shapes: N answers, T positions, P prompts, G answers to each, M tokens learned.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from insideout.data.suite import Question
from insideout.errors import BadInput
from insideout.finetuning import divergence, policy
from insideout.finetuning.advantages import (
    gae,
    group_mean,
    group_std,
    leave_one_out,
    token_rewards,
    whitened,
)
from insideout.finetuning.chat import check_room
from insideout.finetuning.critic import Learner
from insideout.finetuning.experience import Experience, Reference, Reward, batch_of, checked_scores, parts, totals
from insideout.finetuning.kl_controller import FixedKL
from insideout.finetuning.policy_config import CriticConfig, PolicyConfig, updates_of
from insideout.training import distributed
from insideout.training.invariants import every_group_changes
from insideout.training.metrics import Metric
from insideout.training.objective import Check, LossFunction, Objective, StepState
from insideout.training.resume import step_seed
from insideout.transformer.generation.inputs import stop_ids
from insideout.transformer.generation.reading import only_reading
from insideout.transformer.generation.rollout import rollout
from insideout.transformer.generation.writer import GPTWriter

__all__ = ["ADVANTAGES", "Controller", "CriticConfig", "PolicyConfig", "Rounds", "objective", "policy_loss"]

ADVANTAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "leave_one_out": leave_one_out, "group_mean": group_mean, "group_std": group_std, "raw": lambda rewards: rewards,
}  # fmt: skip
"""Advantages of whole answers from the rewards of those to one prompt, (P, G) -> (P, G)."""
TOLERANCE = 1e-3
"""By how much log π of an answer just drawn may differ between the writer and the trainer."""


@runtime_checkable
class Controller(Protocol):
    """The price of KL from round to round."""

    beta: float

    def update(self, kl: float, n: int) -> None:
        """Hear the mean KL of n answers, in nats an answer."""
        ...


METRICS = (
    Metric("reward", section="Reward", better="higher",
           words="Of the answers drawn, less what being cut off costs: what is learned from."),
    Metric("gold", "gold reward", section="Reward", better="higher", live=False),
    Metric("kl", "KL (k1)", unit="nats an answer", section="Distance from the reference", from_zero=True,
           words="Estimated from the tokens drawn, when they were drawn."),
    Metric("kl_k3", "KL (k3)", unit="nats an answer", section="Distance from the reference", live=False),
    Metric("beta", "price of a nat of KL", section="Price of KL", digits=4, live=False, from_zero=True),
    Metric("entropy", unit="nats a token", section="Entropy", live=False, from_zero=True),
    Metric("length", unit="tokens an answer", digits=1, section="Length", live=False, from_zero=True),
    Metric("stopped", "answers drawn that ended by themselves", unit="%", section="Stops", better="higher"),
    Metric("clip_fraction", "tokens beyond the clip", unit="%", section="Clip", live=False, from_zero=True),
    Metric("ratio_max", "largest ratio of new to old", section="Ratio", live=False),
    Metric("update_kl", "KL from the policy that drew", unit="nats a token", digits=5, section="Ratio", live=False),
    Metric("alike", "prompts whose answers are all worth the same", unit="%", section="Prompts that teach nothing",
           words="Compared with each other, their answers are neither better nor worse.", live=False, from_zero=True),
    Metric("advantage_size", "size of the advantages", section="Advantages", live=False, from_zero=True),
)  # fmt: skip
CRITIC_METRICS = (
    Metric("value_loss", "critic's loss", section="Critic", live=False, from_zero=True),
    Metric("explained_variance", "explained variance", section="Critic, explained variance", better="higher",
           words="1: the critic foresaw every return; 0: it did no better than a constant.", live=False),
)  # fmt: skip


def objective(
    config: PolicyConfig, critic: CriticConfig | None, learner: Learner, *, shown: Sequence[Metric] = (), **more: Any
) -> Objective:
    """The loss with its metrics and checks. `shown` are what is measured on held-out questions; `more` is Objective's.

    Raises BadInput for an advantage that lacks its critic, or a critic that has no use.
    """
    if (config.advantage == "gae") != (critic is not None) or (critic is None) != (learner.critic is None):
        raise BadInput(
            f"The advantage is {config.advantage} and there is {'no' if critic is None else 'a'} critic: gae needs one "
            "(ppo has it), and the others have no use for one (rloo has none)."
        )
    checks: list[Check] = [policy_changes(learner.policy)]
    if learner.critic is not None:
        checks.append(every_group_changes({"the critic": list(learner.critic.parameters())}))
    metrics = (*METRICS, *(CRITIC_METRICS if critic is not None else ()), *shown)
    return Objective(policy_loss(config, critic), metrics, checks, counted="tokens", **more)


def policy_changes(model: nn.Module) -> Check:
    """A check that the first update with any advantage moved the policy."""
    inner = every_group_changes({"the policy": [weight for weight in model.parameters() if weight.requires_grad]})

    def check(state: StepState) -> None:
        if state.loss is None or state.metrics.get("advantage_size", 0) > 0:
            inner(state)

    return check


def policy_loss(config: PolicyConfig, critic: CriticConfig | None) -> LossFunction:
    """The loss of a batch of `Experience`, as the training loop wants it: (Σ, count, metrics).

    Raises BadInput where an answer just drawn has another probability than it was drawn with.
    """

    def loss(model: nn.Module, given: Experience) -> tuple[Tensor, float, dict[str, Any]]:
        batch, here = given.batch, given.learned
        logits, values = model(batch.ids)  # (N, T, V), (N, T)
        scores = logits[here] / config.temperature  # (M, V): the answers' places alone
        rows = here.nonzero()[:, 0]  # (M,)
        logprobs = scores.log_softmax(-1).gather(-1, batch.targets[here][:, None])[:, 0]  # (M,)
        assert batch.logprobs is not None  # batch_of
        old, reference, advantages = batch.logprobs[here], given.reference_logprobs[here], given.advantages[here]
        if given.fresh:
            check_fresh(logprobs, old)
        change = log_ratio(logprobs - old, rows, len(here), config.ratio)  # (M,)
        unchanged = torch.zeros_like(change)
        clip = {"clip": config.ratio_clip, "clip_high": config.ratio_clip_high}
        losses = policy.ppo(change, unchanged, advantages, **clip)
        if config.kl != "reward" and given.beta:
            estimate = {"k2": divergence.k2, "k3": divergence.k3}[config.kl]
            losses = losses + given.beta * estimate(logprobs, reference)
        with torch.set_grad_enabled(config.entropy_bonus > 0):
            entropies = policy.entropy(scores)
        if config.entropy_bonus:
            losses = losses - config.entropy_bonus * entropies
        n = len(rows)
        found: dict[str, Any] = {} if values is None or critic is None else critic_losses(given, values, critic)
        if critic is not None:
            losses = losses + critic.value_coefficient * found.pop("losses")
            found["value_loss"] = (found["value_loss"], n)
        weights, count = weights_of(rows, len(here), config)
        with torch.no_grad():
            found |= of_answers(given) | {
                "entropy": (entropies.sum(), n),
                "clip_fraction": (policy.clipped(change, unchanged, advantages, **clip).sum(), n),
                "ratio_max": (change.exp().max() if n else 0.0, int(n > 0)),
                "update_kl": (divergence.k3(old, logprobs).sum(), n),
                "advantage_size": (advantages.abs().sum(), n),
            }
        return (weights * losses).sum(), count, found

    return loss


def critic_losses(given: Experience, values: Float[Tensor, "N T"], critic: CriticConfig) -> dict[str, Any]:
    """Each token's loss of the critic, (M,), their sum, and how much of the returns' variance it foresaw."""
    here = given.learned
    assert given.values is not None and given.returns is not None  # Rounds gives them with a critic
    old, returns = given.values[here], given.returns[here]
    losses = policy.value_loss(values[here], old, returns, clip=critic.value_clip or None)
    found: dict[str, Any] = {"losses": losses, "value_loss": losses.detach().sum()}
    spread = (returns - returns.mean()).square().sum()
    if len(returns) > 1 and float(spread) > 1e-8 * len(returns):
        error = returns - old
        found["explained_variance"] = (1 - (error - error.mean()).square().sum() / spread, 1)
    return found


def of_answers(given: Experience) -> dict[str, Any]:
    """What is told of the answers themselves: rewards, KL, length, stops."""
    n, drawn = len(given.scores), given.drawn
    assert given.batch.logprobs is not None
    old, reference = given.batch.logprobs, given.reference_logprobs
    found: dict[str, Any] = {
        "reward": (given.scores.sum(), n),
        "kl": (divergence.k1(old, reference)[drawn].sum(), n),
        "kl_k3": (divergence.k3(old, reference)[drawn].sum(), n),
        "beta": (given.beta, 1),
        "length": (drawn.sum(), n),
        "stopped": (given.finished.sum(), n),
    }
    if given.alike is not None:
        found["alike"] = (given.alike, 1)
    return found if given.gold is None else found | {"gold": (given.gold.sum(), n)}


def check_fresh(logprobs: Float[Tensor, " M"], old: Float[Tensor, " M"]) -> None:
    """Raises BadInput unless the trainer gives what was just drawn the probability that it was drawn with."""
    off = float((logprobs.detach() - old).abs().max()) if len(old) else 0.0
    if not off <= TOLERANCE:
        raise BadInput(
            f"Before any update the ratio of new to old probability is not 1: a token's log-probability is off by "
            f"{off:.3g}. Look for dropout, another temperature, a filter, or numbers of 16 bits in one of the two."
        )


def log_ratio(change: Float[Tensor, " M"], rows: Int[Tensor, " M"], n: int, kind: str) -> Float[Tensor, " M"]:
    """log π − log π_old: of each token, or of its answer as a whole (the sum), or per token of it (the mean).

    Source: of answers, Ahmadian et al. 2024; their mean, Zheng et al. 2025 (GSPO), eq. 7.
    """
    if kind == "token":
        return change
    whole = torch.zeros(n, dtype=change.dtype, device=change.device).index_add(0, rows, change)
    if kind == "geometric":
        whole = whole / torch.bincount(rows, minlength=n).clamp_min(1)
    return whole[rows]


def weights_of(rows: Int[Tensor, " M"], n: int, config: PolicyConfig) -> tuple[Float[Tensor, " M"], float]:
    """Each token's weight, and what the weighted sum is divided by: numerator and count of one mask."""
    lengths = torch.bincount(rows, minlength=n)  # (n,)
    if config.aggregation == "answer_mean":
        return 1.0 / lengths[rows], float((lengths > 0).sum())
    weights = torch.ones(len(rows), device=rows.device)
    if config.aggregation == "constant":
        return weights, float((lengths > 0).sum() * config.max_new_tokens)
    return weights, float(len(rows))


class Rounds:
    """Where the batches come from: rounds of answers that the policy draws, each gone through `epochs` times.

    `questions(round)` gives the questions of a round, `config.prompts` of them, which are asked and whose answers are
    read as `writer` does it (its format, its stop; not its model). `gold` is a true reward to be told beside.
    An update is made from `n_rows` answers in `accumulation` parts; a round has a whole number of updates.
    """

    def __init__(
        self,
        learner: Learner,
        config: PolicyConfig,
        *,
        questions: Callable[[int], Sequence[Question]],
        writer: GPTWriter,
        pad_id: int,
        reward: Reward,
        reference: Reference,
        n_rows: int,
        accumulation: int = 1,
        critic: CriticConfig | None = None,
        controller: Controller | None = None,
        gold: Reward | None = None,
        seed: int = 0,
    ) -> None:
        self.learner, self.config, self.critic = learner, config, critic
        self.questions, self.reward, self.gold, self.reference = questions, reward, gold, reference
        self.writer, self.pad_id = writer, pad_id
        self.stops = stop_ids(writer.stop, learner.policy.config.vocab_size)
        self.controller: Controller = controller or FixedKL(config.beta)
        self.n_rows, self.accumulation, self.seed = n_rows, accumulation, seed
        self.updates = updates_of(config, n_rows, accumulation)
        self.round, self.experience = -1, None
        self.latest: list[tuple[Question, str]] = []
        """What was drawn last, to be looked at."""

    round: int
    experience: Experience | None

    def batch_at(self, step: int, micro_step: int) -> Experience:
        """A part of the round's answers; at a round's beginning it is drawn."""
        number, update = divmod(step, self.config.epochs * self.updates)
        if number != self.round or self.experience is None:
            self.experience, self.round = self.draw(number), number
        epoch, part = divmod(update, self.updates)
        n = self.config.prompts * self.config.samples
        order = torch.randperm(n, generator=torch.Generator().manual_seed(self.luck(number, 1 + epoch))).tolist()
        first = (part * self.accumulation + micro_step) * self.n_rows
        return self.experience.take(order[first : first + self.n_rows], fresh=update == 0)

    def luck(self, number: int, use: int) -> int:
        """A seed for each use within a round, of this process."""
        return step_seed(self.seed, number, use, distributed.rank()) % 2**62

    def asked(self, number: int) -> list[Question]:
        """The questions of a round."""
        found = list(self.questions(number))
        if len(found) != self.config.prompts:
            raise BadInput(
                f"Round {number + 1} has {len(found)} questions and needs {self.config.prompts}: give it so many."
            )
        return found

    def prompts_of(self, questions: Sequence[Question]) -> list[list[int]]:
        """Their tokens. Raises BadInput for one after which an answer has no room; also for use before training."""
        prompts = [self.writer.ids_of(question.prompt) for question in questions]
        for question, ids in zip(questions, prompts, strict=True):
            where = f"The prompt {str(question.prompt)[:60]!r}"
            check_room(ids, self.learner.policy.config.context_length, self.config.max_new_tokens, where)
        return prompts

    @torch.no_grad()
    def draw(self, number: int) -> Experience:
        """The answers of a round, weighed. Raises BadInput for a prompt too long, or a reward that is no number."""
        config, model = self.config, self.learner.policy
        asked = list(self.questions(number))
        if len(asked) != config.prompts:
            raise BadInput(
                f"Round {number + 1} has {len(asked)} questions and needs {config.prompts}: give it so many."
            )
        prompts = self.prompts_of(asked)
        drawn = rollout(
            model, prompts, config.samples, config.max_new_tokens, temperature=config.temperature,
            stop=sorted(self.stops), seed=self.luck(number, 0),
        )  # fmt: skip
        batch = batch_of(drawn, self.pad_id, self.stops)
        texts = [
            self.writer.tokenizer.decode(ids[:-1] if ended else ids)
            for ids, ended in zip(map(drawn.answer, range(len(drawn.ids))), drawn.finished.tolist(), strict=True)
        ]
        each = [question for question in asked for _ in range(config.samples)]
        self.latest = list(zip(each, texts, strict=True))
        device = batch.ids.device
        scores = checked_scores(self.reward(each, texts, batch), len(each), device)
        gold = None if self.gold is None else checked_scores(self.gold(each, texts, batch), len(each), device)
        learned = batch.mask
        if config.truncated == "penalise":
            scores = scores - config.penalty * (~drawn.finished)
        elif config.truncated == "leave_out":
            learned = learned & drawn.finished[:, None]
        values = None
        if self.learner.critic is not None:
            with only_reading(self.learner.critic):
                values = torch.cat([self.learner.critic(batch.ids[some]) for some in parts(len(each))])
            values = torch.where(batch.mask, values, 0)
        reference = self.reference(batch)
        assert batch.logprobs is not None  # batch_of
        distance = divergence.k1(batch.logprobs, reference)  # (N, T)
        beta = self.controller.beta
        price = beta if config.kl == "reward" else 0.0
        advantages, returns = advantages_of(config, self.critic, scores, distance, values, batch.mask, price)
        kl, n = distributed.total([float(totals(distance, batch).sum()), float(len(each))], device)
        self.controller.update(kl / n, int(n))
        groups = scores.view(-1, config.samples)  # (P, G)
        alike = float((groups.amax(-1) == groups.amin(-1)).float().mean()) if config.samples > 1 else None
        return Experience(
            batch, learned, scores, reference, advantages, values, returns, gold, float(beta), alike
        )  # fmt: skip

    def state(self) -> dict[str, Any]:
        """The present round's answers, its number, and the price of the next one's KL."""
        inside = {} if self.experience is None else self.experience.state()
        held = {name: value for name, value in inside.items() if value is not None}
        return {"round": self.round, "next_beta": float(self.controller.beta)} | held

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.round, self.controller.beta = int(state["round"]), float(state["next_beta"])
        device = next(self.learner.parameters()).device
        self.experience = Experience.from_state(state).to(device) if self.round >= 0 else None


def advantages_of(
    config: PolicyConfig,
    critic: CriticConfig | None,
    scores: Float[Tensor, " N"],
    distance: Float[Tensor, "N T"],
    values: Float[Tensor, "N T"] | None,
    mask: Bool[Tensor, "N T"],
    price: float,
) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N T"] | None]:
    """(advantages at the tokens drawn, what the critic is to learn). `price` is β where KL is paid in the reward."""
    if config.advantage == "gae":
        assert critic is not None and values is not None  # objective
        rewards = token_rewards(scores, distance, mask, beta=price)
        found = gae(rewards, values, mask, gamma=critic.gamma, lam=critic.lam)
        returns = torch.where(mask, found + values, 0)
        return (whitened(found, mask) if critic.whiten else found), returns
    paid = scores - price * torch.where(mask, distance, 0).sum(-1)  # (N,)
    of_answers = ADVANTAGES[config.advantage](paid.view(-1, config.samples)).flatten()
    return torch.where(mask, of_answers[:, None], 0), None
