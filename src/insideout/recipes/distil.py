"""Distil: a large model that reasons -> a small one, which learns from it.

    traces       the teacher writes, what is right is kept, the student learns to say it
    kd           the same answers; the student learns at each token what the teacher believes
    on_policy    the student writes, and learns at each of its own tokens what the teacher believes
    gold         no teacher: worked solutions of the problems themselves, to compare with

The teacher is the result of `grpo`, the student the undecided made smaller, so that one may ask the other question too:
how far does the small one get by learning from right and wrong itself? Answers are chosen before anything is learned,
and only the answers' tokens are. What it cost is told: tokens that the teacher wrote, that the student wrote, and that
were learned from.
Taught in book/4-reasoning-with-transformers/11_distillation.md.
Sources: Hinton et al. 2015; Kim and Rush 2016; Agarwal et al. 2024 (GKD); DeepSeek-AI 2025 (DeepSeek-R1, §2.4).
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
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import LanguageModel, fit, read
from insideout.recipes.reasoner import Reasoner, writer_of
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from insideout.data.batch import Batch, Document
    from insideout.data.suite import Question
    from insideout.reasoning.thinking import ThinkingFormat, ThinkingWriter
    from insideout.recipes.start import Start
    from insideout.transformer.model import GPT


@dataclass(frozen=True)
class DistilConfig:
    """Who teaches whom, from what, and how it is trained."""

    teacher: str = ""
    """Who teaches: the folder of a run of ours that answers. Empty: the recipe grpo."""
    model: str = ""
    """Who learns: the folder of such a run, with the same tokenizer. Empty: the recipe undecided, made smaller."""
    data: str = ""
    """Whose problems are asked: the path of a .jsonl of questions and answers. Empty: sums."""
    method: Literal["traces", "kd", "on_policy", "gold"] = "on_policy"
    """traces and kd learn from answers of the teacher: what they say, or what it believes at each of their tokens.
    on_policy: what it believes at tokens that the student wrote. gold: from worked solutions, without a teacher."""
    divergence: Literal["forward", "reverse", "jsd"] = "reverse"
    """Of kd and on_policy: KL(teacher ‖ student), KL(student ‖ teacher), or half-way between them."""
    soften: float = 1.0
    """Temperature of both distributions: divides their logits before they are compared."""
    problems: int = 512
    """Problems that the teacher is asked, for traces and kd; or, for gold, whose solutions are shown."""
    samples: int = 2
    """Answers of the teacher to each."""
    fewest_steps: int = 0
    """Steps that an answer must show to be learned from."""
    kept: Literal["right", "all"] = "right"
    """Which answers are learned from: right ones that ended, each once; or, to see what that is worth, all of them."""
    max_new_tokens: int = 38
    """Tokens of an answer, at most."""
    questions: int = 100
    """Development problems that are asked along the way."""
    check_samples: int = 4
    """Answers drawn to each of them."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts answers."""

    def __post_init__(self) -> None:
        if min(self.problems, self.samples, self.max_new_tokens, self.check_samples) < 1 or self.questions < 2:
            raise BadInput(
                "problems, samples, max_new_tokens and check_samples must be at least 1, and questions at least 2."
            )
        if not 0 < self.soften <= 1000:
            raise BadInput(f"soften is {self.soften}; it must be above 0 and at most 1000.")
        if self.fewest_steps < 0:
            raise BadInput(f"fewest_steps is {self.fewest_steps}; it must be at least 0.")
        if self.method == "gold" and self.data:
            raise BadInput("method is gold, and a file of questions and answers shows no worked solutions of our form.")
        if self.train.parallel != "ddp":
            raise BadInput("A student is small: leave parallel at ddp.")


SETTINGS: dict[Scale, DistilConfig] = {
    "tiny": DistilConfig(
        problems=16, kept="all", questions=8, check_samples=2, max_new_tokens=20,  # a tiny teacher is never right
        train=TrainConfig(
            steps=6, batch_size=8, lr=1e-3, min_lr=1e-4, warmup_steps=2, weight_decay=0.0, precision="float32",
            eval_every=3, checkpoint_every=3,
        ),
    ),
    "laptop": DistilConfig(
        train=TrainConfig(
            steps=100, batch_size=32, lr=4e-3, min_lr=4e-4, warmup_steps=10, weight_decay=0.0, precision="float32",
            eval_every=50, checkpoint_every=50,
        ),
    ),
    "gpu": DistilConfig(
        problems=8192, samples=4, max_new_tokens=80, questions=500, check_samples=8,
        train=TrainConfig(
            steps=1000, batch_size=512, lr=1e-3, min_lr=1e-4, warmup_steps=20, weight_decay=0.0, precision="float32",
            eval_every=100, checkpoint_every=200,
        ),
    ),
}  # fmt: skip


def smaller(at: Scale) -> dict[str, dict[str, Any]]:
    """The student's sizes, where it is the undecided made smaller."""
    width, n_layers, n_heads = {"tiny": (16, 1, 2), "laptop": (64, 2, 4), "gpu": (192, 3, 6)}[at]
    return {"model": {"d_model": width, "n_layers": n_layers, "n_heads": n_heads}}


SECTION = "Development problems"
METRICS = (
    Metric("greedy", "right, likeliest answer", unit="%", section=SECTION, better="higher",
           words="The right number, stated as it was asked for (strict), to problems of the development split."),
    Metric("sampled", "right, drawn answers", unit="%", section=SECTION, better="higher",
           words="The same share of answers drawn at temperature 1: the mean over all of them."),
    Metric("lenient", "right number, drawn answers", unit="%", section=SECTION, better="higher", live=False,
           words="However it is stated."),
    Metric("teacher_kl", "KL to the teacher", unit="nats an answer", section="KL, development problems",
           from_zero=True, words="KL(student ‖ teacher), of answers that the student draws at temperature 1."),
    Metric("length", unit="tokens an answer", digits=1, section="Length", live=False, from_zero=True,
           words="Of the answers that are learned from."),
)  # fmt: skip


class Student(LanguageModel):
    """A small reasoner that learned from a large one."""

    suites = ("sums",)
    """What it can be asked."""

    @property
    def max_new_tokens(self) -> int:
        """As long as answers were when it learned."""
        return int(self.config.max_new_tokens)

    def chat(self) -> "ThinkingFormat":
        """How it is spoken with."""
        from insideout.finetuning.templates import TEMPLATES
        from insideout.reasoning.thinking import ThinkingFormat

        return ThinkingFormat(self.tokenizer(), TEMPLATES[self.about["template"]])

    def writer(self, temperature: float = 1.0) -> "ThinkingWriter":
        """The model, asked for answers that show their thinking. At temperature 0 it writes the likeliest."""
        return writer_of(self.model(), self.chat(), temperature)

    def cost(self) -> dict[str, int]:
        """Tokens that the teacher wrote, that the student wrote, and that were learned from."""
        result, n = self.result() or {}, self.config.train.batch_size * self.config.train.accumulation
        learned = round(sum(n * record["length"] for record in self.metrics()))
        wrote = learned if self.config.method == "on_policy" else 0
        return {"teacher": int(result.get("teacher_tokens", 0)), "student": wrote, "learned": learned}


def make(config: DistilConfig, inputs: Inputs, job: Job) -> None:
    """Let the student learn from the teacher, the result last."""
    from insideout.machine import choose_device
    from insideout.recipes.start import answering
    from insideout.training import distributed
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    student = inputs["model"] if "model" in inputs else trained(config.model)
    teacher = inputs["teacher"] if "teacher" in inputs else trained(config.teacher)
    start, taught_by = (answering("", {"model": each}) for each in (student, teacher))
    check_alike(start, taught_by)
    suite = suite_of(config, student)
    asked = suite.draw("development", config.questions)
    above = taught_by.writer.model.to(device).eval().requires_grad_(False)
    model = start.model(dropout=False).to(device)
    facts: dict[str, Any] = {"teacher_tokens": 0}
    if config.method == "on_policy":
        batch_at = own_answers(config, suite, start, model)
    else:
        documents = solutions(config, suite, start) if config.method == "gold" else traces(
            config, suite, start, taught_by, facts
        )  # fmt: skip
        batch_at = in_epochs(config, documents, start.chat.pad_id)
    prompts = [start.writer.ids_of(question.prompt) for question in asked]
    check_rooms(prompts, model, config.max_new_tokens)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        return held_out(model, start, taught_by, suite, asked, config)

    fit(
        job, model, start.tokenizer, Objective(loss_of(config, above), METRICS, judged_by="sampled"), batch_at,
        config.train, measure, device, facts={"template": start.template}, ended=lambda: facts,
    )  # fmt: skip


def check_alike(student: "Start", teacher: "Start") -> None:
    """Raises BadInput unless what the teacher says can be read by the student, token by token."""
    if student.tokenizer.fingerprint != teacher.tokenizer.fingerprint or student.template != teacher.template:
        raise BadInput(
            "Teacher and student have different tokenizers or chat templates, so that one's tokens mean nothing to the "
            "other: choose two models of one vocabulary."
        )


def check_rooms(prompts: Sequence[Sequence[int]], model: "GPT", n_new: int) -> None:
    """Raises BadInput where an answer has no room after a prompt."""
    from insideout.finetuning.chat import check_room

    for ids in prompts:
        check_room(ids, model.config.context_length, n_new)


def suite_of(config: DistilConfig, student: Any) -> Any:
    """The problems: of the reader's own file, those of the student, or sums."""
    from insideout.data.problems.from_file import FromFile

    if config.data:
        return FromFile(expanded(config.data, "data"))
    return student.suite if isinstance(student, Reasoner) else Sums(range(1, 7))


def loss_of(config: DistilConfig, teacher: "GPT") -> Callable[..., Any]:
    """The loss of a batch, as the training loop wants it: (Σ, count, metrics), over the answers' tokens alone."""
    import torch

    from insideout.reasoning.distillation import forward_kl, jsd, over_answers, reverse_kl
    from insideout.transformer.loss import next_token_loss

    def length(batch: "Batch") -> dict[str, Any]:
        return {"length": (batch.n_targets, len(batch.rows))}

    def said(model: Any, batch: "Batch") -> tuple[Any, ...]:
        return (*next_token_loss(model, batch), length(batch))

    def believed(model: Any, batch: "Batch") -> tuple[Any, ...]:
        with torch.no_grad():
            theirs = teacher(batch.ids, **batch.reading)  # (B, T, V)
        ours = model(batch.ids, **batch.reading)
        if config.divergence == "jsd":
            losses = jsd(ours, theirs, teacher_share=0.5, temperature=config.soften)  # (B, T)
        else:
            losses = {"forward": forward_kl, "reverse": reverse_kl}[config.divergence](
                ours, theirs, temperature=config.soften
            )
        return (*over_answers(losses, batch.mask), length(batch))

    return said if config.method in ("traces", "gold") else believed


def asked_in(suite: Any, config: DistilConfig, place: int, n: int) -> "list[Question]":
    """n training problems, others at each place."""
    return list(islice(suite.stream("train", (config.train.seed + 1) * 1_000_003 + place), n))


def traces(
    config: DistilConfig, suite: Any, start: "Start", teacher: "Start", facts: dict[str, Any]
) -> "list[Document]":
    """What the teacher writes, chosen before anything is learned, each as prompt and answer. Counts what it cost."""
    from insideout.reasoning.distillation import Trace, filtered

    questions = asked_in(suite, config, 0, config.problems)
    writer = replace(teacher.writer, temperature=1.0, at_once=256)
    prompts = [question.prompt for question in questions]
    check_rooms([writer.ids_of(prompt) for prompt in prompts], writer.model, config.max_new_tokens)
    answers = writer.write(prompts, config.samples, config.train.seed, config.max_new_tokens)
    facts["teacher_tokens"] = sum(len(answer.ids) for group in answers for answer in group)
    if config.kept == "all":
        every = [Trace(q, answer) for q, group in zip(questions, answers, strict=True) for answer in group]
        facts |= {"traces": len(every), "dropped": {}}
    else:
        limits = {"longest": config.max_new_tokens, "fewest_steps": config.fewest_steps}
        every, dropped = filtered(suite, questions, answers, **limits)
        facts |= {"traces": len(every), "dropped": dropped}
    return [document(start, trace.question, trace.answer.ids, trace.answer.logprobs) for trace in every]


def solutions(config: DistilConfig, suite: Any, start: "Start") -> "list[Document]":
    """As many worked solutions as the teacher would be asked for, each of a problem of its own."""
    n = config.problems * config.samples
    questions = asked_in(suite, config, 0, n)
    shown = [[*start.tokenizer.encode(suite.solution(each), special=marks()), start.chat.stop_id] for each in questions]
    return [document(start, question, ids) for question, ids in zip(questions, shown, strict=True)]


def marks() -> tuple[str, str]:
    """The tokens of thinking."""
    from insideout.data.problems.steps import END_THINK, THINK

    return THINK, END_THINK


def document(
    start: "Start", question: "Question", answer: Sequence[int], logprobs: Sequence[float] | None = None
) -> "Document":
    """Tokens as they were written; the prompt is read, the answer learned."""
    from insideout.data.batch import Segment

    return [Segment(start.writer.ids_of(question.prompt), learn=False), Segment(answer, learn=True, logprobs=logprobs)]


def in_epochs(config: DistilConfig, documents: "Sequence[Document]", pad_id: int) -> Callable[[int, int], Any]:
    """Batches of a fixed set: in every epoch all of it, in an order of its own."""
    import random
    from functools import lru_cache

    from insideout.data.batch import padded

    n = len(documents)

    @lru_cache(maxsize=2)
    def order(epoch: int) -> list[int]:
        numbers = list(range(n))
        random.Random(f"{config.train.seed} {epoch}").shuffle(numbers)
        return numbers

    def batch_at(step: int, micro_step: int) -> Any:
        first = place(config, step, micro_step) * config.train.batch_size
        taken = (divmod(at, n) for at in range(first, first + config.train.batch_size))
        return padded([documents[order(epoch)[i]] for epoch, i in taken], pad_id)

    return batch_at


def own_answers(config: DistilConfig, suite: Any, start: "Start", model: "GPT") -> Callable[[int, int], Any]:
    """Batches that the student writes, as it is at that step, to problems that are new each time."""
    import torch

    from insideout.finetuning.experience import batch_of
    from insideout.training import distributed
    from insideout.training.resume import step_seed
    from insideout.transformer.generation.inputs import stop_ids
    from insideout.transformer.generation.rollout import rollout

    stops = stop_ids(start.writer.stop, model.config.vocab_size)

    def batch_at(step: int, micro_step: int) -> Any:
        questions = asked_in(suite, config, place(config, step, micro_step), config.train.batch_size)
        prompts = [start.writer.ids_of(question.prompt) for question in questions]
        check_rooms(prompts, model, config.max_new_tokens)
        seed = step_seed(config.train.seed, step, micro_step, distributed.rank()) % 2**62
        with torch.no_grad():
            drawn = rollout(
                model, prompts, 1, config.max_new_tokens, temperature=1.0, stop=sorted(stops), seed=seed
            )  # fmt: skip
        return batch_of(drawn, start.chat.pad_id, stops)

    return batch_at


def place(config: DistilConfig, step: int, micro_step: int) -> int:
    """The number of a batch among all of all ranks."""
    from insideout.training import distributed

    number = step * config.train.accumulation + micro_step
    return number * distributed.data_ranks(config.train.parallel) + distributed.data_rank(config.train.parallel)


def held_out(
    model: Any, start: "Start", teacher: "Start", suite: Any, questions: "Sequence[Question]", config: DistilConfig
) -> tuple[dict[str, float], str]:
    """What development problems tell, and one of them with its likeliest answer."""
    import torch

    from insideout.recipes.reinforcement import last_words
    from insideout.recipes.scoreboard import kl_to_start

    n_new, prompts = config.max_new_tokens, [question.prompt for question in questions]
    likeliest, drawing = (
        replace(start.writer, model=model, temperature=temperature, at_once=256) for temperature in (0.0, 1.0)
    )
    with torch.autocast(next(model.parameters()).device.type, enabled=False):
        best = likeliest.write(prompts, 1, 0, n_new)
        drawn = drawing.write(prompts, config.check_samples, 0, n_new)
        distance = kl_to_start(drawing, teacher.writer, questions, 0, n_new).value.mean

    def share(written: Sequence[Sequence[Any]], part: str) -> float:
        pairs = ((q, answer) for q, group in zip(questions, written, strict=True) for answer in group)
        return fmean(bool(suite.judge(question, answer.text)[part]) for question, answer in pairs)

    found = {
        "greedy": share(best, "strict"), "sampled": share(drawn, "strict"), "lenient": share(drawn, "lenient"),
        "teacher_kl": distance,
    }  # fmt: skip
    return found, f"{last_words(questions[-1])}\n→ {best[-1][0].text}"


def sources(config: DistilConfig) -> dict[str, str]:
    """Fingerprints of what it reads from elsewhere."""
    import hashlib

    given = {"model": config.model, "teacher": config.teacher}
    found = {name: trained(path).fingerprint for name, path in given.items() if path}
    if config.data:
        try:
            found["data"] = hashlib.sha256(expanded(config.data, "data").read_bytes()).hexdigest()
        except OSError as error:
            raise BadInput(f"Could not read {config.data} ({error.strerror}): check the path.") from error
    return found


def load(folder: Path) -> Student:
    """The student in a folder."""
    found: Student = read(Student, folder, "distil", DistilConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result, cost = run.result() or {}, run.cost()

    def percent(name: str) -> str:
        return figure(None if result.get(name) is None else 100 * result[name], 0) + " %"

    cards = (
        Card("right, likeliest", percent("greedy"), "strictly, of development problems"),
        Card("right, drawn", percent("sampled"), "strictly, at temperature 1"),
        Card("KL to the teacher", figure(result.get("teacher_kl"), 2), "nats an answer"),
        Card("tokens learned from", f"{cost['learned']:,}", f"{cost['teacher']:,} written by the teacher"),
    )
    return write_report(
        run, together(METRICS, "tokens"), title="A small model that learned from a large one",
        lead=f"{run.about['n_parameters']:,} parameters, method {run.config.method}, at {run.about['scale']} scale.",
        cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "distil", "A smaller undecided, learning from the model that learned by GRPO.", SETTINGS, make, load,
    needs={"teacher": "grpo", "model": "undecided"}, changed=smaller, sources=sources,
    free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
