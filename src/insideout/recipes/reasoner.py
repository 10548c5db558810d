r"""The reasoner: worked sums -> a small GPT, from random weights, that thinks step by step before it answers.

    3+5+2+4        <think>3+5=8\n8+2=10\n10+4=14</think>#### 14        form think
    3+5+2+4        #### 14                                             form direct: the same model, without a chain

It learns only from sums of the training split, new ones each step, in a vocabulary of its own in which every number is
one token. `steps` decides how far it gets. The default leaves it half-good, right now and then, so
that votes and verifiers have something to gain. With more steps it gets further. (`grpo` goes on from `undecided`.)
The first stage of part 4's model. Used in part 4.
Sources: Nye et al. 2021 (scratchpads); Wei et al. 2022 (chain of thought).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.data.problems.sums import Sums
from insideout.errors import BadInput
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import LanguageModel, fit, read
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.metrics import Metric, together
from insideout.transformer.config import GPTConfig

if TYPE_CHECKING:
    from insideout.data.suite import Question
    from insideout.reasoning.thinking import ThinkingFormat, ThinkingWriter
    from insideout.transformer.model import GPT


@dataclass(frozen=True)
class ReasonerConfig:
    """Which sums, how they are solved, the model, and how it is trained."""

    form: Literal["think", "direct"] = "think"
    """How the solutions look that it learns from: step by step in its thinking, or the answer at once."""
    shortest: int = 1
    """Additions of the shortest sums,"""
    longest: int = 6
    """and of the longest; each number of additions is as frequent."""
    largest: int = 9
    """The largest number that is added."""
    questions: int = 200
    """Development sums that are asked along the way."""
    samples: int = 4
    """Answers drawn to each of them."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: GPTConfig = field(default_factory=GPTConfig)
    """The model's sizes and choices; vocab_size is the most tokens that the vocabulary may have."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts worked sums."""

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise BadInput(
                f"shortest is {self.shortest} and longest {self.longest}: give at least 1, the shortest first."
            )
        if self.questions < 2 or self.samples < 1:
            raise BadInput("questions must be at least 2, and samples at least 1.")
        self.suite  # noqa: B018  refuses numbers of which there is none
        room = 4 + 2 * (self.longest + 1) + self.max_new_tokens
        if room > self.model.context_length:
            raise BadInput(
                f"A sum of {self.longest} additions and its solution may take {room} tokens, and the context holds "
                f"{self.model.context_length}: set context_length higher, or longest lower."
            )

    @property
    def suite(self) -> Sums:
        """The sums."""
        return Sums(range(self.shortest, self.longest + 1), largest=self.largest)

    @property
    def max_new_tokens(self) -> int:
        """Enough for any right answer, where each number is a token: six a step, and as many for the rest."""
        return 8 + 6 * self.longest


SETTINGS: dict[Scale, ReasonerConfig] = {
    "tiny": ReasonerConfig(
        longest=2, questions=8, samples=2,
        model=GPTConfig(vocab_size=320, context_length=64, d_model=32, n_layers=2, n_heads=2),
        train=TrainConfig(
            steps=20, batch_size=8, lr=3e-3, min_lr=3e-4, warmup_steps=3, optimizer="muon", precision="float32",
            eval_every=10, checkpoint_every=10,
        ),
    ),
    "laptop": ReasonerConfig(
        model=GPTConfig(vocab_size=384, context_length=80, d_model=128, n_layers=3, n_heads=4),
        train=TrainConfig(
            steps=130, batch_size=32, lr=4e-3, min_lr=4e-4, warmup_steps=20, optimizer="muon", precision="float32",
            eval_every=65, checkpoint_every=200,
        ),
    ),
    "gpu": ReasonerConfig(
        longest=12, largest=30, questions=500, samples=8,
        model=GPTConfig(vocab_size=1536, context_length=256, d_model=384, n_layers=6, n_heads=6),
        train=TrainConfig(
            steps=1500, batch_size=512, lr=2e-3, min_lr=2e-4, warmup_steps=50, optimizer="muon", precision="float32",
            eval_every=250, checkpoint_every=500,
        ),
    ),
}  # fmt: skip

MARKS = 7
"""Tokens that stand for no text: of the chat, of thinking, and the pad."""
SECTION = "Development problems"
METRICS = (
    Metric("validation_loss", "held-out loss", unit="nats per token", section="Loss",
           words="Of the solutions' tokens alone: what is only read does not count."),
    Metric("greedy", "right, likeliest answer", unit="%", section=SECTION, better="higher",
           words="The right number, stated as it was asked for, in the likeliest answer."),
    Metric("sampled", "right, drawn answers", unit="%", section=SECTION, better="higher",
           words="The same share of answers that are drawn as the model believes."),
    Metric("stop_rate", "drawn answers that ended by themselves", unit="%", section=SECTION, better="higher"),
)  # fmt: skip


class Reasoner(LanguageModel):
    """A model that solves sums."""

    suites = ("sums",)
    """What it can be asked."""

    @property
    def template(self) -> str:
        """The name of the template that it was tuned in."""
        return str(self.about["template"])

    @property
    def suite(self) -> Sums:
        """The sums that it was trained on, with their three splits."""
        found: Sums = self.config.suite
        return found

    @property
    def max_new_tokens(self) -> int:
        """Enough for any right answer."""
        return int(self.config.max_new_tokens)

    def chat(self) -> "ThinkingFormat":
        """How it is spoken with."""
        from insideout.finetuning.templates import TEMPLATES
        from insideout.reasoning.thinking import ThinkingFormat

        return ThinkingFormat(self.tokenizer(), TEMPLATES[self.template])

    def writer(self, temperature: float = 1.0) -> "ThinkingWriter":
        """The model, asked for answers that show their thinking. At temperature 0 it writes the likeliest."""
        return writer_of(self.model(), self.chat(), temperature)


def writer_of(model: "GPT", chat: "ThinkingFormat", temperature: float) -> "ThinkingWriter":
    """A model asked for answers that show their thinking."""
    from insideout.reasoning.thinking import ThinkingWriter

    return ThinkingWriter(model, chat.tokenizer, temperature, template=chat.template, at_once=256)


def vocabulary(config: ReasonerConfig) -> Any:
    """Bytes, every number of these sums as one token, `####`, the chat's tokens and the two of thinking."""
    from insideout.reasoning.thinking import with_think_tokens
    from insideout.transformer.tokenizer import BPETokenizer

    last = (config.longest + 1) * config.largest
    text = "".join(f"{n}+{n}={n}\n#### {n}\n" for n in range(1, last + 1))
    room = config.model.vocab_size - MARKS
    if room < 256:
        raise BadInput(
            f"vocab_size is {config.model.vocab_size}; it must be at least {256 + MARKS}: 256 bytes, and the marks of "
            "chat and thinking."
        )
    return with_think_tokens(BPETokenizer.train(text, room))


def make(config: ReasonerConfig, inputs: Inputs, job: Job) -> None:
    """Train the model on worked sums, the result last."""
    from dataclasses import replace

    import torch

    from insideout.data.batch import padded
    from insideout.machine import choose_device
    from insideout.reasoning.thinking import ThinkingFormat
    from insideout.training import distributed
    from insideout.training.objective import Objective
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    device = distributed.start(choose_device(config.device))
    suite, tokenizer = config.suite, vocabulary(config)
    chat = ThinkingFormat(tokenizer)
    torch.manual_seed(config.train.seed)
    model = GPT(replace(config.model, vocab_size=tokenizer.vocab_size))
    held_out = [chat.document(talk) for talk in islice(suite.demonstrations("development", 0, config.form), 200)]
    questions = suite.draw("development", config.questions)

    def batch_at(step: int, micro_step: int) -> Any:
        place = (step * config.train.accumulation + micro_step) * distributed.data_ranks(config.train.parallel)
        place += distributed.data_rank(config.train.parallel)
        talks = suite.demonstrations("train", (config.train.seed + 1) * 1_000_003 + place, config.form)
        return padded([chat.document(talk) for talk in islice(talks, config.train.batch_size)], chat.pad_id)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        batch = padded(held_out, chat.pad_id).to(device)
        with torch.no_grad():
            loss, n = next_token_loss(model, batch)
        with torch.autocast(device.type, enabled=False):
            found, words = asked(model, chat, suite, questions, config.samples, config.max_new_tokens)
        return {"validation_loss": float(loss) / n, **found}, words

    fit(
        job, model, tokenizer, Objective(next_token_loss, METRICS, judged_by="sampled"), batch_at, config.train,
        measure, device, facts={"template": chat.template.name},
    )  # fmt: skip


def asked(
    model: "GPT", chat: "ThinkingFormat", suite: Sums, questions: "Sequence[Question]", samples: int, n_new: int
) -> tuple[dict[str, float], str]:
    """What development sums find, and one of them with its likeliest answer, to be looked at."""
    from statistics import fmean

    prompts = [question.prompt for question in questions]
    greedy, drawn = (
        writer_of(model, chat, temperature).write(prompts, n, 0, n_new) for temperature, n in ((0.0, 1), (1.0, samples))
    )

    def right(written: Sequence[Sequence[Any]]) -> float:
        return fmean(
            bool(suite.judge(question, answer.text)["strict"])
            for question, answers in zip(questions, written, strict=True)
            for answer in answers
        )

    ended = fmean(bool(answer.finished) for answers in drawn for answer in answers)
    words = f"{last_words(questions[-1])}\n→ {greedy[-1][0].text}"
    return {"greedy": right(greedy), "sampled": right(drawn), "stop_rate": ended}, words


def last_words(question: "Question") -> str:
    """What was asked last."""
    return question.prompt if isinstance(question.prompt, str) else question.prompt[-1].content


def load(folder: Path) -> Reasoner:
    """The reasoner in a folder."""
    found: Reasoner = read(Reasoner, folder, "reasoner", ReasonerConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return draw_report(load(folder), "A model that reasons")


def draw_report(run: Reasoner, title: str) -> Path:
    """Write the report.html of a model that solves sums; return its path."""
    from insideout.recipes.report import Card, figure, write_report

    result = run.result() or {}
    cards = tuple(
        Card(name, figure(None if result.get(key) is None else 100 * result[key], 0) + " %", words)
        for name, key, words in (
            ("right, likeliest", "greedy", "strictly, of development problems"),
            ("right, drawn", "sampled", "strictly, at temperature 1"),
            ("ended by themselves", "stop_rate", "of the drawn answers"),
        )
    )
    return write_report(
        run, together(METRICS, "tokens"), title=title,
        lead=f"{run.about['n_parameters']:,} parameters, solutions of the form {run.config.form}, at "
        f"{run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "reasoner", "A small model, trained on worked sums: it thinks before it answers.", SETTINGS, make, load,
    free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
