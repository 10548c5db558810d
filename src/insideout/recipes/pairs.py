"""Preference pairs: questions of the town -> a model's own answers, two and two -> an annotator says which is better.

    pairs = recipe("pairs")                     pairs.train, pairs.held_out, pairs.ceiling
    recipe("pairs", sharpness=0.5, length_bias=0.1, n_pairs=500)

What is compared is what the model itself writes: a reward model must tell its answers apart, and not those of others.
The annotator errs as often as `sharpness` says, and likes long answers as much as `length_bias` says; both are known,
so that it is known how right the best judge could be. Pairs to learn from are of training questions, those held out of
development questions, so that no prompt is in both. Answers that were cut off, that say nothing and that are the same
are left out, and counted. Stored as .jsonl, a pair a line, with what only an experimenter can know beside.
Sources: Stiennon et al. 2020, §3.3; Bai et al. 2022; Bradley and Terry 1952.
"""

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from insideout import files
from insideout.data.conversations import Pair, lines, pair
from insideout.data.suite import Question, Split, Writer
from insideout.data.town.preferences import Annotator
from insideout.errors import BadInput
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs, Job
from insideout.recipes.origin import Origin, here_and_now, measured
from insideout.recipes.runs import FORMAT, read_object
from insideout.recipes.settings import fitted, from_dict
from insideout.recipes.stage import Stage
from insideout.recipes.start import answering
from insideout.scales import Scale
from insideout.training.events import Note

TRAIN, HELD_OUT = "pairs.jsonl", "held_out.jsonl"
AT_ONCE = 64
"""Questions that are answered together."""
HARDLY_ANY = 20
"""Of so many questions one pair must come, else the model answers alike."""


@dataclass(frozen=True)
class PairsConfig:
    """Whose answers are compared, how many, and by whom."""

    model: str = ""
    """Whose answers: the folder of a run of ours that answers. Empty: the recipe sft."""
    source: Literal["model", "town"] = "model"
    """model: its own answers. town: right answers beside faulty ones of many kinds, which nobody's model wrote."""
    n_pairs: int = 4000
    """Pairs to learn from."""
    n_held_out: int = 1000
    """Pairs held out, of development questions."""
    temperature: float = 1.0
    """How freely the answers are drawn."""
    answers: int = 4
    """Answers to each question; the first two that differ are compared."""
    sharpness: float = 1.0
    """The annotator's log-odds for each unit of gold reward; the lower, the noisier."""
    length_bias: float = 0.0
    """The annotator's log-odds for each word by which an answer is longer."""
    seed: int = 0
    """Decides questions, answers and the annotator's mind."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""

    def __post_init__(self) -> None:
        if self.n_pairs < 1 or self.n_held_out < 2 or self.answers < 2:
            raise BadInput("n_pairs must be at least 1, n_held_out at least 2, and answers at least 2.")
        if not 0 < self.temperature < float("inf"):
            raise BadInput(f"temperature is {self.temperature}; it must be above 0, so that answers differ.")
        if not 0 <= self.seed < 2**31:
            raise BadInput(f"seed is {self.seed}; it must be at least 0 and less than 2**31.")
        Annotator(self.sharpness, self.length_bias)


SETTINGS: dict[Scale, PairsConfig] = {  # the tiny model hardly ever ends an answer: its own cannot be compared
    "tiny": PairsConfig(source="town", n_pairs=24, n_held_out=8),
    "laptop": PairsConfig(),
    "gpu": PairsConfig(n_pairs=50_000, n_held_out=4000),
}


@dataclass(frozen=True)
class Compared:
    """A pair, and what only an experimenter can know of it."""

    pair: Pair
    kind: str
    """Of question."""
    probability: float
    """How likely this choice was."""
    gold_chosen: float
    gold_rejected: float
    """The gold reward of each."""

    def line(self) -> str:
        """As it is stored. Whoever reads pairs, reads this too."""
        prompt = [message._asdict() for message in self.pair.prompt]
        fields = {
            "prompt": prompt, "chosen": self.pair.chosen, "rejected": self.pair.rejected, "kind": self.kind,
            "probability": self.probability, "gold_chosen": self.gold_chosen, "gold_rejected": self.gold_rejected,
        }  # fmt: skip
        return json.dumps(fields, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Pairs:
    """Pairs on disk. `load` checks the folder; the pairs are read when they are asked for."""

    path: Path
    about: Mapping[str, Any]
    config: PairsConfig

    @cached_property
    def train(self) -> list[Compared]:
        """Those to learn from."""
        return read(self.path / TRAIN)

    @cached_property
    def held_out(self) -> list[Compared]:
        """Those to measure on."""
        return read(self.path / HELD_OUT)

    @property
    def ceiling(self) -> float:
        """How often the best judge there could be agrees with the annotator, on the held-out pairs."""
        return measured(ceiling(self.held_out), self.origins)

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
        """A hash of the pairs."""
        digest = hashlib.sha256()
        for name in (TRAIN, HELD_OUT):
            digest.update((self.path / name).read_bytes())
        return digest.hexdigest()


def ceiling(pairs: Sequence[Compared]) -> float:
    """How often one who knows the annotator's every habit agrees with it: the mean of max(p, 1 − p)."""
    return fmean(max(each.probability, 1 - each.probability) for each in pairs)


def read(file: Path) -> list[Compared]:
    """Pairs with their truth. Raises BadInput, with the line's number, where one is not what it should be."""
    found = []
    for line, where in lines(file):
        numbers = {}
        for name in ("probability", "gold_chosen", "gold_rejected"):
            if name not in line:
                raise BadInput(f"{where} lacks {name}: it was not written by the stage pairs, or is damaged.")
            numbers[name] = fitted(float, line[name], name, where)
        found.append(Compared(pair(line, where), str(line.get("kind", "")), **numbers))
    return found


def make(config: PairsConfig, inputs: Inputs, job: Job) -> None:
    """Draw answers, let the annotator compare them, store the pairs, the result last."""
    from insideout.machine import choose_device

    writer = answering(config.model, inputs, config.temperature).writer
    writer.model.to(choose_device(config.device))
    origin = here_and_now()
    found: dict[str, list[Compared]] = {}
    counted: dict[str, Any] = {}
    wanted: tuple[tuple[str, Split, int], ...] = (
        (TRAIN, "train", config.n_pairs), (HELD_OUT, "development", config.n_held_out),
    )  # fmt: skip
    for file, split, n in wanted:
        job.tell(Note(f"Comparing answers to {split} questions: {n:,} pairs"))
        made = Making(writer, config, split)
        found[file] = list(made.pairs(n))
        counted |= {f"{split}_{name}": value for name, value in made.counted(found[file]).items()}
    job.begin(machine=origin.machine, date=origin.date)
    for file, pairs in found.items():
        files.save(job.folder / file, "".join(each.line() for each in pairs))
    job.end(**counted)


class Making:
    """The making of the pairs of one split."""

    def __init__(self, writer: Writer, config: PairsConfig, split: Split) -> None:
        self.writer, self.config, self.split = writer, config, split
        self.asked = self.drawn = self.cut_off = self.alike = 0

    def pairs(self, n: int) -> Iterator[Compared]:
        """n pairs, each of a question of its own. Raises BadInput where the answers hardly ever differ."""
        from insideout.data.town.judge import gold, judge
        from insideout.data.town.preferences import prefer

        annotator = Annotator(self.config.sharpness, self.config.length_bias)
        mind = random.Random(f"pairs {self.split} {self.config.seed}")
        made = 0
        for question, answers in self.answered():
            distinct = list(dict.fromkeys(answers))
            self.alike += len(distinct) < 2
            if self.asked > AT_ONCE + HARDLY_ANY * n:
                raise BadInput(f"Of {self.asked} questions only {made} had two answers that differ, and {n} pairs are "
                               "wanted: raise temperature or answers, or ask for fewer.")  # fmt: skip
            if len(distinct) < 2:
                continue
            one, other = mind.sample(distinct[:2], 2)
            best = prefer(question, one, other, annotator, mind)
            chosen, rejected = (gold(judge(question, text)) for text in (best.chosen, best.rejected))
            said = Pair(tuple(question.prompt), best.chosen, best.rejected)  # type: ignore[arg-type]
            yield Compared(said, question.kind, best.probability, chosen, rejected)
            made += 1
            if made == n:
                return

    def answered(self) -> Iterator[tuple[Question, list[str]]]:
        """Questions without end, none twice, each with its usable answers in the order they were drawn."""
        from insideout.data.town.instructions import Town
        from insideout.data.town.preferences import responses

        town, seen = Town(), set()
        source = random.Random(f"answers {self.split} {self.config.seed}")
        waiting: list[Question] = []
        for question in town.stream(self.split, self.config.seed + 1):
            if question.prompt in seen:
                continue
            seen.add(question.prompt)
            waiting.append(question)
            if len(waiting) < AT_ONCE:
                continue
            if self.config.source == "town":
                written = [[text for text in responses(each, source).values() if text.strip()] for each in waiting]
                drawn = [(source.sample(texts, min(len(texts), self.config.answers)), 0) for texts in written]
            else:
                seed = source.randrange(2**31)
                prompts = [each.prompt for each in waiting]
                several = self.writer.write(prompts, self.config.answers, seed, town.max_new_tokens)
                drawn = [usable(answers) for answers in several]
            for each, (texts, cut_off) in zip(waiting, drawn, strict=True):
                self.asked, self.drawn, self.cut_off = (
                    self.asked + 1,
                    self.drawn + len(texts) + cut_off,
                    self.cut_off + cut_off,
                )
                yield each, texts
            waiting = []

    def counted(self, pairs: Sequence[Compared]) -> dict[str, Any]:
        """What a report wants to know of them."""
        words = [(len(each.pair.chosen.split()), len(each.pair.rejected.split())) for each in pairs]
        return {
            "pairs": len(pairs), "questions": self.asked, "alike": self.alike / self.asked,
            "cut_off": self.cut_off / self.drawn, "ceiling": ceiling(pairs),
            "gold_chosen": fmean(each.gold_chosen for each in pairs),
            "gold_rejected": fmean(each.gold_rejected for each in pairs),
            "longer_chosen": fmean((a > b) + 0.5 * (a == b) for a, b in words),
        }  # fmt: skip


def usable(answers: Sequence[Any]) -> tuple[list[str], int]:
    """(answers that ended and say something, how many others)."""
    good = [each.text for each in answers if each.finished and each.text.strip()]
    return good, len(answers) - len(good)


def load(folder: Path) -> Pairs:
    """The pairs in a folder. Raises BadInput where it holds none."""
    file = folder / "config.json"
    if not file.is_file():
        raise BadInput(f"There are no pairs in {folder}: give the folder of a run of pairs.")
    about = read_object(file)
    if about.get("format") != FORMAT or about.get("stage") != "pairs":
        raise BadInput(f"{file} is damaged or not of a run of pairs: choose another folder.")
    return Pairs(folder, about, from_dict(PairsConfig, about.get("config"), str(file)))


def sources(config: PairsConfig) -> dict[str, str]:
    """The fingerprint of the model whose answers are compared, where it is of no recipe."""
    return {"model": trained(config.model).fingerprint} if config.model else {}


STAGE = Stage(
    "pairs", "Pairs of the assistant's own answers, compared by an annotator of known noise.", SETTINGS, make, load,
    needs={"model": "sft"}, sources=sources, free=("device",),
)  # fmt: skip
