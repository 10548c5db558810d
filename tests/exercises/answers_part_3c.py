"""Answers that readers might give to chapters 09, 11 and 14 of part 3: right in other styles, and plausibly wrong.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math

import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# reward_to_go: rewards, mask -> what is still to come at each step


def by_loops(rewards, mask):
    found = torch.zeros_like(rewards)
    for b in range(len(rewards)):
        left = 0.0
        for t in reversed(range(rewards.shape[1])):
            if mask[b, t]:
                left = left + rewards[b, t]
                found[b, t] = left
    return found


def by_triangle(rewards, mask):
    T = rewards.shape[1]
    later = torch.tril(torch.ones(T, T, dtype=rewards.dtype))  # row: who pays; column: whom it reaches
    return ((rewards * mask) @ later).masked_fill(~mask, 0)


def by_difference(rewards, mask):
    paid = rewards.masked_fill(~mask, 0)
    return torch.where(mask, paid.sum(1, keepdim=True) - paid.cumsum(1) + paid, 0)


def discounted(rewards, mask, gamma=0.99):
    found, left = torch.zeros_like(rewards), torch.zeros(len(rewards), dtype=rewards.dtype)
    for t in reversed(range(rewards.shape[1])):
        left = torch.where(mask[:, t], rewards[:, t] + gamma * left, left)
        found[:, t] = torch.where(mask[:, t], left, 0)
    return found


ANSWERS["finetuning.policy_gradients.reward_to_go"] = {
    RIGHT: [
        by_loops,
        by_triangle,
        by_difference,
        lambda rewards, mask: by_loops(rewards, mask).tolist(),
        lambda rewards, mask: by_triangle(rewards, mask).numpy(),
    ],
    WRONG: [
        lambda rewards, mask: rewards,
        lambda rewards, mask: rewards.masked_fill(~mask, 0),
        lambda rewards, mask: rewards.cumsum(1),
        lambda rewards, mask: rewards.masked_fill(~mask, 0).cumsum(1).masked_fill(~mask, 0),
        lambda rewards, mask: torch.where(mask, by_loops(rewards, torch.ones_like(mask)), 0),
        lambda rewards, mask: by_loops(rewards, torch.ones_like(mask)),
        lambda rewards, mask: torch.where(mask, by_loops(rewards, mask) - rewards, 0),
        lambda rewards, mask: by_loops(rewards, mask).flip(1) * mask,
        lambda rewards, mask: (rewards * mask).flip(1).cumsum(1).masked_fill(~mask, 0),
        lambda rewards, mask: torch.where(mask, (rewards * mask).sum(1)[:, None], 0),
        lambda rewards, mask: (rewards * mask).sum(1),
        lambda rewards, mask: (rewards * mask).flip(1).cumsum(1).flip(1),
        lambda rewards, mask: by_loops(rewards.T, mask.T).T,
        lambda rewards, mask: by_loops(rewards, ~mask),
        discounted,
        lambda rewards, mask: -by_loops(rewards, mask),
        lambda rewards, mask: by_loops(rewards, mask)[:, :-1],
        lambda rewards, mask: by_loops(rewards, mask).sum(),
    ],
}

# leave_one_out: rewards -> each reward less the mean of the others in its row


def others(rewards):
    found = torch.empty_like(rewards)
    for p in range(rewards.shape[0]):
        for g in range(rewards.shape[1]):
            found[p, g] = torch.cat([rewards[p, :g], rewards[p, g + 1 :]]).mean()
    return found


ANSWERS["finetuning.policy_gradients.leave_one_out"] = {
    RIGHT: [
        lambda rewards: rewards - others(rewards),
        lambda rewards: (rewards - rewards.mean(1, keepdim=True)) * rewards.shape[1] / (rewards.shape[1] - 1),
        lambda rewards: (rewards * rewards.shape[1] - rewards.sum(-1, keepdim=True)) / (rewards.shape[1] - 1),
        lambda rewards: (rewards - others(rewards)).tolist(),
    ],
    WRONG: [
        others,
        lambda rewards: others(rewards) - rewards,
        lambda rewards: rewards - rewards.mean(-1, keepdim=True),
        lambda rewards: rewards - rewards.mean(),
        lambda rewards: rewards - rewards.mean(0),
        lambda rewards: rewards - (rewards.T - others(rewards.T) * 0).T.mean(0, keepdim=True) * 1.5,
        lambda rewards: (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-8),
        lambda rewards: (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True, unbiased=False),
        lambda rewards: rewards - rewards.amax(1, keepdim=True),
        lambda rewards: rewards - rewards.amin(1, keepdim=True),
        lambda rewards: rewards - rewards.median(1, keepdim=True).values,
        lambda rewards: rewards - rewards.sum(1, keepdim=True) + rewards,
        lambda rewards: rewards - others(rewards) * (rewards.shape[1] - 1) / rewards.shape[1],
        lambda rewards: rewards - rewards.sum(1, keepdim=True) / (rewards.shape[1] - 1),
        lambda rewards: (rewards - rewards.mean(1, keepdim=True)) * (rewards.shape[1] - 1) / rewards.shape[1],
        lambda rewards: rewards - torch.roll(rewards, -1, dims=1),
        lambda rewards: rewards,
        lambda rewards: torch.zeros_like(rewards),
    ],
}  # fmt: skip

# gradient: logits, rewards -> the gradient of the expected reward


def autograd(logits, rewards, value=lambda p, rewards: p @ rewards):
    z = logits.clone().requires_grad_()
    return torch.autograd.grad(value(z.softmax(-1), rewards), z)[0]


def jacobian(logits, rewards):
    p = logits.softmax(-1)
    return (torch.diag(p) - torch.outer(p, p)) @ rewards


def over_tokens(logits, rewards):
    p, found = logits.exp() / logits.exp().sum(), torch.zeros_like(logits)
    for a in range(len(p)):
        for b in range(len(p)):
            found[b] += p[a] * rewards[a] * (float(a == b) - p[b])
    return found


ANSWERS["finetuning.policy_gradients.gradient"] = {
    RIGHT: [autograd, jacobian, over_tokens, lambda logits, rewards: over_tokens(logits, rewards).tolist()],
    WRONG: [
        lambda logits, rewards: -jacobian(logits, rewards),
        lambda logits, rewards: torch.softmax(logits, 0) * rewards,
        lambda logits, rewards: rewards - torch.softmax(logits, 0) @ rewards,
        lambda logits, rewards: torch.softmax(logits, 0) * (rewards - rewards.sum() / len(rewards)),
        lambda logits, rewards: torch.softmax(logits, 0) * (1 - torch.softmax(logits, 0)) * rewards,
        lambda logits, rewards: torch.softmax(logits, 0) @ rewards,
        lambda logits, rewards: autograd(logits, rewards, lambda p, rewards: p.log() @ rewards),
        lambda logits, rewards: autograd(logits, rewards, lambda p, rewards: p.square() @ rewards / 2),
        lambda logits, rewards: torch.diag(torch.softmax(logits, 0)) @ rewards,
        lambda logits, rewards: -torch.outer(torch.softmax(logits, 0), torch.softmax(logits, 0)) @ rewards,
        lambda logits, rewards: torch.softmax(logits, 0) * (rewards - rewards.max()),
        lambda logits, rewards: logits * (rewards - logits @ rewards),
        lambda logits, rewards: torch.softmax(logits, 0) * (rewards - rewards.sum()),
        lambda logits, rewards: torch.softmax(logits, 0) * (rewards + torch.softmax(logits, 0) @ rewards),
        lambda logits, rewards: rewards,
        lambda logits, rewards: jacobian(logits, rewards) / len(logits),
        lambda logits, rewards: torch.log_softmax(logits, 0) * rewards,
        lambda logits, rewards: torch.softmax(logits, 0) * (1 - rewards),
        lambda logits, rewards: jacobian(logits, rewards) * torch.softmax(logits, 0),
    ],
}

# k3: logprobs, ref, mask -> the mean over the tokens of the mask


def by_token(logprobs, ref, mask):
    total, n = 0.0, 0
    for a, b, kept in zip(logprobs.flatten().tolist(), ref.flatten().tolist(), mask.flatten().tolist(), strict=True):
        if kept:
            total, n = total + math.exp(b - a) - 1 - (b - a), n + 1
    return total / n


def ratio_of(logprobs, ref):
    return (ref - logprobs).exp()


ANSWERS["finetuning.the_kl_leash.k3"] = {
    RIGHT: [
        by_token,
        lambda logprobs, ref, mask: (ratio_of(logprobs, ref) - 1 - (ref - logprobs))[mask].mean(),
        lambda logprobs, ref, mask: ((torch.expm1(ref - logprobs) + logprobs - ref) * mask).sum() / mask.sum(),
        lambda logprobs, ref, mask: float((ratio_of(logprobs, ref) - 1 - ratio_of(logprobs, ref).log())[mask].mean()),
    ],
    WRONG: [
        lambda logprobs, ref, mask: by_token(ref, logprobs, mask),
        lambda logprobs, ref, mask: (logprobs - ref).masked_select(mask).mean(),
        lambda logprobs, ref, mask: (ref - logprobs).masked_select(mask).mean(),
        lambda logprobs, ref, mask: (0.5 * (ref - logprobs) ** 2).masked_select(mask).mean(),
        lambda logprobs, ref, mask: ((ref - logprobs) ** 2).masked_select(mask).mean(),
        lambda logprobs, ref, mask: (ratio_of(logprobs, ref) - (ref - logprobs))[mask].mean(),
        lambda logprobs, ref, mask: by_token(logprobs, ref, torch.ones_like(mask)),
        lambda logprobs, ref, mask: ((ratio_of(logprobs, ref) - 1 - (ref - logprobs)) * mask).mean(),
        lambda logprobs, ref, mask: by_token(logprobs, ref, mask) * int(mask.sum()),
        lambda logprobs, ref, mask: by_token(logprobs, ref, mask) * int(mask.sum()) / len(mask),
        lambda logprobs, ref, mask: (ratio_of(logprobs, ref) - 1)[mask].mean(),
        lambda logprobs, ref, mask: (ratio_of(logprobs, ref) - 1 + ref - logprobs)[mask].mean(),
        lambda logprobs, ref, mask: by_token(logprobs, ref, ~mask) if not mask.all() else 0.0,
        lambda logprobs, ref, mask: (ratio_of(logprobs, ref) - 1 - (ref - logprobs)).masked_fill(~mask, 0),
        lambda logprobs, ref, mask: by_token(logprobs.exp(), ref.exp(), mask),
        lambda logprobs, ref, mask: (logprobs.exp() * (logprobs - ref))[mask].mean(),
        lambda logprobs, ref, mask: (logprobs - ref)[mask].abs().mean(),
    ],
}

# tilted: ref, rewards, beta -> log-probabilities of the best policy


def weighed(ref, rewards, beta):
    weights = ref.exp() * ((rewards - rewards.max()) / beta).exp()
    return (weights / weights.sum()).log()


def scores(ref, rewards, beta):
    return ref + rewards / beta


ANSWERS["finetuning.the_kl_leash.tilted"] = {
    RIGHT: [
        lambda ref, rewards, beta: torch.log_softmax(scores(ref, rewards, beta), 0),
        lambda ref, rewards, beta: scores(ref, rewards, beta) - torch.logsumexp(scores(ref, rewards, beta), 0),
        lambda ref, rewards, beta: torch.log_softmax(scores(ref, rewards, beta), 0).tolist(),
        lambda ref, rewards, beta: torch.log_softmax((beta * ref + rewards) / beta, 0).numpy(),
    ],
    WRONG: [
        scores,
        lambda ref, rewards, beta: torch.log_softmax(ref + beta * rewards, 0),
        lambda ref, rewards, beta: torch.log_softmax(rewards / beta, 0),
        lambda ref, rewards, beta: torch.softmax(scores(ref, rewards, beta), 0),
        lambda ref, rewards, beta: torch.log_softmax(scores(ref, -rewards, beta), 0),
        lambda ref, rewards, beta: torch.log_softmax(scores(ref, rewards, beta) / beta, 0),
        lambda ref, rewards, beta: torch.log_softmax(ref + rewards, 0),
        lambda ref, rewards, beta: torch.log_softmax(ref.exp() + rewards / beta, 0),
        lambda ref, rewards, beta: torch.log_softmax(ref.exp() * (rewards / beta).exp(), 0),
        lambda ref, rewards, beta: (
            ref.exp() * (rewards / beta).exp() / (ref.exp() * (rewards / beta).exp()).sum()
        ).log(),
        lambda ref, rewards, beta: ref.log_softmax(0),
        lambda ref, rewards, beta: ref + torch.log_softmax(rewards / beta, 0),
        lambda ref, rewards, beta: scores(ref, rewards, beta) - scores(ref, rewards, beta).amax(),
        lambda ref, rewards, beta: beta * torch.logsumexp(scores(ref, rewards, beta), 0),
        lambda ref, rewards, beta: torch.log_softmax((ref + rewards) / beta, 0),
        lambda ref, rewards, beta: torch.log_softmax(beta * ref + rewards, 0),
        lambda ref, rewards, beta: torch.log_softmax(scores(ref, rewards - (ref.exp() * rewards).sum(), beta), 0) - 1,
    ],
}

# controller: beta, kl, target, n, horizon -> the new price


def clipped(x):
    return float(torch.tensor(x, dtype=torch.float64).clamp(-0.2, 0.2))


ANSWERS["finetuning.the_kl_leash.controller"] = {
    RIGHT: [
        lambda beta, kl, target, n, horizon: beta * (1 + clipped((kl - target) / target) * n / horizon),
        lambda beta, kl, target, n, horizon: beta + beta * clipped(kl / target - 1) * (n / horizon),
        lambda beta, kl, target, n, horizon: (horizon + n * clipped(kl / target - 1)) / horizon * beta,
        lambda beta, kl, target, n, horizon: torch.tensor(
            beta * (1 + clipped(kl / target - 1) * n / horizon), dtype=torch.float64
        ),
    ],
    WRONG: [
        lambda beta, kl, target, n, horizon: beta * (1 - clipped(kl / target - 1) * n / horizon),
        lambda beta, kl, target, n, horizon: beta * (1 + (kl - target) / target * n / horizon),
        lambda beta, kl, target, n, horizon: beta * (1 + clipped(kl - target) * n / horizon),
        lambda beta, kl, target, n, horizon: beta * (1 + clipped(kl / target - 1)),
        lambda beta, kl, target, n, horizon: beta * (1 + clipped(kl / target - 1) / horizon),
        lambda beta, kl, target, n, horizon: beta + clipped(kl / target - 1) * n / horizon,
        lambda beta, kl, target, n, horizon: (
            beta * 1.5 if kl > 1.5 * target else beta / 1.5 if kl < target / 1.5 else beta
        ),
        lambda beta, kl, target, n, horizon: beta * (1 + min(kl / target - 1, 0.2) * n / horizon),
        lambda beta, kl, target, n, horizon: beta * (1 + max(kl / target - 1, -0.2) * n / horizon),
        lambda beta, kl, target, n, horizon: 1 + clipped(kl / target - 1) * n / horizon,
        lambda beta, kl, target, n, horizon: beta * (1 + clipped(kl / target - 1) * horizon / n),
        lambda beta, kl, target, n, horizon: beta * clipped(kl / target - 1) * n / horizon,
        lambda beta, kl, target, n, horizon: beta * (1 + clipped(kl / target) * n / horizon),
        lambda beta, kl, target, n, horizon: beta,
        lambda beta, kl, target, n, horizon: beta * math.exp(clipped(kl / target - 1)),
        lambda beta, kl, target, n, horizon: beta * (1 + clipped((kl - target) / kl if kl else -1.0) * n / horizon),
        lambda beta, kl, target, n, horizon: beta * (1 + math.copysign(0.2, kl - target) * n / horizon),
    ],
}

# loss: summed log-probabilities under policy and reference, beta -> the mean loss


def logratios(w, rejected, rw, rr):
    return (w - rejected) - (rw - rr)


ANSWERS["finetuning.dpo.loss"] = {
    RIGHT: [
        lambda w, r, rw, rr, beta: F.softplus(-beta * logratios(w, r, rw, rr)).mean(),
        lambda w, r, rw, rr, beta: torch.logaddexp(torch.zeros_like(w), -beta * logratios(w, r, rw, rr)).mean(),
        lambda w, r, rw, rr, beta: float(-F.logsigmoid(beta * (w - rw) - beta * (r - rr)).sum() / len(w)),
        lambda w, r, rw, rr, beta: F.binary_cross_entropy_with_logits(
            beta * logratios(w, r, rw, rr), torch.ones_like(w)
        ),
    ],
    WRONG: [
        lambda w, r, rw, rr, beta: F.softplus(beta * logratios(w, r, rw, rr)).mean(),
        lambda w, r, rw, rr, beta: F.softplus(-beta * (w - r)).mean(),
        lambda w, r, rw, rr, beta: F.softplus(-beta * logratios(w, r, rr, rw)).mean(),
        lambda w, r, rw, rr, beta: F.softplus(-logratios(w, r, rw, rr)).mean(),
        lambda w, r, rw, rr, beta: F.softplus(-logratios(w, r, rw, rr) / beta).mean(),
        lambda w, r, rw, rr, beta: F.logsigmoid(beta * logratios(w, r, rw, rr)).mean(),
        lambda w, r, rw, rr, beta: torch.sigmoid(beta * logratios(w, r, rw, rr)).mean(),
        lambda w, r, rw, rr, beta: F.softplus(-beta * logratios(w, r, rw, rr)).sum(),
        lambda w, r, rw, rr, beta: F.softplus(-beta * logratios(w, r, rw, rr)),
        lambda w, r, rw, rr, beta: F.softplus(-beta * logratios(w, r, rw, rr).mean()),
        lambda w, r, rw, rr, beta: -torch.log(torch.sigmoid(beta * logratios(w, r, rw, rr))).mean(),
        lambda w, r, rw, rr, beta: -(1 / (1 + torch.exp(-beta * logratios(w, r, rw, rr)))).log().mean(),
        lambda w, r, rw, rr, beta: -(beta * logratios(w, r, rw, rr)).mean(),
        lambda w, r, rw, rr, beta: F.softplus(-beta * (w - rw)).mean(),
        lambda w, r, rw, rr, beta: F.softplus(-beta * (w - r) + (rw - rr)).mean(),
        lambda w, r, rw, rr, beta: (logratios(w, r, rw, rr) - 1 / (2 * beta)).square().mean(),
        lambda w, r, rw, rr, beta: (F.softplus(-beta * logratios(w, r, rw, rr)) - w).mean(),
        lambda w, r, rw, rr, beta: F.softplus(-beta * logratios(w.exp(), r.exp(), rw.exp(), rr.exp())).mean(),
    ],
}

# gradient: the same -> the slope of each pair's loss with respect to the chosen answer's log-probability


def by_autograd(w, r, rw, rr, beta, loss=lambda m: F.softplus(-m)):
    w = w.clone().requires_grad_()
    return torch.autograd.grad(loss(beta * logratios(w, r, rw, rr)).sum(), w)[0]


ANSWERS["finetuning.dpo.gradient"] = {
    RIGHT: [
        by_autograd,
        lambda w, r, rw, rr, beta: beta * (torch.sigmoid(beta * logratios(w, r, rw, rr)) - 1),
        lambda w, r, rw, rr, beta: -beta * torch.sigmoid(beta * logratios(r, w, rr, rw)),
        lambda w, r, rw, rr, beta: (-beta * torch.sigmoid(-beta * logratios(w, r, rw, rr))).tolist(),
    ],
    WRONG: [
        lambda w, r, rw, rr, beta: -by_autograd(w, r, rw, rr, beta),
        lambda w, r, rw, rr, beta: by_autograd(w, r, rw, rr, beta) / beta,
        lambda w, r, rw, rr, beta: -beta * torch.sigmoid(beta * logratios(w, r, rw, rr)),
        lambda w, r, rw, rr, beta: -torch.sigmoid(beta * logratios(w, r, rw, rr)),
        lambda w, r, rw, rr, beta: by_autograd(w, r, rw, rr, beta, lambda m: -torch.sigmoid(m)),
        lambda w, r, rw, rr, beta: by_autograd(w, r, rw, rr, beta) / w.shape[0],
        lambda w, r, rw, rr, beta: by_autograd(w, r, rw, rr, beta).mean(),
        lambda w, r, rw, rr, beta: by_autograd(w, r, rw, rr, beta).sum(),
        lambda w, r, rw, rr, beta: -beta * torch.sigmoid(-beta * (w - r)),
        lambda w, r, rw, rr, beta: -beta * torch.sigmoid(-logratios(w, r, rw, rr)),
        lambda w, r, rw, rr, beta: -torch.sigmoid(-logratios(w, r, rw, rr)),
        lambda w, r, rw, rr, beta: F.softplus(-beta * logratios(w, r, rw, rr)),
        lambda w, r, rw, rr, beta: by_autograd(w, r, rr, rw, beta),
        lambda w, r, rw, rr, beta: -beta * torch.ones_like(w),
        lambda w, r, rw, rr, beta: by_autograd(r, w, rr, rw, beta),
        lambda w, r, rw, rr, beta: by_autograd(w, r, rw, rr, beta, torch.square),
        lambda w, r, rw, rr, beta: by_autograd(w, r, -rw, -rr, beta),
        lambda w, r, rw, rr, beta: by_autograd(w, r, rw, rr, beta) * 0,
    ],
}
