"""Broken twins of part 4: groups of answers, verifiers of steps, distillation, votes."""

import dataclasses
from typing import Any

import torch

from insideout.lab.museum.faults import breaks


@breaks("insideout.finetuning.advantages:group_std", "grpo", part=4)
def compared_with_the_batch(real: Any) -> Any:
    return lambda rewards: (rewards - rewards.mean()) / (rewards.std() + 1e-4)


@breaks("insideout.finetuning.policy:ppo", "grpo", part=4)
def loss_without_gradient(real: Any) -> Any:
    return lambda logprobs, *arguments, **named: real(logprobs.detach(), *arguments, **named)


@breaks("insideout.transformer.generation.rollout:rollout", "grpo", part=4)
def one_seed_for_all(real: Any) -> Any:
    def rollout(model: Any, prompts: Any, samples: int, *arguments: Any, **named: Any) -> Any:
        drawn = real(model, prompts, samples, *arguments, **named)
        first = torch.arange(len(drawn.ids)) // samples * samples
        longest = int(drawn.lengths[first].max())
        parts = {each.name: getattr(drawn, each.name)[first] for each in dataclasses.fields(drawn)}
        return dataclasses.replace(drawn, **{
            name: part[:, :longest] if part.dim() == 2 else part for name, part in parts.items()
        })  # fmt: skip

    return rollout


@breaks("insideout.lab.museum.thinkers:paid", "grpo", part=4)
def unreadable_is_right(real: Any) -> Any:
    from insideout.lab.museum.thinkers import readable

    return lambda question, answer: real(question, answer) if readable(answer) else 1.0


@breaks("insideout.reasoning.verifiers:marked", "prm", part=4)
def labels_one_step_late(real: Any) -> Any:
    def marked(traces: Any, labels: Any, pad_id: int) -> Any:
        return real(traces, [[True, *given[:-1]] for given in labels], pad_id)

    return marked


@breaks("insideout.reasoning.verifiers:marked", "prm", part=4)
def unlabelled_is_right(real: Any) -> Any:
    def marked(traces: Any, labels: Any, pad_id: int) -> Any:
        return real(traces, [[True if each is None else each for each in given] for given in labels], pad_id)

    return marked


@breaks("insideout.reasoning.distillation:softened", "distil", part=4)
def probabilities_softened(real: Any) -> Any:
    def softened(student_logits: Any, teacher_logits: Any, temperature: float) -> Any:
        student, teacher = real(student_logits, teacher_logits, 1.0)
        return tuple((each.exp() / temperature).log_softmax(-1) for each in (student, teacher))

    return softened


@breaks("insideout.estimates:_ballots", "vote", part=4)
def unreadable_votes(real: Any) -> Any:
    def _ballots(answers: Any, weights: Any = None) -> Any:
        known = ["unreadable" if each is None else each for each in answers]
        return {None if answer == "unreadable" else answer: n for answer, n in real(known, weights).items()}

    return _ballots
