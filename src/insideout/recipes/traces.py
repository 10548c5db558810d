r"""Traces: sums -> a model's own worked answers, several to each, with a label for every step.

    traces = recipe("traces")                   traces.train, traces.held_out
    {"question": "3+5+2", "answer": "<think>3+5=8\n8+2=11</think>#### 11", "steps": [true, false], "right": false, ...}

What a verifier has to judge is what the model itself writes: its own mistakes, as often as it makes them. The labels
are exact, from the sums themselves. Those to learn from are of training sums, those held out of development sums.
Used in part 4.
Sources: Cobbe et al. 2021, §4.2; labels up to the first error: Lightman et al. 2023, §2.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from insideout import files
from insideout.data.conversations import lines
from insideout.data.problems.sums import Sums
from insideout.data.suite import Message, Prompt
from insideout.errors import BadInput
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs, Job
from insideout.recipes.origin import Origin, here_and_now, measured
from insideout.recipes.reasoner import Reasoner
from insideout.recipes.runs import FORMAT, read_object
from insideout.recipes.settings import fitted, from_dict
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.events import Note

if TYPE_CHECKING:
    from insideout.data.suite import Answer, Question

TRAIN, HELD_OUT = "traces.jsonl", "held_out.jsonl"


@dataclass(frozen=True)
class TracesConfig:
    """Whose answers, to how many sums, and how many to each."""

    model: str = ""
    """Whose answers: the folder of a run of reasoner, undecided or grpo. Empty: the recipe reasoner."""
    questions: int = 1500
    """Training sums that are asked."""
    held_out: int = 300
    """Development sums that are asked."""
    answers: int = 4
    """Answers drawn to each."""
    temperature: float = 1.0
    """How freely they are drawn."""
    seed: int = 0
    """Decides sums and answers."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""

    def __post_init__(self) -> None:
        if self.questions < 1 or self.held_out < 2 or self.answers < 1:
            raise BadInput("questions must be at least 1, held_out at least 2, and answers at least 1.")
        if not 0 < self.temperature < float("inf"):
            raise BadInput(f"temperature is {self.temperature}; it must be above 0, so that answers differ.")
        if not 0 <= self.seed < 2**31:
            raise BadInput(f"seed is {self.seed}; it must be at least 0 and less than 2**31.")


SETTINGS: dict[Scale, TracesConfig] = {
    "tiny": TracesConfig(questions=12, held_out=10, answers=2),
    "laptop": TracesConfig(),
    "gpu": TracesConfig(questions=50_000, held_out=2000, answers=8),
}


@dataclass(frozen=True)
class Trace:
    """A worked answer, and what is right about it."""

    question: str
    answer: str
    finished: bool
    """Did it end by itself?"""
    steps: tuple[bool | None, ...]
    """Of each step: is it right? None after the first that is not."""
    right: bool
    """Is the answer right, stated as it was asked for?"""

    @property
    def prompt(self) -> Prompt:
        """The question as the model was asked it."""
        return (Message("user", self.question),)

    @property
    def labels(self) -> list[bool | None]:
        """Of each step, then of the answer; None after the first error."""
        return [*self.steps, self.right if all(self.steps) else None]

    def line(self) -> str:
        """As it is stored."""
        return json.dumps({**vars(self), "steps": list(self.steps)}, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Traces:
    """Traces on disk. `load` checks the folder; they are read when they are asked for."""

    path: Path
    about: Mapping[str, Any]
    config: TracesConfig

    @cached_property
    def train(self) -> list[Trace]:
        """Those to learn from; all answers to one sum stand together."""
        return read(self.path / TRAIN)

    @cached_property
    def held_out(self) -> list[Trace]:
        """Those to measure on."""
        return read(self.path / HELD_OUT)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where and when they were made."""
        return (Origin(str(self.about.get("machine", "")), str(self.about.get("date", ""))),)

    def result(self) -> dict[str, Any]:
        """What was counted as they were made."""
        found: dict[str, Any] = measured(read_object(self.path / "result.json"), self.origins)
        return found

    @property
    def fingerprint(self) -> str:
        """A hash of the traces."""
        digest = hashlib.sha256()
        for name in (TRAIN, HELD_OUT):
            digest.update((self.path / name).read_bytes())
        return digest.hexdigest()


def read(file: Path) -> list[Trace]:
    """Traces. Raises BadInput, with the line's number, where one is not what it should be."""
    kinds: dict[str, Any] = {"question": str, "answer": str, "finished": bool, "right": bool}
    found = []
    for line, where in lines(file):
        steps = line.get("steps")
        if (
            not isinstance(steps, list)
            or not all(each is None or isinstance(each, bool) for each in steps)
            or not kinds.keys() <= line.keys()
        ):
            raise BadInput(f"{where} is no trace: it lacks the question, the answer, or what is right about it.")
        values = {name: fitted(kind, line[name], name, where) for name, kind in kinds.items()}
        found.append(Trace(steps=tuple(steps), **values))
    return found


def trace_of(suite: Sums, question: "Question", answer: "Answer") -> Trace:
    """An answer with its labels."""
    asked = question.prompt if isinstance(question.prompt, str) else question.prompt[-1].content
    steps, right = tuple(suite.steps_right(question, answer.text)), bool(suite.judge(question, answer.text)["strict"])
    return Trace(asked, answer.text, bool(answer.finished), steps, right)


def make(config: TracesConfig, inputs: Inputs, job: Job) -> None:
    """Draw answers, label them, store them, the result last."""
    from insideout.machine import choose_device

    model = inputs["model"] if "model" in inputs else model_of(config.model)
    suite: Sums = model.suite if isinstance(model, Reasoner) else Sums(range(1, 7))
    writer = model.writer(config.temperature)
    writer.model.to(choose_device(config.device))
    longest = model.max_new_tokens if isinstance(model, Reasoner) else suite.max_new_tokens
    wanted = {
        TRAIN: list(islice(suite.stream("train", (config.seed + 1) * 1_000_003), config.questions)),
        HELD_OUT: suite.draw("development", config.held_out, config.seed),
    }
    origin, found = here_and_now(), dict[str, list[Trace]]()
    for number, (file, questions) in enumerate(wanted.items()):
        job.tell(Note(f"Drawing {config.answers} answers to each of {len(questions):,} sums"))
        written = writer.write([each.prompt for each in questions], config.answers, 2 * config.seed + number, longest)
        pairs = [
            (q, answer) for q, answers in zip(questions, written, strict=True) for answer in answers if answer.text
        ]
        found[file] = [trace_of(suite, question, answer) for question, answer in pairs]
    job.begin(machine=origin.machine, date=origin.date)
    for file, traces in found.items():
        files.save(job.folder / file, "".join(each.line() for each in traces))
    job.end(**counted(found[TRAIN]), n_held_out=len(found[HELD_OUT]))


def counted(traces: Sequence[Trace]) -> dict[str, Any]:
    """What one wants to know of them."""
    known = [label for each in traces for label in each.steps if label is not None]
    return {
        "traces": len(traces), "right": fmean(each.right for each in traces),
        "steps": len(known), "right_steps": fmean(known) if known else None,
    }  # fmt: skip


def model_of(path: str) -> Any:
    """The model in a folder. Raises BadInput where there is none that thinks in steps, and `trained` does."""
    from insideout.reasoning.thinking import ThinkingFormat

    found = trained(path)
    chat = found.chat() if hasattr(found, "chat") else None
    if not isinstance(chat, ThinkingFormat):
        raise BadInput(f"{path} holds no model that thinks in steps: give the folder of a run of reasoner, or of grpo.")
    return found


def load(folder: Path) -> Traces:
    """The traces in a folder. Raises BadInput where it holds none."""
    file = folder / "config.json"
    if not file.is_file():
        raise BadInput(f"There are no traces in {folder}: give the folder of a run of traces.")
    about = read_object(file)
    if about.get("format") != FORMAT or about.get("stage") != "traces":
        raise BadInput(f"{file} is damaged or not of a run of traces: choose another folder.")
    return Traces(folder, about, from_dict(TracesConfig, about.get("config"), str(file)))


def sources(config: TracesConfig) -> dict[str, str]:
    """The fingerprint of the model that answers, where it is of no recipe."""
    return {"model": model_of(config.model).fingerprint} if config.model else {}


STAGE = Stage(
    "traces", "The reasoner's worked answers, with a label for every step.", SETTINGS, make, load,
    needs={"model": "reasoner"}, sources=sources, free=("device",),
)  # fmt: skip
