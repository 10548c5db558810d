"""GRPO: problems whose answers a program can check -> groups of answers, compared with each other -> a better solver.

    advantage_i = (r_i − mean r) / std r        r = 1 for a right answer, stated as it was asked for; else 0

No critic, and no reward model: a verifier. Nothing is paid for a part of an answer, nor for a number that occurs in it.
It goes on from the undecided, which is right now and then: a group whose answers are all right, or all wrong, teaches
nothing. Other choices are settings: advantage group_mean with aggregation constant is Dr. GRPO;
ratio_clip_high 0.28 with aggregation token_mean is DAPO's; advantage raw learns from the right answers alone (RAFT), at
the same cost.
Taught in book/4-reasoning-with-transformers/09_grpo.md.
Source: Shao et al. 2024 (DeepSeekMath), §4.1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from insideout.data.problems.sums import Sums
from insideout.errors import BadInput
from insideout.files import expanded
from insideout.finetuning.policy_config import PolicyConfig
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import read
from insideout.recipes.reasoner import Reasoner, writer_of
from insideout.recipes.reinforcement import Reinforced, Task, check_together, learn
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from insideout.data.problems.from_file import FromFile
    from insideout.data.suite import Question
    from insideout.finetuning.chat import ChatFormat, ChatWriter
    from insideout.recipes.start import Start


@dataclass(frozen=True)
class GRPOConfig:
    """What it goes on from, which problems are asked, and how it learns."""

    model: str = ""
    """What to go on from: the folder of a run of ours that answers. Empty: the recipe undecided."""
    data: str = ""
    """Whose problems are asked: the path of a .jsonl of questions and answers. Empty: sums."""
    questions: int = 100
    """Development problems that are asked along the way."""
    check_samples: int = 4
    """Answers drawn to each of them."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    """How answers are drawn, weighed and learned from."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts answers, and steps updates."""

    def __post_init__(self) -> None:
        if self.questions < 2 or self.check_samples < 1:
            raise BadInput("questions must be at least 2, and check_samples at least 1.")
        if self.policy.advantage == "gae":
            raise BadInput("advantage is gae, which needs a critic: choose group_std, or use ppo.")
        check_together(self.policy, self.train)


METHOD = {
    "advantage": "group_std", "ratio": "token", "aggregation": "answer_mean", "kl": "k3", "truncated": "score",
}  # fmt: skip

SETTINGS: dict[Scale, GRPOConfig] = {
    "tiny": GRPOConfig(
        questions=8, check_samples=2,
        policy=PolicyConfig(prompts=4, samples=4, max_new_tokens=20, beta=0.01, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=6, batch_size=16, lr=1e-3, min_lr=1e-3, warmup_steps=2, weight_decay=0.0, precision="float32",
            eval_every=3, checkpoint_every=3,
        ),
    ),
    "laptop": GRPOConfig(
        policy=PolicyConfig(prompts=16, samples=8, max_new_tokens=38, beta=0.01, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=60, batch_size=128, lr=2e-4, min_lr=2e-5, warmup_steps=5, weight_decay=0.0, precision="float32",
            eval_every=10, checkpoint_every=30,
        ),
    ),
    "gpu": GRPOConfig(
        questions=500, check_samples=8,
        policy=PolicyConfig(prompts=128, samples=16, max_new_tokens=80, beta=0.01, **METHOD),  # type: ignore[arg-type]
        train=TrainConfig(
            steps=300, batch_size=2048, lr=1e-4, min_lr=3e-5, warmup_steps=20, weight_decay=0.0, precision="float32",
            eval_every=50, checkpoint_every=100,
        ),
    ),
}  # fmt: skip

SECTION = "Development problems"
HELD_OUT = (
    Metric("greedy", "right, likeliest answer", unit="%", section=SECTION, better="higher",
           words="The right number, stated as it was asked for (strict), to problems of the development split."),
    Metric("sampled", "right, drawn answers", unit="%", section=SECTION, better="higher",
           words="The same share of answers drawn at temperature 1: the mean over all of them."),
    Metric("lenient", "right number, drawn answers", unit="%", section=SECTION, better="higher", live=False,
           words="However it is stated."),
    Metric("mixed", "problems with right and wrong answers", unit="%", section="Problems that teach",
           words="Of the answers drawn to one problem some are right and some are not.", live=False),
    Metric("held_out_kl", "KL to the start", unit="nats an answer", section="KL, development problems",
           from_zero=True, words="Of answers drawn at temperature 1."),
)  # fmt: skip


class Solver(Reinforced):
    """A reasoner that learned from which of its answers were right."""

    suites = ("sums",)
    """What it can be asked."""

    def chat(self) -> "ChatFormat":
        """How it is spoken with: with its thinking marked, where it began with a model that has tokens for it."""
        from insideout.data.problems.steps import THINK
        from insideout.finetuning.templates import TEMPLATES
        from insideout.reasoning.thinking import ThinkingFormat
        from insideout.recipes.start import chat_of

        tokenizer, template = self.tokenizer(), str(self.about["template"])
        if THINK not in tokenizer.special_ids:
            found: ChatFormat = chat_of(tokenizer, template)
            return found
        return ThinkingFormat(tokenizer, TEMPLATES[template])

    def writer(self, temperature: float = 1.0) -> "ChatWriter":
        """The model, asked for answers that show their thinking. At temperature 0 it writes the likeliest."""
        from insideout.reasoning.thinking import ThinkingFormat

        chat = self.chat()
        if isinstance(chat, ThinkingFormat):
            return writer_of(self.model(), chat, temperature)
        return chat.writer(self.model(), temperature)


def start_of(config: GRPOConfig, inputs: Inputs) -> "tuple[Start, Sums | FromFile]":
    """The model that it goes on from, and the problems. Raises BadInput for a model that does not answer."""
    from insideout.data.problems.from_file import FromFile
    from insideout.recipes.start import answering

    found = inputs["model"] if "model" in inputs else trained(config.model)
    start = answering(config.model, {"model": found})
    if config.data:
        return start, FromFile(expanded(config.data, "data"))
    return start, found.suite if isinstance(found, Reasoner) else Sums(range(1, 7))


def make(config: GRPOConfig, inputs: Inputs, job: Job) -> None:
    """Learn from which answers are right, the result last."""
    from insideout.finetuning.experience import judged_by
    from insideout.machine import choose_device
    from insideout.training import distributed

    device = distributed.start(choose_device(config.device))
    start, suite = start_of(config, inputs)
    asked = suite.draw("development", config.questions)
    task = Task(
        lambda number: questions_of(suite, config, number), judged_by(worth(suite)),
        held_out=lambda policy: held_out(policy, start, suite, asked, config), shown=HELD_OUT, judged_by="sampled",
    )  # fmt: skip
    learn(start, task, config.policy, config.train, None, device, job)


def worth(suite: Any) -> "Callable[[Question, str], float]":
    """1 for a right answer that is stated as it was asked for, else 0."""
    return lambda question, text: float(suite.judge(question, text)["strict"])


def questions_of(suite: Any, config: GRPOConfig, number: int) -> "Sequence[Question]":
    """The problems of a round: new ones each time, of the training split."""
    from insideout.training import distributed

    place = number * distributed.data_ranks(config.train.parallel) + distributed.data_rank(config.train.parallel)
    return list(islice(suite.stream("train", (config.train.seed + 1) * 1_000_003 + place), config.policy.prompts))


def held_out(
    policy: Any, start: "Start", suite: Any, questions: "Sequence[Question]", config: GRPOConfig
) -> dict[str, float]:
    """What development problems tell: right answers, likeliest and drawn, and the way that the policy has gone."""
    import torch

    from insideout.recipes.scoreboard import kl_to_start

    n_new, prompts = config.policy.max_new_tokens, [question.prompt for question in questions]
    likeliest, drawing = (
        replace(start.writer, model=policy, temperature=temperature, at_once=256) for temperature in (0.0, 1.0)
    )
    with torch.autocast(next(policy.parameters()).device.type, enabled=False):
        best = likeliest.write(prompts, 1, 0, n_new)
        drawn = drawing.write(prompts, config.check_samples, 0, n_new)
        distance = kl_to_start(drawing, start.writer, questions, 0, n_new).value.mean

    def shares(written: Sequence[Sequence[Any]], part: str) -> list[float]:
        return [
            fmean(bool(suite.judge(question, answer.text)[part]) for answer in answers)
            for question, answers in zip(questions, written, strict=True)
        ]

    right = shares(drawn, "strict")
    return {
        "greedy": fmean(shares(best, "strict")), "sampled": fmean(right), "lenient": fmean(shares(drawn, "lenient")),
        "mixed": fmean(0 < share < 1 for share in right), "held_out_kl": distance,
    }  # fmt: skip


def sources(config: GRPOConfig) -> dict[str, str]:
    """Fingerprints of what it reads from elsewhere."""
    import hashlib

    found = {}
    if config.model:
        found["model"] = trained(config.model).fingerprint
    if config.data:
        try:
            found["data"] = hashlib.sha256(expanded(config.data, "data").read_bytes()).hexdigest()
        except OSError as error:
            raise BadInput(f"Could not read {config.data} ({error.strerror}): check the path.") from error
    return found


def load(folder: Path) -> Solver:
    """The model in a folder."""
    found: Solver = read(Solver, folder, "grpo", GRPOConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return draw_report(load(folder))


def draw_report(run: Solver) -> Path:
    """Write the report.html of a model that learned by GRPO; return its path."""
    from insideout.finetuning.policy_training import METRICS
    from insideout.recipes.report import Card, figure, write_report

    result = run.result() or {}

    def percent(name: str) -> str:
        return figure(None if result.get(name) is None else 100 * result[name], 0) + " %"

    cards = (
        Card("right, likeliest", percent("greedy"), "strictly, of development problems"),
        Card("right, drawn", percent("sampled"), "strictly, at temperature 1"),
        Card("right number, drawn", percent("lenient"), "however it is stated"),
        Card("KL to the start", figure(result.get("held_out_kl"), 2), "nats an answer"),
    )
    policy = run.config.policy
    return write_report(
        run, together((*METRICS, *HELD_OUT), "tokens"), title="A model that learned from right and wrong: GRPO",
        lead=f"{policy.prompts} problems, {policy.samples} answers to each, beta {policy.beta:g}; "
        f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "grpo", "The undecided, learning from which of its answers are right: GRPO.", SETTINGS, make, load,
    needs={"model": "undecided"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
