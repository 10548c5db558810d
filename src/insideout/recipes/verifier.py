"""Learning to verify as a stage: what `orm` and `prm` have in common.

    a model's worked answers, labelled  ->  binary cross-entropy at the marks  ->  a model that says what is right

It goes on from the model whose answers it reads. What it must know is the arithmetic: where that model is wrong, it is
because it does not know, and the labels teach it. Beside what it says on held-out answers
stands what a verifier would say that knows nothing but lengths. Used in part 4.
Sources: Cobbe et al. 2021, §4; Lightman et al. 2023, §2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.files import expanded
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import LanguageModel, fit, read
from insideout.recipes.pair_tuning import order
from insideout.recipes.runs import companions_of, read_object
from insideout.recipes.traces import Trace, Traces, model_of
from insideout.recipes.traces import load as load_traces
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from insideout.data.suite import Prompt
    from insideout.reasoning.thinking import ThinkingFormat
    from insideout.reasoning.verifiers import How, Traced, Verifier

Kind = Literal["outcome", "process"]


@dataclass(frozen=True)
class VerifierConfig:
    """What it goes on from, which answers it reads, and how it is trained."""

    model: str = ""
    """What to go on from: the folder of a run of reasoner, undecided or grpo. Empty: the recipe reasoner."""
    data: str = ""
    """Worked answers: the folder of a run of traces. Empty: the recipe traces."""
    answers: int = 0
    """It learns from the first so many; 0: from all."""
    own: bool = True
    """Is it told how likely it would have written a step itself?"""
    words: float = 0.2
    """How much each token of a right step weighs in the loss, as something to be written; 0: it only judges."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts answers."""

    def __post_init__(self) -> None:
        if self.answers < 0:
            raise BadInput(f"answers is {self.answers}; it must be at least 0, for all.")
        if not 0 <= self.words < float("inf"):
            raise BadInput(f"words is {self.words}; it must be at least 0.")


SETTINGS: dict[Scale, VerifierConfig] = {
    "tiny": VerifierConfig(
        train=TrainConfig(
            steps=6, batch_size=8, lr=2e-3, min_lr=2e-4, warmup_steps=2, weight_decay=0.0, precision="float32",
            eval_every=3, checkpoint_every=3,
        ),
    ),
    "laptop": VerifierConfig(
        train=TrainConfig(
            steps=150, batch_size=32, lr=2e-3, min_lr=1e-4, warmup_steps=15, weight_decay=0.01, precision="float32",
            eval_every=75, checkpoint_every=150,
        ),
    ),
    "gpu": VerifierConfig(
        train=TrainConfig(
            steps=3000, batch_size=256, lr=3e-4, min_lr=3e-5, warmup_steps=100, weight_decay=0.01, eval_every=500,
            checkpoint_every=500,
        ),
    ),
}  # fmt: skip

SECTION = "Held-out answers"
HELD_OUT = (
    Metric("validation_loss", "held-out loss", unit="nats a mark", section="Loss",
           words="Saying to all marks what share of them is right pays the entropy of that share."),
    Metric("step_auc", "steps, right above wrong", section=SECTION, better="higher",
           words="How often a right step has a higher score than a wrong one. A constant has 0.5."),
    Metric("answer_auc", "answers, right above wrong", section=SECTION, better="higher",
           words="The same for whole answers. Steps' probabilities are multiplied."),
    Metric("calibration_error", "calibration error", section=SECTION, better="lower",
           words="How far what it says lies from the share that is right."),
)  # fmt: skip


class VerifierRun(LanguageModel):
    """A verifier on disk, of outcomes or of steps."""

    @property
    def kind(self) -> Kind:
        """What it learned to judge."""
        return "outcome" if self.about["stage"] == "orm" else "process"

    def model(self, device: str = "cpu") -> "Verifier":  # type: ignore[override]
        """The verifier of the newest checkpoint, dropout off."""
        from insideout.reasoning.verifiers import Verifier
        from insideout.training import checkpoint
        from insideout.transformer.model import GPT

        newest, config = self.newest(), self.model_config()
        found = checkpoint.load(newest)
        checkpoint.check_companions(newest, found.state, companions_of(config, self.about["tokenizer_fingerprint"]))
        model = Verifier(GPT(config), self.chat().pad_id, self.config.own)
        checkpoint.load_model(model, found.model)
        return model.eval().to(device)

    def chat(self) -> "ThinkingFormat":
        """How the answers are written down that it reads."""
        from insideout.finetuning.templates import TEMPLATES
        from insideout.reasoning.thinking import ThinkingFormat

        return ThinkingFormat(self.tokenizer(), TEMPLATES[self.about["template"]])

    def marks(
        self, prompts: "Sequence[Prompt]", responses: Sequence[str], finished: Sequence[bool] | None = None
    ) -> list[list[float]]:
        """How likely each step of each response is right, then the answer; of an outcome model, the answer alone.

        Raises BadInput as `traced` and `scores` do.
        """
        from insideout.reasoning.verifiers import scores, traced

        chat, ended = self.chat(), [True] * len(responses) if finished is None else finished
        read_ = [traced(chat, *each) for each in zip(prompts, responses, ended, strict=True)]
        return scores(self.model(), [asked(each, self.kind) for each in read_], chat.pad_id)

    def tokens(self, prompts: "Sequence[Prompt]", responses: Sequence[str]) -> int:
        """How many tokens it reads to judge these."""
        from insideout.data.batch import length_of
        from insideout.reasoning.verifiers import traced

        chat = self.chat()
        return sum(length_of(traced(chat, *each).document) for each in zip(prompts, responses, strict=True))

    def judge(
        self, prompts: "Sequence[Prompt]", responses: Sequence[str], finished: Sequence[bool] | None = None,
        how: "How" = "product",
    ) -> list[float]:  # fmt: skip
        """One score for each response, its steps put together by `how`."""
        from insideout.reasoning.verifiers import aggregate

        return [aggregate(each, how) for each in self.marks(prompts, responses, finished)]


def asked(trace: "Traced", kind: Kind) -> "Traced":
    """Where a verifier of this kind is asked."""
    return trace if kind == "process" else trace.at_end


def labels_of(trace: Trace, kind: Kind) -> list[bool | None]:
    """A label to each of these marks."""
    return trace.labels if kind == "process" else [trace.right]


def make(config: VerifierConfig, inputs: Inputs, job: Job, kind: Kind) -> None:
    """Train a verifier on worked answers, the result last."""
    from insideout.machine import choose_device
    from insideout.reasoning.verifiers import LengthOnly, Verifier, marked, scores, traced, verifier_objective
    from insideout.training import distributed
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    start = inputs["model"] if "model" in inputs else model_of(config.model)
    data: Traces = inputs["data"] if "data" in inputs else load_traces(expanded(config.data, "data"))
    chat = start.chat()
    model = Verifier.of(start.model(), chat.pad_id, config.train.seed, config.own)
    given = data.train[: config.answers or None]
    if not given or not data.held_out:
        raise BadInput(f"{data.path} has {len(given)} answers to learn from and {len(data.held_out)} held out.")

    def read_(traces: Sequence[Trace]) -> "tuple[list[Traced], list[list[bool | None]]]":
        each = [asked(traced(chat, trace.prompt, trace.answer, trace.finished), kind) for trace in traces]
        return each, [labels_of(trace, kind) for trace in traces]

    train, labels = read_(given)
    held_out, held_labels = read_(data.held_out)
    latest: dict[str, float] = {}

    def batch_at(step: int, micro_step: int) -> Any:
        place = (step * config.train.accumulation + micro_step) * distributed.data_ranks(config.train.parallel)
        place += distributed.data_rank(config.train.parallel)
        size, n = config.train.batch_size, len(train)
        where = (divmod(at, n) for at in range(place * size, (place + 1) * size))
        chosen = [order(n, f"{config.train.seed} {epoch}")[i] for epoch, i in where]
        return marked([train[i] for i in chosen], [labels[i] for i in chosen], chat.pad_id)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        found = told(scores(model, held_out, chat.pad_id), held_labels, data.held_out, kind)
        latest.update(found)
        return found, ""

    def ended() -> dict[str, Any]:
        if not latest:  # nothing was left to do
            measure(model)
        blind = told(LengthOnly(train, labels).scores(held_out), held_labels, data.held_out, kind)
        n_marks = sum(label is not None for each in held_labels for label in each)
        return {
            **latest, **{f"length_only_{name}": blind[name] for name in blind if name.endswith("auc")},
            "n_answers": len(train), "n_held_out": len(held_out), "n_marks": n_marks,
        }  # fmt: skip

    objective = verifier_objective(config.words)
    fit(
        job, model, start.tokenizer(), Objective(objective.loss, (*HELD_OUT, *objective.metrics), counted="marks"),
        batch_at, config.train, measure, device, facts={"template": chat.template.name}, ended=ended,
    )  # fmt: skip


def told(
    probabilities: Sequence[Sequence[float]], labels: Sequence[Sequence[bool | None]], traces: Sequence[Trace],
    kind: Kind,
) -> dict[str, float]:  # fmt: skip
    """What held-out answers tell. An AUC is left out where all are right, or none."""
    from math import log

    from insideout.estimates import auc, calibration_error
    from insideout.reasoning.verifiers import aggregate

    known = [
        (p, bool(label))
        for row, given in zip(probabilities, labels, strict=True)
        for p, label in zip(row, given, strict=True)
        if label is not None
    ]
    steps = [
        (p, bool(label))
        for row, given in zip(probabilities, labels, strict=True)
        for p, label in zip(row[:-1], given[:-1], strict=True)
        if label is not None
    ]
    answers = [(aggregate(row), trace.right) for row, trace in zip(probabilities, traces, strict=True)]
    said, right = [p for p, _ in known], [label for _, label in known]
    loss = -sum(log(max(p if label else 1 - p, 1e-12)) for p, label in known) / len(known)
    found = {"validation_loss": loss, "calibration_error": calibration_error(said, right)}
    for name, pairs in (("step_auc", steps if kind == "process" else []), ("answer_auc", answers)):
        if len({label for _, label in pairs}) == 2:
            found[name] = auc([p for p, _ in pairs], [label for _, label in pairs])
    return found


def sources(config: VerifierConfig) -> dict[str, str]:
    """Fingerprints of the model and of the traces, where they are of no recipe."""
    found = {"model": model_of(config.model).fingerprint} if config.model else {}
    if config.data:
        found["data"] = load_traces(expanded(config.data, "data")).fingerprint
    return found


def load(folder: Path, stage: str) -> VerifierRun:
    """The verifier in a folder."""
    found: VerifierRun = read(VerifierRun, folder, stage, VerifierConfig)
    return found


def loaded(folder: Path) -> VerifierRun:
    """The verifier in a folder, of either kind. Raises BadInput where there is none."""
    file = folder / "config.json"
    stage = read_object(file).get("stage") if file.is_file() else None
    if stage not in ("orm", "prm"):
        raise BadInput(f"{folder} is no run of orm or prm: give the folder of a verifier.")
    return load(folder, stage)


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.reasoning.verifiers import METRICS
    from insideout.recipes.report import Card, figure, write_report

    run = loaded(folder)
    result = run.result() or {}
    cards = [
        Card(f"{what}, right above wrong", figure(result.get(f"{name}_auc"), 3),
             f"lengths alone: {figure(result.get(f'length_only_{name}_auc'), 3)}; a constant: 0.5")
        for what, name in (("steps", "step"), ("answers", "answer"))
        if what == "answers" or run.kind == "process"
    ]  # fmt: skip
    cards.append(Card("calibration error", figure(result.get("calibration_error"), 3), "on held-out answers"))
    return write_report(
        run, together((*HELD_OUT, *METRICS), "marks"),
        title="A verifier of " + ("answers" if run.kind == "outcome" else "steps"),
        lead=f"{run.about['n_parameters']:,} parameters, {result.get('n_answers', 0):,} answers, at "
        f"{run.about['scale']} scale.", cards=tuple(cards),
    )  # fmt: skip
