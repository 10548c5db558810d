"""Learning from rewards as a stage: what `ppo`, `rloo` and `grpo` have in common.

    a model that answers + a reward  ->  rounds of its own answers  ->  a model whose answers are worth more

It goes on from a model that answers, which stays as the reference. A `Task` says what is asked, what an answer is
worth, and what held-out questions tell; `learn` does the rest. The task of ppo and rloo is the town: what an answer is
worth, the reward model says, or the town's own judge (`reward` gold). Nobody has such a judge outside of a town; with
it one sees what a method does where the reward is right. Beside a reward model it is only looked at.
The loop, the losses and the choices among them: insideout.finetuning.policy_training. Dropout is off, and numbers have
32 bits, so that an answer is as likely to the trainer as it was when it was drawn.
Sources: Ziegler et al. 2019; Stiennon et al. 2020; Ouyang et al. 2022, §3.5.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.files import expanded
from insideout.finetuning.policy_config import CriticConfig, PolicyConfig, updates_of
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import LanguageModel, fit
from insideout.recipes.runs import companions_of
from insideout.recipes.sft import TOWN
from insideout.recipes.start import Start, answering, chat_of, writer_of
from insideout.training.config import TrainConfig
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from insideout.data.suite import Question
    from insideout.finetuning.experience import Reward
    from insideout.transformer.model import GPT

GOLD = "gold"


@dataclass(frozen=True)
class Reinforcement:
    """What it goes on from, what answers are worth, which questions are asked, and how it learns."""

    model: str = ""
    """What to go on from: the folder of a run of ours that answers. Empty: the recipe sft."""
    reward: str = ""
    """What answers are worth: the folder of a run of reward, or gold: the town's judge. Empty: the recipe reward."""
    data: str = TOWN
    """Whose questions are asked: town, or the path of a .jsonl of conversations (their last answers are not read)."""
    questions: int = 100
    """Development questions of the town that are asked along the way."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """How answers are drawn, weighed and learned from."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts answers, and steps updates."""

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput("data is empty: give town, or the path of a .jsonl of conversations.")
        if self.reward == GOLD and self.data != TOWN:
            raise BadInput(
                "reward is gold, and the town's judge knows only the town: give a reward model, or data town."
            )
        if self.questions < 2:
            raise BadInput(f"questions is {self.questions}; it must be at least 2.")
        check_together(self.policy, self.train)


def check_together(policy: PolicyConfig, train: TrainConfig) -> None:
    """Raises BadInput for settings under which answers could not be drawn, or not be learned as they were drawn."""
    if train.precision != "float32":
        raise BadInput(
            f"precision is {train.precision}; it must be float32, or answers would not be as likely to the trainer as "
            "when they were drawn."
        )
    if train.parallel != "ddp" or train.checkpoint_activations:
        raise BadInput("Answers are drawn from a whole model: leave parallel at ddp, and checkpoint_activations off.")
    updates_of(policy, train.batch_size, train.accumulation)


@dataclass(frozen=True)
class Task:
    """What is asked, what answers are worth, and what is measured on held-out questions."""

    questions: "Callable[[int], Sequence[Question]]"
    """The questions of each round, all of the training split."""
    reward: "Reward"
    """What answers are worth."""
    held_out: Callable[[Any], dict[str, float]]
    """What held-out questions tell of a policy."""
    shown: Sequence[Metric] = ()
    """How what is measured is called."""
    judged_by: str = "correct"
    """Which of it says how good a policy is."""
    gold: "Reward | None" = None
    """A true reward, to be told beside."""


HELD_OUT = (
    Metric("correct", "right answers", unit="%", section="Development questions", better="higher",
           words="The likeliest answer to questions of the development split, judged by the town's gold judge."),
    Metric("stop_rate", "likeliest answers that ended by themselves", unit="%", section="Development questions",
           better="higher"),
    Metric("held_out_gold", "gold reward", section="Gold reward, development questions", better="higher",
           words="Of one drawn answer to each. Looked at, never learned from."),
    Metric("held_out_kl", "KL to the start", unit="nats an answer", section="KL, development questions",
           from_zero=True, words="Of the same kind of answers, drawn as the policy believes."),
)  # fmt: skip


class Reinforced(LanguageModel):
    """A model that answers, and learned from what its answers were worth."""

    suites = ("instructions",)
    """What it can be asked."""

    def model(self, device: str = "cpu") -> "GPT":
        """The policy of the newest checkpoint, without its critic."""
        from insideout.finetuning.critic import Critic, Learner
        from insideout.training import checkpoint
        from insideout.transformer.model import GPT

        newest, config = self.newest(), self.model_config()
        found = checkpoint.load(newest)
        checkpoint.check_companions(newest, found.state, companions_of(config, self.about["tokenizer_fingerprint"]))
        policy = GPT(config)
        learner = Learner(policy, Critic(policy) if hasattr(self.config, "critic") else None)
        checkpoint.load_model(learner, found.model)
        return policy.eval().to(device)

    def writer(self, temperature: float = 1.0) -> Any:
        """The model, spoken with in the format that it was tuned in."""
        return writer_of(self.model(), chat_of(self.tokenizer(), self.about["template"]), temperature)


def make(config: Reinforcement, inputs: Inputs, job: Job) -> None:
    """Learn from rewards of answers to the town's questions, or to a file's, the result last."""
    from insideout.machine import choose_device
    from insideout.training import distributed

    device = distributed.start(choose_device(config.device))
    start, of_town = answering(config.model, inputs), config.data == TOWN
    task = Task(
        questions_of(config), reward_of(config, inputs, start.tokenizer, device),
        held_out=lambda policy: held_out(policy, start, config) if of_town else {},
        shown=HELD_OUT, gold=gold_reward() if of_town else None,
    )  # fmt: skip
    learn(start, task, config.policy, config.train, getattr(config, "critic", None), device, job)


def learn(
    start: Start, task: Task, policy: PolicyConfig, train: TrainConfig, critic: CriticConfig | None, device: Any,
    job: Job,
) -> None:  # fmt: skip
    """Let the model that answers learn a task, the result last."""
    from insideout.finetuning.critic import Critic, Learner
    from insideout.finetuning.experience import frozen_copy
    from insideout.finetuning.policy_training import Rounds, objective

    start.writer.model.to(device)
    model = start.model(dropout=False).to(device)
    learner = Learner(model, None if critic is None else Critic(model, train.seed)).to(device)
    source = Rounds(
        learner, policy, questions=task.questions, writer=start.writer, pad_id=start.chat.pad_id, reward=task.reward,
        reference=frozen_copy(model, policy.temperature), gold=task.gold, n_rows=train.batch_size,
        accumulation=train.accumulation, critic=critic, controller=controller_of(policy), seed=train.seed,
    )  # fmt: skip
    source.prompts_of(source.asked(0))  # before anything is written

    def measure(model: Any) -> tuple[dict[str, float], str]:
        shown = source.latest[0] if source.latest else None
        words = "" if shown is None else f"{last_words(shown[0])}\n→ {shown[1]}"
        return task.held_out(model.policy), words

    aim = objective(policy, critic, learner, shown=task.shown, judged_by=task.judged_by)
    fit(job, learner, start.tokenizer, aim, source, train, measure, device, facts={"template": start.template})


def controller_of(policy: PolicyConfig) -> Any:
    """What the price of KL does from round to round."""
    from insideout.finetuning.kl_controller import AdaptiveKL, FixedKL

    if not policy.target_kl:
        return FixedKL(policy.beta)
    return AdaptiveKL(policy.beta, policy.target_kl, policy.kl_horizon)


def questions_of(config: Reinforcement) -> "Callable[[int], Sequence[Question]]":
    """The questions of each round: of the town new ones each time, of a file all of them again and again.

    Raises BadInput for a file that cannot be read, or of fewer conversations than a round has prompts.
    """
    import random

    from insideout.data.conversations import read_conversations
    from insideout.data.suite import Question
    from insideout.data.town.instructions import Town
    from insideout.finetuning.messages import check_messages
    from insideout.training import distributed

    n, seed = config.policy.prompts, config.train.seed

    def place_of(number: int) -> int:
        return number * distributed.data_ranks(config.train.parallel) + distributed.data_rank(config.train.parallel)

    if config.data == TOWN:
        return lambda number: list(islice(Town().stream("train", (seed + 1) * 1_000_003 + place_of(number)), n))
    talks = [check_messages(talk, answered=True) for talk in read_conversations(expanded(config.data, "data"))]
    known = list(dict.fromkeys(Question(tuple(talk[:-1])) for talk in talks))
    if len(known) < n:
        raise BadInput(f"{config.data} has {len(known)} different prompts and a round asks {n}: set prompts lower.")

    def again(number: int) -> "list[Question]":
        found = []
        for at in range(place_of(number) * n, (place_of(number) + 1) * n):
            epoch, i = divmod(at, len(known))
            order = list(range(len(known)))
            random.Random(f"{seed} {epoch}").shuffle(order)
            found.append(known[order[i]])
        return found

    return again


def reward_of(config: Reinforcement, inputs: Inputs, tokenizer: Any, device: Any) -> "Reward":
    """What answers are worth. Raises BadInput for a reward model of another tokenizer, or a folder without one."""
    from insideout.finetuning.experience import scored_by
    from insideout.finetuning.reward_model import check_tokenizer
    from insideout.recipes.reward import load as load_reward

    if config.reward == GOLD:
        return gold_reward()
    found = inputs["reward"] if "reward" in inputs else load_reward(expanded(config.reward, "reward"))
    check_tokenizer(found.tokenizer(), tokenizer)
    return scored_by(found.model(str(device)).score)


def gold_reward() -> "Reward":
    """The town's judge."""
    from insideout.data.town.judge import gold, judge
    from insideout.finetuning.experience import judged_by

    return judged_by(lambda question, text: gold(judge(question, text)))


def held_out(policy: Any, start: Any, config: Reinforcement) -> dict[str, float]:
    """What development questions of the town find: right answers, gold reward, and the way that the policy has gone."""
    from statistics import fmean

    import torch

    from insideout.data.town.instructions import Town
    from insideout.data.town.judge import gold
    from insideout.recipes.scoreboard import kl_to_start

    town = Town()
    questions, n_new = town.draw("development", config.questions), config.policy.max_new_tokens
    prompts = [question.prompt for question in questions]
    likeliest, drawing = (writer_of(policy, start.chat, temperature) for temperature in (0.0, 1.0))
    with torch.autocast(next(policy.parameters()).device.type, enabled=False):
        best, drawn = ([each for [each] in writer.write(prompts, 1, 0, n_new)] for writer in (likeliest, drawing))
        distance = kl_to_start(drawing, start.writer, questions, 0, n_new).value.mean
    right = [bool(town.judge(q, each.text)["correct"]) for q, each in zip(questions, best, strict=True)]
    worth = [gold(town.judge(q, each.text)) for q, each in zip(questions, drawn, strict=True)]
    return {
        "correct": fmean(right), "stop_rate": fmean(bool(each.finished) for each in best),
        "held_out_gold": fmean(worth), "held_out_kl": distance,
    }  # fmt: skip


def last_words(question: "Question") -> str:
    """What was asked last."""
    return question.prompt if isinstance(question.prompt, str) else question.prompt[-1].content


def sources(config: Reinforcement) -> dict[str, str]:
    """Fingerprints of what it reads from elsewhere."""
    import hashlib

    from insideout.recipes.reward import load as load_reward

    found = {"model": trained(config.model).fingerprint} if config.model else {}
    if config.reward not in ("", GOLD):
        found["reward"] = load_reward(expanded(config.reward, "reward")).fingerprint
    if config.data != TOWN:
        try:
            found["data"] = hashlib.sha256(expanded(config.data, "data").read_bytes()).hexdigest()
        except OSError as error:
            raise BadInput(f"Could not read {config.data} ({error.strerror}): check the path.") from error
    return found


def draw_report(run: Reinforced, title: str) -> Path:
    """Write report.html; return its path."""
    from insideout.finetuning.policy_training import CRITIC_METRICS, METRICS
    from insideout.recipes.report import Card, figure, write_report

    result = run.result() or {}
    records = run.metrics()
    first, last = (records[0], records[-1]) if records else ({}, {})

    def percent(name: str) -> str:
        return figure(None if result.get(name) is None else 100 * result[name], 0) + " %"

    cards = (
        Card("reward of what was drawn", figure(last.get("reward"), 3), f"at first {figure(first.get('reward'), 3)}"),
        Card("right answers", percent("correct"), "the likeliest, to development questions"),
        Card("gold reward", figure(result.get("held_out_gold"), 3), "of drawn answers to development questions"),
        Card("KL to the start", figure(result.get("held_out_kl"), 2), "nats an answer"),
    )  # fmt: skip
    config = run.config.policy
    return write_report(
        run, together((*METRICS, *CRITIC_METRICS, *HELD_OUT), "tokens"), title=title,
        lead=f"{config.prompts} prompts, {config.samples} answers to each, beta {config.beta:g}; "
        f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip
