"""A run directory: what a training run leaves, and how to read it.

    config.json  tokenizer.json  metrics.jsonl  samples.jsonl  result.json  checkpoints/  report.html

While it is written it is held: a lock lies in it, so that no two processes write one run. Every file is checked as it
is read. Imports torch only when a model is asked for.
"""

import contextlib
import dataclasses
import glob
import hashlib
import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from insideout import files
from insideout.errors import BadInput
from insideout.files import disk_trouble, locked
from insideout.machine import told
from insideout.recipes.origin import Origin, measured
from insideout.recipes.settings import fitted, from_dict, to_dict
from insideout.scales import SCALES, Scale, to_scale

if TYPE_CHECKING:
    from insideout.recipes.scoreboard import HeldOut
    from insideout.transformer.generation.writer import GPTWriter
    from insideout.transformer.model import GPT
    from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

S = TypeVar("S")
FORMAT = "insideout run 1"
OWN = ("config.json", "tokenizer.json", "tokenizer", "metrics.jsonl", "samples.jsonl", "checkpoints", "about.json")
"""What a run that made no step may have left. A run that made one has more, or something in these."""
LOCK = "run"
ABOUT = {
    "vocab_size": int, "n_parameters": int, "tokenizer_fingerprint": str, "bytes_per_token": float, "scale": str,
    "machine": str, "threads": int, "code_version": str,
}  # fmt: skip
RESULT = {
    "step": int, "loss": float | None, "validation_loss": float, "bits_per_byte": float, "tokens_seen": int,
    "tokens_per_second": float | None, "seconds": float, "precision": str, "stopped_early": bool,
}  # fmt: skip
POSITIVE = ("vocab_size", "n_parameters", "bytes_per_token", "threads")


class Run:
    """A training run on disk. Raises BadInput when the folder holds none."""

    def __init__(self, path: str | Path) -> None:
        from insideout.recipes.pretrain import PretrainConfig

        self.path = Path(path)
        file = self.path / "config.json"
        if not file.is_file():
            raise BadInput(f"There is no run in {self.path}: give the folder that `insideout train` wrote.")
        self.about: dict[str, Any] = read_object(file)
        if self.about.get("format") != FORMAT:
            raise BadInput(f"{file} is damaged or was not written by this library: choose another run.")
        check_types(self.about, ABOUT, file, needed=ABOUT.keys() - {"code_version", "threads"})
        for name, kinds in (("corpus", {"name": str, "fingerprint": str, "bytes": int}),
                            ("tokens", {"train": int, "validation": int})):  # fmt: skip
            check_types(self.about.get(name), kinds, file, needed=kinds)
        if self.about["scale"] not in SCALES:
            raise BadInput(f"{file}: scale is {self.about['scale']!r}; it must be one of {', '.join(SCALES)}.")
        self.config: PretrainConfig = from_dict(PretrainConfig, self.about.get("config", {}), str(file))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where and when it ended, or, for one that has not, was last written to."""
        result = self._result()
        if result is not None and isinstance(result.get("date"), str):
            return (Origin(str(result.get("machine", self.about["machine"])), result["date"]),)
        file = self.path / ("config.json" if result is None else "result.json")
        when = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
        return (Origin(self.about["machine"], when),)

    @property
    def fingerprint(self) -> str:
        """A hash of what the run made: its newest weights and its tokenizer."""
        return fingerprint_of(self.path / "tokenizer.json", self.newest())

    def model(self, device: str = "cpu") -> "GPT":
        """The model of the newest checkpoint, ready to be used (dropout off)."""
        from insideout.training import checkpoint
        from insideout.transformer.model import GPT

        newest = self.newest()
        found = checkpoint.load(newest)
        config = self.model_config()
        companions = companions_of(config, self.about["tokenizer_fingerprint"])
        checkpoint.check_companions(newest, found.state, companions)
        model = GPT(config)
        checkpoint.load_model(model, found.model)
        return model.eval().to(device)

    def newest(self) -> Path:
        """The newest checkpoint. Raises BadInput where there is none, or a newer one is known to have been there."""
        from insideout.training import checkpoint

        newest = checkpoint.latest(self.path)
        if newest is None:
            raise BadInput(f"The run {self.path} has no checkpoint yet: let it train, or go on with it by --resume.")
        if lost := self.lost():
            raise BadInput(f"{lost}: restore the missing one, or go on from there by --resume.")
        return newest

    def lost(self) -> str:
        """In words, where a newer checkpoint than the newest is known to have been there; else nothing."""
        from insideout.training import checkpoint

        newest, result = checkpoint.latest(self.path), self._result()
        step = int(newest.name.removeprefix("step-")) if newest else 0
        if result is not None:
            last = result["step"]
        else:
            every, made = self.config.train.checkpoint_every, [record["step"] for record in self.metrics()]
            last = (made[-1] - 1) // every * every if made and every else 0  # a step is noted after those before it
        return f"The run {self.path} was saved at step {last}, and its newest checkpoint is of {step}" * (step < last)

    def model_config(self) -> Any:
        """The model as it was built: with a tokenizer's own vocabulary size."""
        return dataclasses.replace(self.config.model, vocab_size=self.about["vocab_size"])

    def tokenizer(self) -> "BPETokenizer | CharacterTokenizer":
        """The run's tokenizer. Raises BadInput when it is not the one the model was trained with."""
        from insideout.transformer.tokenizer import load_tokenizer

        tokenizer = load_tokenizer(self.path / "tokenizer.json")
        if tokenizer.fingerprint != self.about["tokenizer_fingerprint"]:
            raise BadInput(f"{self.path / 'tokenizer.json'} is not the one this run was trained with: restore it.")
        return tokenizer

    def writer(self, temperature: float = 1.0) -> "GPTWriter":
        """The model with its tokenizer, to be asked questions. It knows no stop: it was trained on running text."""
        from insideout.transformer.generation.writer import GPTWriter

        return GPTWriter(self.model(), self.tokenizer(), temperature)

    def held_out(self) -> "HeldOut":
        """The text that it was not trained on. Raises BadInput where its corpus is no longer there."""
        from insideout.data.text.corpus import load_corpus
        from insideout.data.text.tokens import prepare
        from insideout.recipes.scoreboard import HeldOut

        folder, length = files.cache_folder("data") / "tokens", self.config.model.context_length
        data = prepare(load_corpus(self.config.corpus), self.tokenizer(), folder, self.config.validation_fraction)
        return HeldOut(data.validation, data.validation_bytes_per_token, length)

    def metrics(self) -> list[dict[str, Any]]:
        """A record for each step: step, loss, lr, tokens_per_second, gradient_norm, seconds, some validation_loss."""
        from insideout.training.metrics import read

        file = self.path / "metrics.jsonl"
        records = read(file) if file.exists() else []
        for record in records:
            where = f"{file}, step {record['step']}"
            check_types(record, {"loss": float, "seconds": float}, where, needed=("loss",))
            for name in record:
                fitted(float | None, record[name], name, where)
        return [measured(record, self.origins) for record in records]

    def samples(self) -> list[dict[str, Any]]:
        """What the model wrote along the way: step and text."""
        file = self.path / "samples.jsonl"
        records = json_lines(file)
        for number, record in enumerate(records, 1):
            check_types(record, {"text": str}, f"{file}, record {number}", needed=("text",))
        return records

    def result(self) -> dict[str, Any] | None:
        """How it ended, or None for a run that is not finished."""
        result = self._result()
        return None if result is None else measured(result, self.origins)

    def _result(self) -> dict[str, Any] | None:
        file = self.path / "result.json"
        if not file.exists():
            return None
        result = read_object(file)
        check_types(result, RESULT, file, needed=("step", "validation_loss", "bits_per_byte", "seconds"))
        return result

    @property
    def report(self) -> Path:
        """Where the report lies."""
        return self.path / "report.html"


def fingerprint_of(tokenizer: Path, checkpoint: Path) -> str:
    """A hash of a tokenizer's file and of a checkpoint's weights."""
    digest = hashlib.sha256(tokenizer.read_bytes())
    for file in sorted(path for path in checkpoint.rglob("model*") if path.is_file()):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def companions_of(config: Any, tokenizer_fingerprint: str) -> dict[str, str]:
    """What a model's weights are good for, by fingerprint."""
    sizes = json.dumps(to_dict(config), sort_keys=True)
    return {"tokenizer": tokenizer_fingerprint, "model": hashlib.sha256(sizes.encode()).hexdigest()}


def read_begun(folder: Path, stage: str, kind: type[S]) -> tuple[S, Scale]:
    """The settings that a run was begun with, and its scale. Raises BadInput where it is none of this stage."""
    file = folder / "config.json"
    if not file.is_file():
        raise BadInput(f"There is no run in {folder} to resume: leave out --resume to start one.")
    about = read_object(file)
    if about.get("format") != FORMAT or about.get("stage", stage) != stage:
        raise BadInput(f"{file} is damaged or not of a run of {stage}: choose another folder.")
    settings = from_dict(kind, about.get("config"), str(file))
    return settings, to_scale(str(about.get("scale")), f"{file}: scale")


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises BadInput for anything else."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise BadInput(f"{file} is damaged or cannot be read ({why}): restore it, or choose another run.") from error
    if not isinstance(found, dict):
        raise BadInput(f"{file} is damaged: it must hold a JSON object. Restore it, or choose another run.")
    return found


def check_types(values: Any, kinds: dict[str, Any], where: Any, needed: Any = ()) -> None:
    """Are all that are needed there, and all of the right type, finite, and none negative? Else BadInput."""
    if not isinstance(values, dict):
        raise BadInput(f"{where} is damaged: an object is missing. Restore it, or choose another run.")
    for name, kind in kinds.items():
        if name in values:
            value = fitted(kind, values[name], name, str(where))
            if isinstance(value, int | float) and (value < 0 or (name in POSITIVE and value == 0)):
                raise BadInput(
                    f"{where}: {name} is {value}; it must be {'above' if name in POSITIVE else 'at least'} 0."
                )
        elif name in needed:
            raise BadInput(f"{where} lacks {name}: it is damaged, or from another version.")


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines, each with its step. A last line that was cut off is left out."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}).") from error
    records = []
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or type(record.get("step")) is not int or record["step"] < 0:
            raise BadInput(f"{path}, line {number} is damaged: remove that line, or restore the file.")
        records.append(record)
    return records


@contextlib.contextmanager
def held(
    folder: Path, resume: bool = False, name: str = "", share: Callable[[int], int] = lambda n: n
) -> Iterator[Path]:
    """Hold a run's folder while it is written; give it. It is made, if need be, and unmade if nothing was written.

    A new run needs a folder that is absent, empty, or holds no more than a run that made no step. With a `name` the run
    goes into folder/name-n, with the smallest n above every n there is, and no other process gets the same. Of several
    processes that train together the first one holds it; `share` tells the others its n. Raises BadInput where the
    folder cannot be had.
    """
    if told("RANK"):
        yield folder / f"{name}-{share(0)}" if name else folder
        return
    if resume and not (folder / "config.json").is_file():
        raise BadInput(f"There is no run in {folder} to resume: leave out --resume to start one.")
    made: list[Path] = []
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: unmake(made))
        try:
            made = [each for each in (folder, *folder.parents) if not each.exists()]
            if not resume and not name:
                check_free(folder)
            if name:
                n = take_next(folder, name)
                folder = folder / f"{name}-{n}"
                made.insert(0, folder)
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder / LOCK, wait=False))
        except BlockingIOError:
            raise BadInput(
                f"{folder} is being written by another process: wait until it is done, or choose another folder."
            ) from None
        except OSError as error:
            raise disk_trouble(error, folder) from error
        if not resume:
            check_free(folder)  # again, now that it is ours
        files.sweep(folder)
        if name:
            share(n)
        yield folder


def take_next(folder: Path, name: str) -> int:
    """Make folder/name-n and give n; no other process gets the same."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = [path.name.removeprefix(f"{name}-") for path in folder.glob(f"{glob.escape(name)}-*")]
    n = max((int(n) for n in taken if n.isdecimal()), default=0) + 1
    while True:
        with contextlib.suppress(FileExistsError):
            (folder / f"{name}-{n}").mkdir()
            return n
        n += 1


def unmake(made: list[Path]) -> None:
    """Remove the folders that we made, if nothing was written into them."""
    with contextlib.suppress(OSError):  # the first that is not empty
        for each in made:
            each.rmdir()


def check_free(folder: Path) -> None:
    """May a new run be written here? Else BadInput."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BadInput(f"{folder} is a file, not a folder: choose another folder by --out.")
    if made_a_step(folder):
        raise BadInput(f"{folder} already holds a run: go on with it by --resume, or choose another folder by --out.")
    lock = files.lock_of(folder / LOCK).name
    others = sorted(path.name for path in folder.iterdir() if path.name not in (*OWN, lock))
    others = [name for name in others if not files.is_leftover(name)]
    if others:
        raise BadInput(f"{folder} is in use: it holds {others[0]}. Choose another folder by --out.")


def made_a_step(folder: Path) -> bool:
    """Does this folder hold a run from which something could be lost?"""
    metrics = folder / "metrics.jsonl"
    return (
        (folder / "result.json").exists()
        or any((folder / "checkpoints").glob("step-*"))
        or (metrics.exists() and metrics.stat().st_size > 0)
    )


def newest_run(folder: Path) -> Run:
    """The run of `train` that was written to last, of those that made a step. Raises BadInput when there is none."""
    begun = [file for file in folder.glob("*/config.json") if any((file.parent / "checkpoints").glob("step-*"))]
    found = [file.parent for file in begun if written_by(file) in (None, "pretrain")]
    if not found:
        raise BadInput(f"There are no runs in {folder}: train one with `insideout train`, or name a folder with --run.")
    return Run(max(found, key=last_written))


def written_by(file: Path) -> Any:
    """The stage that a run's config.json names. None: it names none, or cannot be read, which whoever opens it says."""
    try:
        return read_object(file).get("stage")
    except BadInput:
        return None


def last_written(folder: Path) -> float:
    """When the run in a folder was last written to."""
    times = [path.stat().st_mtime for name in ("config.json", "metrics.jsonl") if (path := folder / name).exists()]
    return max(times, default=-math.inf)
