r"""The checker: a small model that solves sums in steps, and has seen how somebody looks them over.

    3+5+2+4    <think>3+5=8\n8+2=10\n10+4=14</think>#### 14                                as the reasoner
    3+5+2+4    <think>3+5=8\n8+2=11\n11+4=15\nwait\n8+2=10\n10+4=14</think>#### 14         `mended`, from the error
    3+5+2+4    <think>3+5=8\n8+2=10\n10+4=14\nwait\n10+4=14</think>#### 14                 `confirmed`, all right

What is wrong in them is read and not learned: a weight of 0 from the error to the `wait`. With mended and confirmed at
0 it is the same model that was never shown a check, to compare with.
Taught in book/4-reasoning-with-transformers/08_budget_forcing.md.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout.data.problems.steps import END_THINK, THINK, Step, step
from insideout.data.problems.sums import Sums
from insideout.data.suite import Split
from insideout.errors import BadInput
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import fit, read
from insideout.recipes.reasoner import MARKS, METRICS, Reasoner, ReasonerConfig, asked, draw_report
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.transformer.config import GPTConfig

if TYPE_CHECKING:
    from insideout.data.batch import Segment
    from insideout.data.suite import Question
    from insideout.reasoning.thinking import ThinkingFormat

WAIT = "wait"
"""The line between a chain and another look at it."""


@dataclass(frozen=True)
class CheckerConfig(ReasonerConfig):
    """As for the reasoner, and how many of the solutions are looked over."""

    mended: float = 0.35
    """Share of the solutions that go wrong somewhere, and are mended after a wait."""
    confirmed: float = 0.25
    """Share of those that are right, and whose last step is said again after a wait."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.mended >= 0 and self.confirmed >= 0 and self.mended + self.confirmed <= 1):
            raise BadInput(
                f"mended is {self.mended} and confirmed {self.confirmed}: these are shares, of at least 0, together "
                "of at most 1."
            )
        if self.form != "think":
            raise BadInput("form is direct: the checker learns from chains, so leave it at think.")

    @property
    def max_new_tokens(self) -> int:
        """Enough for a chain, a wait, and the whole chain again."""
        return 12 + 12 * self.longest


SETTINGS: dict[Scale, CheckerConfig] = {
    "tiny": CheckerConfig(
        longest=2, questions=8, samples=2,
        model=GPTConfig(vocab_size=320, context_length=128, d_model=32, n_layers=2, n_heads=2),
        train=TrainConfig(
            steps=20, batch_size=8, lr=3e-3, min_lr=3e-4, warmup_steps=3, optimizer="muon", precision="float32",
            eval_every=20, checkpoint_every=20,
        ),
    ),
    "laptop": CheckerConfig(
        shortest=2, longest=5, largest=6, questions=100, samples=2,
        model=GPTConfig(vocab_size=384, context_length=160, d_model=128, n_layers=3, n_heads=4),
        train=TrainConfig(
            steps=170, batch_size=32, lr=4e-3, min_lr=2e-4, warmup_steps=20, optimizer="muon", precision="float32",
            eval_every=170, checkpoint_every=40,
        ),
    ),
    "gpu": CheckerConfig(
        shortest=2, longest=10, largest=20, questions=500, samples=8,
        model=GPTConfig(vocab_size=1536, context_length=384, d_model=384, n_layers=6, n_heads=6),
        train=TrainConfig(
            steps=2000, batch_size=512, lr=2e-3, min_lr=2e-4, warmup_steps=50, optimizer="muon", precision="float32",
            eval_every=500, checkpoint_every=500,
        ),
    ),
}  # fmt: skip


def spoiled(question: "Question", at: int, source: random.Random, largest: int) -> list[Step]:
    """The steps of a sum with one wrong step, and what follows from it: a wrong result, or another number added."""
    steps: list[Step] = list(question.truth.steps[:at])
    right = question.truth.steps[at]
    if source.random() < 0.5:
        wrong = right._replace(result=max(1, right.result + source.choice((-2, -1, 1, 2))))
    else:
        wrong = step(right.left, "+", source.choice([n for n in range(1, largest + 1) if n != right.right]))
    if wrong == right:
        wrong = right._replace(result=right.result + 1)
    steps.append(wrong)
    for each in question.truth.steps[at + 1 :]:
        steps.append(step(steps[-1].result, "+", each.right))
    return steps


def looked_over(question: "Question", source: random.Random, config: CheckerConfig) -> list[tuple[str, bool]]:
    """A solution as stretches of text, each with whether it is learned."""
    steps = question.truth.steps
    lines = [each.text for each in steps]
    luck, at = source.random(), source.randrange(len(steps))
    answer = f"{END_THINK}#### {question.truth.answer}"
    if luck < config.mended:
        wrong = [each.text for each in spoiled(question, at, source, config.largest)]
        good = "".join(f"{line}\n" for line in wrong[:at])
        bad = "".join(f"{line}\n" for line in wrong[at:])
        return [(THINK + good, True), (bad, False), (f"{WAIT}\n" + "\n".join(lines[at:]) + answer, True)]
    if luck < config.mended + config.confirmed:
        lines += [WAIT, lines[-1]]
    return [(THINK + "\n".join(lines) + answer, True)]


def documents(
    suite: Sums, chat: "ThinkingFormat", split: Split, seed: int, config: CheckerConfig
) -> "Iterator[list[Segment]]":
    """Sums to learn from, without end: the question and what is wrong is read, all else is learned."""
    from insideout.data.batch import Segment

    source = random.Random(f"checker {split} {seed}")
    for question in suite.stream(split, seed):
        found = [Segment(chat.prompt(question.prompt), learn=False)]
        for text, learn in looked_over(question, source, config):
            if text:
                found.append(Segment(chat.tokenizer.encode(text, special=(THINK, END_THINK)), learn))
        yield [*found, Segment([chat.stop_id], learn=True)]


def vocabulary(config: CheckerConfig) -> Any:
    """As the reasoner's, and `wait` as one token."""
    from insideout.reasoning.thinking import with_think_tokens
    from insideout.transformer.tokenizer import BPETokenizer

    last = (config.longest + 1) * config.largest + 2
    text = "".join(f"{n}+{n}={n}\n{WAIT}\n#### {n}\n" for n in range(1, last + 1))
    if config.model.vocab_size - MARKS < 256:
        raise BadInput(
            f"vocab_size is {config.model.vocab_size}; it must be at least {256 + MARKS}: 256 bytes, and the marks of "
            "chat and thinking."
        )
    return with_think_tokens(BPETokenizer.train(text, config.model.vocab_size - MARKS))


def make(config: CheckerConfig, inputs: Inputs, job: Job) -> None:
    """Train the model on solutions that are partly looked over, the result last."""
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
    held_out = list(islice(documents(suite, chat, "development", 0, config), 200))
    questions = suite.draw("development", config.questions)

    def batch_at(step: int, micro_step: int) -> Any:
        place = (step * config.train.accumulation + micro_step) * distributed.data_ranks(config.train.parallel)
        place += distributed.data_rank(config.train.parallel)
        some = documents(suite, chat, "train", (config.train.seed + 1) * 1_000_003 + place, config)
        return padded(list(islice(some, config.train.batch_size)), chat.pad_id)

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


def load(folder: Path) -> Reasoner:
    """The model in a folder."""
    found: Reasoner = read(Reasoner, folder, "checker", CheckerConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return draw_report(load(folder), "A model that looks its steps over")


STAGE = Stage(
    "checker", "A small model that solves sums in steps, and has seen them looked over and mended.", SETTINGS, make,
    load, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
