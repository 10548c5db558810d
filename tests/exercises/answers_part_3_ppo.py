"""Answers that readers might give to chapter 10 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# clipped_loss: logprobs, old, advantages, mask, clip -> one number


def by_losses(logprobs, old, advantages, mask, clip):
    ratio = torch.exp(logprobs) / torch.exp(old)
    losses = torch.max(-advantages * ratio, -advantages * torch.clamp(ratio, 1.0 - clip, 1.0 + clip))
    return (losses * mask).sum() / mask.sum()


def by_cases(logprobs, old, advantages, mask, clip):
    ratio = (logprobs - old).exp()
    flat = ((ratio > 1 + clip) & (advantages > 0)) | ((ratio < 1 - clip) & (advantages < 0))
    bound = 1 + clip * advantages.sign()
    return -(torch.where(flat, bound, ratio) * advantages)[mask].mean()


def by_hand(logprobs, old, advantages, mask, clip):
    total, n = 0.0, 0
    for b in range(len(mask)):
        for t in range(mask.shape[1]):
            if mask[b, t]:
                ratio = float(torch.exp(logprobs[b, t] - old[b, t]))
                near = min(max(ratio, 1 - clip), 1 + clip)
                total, n = total - min(ratio * float(advantages[b, t]), near * float(advantages[b, t])), n + 1
    return total / n


def by_numpy(logprobs, old, advantages, mask, clip):
    new, was, a, m = (np.asarray(each) for each in (logprobs, old, advantages, mask))
    ratio = np.exp(new - was)
    return float(-np.minimum(ratio * a, np.clip(ratio, 1 - clip, 1 + clip) * a)[m].mean())


def by_selected(logprobs, old, advantages, mask, clip):
    new, was, a = logprobs[mask], old[mask], advantages[mask]
    ratio = (new - was).exp()
    return torch.stack([-ratio * a, -ratio.clamp(1 - clip, 1 + clip) * a]).amax(0).mean()


def loss_with(reduce=None, ratio=None, pick=torch.minimum, near=None, sign=-1.0, use=None):
    def made(logprobs, old, advantages, mask, clip):
        rho = ratio(logprobs, old) if ratio else (logprobs - old).exp()
        other = near(rho, clip) if near else rho.clamp(1 - clip, 1 + clip)
        each = sign * pick(rho * advantages, other * advantages)
        return reduce(each, mask) if reduce else each[mask if use is None else use(mask)].mean()

    return made


def by_sign(one, two):
    return torch.where(one > 0, torch.minimum(one, two), torch.maximum(one, two))


ANSWERS["finetuning.ppo.clipped_loss"] = {
    RIGHT: [by_losses, by_cases, by_hand, by_numpy, by_selected],
    WRONG: [
        loss_with(sign=1.0),
        loss_with(pick=torch.maximum),
        loss_with(pick=by_sign),
        loss_with(pick=lambda one, two: two),
        loss_with(pick=lambda one, two: one),
        loss_with(ratio=lambda new, old: (old - new).exp()),
        loss_with(ratio=lambda new, old: new - old),
        loss_with(ratio=lambda new, old: new / old),
        loss_with(ratio=lambda new, old: new.exp()),
        loss_with(ratio=lambda new, old: new.exp() - old.exp()),
        loss_with(near=lambda rho, clip: rho.clamp(-clip, clip)),
        loss_with(near=lambda rho, clip: rho.log().clamp(-clip, clip).exp()),
        loss_with(near=lambda rho, clip: rho.clamp(max=1 + clip)),
        loss_with(near=lambda rho, clip: rho.clamp(min=1 - clip)),
        loss_with(reduce=lambda each, mask: each.mean()),
        loss_with(reduce=lambda each, mask: (each * mask).mean()),
        loss_with(reduce=lambda each, mask: (each * mask).sum()),
        loss_with(reduce=lambda each, mask: ((each * mask).sum(1) / mask.sum(1)).mean()),
        loss_with(reduce=lambda each, mask: each * mask),
        loss_with(reduce=lambda each, mask: (each * mask).sum(1).mean()),
    ],
}

# gae: rewards, values, gamma, lam -> (T,)


def by_sums(rewards, values, gamma, lam):
    T = len(rewards)
    after = torch.cat([values[1:], values.new_zeros(1)])
    delta = rewards + gamma * after - values
    return torch.stack([sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, T)) for t in range(T)])


def by_matrix(rewards, values, gamma, lam):
    T = len(rewards)
    delta = rewards - values
    delta[:-1] += gamma * values[1:]
    i = torch.arange(T)
    powers = torch.triu((gamma * lam) ** (i[None] - i[:, None]).clamp(min=0).to(rewards.dtype))
    return powers @ delta


def by_recursion(rewards, values, gamma, lam, t=0):
    if t == len(rewards):
        return rewards.new_zeros(0)
    rest = by_recursion(rewards, values, gamma, lam, t + 1)
    after, later = (values[t + 1], rest[0]) if len(rest) else (0.0, 0.0)
    return torch.cat([(rewards[t] + gamma * after - values[t] + gamma * lam * later)[None], rest])


def by_lambda_returns(rewards, values, gamma, lam):
    """G_t = r_t + γ ((1 − λ) V_{t+1} + λ G_{t+1}), less the value."""
    found, G, after = [], 0.0, 0.0
    for t in range(len(rewards) - 1, -1, -1):
        G = rewards[t] + gamma * ((1 - lam) * after + lam * G)
        after = values[t]
        found.insert(0, G - values[t])
    return torch.stack(found)


def gae_with(delta=None, discount=None, back=True, end=0.0, finish=None):
    def made(rewards, values, gamma, lam):
        found, later, after = torch.zeros_like(rewards), 0.0, end * values[-1]
        steps = range(len(rewards) - 1, -1, -1) if back else range(len(rewards))
        for t in steps:
            one = delta(rewards[t], after, values[t], gamma) if delta else rewards[t] + gamma * after - values[t]
            later = one + (discount(gamma, lam) if discount else gamma * lam) * later
            found[t], after = later, values[t]
        return finish(found, rewards, values) if finish else found

    return made


ANSWERS["finetuning.ppo.gae"] = {
    RIGHT: [by_sums, by_matrix, by_recursion, by_lambda_returns, gae_with()],
    WRONG: [
        gae_with(discount=lambda gamma, lam: 0.0),
        gae_with(discount=lambda gamma, lam: gamma),
        gae_with(discount=lambda gamma, lam: lam),
        gae_with(discount=lambda gamma, lam: gamma + lam),
        gae_with(discount=lambda gamma, lam: 1 - lam),
        gae_with(delta=lambda r, after, v, gamma: r + after - v),
        gae_with(delta=lambda r, after, v, gamma: r - v),
        gae_with(delta=lambda r, after, v, gamma: r),
        gae_with(delta=lambda r, after, v, gamma: r + gamma * after),
        gae_with(delta=lambda r, after, v, gamma: r + v - gamma * after),
        gae_with(delta=lambda r, after, v, gamma: gamma * (r + after) - v),
        gae_with(end=1.0),
        gae_with(back=False),
        gae_with(finish=lambda found, r, v: found + v),
        gae_with(finish=lambda found, r, v: -found),
        gae_with(finish=lambda found, r, v: found.flip(0)),
        gae_with(finish=lambda found, r, v: found - found.mean()),
        lambda rewards, values, gamma, lam: gae_with()(rewards, values, lam, gamma),
        lambda rewards, values, gamma, lam: gae_with()(rewards, values, 1.0, lam),
    ],
}
