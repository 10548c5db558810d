"""Broken twins of what learns from rewards: PPO, RLOO, and with part 4 GRPO, which shares their trainer."""

import dataclasses
from typing import Any

import torch

from insideout.lab.museum.faults import breaks

TRAINING = "insideout.finetuning.policy_training"
FRESH = f"{TRAINING}:check_fresh"


@breaks("insideout.recipes.start:Start.model", "rloo", guard=FRESH)
def dropout_in_the_policy(real: Any) -> Any:
    from insideout.transformer.model import GPT

    def model(self: Any, *, dropout: bool = True) -> Any:
        plain = real(self, dropout=dropout)
        same = GPT(dataclasses.replace(plain.config, dropout=0.2))
        same.load_state_dict(plain.state_dict())
        return same

    return model


@breaks("insideout.transformer.generation.rollout:rollout", "rloo", guard=FRESH)
def rounded_logprobs(real: Any) -> Any:
    def rollout(*arguments: Any, **named: Any) -> Any:
        drawn = real(*arguments, **named)
        return dataclasses.replace(drawn, logprobs=drawn.logprobs.bfloat16().float())

    return rollout


@breaks("insideout.finetuning.policy:ppo", "rloo")
def advantage_sign(real: Any) -> Any:
    return lambda *arguments, **named: -real(*arguments, **named)


@breaks(f"{TRAINING}:advantages_of", "ppo")
def kl_sign(real: Any) -> Any:
    def advantages_of(config: Any, critic: Any, scores: Any, distance: Any, *rest: Any) -> Any:
        return real(config, critic, scores, -distance, *rest)

    return advantages_of


@breaks("insideout.finetuning.divergence:k2", "rloo")
def kl_that_is_none(real: Any) -> Any:
    return lambda logprobs, reference_logprobs: logprobs - reference_logprobs


@breaks("insideout.finetuning.experience:frozen_copy", "rloo")
def reference_follows(real: Any) -> Any:
    def frozen_copy(policy: Any, temperature: float = 1.0) -> Any:
        from insideout.finetuning.experience import logprobs_of

        return lambda batch: logprobs_of(policy, batch, temperature)

    return frozen_copy


@breaks(f"{TRAINING}:token_rewards", "ppo")
def reward_lost(real: Any) -> Any:
    return lambda scores, divergences, mask, *, beta: real(torch.zeros_like(scores), divergences, mask, beta=beta)


@breaks("insideout.finetuning.policy:value_loss", "ppo", guard="insideout.training.invariants:every_group_changes")
def critic_detached(real: Any) -> Any:
    return lambda values, *arguments, **named: real(values.detach(), *arguments, **named)


@breaks("insideout.finetuning.advantages:leave_one_out", "rloo", part=4)
def no_baseline(real: Any) -> Any:
    return lambda rewards: rewards.clone()


@breaks("insideout.lab.museum.runs:rewarded", "rloo", part=4)
def somewhere_in_it(real: Any) -> Any:
    return lambda question, answer: float(set(question.truth) <= set(answer))


@breaks(f"{TRAINING}:Rounds.batch_at", "rloo", guard=FRESH, part=4)
def old_is_reference(real: Any) -> Any:
    def batch_at(self: Any, step: int, micro_step: int) -> Any:
        given = real(self, step, micro_step)
        batch = dataclasses.replace(given.batch, logprobs=given.reference_logprobs)
        return dataclasses.replace(given, batch=batch)

    return batch_at
