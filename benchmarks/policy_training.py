"""Learning from rewards: answers a second through whole rounds of PPO and RLOO, and where the time goes.

A model of the laptop recipe's shape answers the town's questions, 64 answers a round of at most 24 new tokens; it is
not trained, and seldom stops before. Counted is everything: drawing with log-probabilities, the reference, the critic,
the reward (the town's judge), advantages, and two updates an epoch with AdamW.
Writes benchmarks/results/policy_training.json.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from insideout.data.town.instructions import Town
from insideout.finetuning.chat import ChatWriter, with_chat_tokens
from insideout.finetuning.critic import Critic, Learner
from insideout.finetuning.experience import frozen_copy
from insideout.finetuning.policy_config import CriticConfig, PolicyConfig
from insideout.finetuning.policy_training import Rounds, policy_loss
from insideout.machine import machine
from insideout.recipes.base import SETTINGS, town_tokenizer
from insideout.recipes.reinforcement import gold_reward
from insideout.transformer.model import GPT

NEW, ANSWERS = 24, 64
METHODS: dict[str, tuple[PolicyConfig, CriticConfig | None]] = {
    "RLOO, one epoch": (
        PolicyConfig(prompts=16, samples=4, max_new_tokens=NEW, ratio="answer", aggregation="answer_mean"), None,
    ),
    "PPO, one epoch": (PolicyConfig(prompts=32, samples=2, max_new_tokens=NEW, advantage="gae"), CriticConfig()),
    "PPO, two epochs": (
        PolicyConfig(prompts=32, samples=2, max_new_tokens=NEW, advantage="gae", epochs=2), CriticConfig(),
    ),
}  # fmt: skip


def measure(config: PolicyConfig, critic: CriticConfig | None, rounds: int) -> dict[str, Any]:
    """Whole rounds of one method: answers a second, and the share of the time that drawing and weighing take."""
    sizes = SETTINGS["laptop"]
    tokenizer = with_chat_tokens(town_tokenizer(sizes.model.vocab_size, 1000))
    torch.manual_seed(0)
    policy = GPT(replace(sizes.model, vocab_size=tokenizer.vocab_size))
    learner = Learner(policy, None if critic is None else Critic(policy))
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-5, fused=True)
    writer = ChatWriter(policy, tokenizer)
    source = Rounds(
        learner, config, questions=lambda number: list(islice(Town().stream("train", number), config.prompts)),
        writer=writer, pad_id=writer.format.pad_id, reward=gold_reward(), reference=frozen_copy(policy),
        n_rows=ANSWERS // 2, critic=critic,
    )  # fmt: skip
    loss, updates = policy_loss(config, critic), config.epochs * source.updates
    found: dict[str, list[float]] = {"answers a second": [], "share of drawing and weighing": []}
    for number in range(rounds + 1):
        start = time.perf_counter()
        source.batch_at(number * updates, 0)
        drawn = time.perf_counter() - start
        for update in range(updates):
            total, count, _ = loss(learner, source.batch_at(number * updates + update, 0))
            (total / count).backward()
            torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        took = time.perf_counter() - start
        if number:  # the first pays for the later ones
            found["answers a second"].append(ANSWERS / took)
            found["share of drawing and weighing"].append(drawn / took)
    assert source.experience is not None
    lengths = source.experience.batch.lengths.float()
    return {
        "median": {name: statistics.median(values) for name, values in found.items()},
        "of each round": {name: sorted(values) for name, values in found.items()},
        "tokens of prompt and answer, mean": float(lengths.mean()),
        "tokens of an answer, mean": float(source.experience.drawn.sum(-1).float().mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = {name: measure(*method, arguments.rounds) for name, method in METHODS.items()}
    record = {
        "what": f"rounds of {ANSWERS} answers of at most {NEW} new tokens, laptop model, float32, two updates an epoch",
        "results": results,
        "machine": machine(),
        "threads": arguments.threads,
        "date": date.today().isoformat(),
    }
    path = Path(__file__).parent / "results" / "policy_training.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
