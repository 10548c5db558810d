"""Direct preference optimisation: pairs of answers -> a policy that prefers as the annotator did.

    loss = −log σ(β (log π/π_ref (chosen) − log π/π_ref (rejected)))        and its family: cdpo, ipo, kto, simpo, orpo

It goes on from the model whose answers are compared, which is the reference as well: what that says of each answer is
computed once, before the first step. Dropout is off. Sums are over the answer's tokens and its stop.
Source: Rafailov et al. 2023; the family: `insideout.finetuning.losses`.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import LanguageModel, fit, read
from insideout.recipes.pair_tuning import Learned, PairTuning, chosen_pairs, learned, sources
from insideout.recipes.sft import METRICS as ASKED
from insideout.recipes.sft import TOWN, SFTConfig, asked
from insideout.recipes.stage import Stage
from insideout.recipes.start import Start, answering, chat_of, writer_of
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.events import Note
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from insideout.finetuning.chat import ChatWriter


@dataclass(frozen=True)
class DPOConfig(PairTuning):
    """As for all that learns from pairs, and which loss, with its numbers."""

    loss: Literal["dpo", "ipo", "kto", "simpo", "orpo"] = "dpo"
    """Which loss of the family; dpo with a label_smoothing is cDPO."""
    beta: float = 0.1
    """How near the reference the policy is held: the larger, the nearer. For simpo the scale of its rewards (about 2),
    for orpo the weight of the preference beside the answers' likelihood."""
    label_smoothing: float = 0.0
    """dpo alone: the share of pairs that are believed to be the wrong way round."""
    gamma: float = 0.0
    """simpo alone: by how much the chosen answer must be ahead."""
    questions: int = 100
    """Development questions of the town that are asked along the way."""

    def __post_init__(self) -> None:
        if not 0 < self.beta <= 1000:
            raise BadInput(f"beta is {self.beta}; it must be above 0, and at most 1000.")
        if not 0 <= self.label_smoothing < 0.5:
            raise BadInput(f"label_smoothing is {self.label_smoothing}; it must be at least 0 and below 0.5.")
        if not 0 <= self.gamma <= 1000:
            raise BadInput(f"gamma is {self.gamma}; it must be at least 0, and at most 1000.")
        for name, of in (("label_smoothing", "dpo"), ("gamma", "simpo")):
            if getattr(self, name) and self.loss != of:
                raise BadInput(f"{name} is of the loss {of} alone, and the loss is {self.loss}: leave it out.")
        if self.loss == "kto" and (self.train.accumulation > 1 or self.train.batch_size < 2):
            raise BadInput(
                "kto measures each answer against its whole batch: give a batch_size of at least 2, and accumulation 1."
            )
        if self.questions < 2:
            raise BadInput(f"questions is {self.questions}; it must be at least 2.")


SETTINGS: dict[Scale, DPOConfig] = {
    "tiny": DPOConfig(
        questions=4,
        train=TrainConfig(
            steps=8, batch_size=6, lr=1e-3, min_lr=1e-4, warmup_steps=2, weight_decay=0.0, precision="float32",
            eval_every=4, checkpoint_every=4,
        ),
    ),
    "laptop": DPOConfig(
        train=TrainConfig(
            steps=250, batch_size=32, lr=1e-4, min_lr=1e-5, warmup_steps=20, weight_decay=0.0, eval_every=50,
            checkpoint_every=125,
        ),
    ),
    "gpu": DPOConfig(
        questions=300,
        train=TrainConfig(
            steps=800, batch_size=128, lr=2e-5, min_lr=2e-6, warmup_steps=40, weight_decay=0.0, eval_every=100,
            checkpoint_every=400,
        ),
    ),
}  # fmt: skip

HELD_OUT = (
    Metric("validation_loss", "held-out loss", unit="a pair", section="Loss"),
    Metric("held_out_accuracy", "held-out pairs in the right order", unit="%", section="Accuracy", better="higher"),
    Metric("held_out_margin", "held-out: gain of the chosen less that of the rejected", unit="nats", section="Margin",
           better="higher"),
    *(metric for metric in ASKED if metric.name != "validation_loss"),
    Metric("gold", "gold reward of drawn answers", section="Gold reward", better="higher",
           words="Looked at, never learned from, of answers to development questions."),
    Metric("kl", "KL to the reference", unit="nats an answer", section="KL", from_zero=True,
           words="Of the same kind of answers, drawn as the policy believes."),
)  # fmt: skip


class Preferring(LanguageModel):
    """A model that answers, and learned from pairs which answers are preferred."""

    suites = ("instructions",)
    """What it can be asked."""

    def writer(self, temperature: float = 1.0) -> "ChatWriter":
        """The model, spoken with in the format that it was tuned in."""
        return writer_of(self.model(), chat_of(self.tokenizer(), self.about["template"]), temperature)


def make(config: DPOConfig, inputs: Inputs, job: Job) -> None:
    """Tune a model on pairs, the result last."""
    import torch

    from insideout.data.batch import padded
    from insideout.finetuning.preferences import PairBatch, mismatched, preference_objective, reference_logprobs
    from insideout.machine import choose_device
    from insideout.training import distributed
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    start = answering(config.model, inputs)
    chat, reference, model = start.chat, start.writer.model.to(device).eval(), start.model(dropout=False)
    pairs = learned(config, inputs, chat, model.config.context_length)
    job.tell(Note(f"The reference reads {len(pairs.train) + len(pairs.held_out):,} answers"))
    before, before_held_out = (
        reference_logprobs(reference, each, chat.pad_id) for each in (pairs.train, pairs.held_out)
    )
    objective = preference_objective(
        config.loss, beta=config.beta, label_smoothing=config.label_smoothing, gamma=config.gamma
    )

    def batch_of(documents: Any, said: Any) -> PairBatch:
        others = padded(mismatched(documents), chat.pad_id) if config.loss == "kto" else None
        about_others = None if others is None else reference_logprobs(reference, mismatched(documents), chat.pad_id)
        return PairBatch(padded(documents, chat.pad_id), said, others, about_others)

    def batch_at(step: int, micro_step: int) -> PairBatch:
        place = (step * config.train.accumulation + micro_step) * distributed.data_ranks(config.train.parallel)
        place += distributed.data_rank(config.train.parallel)
        chosen = chosen_pairs(pairs.train, config.train.batch_size, place, config.train.seed)
        return batch_of([pairs.train[i] for i in chosen], before[chosen])

    def measure(model: Any) -> tuple[dict[str, float], str]:
        totals, count = dict.fromkeys(("validation_loss", "accuracy", "margin"), 0.0), 0
        for here in parts(len(pairs.held_out)):
            batch = batch_of(pairs.held_out[here], before_held_out[here])
            loss, n, sums = objective.loss(model, distributed.to_device(batch, device))
            count += n
            for name, value in ({"validation_loss": float(loss)} | sums).items():
                if name in totals:
                    totals[name] += value
        means = {name: value / count for name, value in totals.items()}
        found = {
            "validation_loss": means["validation_loss"], "held_out_accuracy": means["accuracy"],
            "held_out_margin": means["margin"],
        }  # fmt: skip
        with torch.autocast(device.type, enabled=False):
            answers, shown = asked_of(model, start, config, pairs)
        return found | answers, shown

    fit(
        job, model, start.tokenizer, Objective(objective.loss, (*HELD_OUT, *objective.metrics), counted="pairs"),
        batch_at, config.train, measure, device, facts={"template": start.template},
    )  # fmt: skip


def parts(n: int, size: int = 64) -> list[slice]:
    """n documents in parts of whole pairs, none of one pair alone where there are more."""
    bounds = [*range(0, n, size), n]
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < 4:
        bounds.pop(-2)
    return [slice(a, b) for a, b in pairwise(bounds)]


def asked_of(model: Any, start: Start, config: DPOConfig, pairs: Learned) -> tuple[dict[str, float], str]:
    """What development questions of the town find, how far the policy went, and an answer to be looked at."""
    from statistics import fmean

    from insideout.data.batch import Document, Segment
    from insideout.data.town.instructions import Town
    from insideout.data.town.judge import gold
    from insideout.recipes.scoreboard import divergences

    of_town = pairs.known is not None
    likeliest, drawing = (writer_of(model, start.chat, temperature) for temperature in (0.0, 1.0))
    found, shown = asked(
        likeliest, SFTConfig(data=TOWN if of_town else config.data, questions=config.questions), pairs.prompt
    )
    if not of_town:
        return found, shown
    town = Town()
    questions = town.draw("development", config.questions)
    answers = [each for [each] in drawing.write([q.prompt for q in questions], 1, 0, town.max_new_tokens)]
    found["gold"] = fmean(gold(town.judge(q, each.text)) for q, each in zip(questions, answers, strict=True))
    drawn: list[Document] = [
        [Segment(drawing.ids_of(q.prompt), learn=False), Segment(each.ids, learn=True)]
        for q, each in zip(questions, answers, strict=True)
    ]
    some = [drawn[first : first + 32] for first in range(0, len(drawn), 32)]
    found["kl"] = fmean(nats for part in some for nats in divergences(drawing.model, start.writer.model, part))
    return found, shown


def load(folder: Path) -> Preferring:
    """The model in a folder."""
    found: Preferring = read(Preferring, folder, "dpo", DPOConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.finetuning.preferences import METRICS
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result = run.result() or {}

    def share(name: str) -> str:
        return figure(None if result.get(name) is None else 100 * result[name], 1) + " %"

    cards = (
        Card("held-out pairs in the right order", share("held_out_accuracy"), "by what each answer gained"),
        Card("right answers", share("correct"), "the likeliest, to development questions"),
        Card("gold reward", figure(result.get("gold"), 3), "of drawn answers to development questions"),
        Card("KL to the reference", figure(result.get("kl"), 2), "nats an answer"),
    )
    return write_report(
        run, together((*HELD_OUT, *METRICS), "pairs"), title="A model that learned from preferences",
        lead=f"{run.config.loss}, beta {run.config.beta:g}; {run.about['n_parameters']:,} parameters, at "
        f"{run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "dpo", "The assistant, tuned on pairs directly: DPO and its family.", SETTINGS, make, load,
    needs={"model": "sft", "data": "pairs"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
