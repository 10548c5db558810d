"""Distillation: divergences against torch's own, finite differences and enumeration; what a filter keeps."""

import math

import pytest
import torch
from torch.nn import functional as F

from insideout.data.problems.sums import Sums
from insideout.data.suite import Answer, Question
from insideout.errors import BadInput
from insideout.finetuning.toy import Toy
from insideout.reasoning.distillation import (
    filtered,
    forward_kl,
    jsd,
    over_answers,
    reverse_kl,
    sampled_reverse_kl,
)


def logits(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient(loss, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(loss(x).sum(), x)[0]


S, T = logits(0, 3, 4, 6), 2 * logits(1, 3, 4, 6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_forward_and_reverse_are_torchs_kl_of_logits_divided_by_the_temperature(temperature):
    s, t = (S / temperature).log_softmax(-1), (T / temperature).log_softmax(-1)
    forward = F.kl_div(s, t, log_target=True, reduction="none").sum(-1) * temperature**2
    reverse = F.kl_div(t, s, log_target=True, reduction="none").sum(-1) * temperature**2
    torch.testing.assert_close(forward_kl(S, T, temperature=temperature), forward)
    torch.testing.assert_close(reverse_kl(S, T, temperature=temperature), reverse)


def test_the_two_directions_by_hand():
    student, teacher = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
    assert float(forward_kl(student, teacher)) == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))
    assert float(reverse_kl(student, teacher)) == pytest.approx(0.5 * math.log(5 / 9) + 0.5 * math.log(5))


@pytest.mark.parametrize(
    "loss",
    [forward_kl, reverse_kl, lambda s, t, temperature: jsd(s, t, teacher_share=0.3, temperature=temperature)],
)
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_gradients_are_those_of_finite_differences(loss, temperature):
    assert torch.autograd.gradcheck(lambda s: loss(s, T, temperature=temperature), S.clone().requires_grad_())


def test_forward_kl_pulls_towards_the_teacher_by_the_temperature():
    p_s, p_t = (S / 3).softmax(-1), (T / 3).softmax(-1)
    torch.testing.assert_close(gradient(lambda s: forward_kl(s, T, temperature=3.0), S), 3 * (p_s - p_t))


def test_the_square_of_the_temperature_keeps_the_gradients_size():
    sizes = [float(gradient(lambda s, τ=τ: forward_kl(s, T, temperature=τ), S).norm()) for τ in (20.0, 2000.0)]
    centred = [x - x.mean(-1, keepdim=True) for x in (S, T)]
    assert sizes[1] == pytest.approx(float(((centred[0] - centred[1]) / 6).norm()), rel=1e-2)  # matching of logits
    assert sizes[0] == pytest.approx(sizes[1], rel=0.2)


def test_with_one_token_for_the_teacher_it_is_the_next_token_loss():
    said = torch.tensor([2, 0, 5])
    sure = torch.full((3, 6), -math.inf, dtype=torch.float64).scatter(1, said[:, None], 0.0)
    torch.testing.assert_close(forward_kl(S[:, 0], sure), F.cross_entropy(S[:, 0], said, reduction="none"))


def test_reverse_kl_lets_a_student_leave_out_what_the_teacher_says_and_not_the_other_way_round():
    narrow, wide = torch.tensor([0.0, -math.inf]), torch.tensor([0.0, 0.0])
    assert float(reverse_kl(narrow, wide)) == pytest.approx(math.log(2))
    assert float(forward_kl(narrow, wide)) == math.inf


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_jensen_shannon_divergence_by_its_definition(share):
    p, q = T.softmax(-1), S.softmax(-1)
    m = share * p + (1 - share) * q
    by_hand = share * (p * (p / m).log()).sum(-1) + (1 - share) * (q * (q / m).log()).sum(-1)
    torch.testing.assert_close(jsd(S, T, teacher_share=share), by_hand)
    assert float(jsd(S, T, teacher_share=0.5).max()) < math.log(2)


def test_its_ends_are_forward_and_reverse_by_these_names():
    small = 1e-6
    torch.testing.assert_close(jsd(S, T, teacher_share=small) / small, forward_kl(S, T), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(jsd(S, T, teacher_share=1 - small) / small, reverse_kl(S, T), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", [forward_kl, reverse_kl])
def test_the_teacher_is_not_learned_through(loss):
    teacher, student = T.clone().requires_grad_(), S.clone().requires_grad_()
    loss(student, teacher).sum().backward()
    assert teacher.grad is None and student.grad is not None


def test_the_sampled_loss_has_the_gradient_of_reverse_kl_over_all_tokens():
    def expected(s):
        each = s.log_softmax(-1)
        return (each.detach().exp() * sampled_reverse_kl(each, T.log_softmax(-1))).sum(-1)

    torch.testing.assert_close(gradient(expected, S), gradient(lambda s: reverse_kl(s, T), S))


def test_of_whole_answers_place_by_place_leaves_out_what_a_token_leads_to():
    """The exact gradient of KL over answers is that of its places, plus how the student's words choose its places."""
    toy = Toy(2, 2)
    student, teacher = logits(2, toy.n_prefixes, toy.vocab_size), logits(3, toy.n_prefixes, toy.vocab_size)
    exact = gradient(lambda s: toy.kl(s, teacher), student)
    reached = torch.zeros(toy.n_prefixes, dtype=torch.float64)
    for prefix, number in toy.prefixes.items():
        begun = torch.tensor([answer[: len(prefix)] == prefix for answer in toy.answers])
        reached[number] = toy.logprobs(student)[begun].exp().sum()
    by_places = gradient(lambda s: reached * reverse_kl(s, teacher), student)
    last = torch.tensor([len(prefix) == 1 for prefix in toy.prefixes])
    torch.testing.assert_close(by_places[last], exact[last])  # nothing follows
    assert float((by_places - exact)[~last].abs().max()) > 1e-3
    assert float((reached * reverse_kl(student, teacher)).sum()) == pytest.approx(float(toy.kl(student, teacher)))


def test_sums_and_counts_are_of_the_answers_alone():
    losses, mask = forward_kl(S, T), torch.zeros(3, 4, dtype=torch.bool)
    mask[0, 2:], mask[2, 3] = True, True
    total, n = over_answers(losses, mask)
    assert n == 3 and float(total) == pytest.approx(float(losses[0, 2] + losses[0, 3] + losses[2, 3]))
    cut = [over_answers(losses[rows], mask[rows]) for rows in (slice(0, 1), slice(1, 3))]
    assert sum(n for _, n in cut) == n and float(sum(part for part, _ in cut)) == pytest.approx(float(total))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: forward_kl(S, T, temperature=0.0), "temperature"),
        (lambda: reverse_kl(S, T, temperature=math.nan), "temperature"),
        (lambda: jsd(S, T, teacher_share=1.0), "between 0 and 1"),
        (lambda: jsd(S, T, teacher_share=0.0), "between 0 and 1"),
        (lambda: over_answers(S[..., 0], torch.zeros(3, 4, dtype=torch.bool)), "no token"),
    ],
)
def test_what_cannot_be_is_refused(call, words):
    with pytest.raises(BadInput, match=words) as refused:
        call()
    assert "\n" not in str(refused.value)


def answer(text, n=None, finished=True):
    ids = tuple(text.encode()) if n is None else tuple(range(n))
    return Answer(text, ids, finished)


def asked():
    suite = Sums((2,))
    question = next(each for each in suite.stream("train") if each.truth.answer == 12)
    first, second, third = question.truth.numbers
    return suite, question, f"<think>{first}+{second}={first + second}\n{first + second}+{third}=12</think>#### 12"


def test_each_answer_is_dropped_for_the_first_reason_that_holds():
    suite, question, right = asked()
    group = [
        answer(right), answer(right), answer(right[:-2]), answer(right, finished=False), answer("#### 12"),
        answer("<think>1+1=2\n3+3=6</think>#### 512"), answer("it is 12"), answer(right, n=90), answer(right + " "),
        answer(right + "\n"),
    ]  # fmt: skip
    kept = filtered(suite, [question], [group], longest=80, fewest_steps=2, of_each=2)
    assert [trace.answer.text for trace in kept.traces] == [right, right + " "]
    assert kept.dropped == {
        "said before": 1, "not right": 3, "cut off": 1, "too few steps": 1, "too long": 1, "enough of this question": 1,
    }  # fmt: skip
    assert len(kept.traces) + sum(kept.dropped.values()) == len(group)


def test_a_filter_that_leaves_nothing_says_why():
    suite, question, _ = asked()
    with pytest.raises(BadInput, match=r"not right 1"):
        filtered(suite, [question], [[answer("#### 13")]], longest=80)
    with pytest.raises(BadInput, match="give a list to each"):
        filtered(suite, [question], [], longest=80)
    with pytest.raises(BadInput, match="longest"):
        filtered(suite, [question], [[answer("#### 12")]], longest=0)


def test_a_suite_without_a_strict_verdict_cannot_choose():
    class Other(Sums):
        parts = ("correct",)

    with pytest.raises(BadInput, match="no strict verdict"):
        filtered(Other((1,)), [Question("3+4")], [[answer("7")]], longest=80)
