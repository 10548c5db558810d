"""Reasoning SFT: the assistant -> worked sums, among conversations of its town -> it thinks, and still answers.

    3+5+2+4             <think>3+5=8\\n8+2=10\\n10+4=14</think>#### 14       `thinking` of the sums it learns from
    3+5+2+4             #### 14                                            all other sums
    Where is the ball?  In the hall.                                       `kept` of each batch: what it knew already

It goes on from the aligned assistant: the same weights, vocabulary and template, and two new rows, for the think
tokens. As the undecided it sees both ways to solve a sum, so that there is something left for a verifier to teach.
What is not rehearsed is forgotten: therefore some of each batch are conversations of the kind that it was tuned on.
`solver` goes on from it. Taught in book/4-reasoning-with-transformers/14_the_journey.md.
Sources: Wei et al. 2022 (chain of thought); rehearsal: Ouyang et al. 2022, §3.5 (PPO-ptx).
"""

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import fit, read
from insideout.recipes.reasoner import METRICS as OF_SUMS
from insideout.recipes.reasoner import Reasoner
from insideout.recipes.reasoner import asked as asked_sums
from insideout.recipes.sft import grown, template_of
from insideout.recipes.stage import Stage
from insideout.recipes.undecided import TwoWays
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from insideout.data.suite import Question
    from insideout.reasoning.thinking import ThinkingFormat
    from insideout.transformer.model import GPT


@dataclass(frozen=True)
class ThinkerConfig:
    """What it goes on from, which sums it learns, how much of what it knew it rehearses, and how it is trained."""

    model: str = ""
    """What to go on from: the folder of a run of ours that answers. Empty: the recipe dpo."""
    shortest: int = 2
    """Additions of the shortest sums,"""
    longest: int = 5
    """and of the longest; each number of additions is as frequent."""
    largest: int = 6
    """The largest number that is added."""
    thinking: float = 0.4
    """Share of the sums that are solved in steps; all others state the answer at once."""
    kept: float = 0.15
    """Share of each batch that are conversations of the town. 0: it is taught sums alone."""
    row_length: int = 256
    """Tokens in a row: sums and conversations are packed into rows of so many, and see nothing of each other."""
    questions: int = 100
    """Development sums, and as many development questions of the town, that are asked along the way."""
    samples: int = 4
    """Answers drawn to each sum."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts sums and conversations."""

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.longest:
            raise BadInput(
                f"shortest is {self.shortest} and longest {self.longest}: give at least 1, the shortest first."
            )
        if not 0 < self.thinking <= 1 or not 0 <= self.kept < 1:
            raise BadInput(
                f"thinking is {self.thinking} and kept {self.kept}: give a thinking above 0 and at most 1, and a kept "
                "from 0 to below 1."
            )
        if self.questions < 2 or self.samples < 1 or self.row_length < 8:
            raise BadInput("questions must be at least 2, samples at least 1, and row_length at least 8.")
        self.suite  # noqa: B018  refuses numbers of which there is none

    @property
    def suite(self) -> TwoWays:
        """The sums."""
        found = TwoWays(range(self.shortest, self.longest + 1), largest=self.largest)
        found.thinking = self.thinking
        return found

    @property
    def max_new_tokens(self) -> int:
        """Enough for any right answer, even with a token for each digit and sign."""
        return self.suite.max_new_tokens


SETTINGS: dict[Scale, ThinkerConfig] = {
    "tiny": ThinkerConfig(
        shortest=1, longest=2, row_length=384, questions=4, samples=2,
        train=TrainConfig(
            steps=12, batch_size=8, lr=2e-3, min_lr=2e-4, warmup_steps=3, optimizer="muon", precision="float32",
            eval_every=6, checkpoint_every=6,
        ),
    ),
    "laptop": ThinkerConfig(
        train=TrainConfig(
            steps=300, batch_size=40, lr=2e-3, min_lr=1e-4, warmup_steps=20, optimizer="muon", precision="float32",
            eval_every=100, checkpoint_every=50,
        ),
    ),
    "gpu": ThinkerConfig(
        longest=10, largest=20, row_length=512, questions=300, samples=8,
        train=TrainConfig(
            steps=1500, batch_size=512, lr=5e-4, min_lr=2e-5, warmup_steps=50, optimizer="muon", precision="float32",
            eval_every=250, checkpoint_every=500,
        ),
    ),
}  # fmt: skip

METRICS = (
    *OF_SUMS,
    Metric("town", "right answers", unit="%", section="Development questions of the town", better="higher",
           words="What it knew before it was taught to think: the likeliest answer, judged by the town's gold judge."),
)  # fmt: skip


class Thinker(Reasoner):
    """An assistant that was taught to think."""

    suites = ("instructions", "sums")  # type: ignore[assignment]
    """What it can be asked."""


def make(config: ThinkerConfig, inputs: Inputs, job: Job) -> None:
    """Teach an assistant to think, the result last."""
    import torch

    from insideout.data.batch import packed
    from insideout.data.town.instructions import Town
    from insideout.machine import choose_device
    from insideout.training import distributed
    from insideout.training.objective import Objective
    from insideout.transformer.loss import next_token_loss

    device = distributed.start(choose_device(config.device))
    start = inputs["model"] if "model" in inputs else trained(config.model)
    chat = thinking_chat(start)
    model = grown(start.model(), chat.tokenizer.vocab_size, config.train.seed)
    if config.row_length > model.config.context_length:
        raise BadInput(
            f"row_length is {config.row_length}, more than the model's context of {model.config.context_length}."
        )
    suite, town, size = config.suite, Town(), config.train.batch_size
    n_kept = round(config.kept * size)
    held_out = [chat.document(talk) for talk in islice(suite.demonstrations("development"), 200)]
    asked, of_town = suite.draw("development", config.questions), town.draw("development", config.questions)
    check_room(chat, asked, model.config.context_length, config.max_new_tokens, "set longest lower")
    check_room(chat, of_town, model.config.context_length, 0, "choose a model that can read a story of the town")

    def batch_at(step: int, micro_step: int) -> Any:
        place = (step * config.train.accumulation + micro_step) * distributed.data_ranks(config.train.parallel)
        seed = (config.train.seed + 1) * 1_000_003 + place + distributed.data_rank(config.train.parallel)
        sums = islice(suite.demonstrations("train", seed), size - n_kept)
        talks = [*sums, *islice(town.demonstrations("train", seed), n_kept)]
        return packed([chat.document(talk) for talk in talks], chat.pad_id, config.row_length)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        batch = packed(held_out, chat.pad_id, config.row_length).to(device)
        with torch.no_grad():
            loss, n = next_token_loss(model, batch)
        with torch.autocast(device.type, enabled=False):
            found, words = asked_sums(model, chat, suite, asked, config.samples, config.max_new_tokens)
            found["town"] = share_right(model, chat, of_town)
        return {"validation_loss": float(loss) / n, **found}, words

    fit(
        job, model, chat.tokenizer, Objective(next_token_loss, METRICS, judged_by="sampled"), batch_at, config.train,
        measure, device, facts={"template": chat.template.name},
    )  # fmt: skip


def thinking_chat(start: Any) -> "ThinkingFormat":
    """How the model is spoken with, the think tokens added. Raises BadInput for a template that is not of ours."""
    from insideout.finetuning.templates import TEMPLATES
    from insideout.reasoning.thinking import ThinkingFormat, with_think_tokens

    template = template_of(start)
    if template == "own":
        raise BadInput(
            "The model speaks in a chat template of its own, in which thinking cannot be marked: tune it first in one "
            "of ours, by `insideout sft --model NAME --template chatml`."
        )
    return ThinkingFormat(with_think_tokens(start.tokenizer(), TEMPLATES[template]), TEMPLATES[template])


def check_room(chat: "ThinkingFormat", questions: "list[Question]", context_length: int, n_new: int, cure: str) -> None:
    """Raises BadInput where a question and an answer of n_new tokens may have more tokens than the context holds."""
    longest = max(len(chat.prompt(question.prompt)) for question in questions)
    if longest + n_new >= context_length:
        raise BadInput(
            f"A question and its answer may take {longest + n_new} tokens, and the context holds {context_length}: "
            f"{cure}."
        )


def share_right(model: "GPT", chat: "ThinkingFormat", questions: "list[Question]") -> float:
    """Which share of the town's questions the likeliest answer gets right."""
    from insideout.data.town.instructions import Town
    from insideout.recipes.reasoner import writer_of

    town = Town()
    written = writer_of(model, chat, 0.0).write([each.prompt for each in questions], 1, 0, town.max_new_tokens)
    right = [bool(town.judge(q, each.text)["correct"]) for q, [each] in zip(questions, written, strict=True)]
    return sum(right) / len(right)


def sources(config: ThinkerConfig) -> dict[str, str]:
    """Fingerprints of what it reads from elsewhere."""
    return {"model": trained(config.model).fingerprint} if config.model else {}


def load(folder: Path) -> Thinker:
    """The model in a folder."""
    found: Thinker = read(Thinker, folder, "thinker", ThinkerConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result = run.result() or {}

    def percent(name: str) -> str:
        return figure(None if result.get(name) is None else 100 * result[name], 0) + " %"

    cards = (
        Card("sums, likeliest", percent("greedy"), "strictly right, of development sums"),
        Card("sums, drawn", percent("sampled"), "strictly right, at temperature 1"),
        Card("of the town", percent("town"), "right answers: what it knew before"),
    )
    return write_report(
        run, together(METRICS, "tokens"), title="An assistant that was taught to think",
        lead=f"{run.about['n_parameters']:,} parameters, {run.config.kept:.0%} of each batch rehearsed, at "
        f"{run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "thinker", "The assistant, taught by worked sums to think: reasoning SFT.", SETTINGS, make, load,
    needs={"model": "dpo"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
