"""Answers that readers might give to chapters 09, 11 and 14 of part 3: right ones in other styles, plausible wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import torch

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
