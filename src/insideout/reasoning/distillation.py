"""Distillation: a student learns from what a teacher writes, from what it believes, or from its judgement.

    traces        filtered(...): the teacher's answers that are right, short enough, worked    then: next-token loss
    token by token, on those answers      forward_kl   τ² KL(p_T ‖ p_S)        p = softmax(logits / τ)
    token by token, on the student's own  reverse_kl   τ² KL(p_S ‖ p_T)

Each divergence gives one number a token; `over_answers` makes of them what the training loop wants, a sum and a count,
over the answers' tokens alone. The temperature divides logits, never probabilities, and τ² keeps the gradient's size:
it falls as 1/τ². The teacher is never learned through.
Taught in book/4-reasoning-with-transformers/11_distillation.md.
Sources: Hinton et al. 2015 (the temperature, and τ²); Kim and Rush 2016 (traces); Gu et al. 2024 (MiniLLM, reverse KL);
Agarwal et al. 2024 (on-policy, generalised JSD); DeepSeek-AI 2025 (filtered traces of a reasoner).
Shapes: B answers, T positions, V vocabulary.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from insideout.checks import check_floating, whole
from insideout.data.problems.steps import steps_in
from insideout.data.suite import Answer, Question, Suite
from insideout.errors import BadInput
from insideout.finetuning import divergence
from insideout.finetuning.checks import check_mask, check_positive, check_shapes
from insideout.transformer.generation.inputs import real

__all__ = ["Kept", "Trace", "filtered", "forward_kl", "jsd", "over_answers", "reverse_kl", "sampled_reverse_kl"]


def forward_kl(
    student_logits: Float[Tensor, "*shape V"], teacher_logits: Float[Tensor, "*shape V"], *, temperature: float = 1.0
) -> Float[Tensor, "*shape"]:
    """τ² KL(p_T ‖ p_S): the student is to give probability wherever the teacher does. In nats at τ = 1.

    Its gradient by the student's logits is τ (p_S − p_T). With the teacher's one token in place of p_T it is the
    next-token loss. Raises BadInput for logits of two shapes, and unless τ is above 0. Source: Hinton et al. 2015, §2.
    """
    student, teacher = softened(student_logits, teacher_logits, temperature)
    return temperature**2 * divergence.exact(teacher, student)


def reverse_kl(
    student_logits: Float[Tensor, "*shape V"], teacher_logits: Float[Tensor, "*shape V"], *, temperature: float = 1.0
) -> Float[Tensor, "*shape"]:
    """τ² KL(p_S ‖ p_T): the student is to say nothing that the teacher would not. In nats at τ = 1.

    Raises BadInput as `forward_kl` does. Source: Gu et al. 2024 (MiniLLM), §2.1, there of whole answers.
    """
    student, teacher = softened(student_logits, teacher_logits, temperature)
    return temperature**2 * divergence.exact(student, teacher)


def jsd(
    student_logits: Float[Tensor, "*shape V"],
    teacher_logits: Float[Tensor, "*shape V"],
    *,
    teacher_share: float,
    temperature: float = 1.0,
) -> Float[Tensor, "*shape"]:
    """τ² (β KL(p_T ‖ m) + (1 − β) KL(p_S ‖ m)), m = β p_T + (1 − β) p_S, β the `teacher_share`.

    Over β it tends to forward KL as β → 0, over 1 − β to reverse KL as β → 1. At both ends it is 0 itself and teaches
    nothing, so they have names of their own here. Raises BadInput unless β lies between 0 and 1.
    Source: Agarwal et al. 2024 (GKD), eq. 1.
    """
    share = real("teacher_share", teacher_share)
    if not 0 < share < 1:
        raise BadInput(
            f"teacher_share is {share}: it must lie between 0 and 1, where the divergence is 0 whatever the student "
            "says. Take forward_kl or reverse_kl for the ends."
        )
    student, teacher = softened(student_logits, teacher_logits, temperature)
    weights = student.new_tensor([share, 1 - share]).log()
    mixture = torch.logaddexp(teacher + weights[0], student + weights[1])
    both = share * divergence.exact(teacher, mixture) + (1 - share) * divergence.exact(student, mixture)
    return temperature**2 * both


def sampled_reverse_kl(
    student_logprobs: Float[Tensor, "*shape"], teacher_logprobs: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """(log p_S − log p_T) log p_S of tokens that the student drew, the first factor a number: a loss of one token each.

    Its gradient's mean over draws is that of `reverse_kl` at τ = 1 in that place. So the teacher's log-probability of
    what was said is enough, where its whole distribution cannot be had. The value means nothing.
    Source: REINFORCE with log p_T − log p_S as the reward of a token; Gu et al. 2024, eq. 2, whose rewards also count
    what a token leads to.
    """
    check_shapes(student_logprobs=student_logprobs, teacher_logprobs=teacher_logprobs)
    return (student_logprobs - teacher_logprobs).detach() * student_logprobs


def softened(
    student_logits: Float[Tensor, "*shape V"], teacher_logits: Float[Tensor, "*shape V"], temperature: float
) -> tuple[Float[Tensor, "*shape V"], Float[Tensor, "*shape V"]]:
    """Log-probabilities of both at a temperature, the teacher's without a gradient."""
    check_floating(student_logits=student_logits, teacher_logits=teacher_logits)
    check_shapes(student_logits=student_logits, teacher_logits=teacher_logits)
    check_positive("temperature", temperature)
    student, teacher = (logits / temperature for logits in (student_logits, teacher_logits.detach()))
    return student.log_softmax(-1), teacher.log_softmax(-1)


def over_answers(losses: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> tuple[Float[Tensor, ""], int]:
    """Σ over the mask, and how many tokens that are: what a loss hands to the training loop, which divides once.

    Raises BadInput for a mask of another shape or kind, and for one without a token.
    """
    check_mask(mask)
    check_shapes(losses=losses, mask=mask)
    n = int(mask.sum())
    if not n:
        raise BadInput("The mask has no token: there is no answer to learn from.")
    return losses[mask].sum(), n


@dataclass(frozen=True)
class Trace:
    """An answer of the teacher that is worth learning."""

    question: Question
    answer: Answer


class Kept(NamedTuple):
    """What a filter left, and what it took away."""

    traces: list[Trace]
    dropped: dict[str, int]
    """Why not, and how many: each answer by the first reason that holds."""


def filtered(
    suite: Suite,
    questions: Sequence[Question],
    answers: Sequence[Sequence[Answer]],
    *,
    longest: int,
    fewest_steps: int = 0,
    of_each: int | None = None,
) -> Kept:
    """The answers to learn from, chosen before anything is learned.

    Kept is what ended by itself, gives the right number in the form that was asked for (the suite's strict verdict:
    a number that merely occurs is not right), has at most `longest` tokens, shows `fewest_steps` steps, and says
    something new; at most `of_each` answers to a question. Raises BadInput for a suite without a strict verdict, for
    lists that do not fit, and where nothing is left.
    """
    most, fewest = whole("longest", longest, 1), whole("fewest_steps", fewest_steps, 0)
    limit = None if of_each is None else whole("of_each", of_each, 1)
    if "strict" not in suite.parts:
        raise BadInput(f"The suite {suite.name} has no strict verdict, by which answers could be chosen.")
    if len(questions) != len(answers):
        raise BadInput(f"There are {len(questions)} questions and answers to {len(answers)}: give a list to each.")
    traces: list[Trace] = []
    dropped: Counter[str] = Counter()
    for question, group in zip(questions, answers, strict=True):
        said: set[tuple[int, ...]] = set()
        for answer in group:
            why = reason(suite, question, answer, most, fewest)
            if why is None and answer.ids in said:
                why = "said before"
            if why is None and len(said) == limit:
                why = "enough of this question"
            if why is not None:
                dropped[why] += 1
                continue
            said.add(answer.ids)
            traces.append(Trace(question, answer))
    if not traces:
        told = ", ".join(f"{why} {n}" for why, n in dropped.items()) or "there were none"
        raise BadInput(f"No answer of the teacher is left to learn from ({told}): ask more, or filter less.")
    return Kept(traces, dict(dropped))


def reason(suite: Suite, question: Question, answer: Answer, longest: int, fewest_steps: int) -> str | None:
    """The first reason not to learn from an answer; None where there is none."""
    if answer.finished is False:
        return "cut off"
    if not suite.judge(question, answer.text)["strict"]:
        return "not right"
    if len(answer.ids) > longest:
        return "too long"
    if sum(1 for _ in steps_in(answer.text)) < fewest_steps:
        return "too few steps"
    return None
