"""Small runs in the world of letters, by the library's own trainers, each with or without a fault.

    config.json, metrics.jsonl, samples.jsonl, result.json

sft and lora learn from conversations, reward and dpo from pairs, ppo and rloo from the judge's word. What a run goes on
from was made without a fault. The folder is that of any run: `insideout doctor --run` reads it. A run takes seconds.
"""

import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput
from insideout.finetuning.policy_config import PolicyConfig
from insideout.lab.museum.letters import Letters, chat_format, model_config, nearness, texts
from insideout.recipes.dpo import DPOConfig
from insideout.recipes.job import Job
from insideout.recipes.lora import LoRATuning
from insideout.recipes.ppo import PPOConfig
from insideout.recipes.reward import RewardConfig
from insideout.recipes.rloo import METHOD, RLOOConfig
from insideout.recipes.sft import SFTConfig
from insideout.scales import Scale
from insideout.training.config import TrainConfig

if TYPE_CHECKING:
    from insideout.recipes.start import Start

KINDS = ("sft", "lora", "reward", "dpo", "ppo", "rloo")
N_QUESTIONS: dict[Scale, int] = {"tiny": 8, "laptop": 48, "gpu": 48}
"""Held-out words."""
STEPS: dict[Scale, dict[str, int]] = {
    "tiny": dict.fromkeys(KINDS, 8) | {"start": 8},
    "laptop": dict.fromkeys(KINDS, 100) | {"ppo": 80, "rloo": 80, "start": 80},
    "gpu": dict.fromkeys(KINDS, 100) | {"ppo": 80, "rloo": 80, "start": 80},
}
"""Updates of each kind of run, and of the model that those other than sft go on from."""
ROW_LENGTH = 48


def train_config(steps: int, lr: float, batch_size: int, seed: int = 0, **more: Any) -> TrainConfig:
    """How a run is trained."""
    warmup = min(10, steps // 2)
    return TrainConfig(
        steps=steps, batch_size=batch_size, lr=lr, min_lr=lr / 3, warmup_steps=warmup, weight_decay=0.0,
        precision="float32", eval_every=max(1, steps // 5), checkpoint_every=0, seed=seed, **more,
    )  # fmt: skip


def settings(kind: str, seed: int, at: Scale) -> Any:
    """A run's settings, of the class that the stage of its name has."""
    if kind not in KINDS:
        raise BadInput(f"There is no kind of run {kind!r}: choose one of {', '.join(KINDS)}.")
    steps, small = STEPS[at][kind], at == "tiny"
    size = 6 if small else 24 if kind in ("sft", "lora") else 16
    drawn = PolicyConfig(
        prompts=4 if small else 16, samples=4, epochs=2, max_new_tokens=Letters.max_new_tokens, beta=0.1,
        advantage="gae", truncated="score",
    )  # fmt: skip
    n = drawn.prompts * drawn.samples
    if kind == "sft":
        return SFTConfig(row_length=ROW_LENGTH, train=train_config(steps, 4e-3, size, seed))
    if kind == "lora":
        return LoRATuning(row_length=ROW_LENGTH, rank=4, train=train_config(steps, 1e-2, size, seed))
    if kind == "reward":
        return RewardConfig(train=train_config(steps, 2e-3, size, seed))
    if kind == "dpo":
        return DPOConfig(train=train_config(steps, 3e-4, size, seed))
    if kind == "ppo":
        return PPOConfig(reward="gold", policy=drawn, train=train_config(steps, 1e-3, n, seed))
    policy = replace(drawn, kl="k2", **METHOD)  # type: ignore[arg-type]
    return RLOOConfig(reward="gold", policy=policy, train=train_config(steps, 1e-3, n, seed))


@lru_cache(maxsize=4)
def start(at: Scale) -> "Start":
    """A model that has learned half of it, without a fault: what all runs but those of sft go on from."""
    return answering(STEPS[at]["start"], 1, at)


def answering(steps: int, seed: int, at: Scale) -> "Start":
    """A model that was tuned for so many steps, ready to answer."""
    from insideout.recipes.start import Start

    with tempfile.TemporaryDirectory() as folder:
        config = replace(
            settings("sft", seed, at), train=train_config(steps, 4e-3, 6 if at == "tiny" else 24, seed=seed)
        )
        job = Job(Path(folder), config, lambda event: None, at, stage="sft")
        model = sft(config, None, job, at)
    chat = chat_format()
    return Start(chat.writer(model.eval(), 1.0), chat, "ours")


def sft(config: Any, begun: "Start | None", job: Job, at: Scale) -> Any:
    """From random weights to a model that answers, or, given one, further by an adapter."""
    import torch

    from insideout.data.batch import packed
    from insideout.finetuning.chat import learned_share
    from insideout.recipes.lora import adapt
    from insideout.recipes.sft import METRICS
    from insideout.training.objective import Objective
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    chat, world = chat_format(), Letters()
    if begun is None:
        torch.manual_seed(config.train.seed)
        model = GPT(model_config(chat.tokenizer.vocab_size))
    else:
        model = begun.model()
        adapt(model, config)
    talks = list(islice(world.conversations("development", 7), 2 * N_QUESTIONS[at]))
    held_out = [chat.document(talk) for talk in talks]
    questions = world.draw("development", N_QUESTIONS[at])
    size = config.train.batch_size

    def batch_at(step: int, micro_step: int) -> Any:
        stream = world.conversations("train", config.train.seed * 1_000_003 + step)
        return packed([chat.document(talk) for talk in islice(stream, size)], chat.pad_id, ROW_LENGTH)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        loss, n = next_token_loss(model, packed(held_out, chat.pad_id, ROW_LENGTH))
        found, shown = asked(model, questions)
        return {"validation_loss": float(loss) / n, **found}, shown

    fit_small(
        job, model, chat, Objective(next_token_loss, METRICS), batch_at, config.train, measure,
        learned_share=learned_share(held_out),
    )  # fmt: skip
    return model


def asked(model: Any, questions: Any) -> tuple[dict[str, float], str]:
    """What held-out words find, the likeliest answer to each, and some of them as a reader sees them."""
    answers = answers_of(model, questions, 0.0)
    right = [bool(Letters().judge(q, each.text)["correct"]) for q, each in zip(questions, answers, strict=True)]
    shown = [f"{asked} → {each.text}" + ("" if each.finished else " …")
             for asked, each in zip(texts(questions), answers, strict=True)]  # fmt: skip
    return {"correct": fmean(right), "stop_rate": fmean(bool(each.finished) for each in answers)}, "\n".join(shown[:6])


def answers_of(model: Any, questions: Any, temperature: float) -> Any:
    """One answer to each question, asked in the world's format."""
    writer = chat_format().writer(model, temperature)
    return [each for [each] in writer.write([q.prompt for q in questions], 1, 0, Letters.max_new_tokens)]


def reward(config: Any, begun: "Start", job: Job, at: Scale) -> None:
    """A reward model, from pairs."""
    from insideout.data.batch import padded
    from insideout.finetuning.losses import bradley_terry
    from insideout.finetuning.preferences import pair_documents
    from insideout.finetuning.reward_model import RewardModel, agreement, reward_objective, sides
    from insideout.recipes.reward import HELD_OUT
    from insideout.training.objective import Objective

    chat, world = begun.chat, Letters()
    model = RewardModel.of(begun.model(), config.train.seed)
    pairs = world.pairs("train", n_pairs(config.train), config.train.seed)
    held_out_pairs = world.pairs("development", 2 * N_QUESTIONS[at], 0)
    known = pair_documents(chat, pairs, 48)
    held_out = pair_documents(chat, held_out_pairs, 48)
    objective = reward_objective(centring_weight=config.centring)
    chosen = order_of(len(pairs), config.train)

    def batch_at(step: int, micro_step: int) -> Any:
        return padded([known[2 * i + side] for i in chosen(step) for side in (0, 1)], chat.pad_id)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        together = model.score(padded(held_out, chat.pad_id))
        good, bad = sides(together)
        found = {
            "validation_loss": bradley_terry(good, bad).mean(), "held_out_accuracy": agreement(good, bad).mean(),
            "held_out_margin": (good - bad).mean(),
        }  # fmt: skip
        lines = []
        for i, pair in enumerate(held_out_pairs[:3]):
            for side, answer in enumerate((pair.chosen, pair.rejected)):
                alone = float(model.score(padded([held_out[2 * i + side]], chat.pad_id)))
                among = float(together[2 * i + side])
                lines.append(f"{pair.prompt[-1].content} → {answer}   {among:+.2f} among others, {alone:+.2f} alone")
        return {name: float(value) for name, value in found.items()}, "\n".join(lines)

    aim = Objective(objective.loss, (*HELD_OUT, *objective.metrics), counted="pairs")
    fit_small(job, model, chat, aim, batch_at, config.train, measure)


def dpo(config: Any, begun: "Start", job: Job, at: Scale) -> None:
    """A policy, from pairs."""
    from insideout.data.batch import padded
    from insideout.finetuning.preferences import PairBatch, pair_documents, preference_objective, reference_logprobs
    from insideout.recipes.dpo import HELD_OUT
    from insideout.training.objective import Objective

    chat, world = begun.chat, Letters()
    model, reference = begun.model(dropout=False), begun.writer.model
    known = pair_documents(chat, world.pairs("train", n_pairs(config.train), config.train.seed), 48)
    held_out = pair_documents(chat, world.pairs("development", 2 * N_QUESTIONS[at], config.train.seed), 48)
    before, before_held_out = (reference_logprobs(reference, each, chat.pad_id) for each in (known, held_out))
    objective = preference_objective(config.loss, beta=config.beta)
    chosen = order_of(len(known) // 2, config.train)
    questions = world.draw("development", N_QUESTIONS[at])

    def batch_at(step: int, micro_step: int) -> PairBatch:
        which = [2 * i + side for i in chosen(step) for side in (0, 1)]
        return PairBatch(padded([known[i] for i in which], chat.pad_id), before[which])

    def measure(model: Any) -> tuple[dict[str, float], str]:
        loss, n, sums = objective.loss(model, PairBatch(padded(held_out, chat.pad_id), before_held_out))
        found, shown = asked(model, questions)
        held = {"validation_loss": float(loss) / n, "held_out_accuracy": sums["accuracy"] / n,
                "held_out_margin": sums["margin"] / n, "gold": worth(model, questions)}  # fmt: skip
        return held | found, shown

    aim = Objective(objective.loss, (*HELD_OUT, *objective.metrics), counted="pairs")
    fit_small(job, model, chat, aim, batch_at, config.train, measure)


def worth(model: Any, questions: Any) -> float:
    """The mean of what drawn answers are worth."""
    drawn = answers_of(model, questions, 1.0)
    return fmean(gold(q, each.text) for q, each in zip(questions, drawn, strict=True))


def gold(question: Any, answer: str) -> float:
    """What an answer is worth: the share of places that are right."""
    return nearness(answer, question.truth)


def rewarded(question: Any, answer: str) -> float:
    """What the learner is told that an answer is worth: here, the truth."""
    return gold(question, answer)


def policy(config: Any, begun: "Start", job: Job, at: Scale) -> None:
    """A policy, from what its own answers are worth: PPO where the settings have a critic, else RLOO."""
    import torch

    from insideout.finetuning.experience import judged_by
    from insideout.recipes.reinforcement import HELD_OUT, Task, learn

    world, seed = Letters(), config.train.seed
    held_out = world.draw("development", N_QUESTIONS[at])

    def questions(number: int) -> Any:
        return list(islice(world.stream("train", (seed + 1) * 1_000_003 + number), config.policy.prompts))

    def measure(model: Any) -> dict[str, float]:
        return asked(model, held_out)[0] | {"held_out_gold": worth(model, held_out)}

    task = Task(
        questions, judged_by(lambda question, text: rewarded(question, text)), measure,
        shown=HELD_OUT, gold=judged_by(lambda question, text: gold(question, text)),
    )  # fmt: skip
    learn(begun, task, config.policy, config.train, getattr(config, "critic", None), torch.device("cpu"), job)


def n_pairs(config: TrainConfig) -> int:
    """How many pairs are learned from, again and again where the run is longer."""
    return min(config.steps, 40) * config.batch_size


def order_of(n: int, config: TrainConfig) -> Callable[[int], list[int]]:
    """Which of n pairs each step learns from: in an order of the seed's, again and again."""
    numbers = list(range(n))
    random.Random(config.seed).shuffle(numbers)
    size = config.batch_size
    return lambda step: [numbers[(step * size + i) % n] for i in range(size)]


def fit_small(
    job: Job, model: Any, chat: Any, aim: Any, batch_at: Any, config: TrainConfig, measure: Any, **facts: Any
) -> None:
    """Train it, as every stage does."""
    import torch

    from insideout.recipes.language_model import fit

    fit(
        job, model, chat.tokenizer, aim, batch_at, config, measure, torch.device("cpu"),
        facts={"template": "ours", **facts},
    )  # fmt: skip


RUNS: dict[str, Callable[[Any, Any, Job, Scale], Any]] = {
    "sft": sft, "lora": sft, "reward": reward, "dpo": dpo, "ppo": policy, "rloo": policy,
}  # fmt: skip
