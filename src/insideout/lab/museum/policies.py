"""Broken twins of what learns from rewards: PPO, RLOO, and with part 4 GRPO, which shares their trainer."""

import dataclasses
from typing import Any

import torch

from insideout.lab.museum.faults import breaks

TRAINING = "insideout.finetuning.policy_training"
FRESH = f"{TRAINING}:check_fresh"


@breaks(
    "insideout.recipes.start:Start.model", "dropout is on where the policy learns, and off where it draws", "rloo",
    symptom="The largest ratio of the first update is not 1: what has just been drawn already has another probability.",
    source="trl #454, #744, PR #1540; reef PR #536", guard=FRESH,
)  # fmt: skip
def dropout_in_the_policy(real: Any) -> Any:
    from insideout.transformer.model import GPT

    def model(self: Any, *, dropout: bool = True) -> Any:
        plain = real(self, dropout=dropout)
        same = GPT(dataclasses.replace(plain.config, dropout=0.2))
        same.load_state_dict(plain.state_dict())
        return same

    return model


@breaks(
    "insideout.transformer.generation.rollout:rollout", "log-probabilities are kept in 16 bits", "rloo",
    symptom="The largest ratio of the first update is a little off 1, and all else looks well.",
    source="verl PR #3694, #6280; maxtext PR #5231", guard=FRESH,
)  # fmt: skip
def rounded_logprobs(real: Any) -> Any:
    def rollout(*arguments: Any, **named: Any) -> Any:
        drawn = real(*arguments, **named)
        return dataclasses.replace(drawn, logprobs=drawn.logprobs.bfloat16().float())

    return rollout


@breaks(
    "insideout.finetuning.policy:ppo", "the policy's loss has the wrong sign", "rloo",
    symptom="The reward falls, steadily.",
    source="a classic; open-r1 #239 and trl #2703 ask whether a rising loss is one",
)  # fmt: skip
def advantage_sign(real: Any) -> Any:
    return lambda *arguments, **named: -real(*arguments, **named)


@breaks(
    f"{TRAINING}:advantages_of", "going away from the reference is rewarded", "ppo",
    symptom="The KL rises without end, the entropy with it, and the reward falls to nothing.",
    source="divergences with their sides swapped: trl PR #3043, twinkle PR #112",
)  # fmt: skip
def kl_sign(real: Any) -> Any:
    def advantages_of(config: Any, critic: Any, scores: Any, distance: Any, *rest: Any) -> Any:
        return real(config, critic, scores, -distance, *rest)

    return advantages_of


@breaks(
    "insideout.finetuning.divergence:k2", "the KL in the loss is k1, whose gradient is 0 on average", "rloo",
    symptom="The KL goes where it would go without a leash, whatever its price.",
    source="reasoning-from-scratch 7_5_plus_kl.py; open-instruct #534, #535; trl PR #4638",
)  # fmt: skip
def kl_that_is_none(real: Any) -> Any:
    return lambda logprobs, reference_logprobs: logprobs - reference_logprobs


@breaks(
    "insideout.finetuning.experience:frozen_copy", "the reference is the policy itself", "rloo",
    symptom="The KL is exactly 0 from the first update to the last, though the policy changes.",
    source="a classic: a copy that shares its weights",
)  # fmt: skip
def reference_follows(real: Any) -> Any:
    def frozen_copy(policy: Any, temperature: float = 1.0) -> Any:
        from insideout.finetuning.experience import logprobs_of

        return lambda batch: logprobs_of(policy, batch, temperature)

    return frozen_copy


@breaks(
    f"{TRAINING}:token_rewards", "the score stands one place behind the stop, where the mask loses it", "ppo",
    symptom="The reward stays where it was, the critic's loss is next to nothing, and the KL goes back to 0: all that "
    "is paid for is staying near.",
    source="trl #3750, #1893, PR #5338; miles PR #1827",
)  # fmt: skip
def reward_lost(real: Any) -> Any:
    return lambda scores, divergences, mask, *, beta: real(torch.zeros_like(scores), divergences, mask, beta=beta)


@breaks(
    "insideout.finetuning.policy:value_loss", "the critic's loss is detached", "ppo",
    symptom="The critic's loss never falls and its explained variance stays where it began, below 0.",
    source="CoursIA PR #15256", guard="insideout.training.invariants:every_group_changes",
)  # fmt: skip
def critic_detached(real: Any) -> Any:
    return lambda values, *arguments, **named: real(values.detach(), *arguments, **named)


@breaks(
    "insideout.finetuning.advantages:leave_one_out", "advantages have no baseline", "rloo",
    symptom="Every answer is made likelier, good or bad: the entropy falls, and the reward hardly rises.",
    source="a classic: GRPO without the mean of its group", part=4,
)  # fmt: skip
def no_baseline(real: Any) -> Any:
    return lambda rewards: rewards.clone()


@breaks(
    "insideout.lab.museum.runs:rewarded", "an answer counts as right that has the truth somewhere in it", "rloo",
    symptom="The reward rises and the true reward falls, and answers grow until they are cut off.",
    source="open-r1 #293; verifiers PR #213", part=4,
)  # fmt: skip
def somewhere_in_it(real: Any) -> Any:
    return lambda question, answer: float(set(question.truth) <= set(answer))


@breaks(
    f"{TRAINING}:Rounds.batch_at", "the old policy of the ratio is the reference", "rloo",
    symptom="More and more tokens are beyond the clip: the ratio is that to where training began, and grows.",
    source="a classic of short GRPO code", guard=FRESH, part=4,
)  # fmt: skip
def old_is_reference(real: Any) -> Any:
    def batch_at(self: Any, step: int, micro_step: int) -> Any:
        given = real(self, step, micro_step)
        batch = dataclasses.replace(given.batch, logprobs=given.reference_logprobs)
        return dataclasses.replace(given, batch=batch)

    return batch_at
