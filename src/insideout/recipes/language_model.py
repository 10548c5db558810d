"""What a stage that trains a language model leaves, and how to read it: model, tokenizer, curves, how it ended.

    config.json  tokenizer.json  metrics.jsonl  samples.jsonl  result.json  checkpoints/  report.html

In place of tokenizer.json, a pretrained model's own tokenizer fills a folder, tokenizer/.
The same files as those of a run of `insideout train`, whatever it was trained on. Imports torch only when a model is
asked for. Used from part 3 on.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from insideout.errors import BadInput, first_line
from insideout.recipes.job import Job
from insideout.recipes.runs import FORMAT, check_types, companions_of, fingerprint_of, read_object
from insideout.recipes.settings import from_dict, to_dict
from insideout.recipes.trained_model import TrainedModel

if TYPE_CHECKING:
    from insideout.training.config import TrainConfig
    from insideout.training.objective import BatchFunction, Objective, Source
    from insideout.transformer.config import GPTConfig
    from insideout.transformer.model import GPT

FACTS = {"stage": str, "tokenizer_fingerprint": str, "n_parameters": int, "machine": str, "scale": str}

HUB_TOKENIZER = "tokenizer"
"""The folder of a pretrained model's own tokenizer, in place of tokenizer.json."""


@dataclass(frozen=True)
class LanguageModel(TrainedModel):
    """A trained language model on disk. `read` checks the folder; so does everything that is asked of it."""

    may_end: ClassVar[dict[str, Any]] = {"validation_loss": float | None}

    @property
    def fingerprint(self) -> str:
        """A hash of what was made: the newest weights and the tokenizer."""
        own = self.path / "tokenizer.json"
        return fingerprint_of(own if own.is_file() else self.path / HUB_TOKENIZER / own.name, self.newest())

    def model_config(self) -> "GPTConfig":
        """The model's sizes, as it was built."""
        from insideout.transformer.config import GPTConfig

        return from_dict(GPTConfig, self.about.get("model"), f"{self.path / 'config.json'}, model")

    def model(self, device: str = "cpu") -> "GPT":
        """The model of the newest checkpoint, ready to be used (dropout off)."""
        from insideout.training import checkpoint
        from insideout.transformer.model import GPT

        newest, config = self.newest(), self.model_config()
        found = checkpoint.load(newest)
        checkpoint.check_companions(newest, found.state, companions_of(config, self.about["tokenizer_fingerprint"]))
        model = GPT(config)
        checkpoint.load_model(model, found.model)
        return model.eval().to(device)

    def tokenizer(self) -> Any:
        """Its tokenizer, ours or a Hub model's. Raises BadInput when it is not the one the model was trained with."""
        from insideout.transformer.tokenizer import load_tokenizer

        if (self.path / HUB_TOKENIZER).is_dir():
            tokenizer: Any = hub_tokenizer(self.path / HUB_TOKENIZER, self.about.get("stop_ids"))
        else:
            tokenizer = load_tokenizer(self.path / "tokenizer.json")
        if tokenizer.fingerprint != self.about["tokenizer_fingerprint"]:
            raise BadInput(f"The tokenizer in {self.path} is not the one this model was trained with: restore it.")
        return tokenizer


def begin(job: Job, model: "GPT", tokenizer: Any, device: Any, **facts: Any) -> None:
    """All is checked: config.json says what is being made, and the tokenizer lies beside it."""
    import torch

    from insideout.machine import accelerator, machine
    from insideout.transformer.exchange.hub_tokenizer import HubTokenizer

    facts["stop_ids"] = list(tokenizer.stop_ids) if isinstance(tokenizer, HubTokenizer) else None
    job.begin(
        model=to_dict(model.config), vocab_size=tokenizer.vocab_size, n_parameters=model.n_parameters,
        tokenizer_fingerprint=tokenizer.fingerprint, machine=machine(accelerator(device)),
        threads=torch.get_num_threads(), **facts,
    )  # fmt: skip
    if facts["stop_ids"] is None:
        tokenizer.save(job.folder / "tokenizer.json")
    else:
        tokenizer.theirs.save_pretrained(job.folder / HUB_TOKENIZER)


def hub_tokenizer(folder: Path, stop_ids: Any) -> Any:
    """The Hub model's tokenizer that `begin` kept. Raises BadInput where it cannot be read."""
    from insideout.transformer.exchange.families import import_transformers
    from insideout.transformer.exchange.hub_tokenizer import HubTokenizer

    try:
        theirs = import_transformers().AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return HubTokenizer(theirs, stop_ids)
    except BadInput:
        raise
    except Exception as error:  # each kind of file has errors of its own
        raise BadInput(f"The tokenizer in {folder} is damaged ({first_line(error)}): restore it.") from error


def fit(
    job: Job,
    model: Any,
    tokenizer: Any,
    objective: "Objective",
    batch_at: "Source | BatchFunction",
    config: "TrainConfig",
    measure: Callable[[Any], tuple[dict[str, float], str]],
    device: Any,
    *,
    prompt: str = "",
    facts: Mapping[str, Any] | None = None,
    ended: Callable[[], Mapping[str, Any]] = dict,
) -> None:
    """Train a model into a job's folder, and say how it ended: what all stages that train one have in common.

    `measure` gives what held-out data say and something that the model wrote, or "". `facts` go into config.json, what
    `ended` gives into result.json, beside the last measurement.
    """
    from insideout.recipes.texts import Samples
    from insideout.training import distributed
    from insideout.training.events import Event, Measured, Sample, Started
    from insideout.training.loop import train

    samples, latest = Samples(job.folder / "samples.jsonl"), ""

    def validate(model: Any) -> dict[str, float]:
        nonlocal latest
        found, latest = measure(model)
        return found

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            begin(job, model, tokenizer, device, **(facts or {}))
        job.tell(event)
        if isinstance(event, Measured) and latest:
            samples.add(event.step, latest)
            job.tell(Sample(event.step, latest, prompt))

    result = train(
        model, objective, batch_at, config, out=job.folder, validate=validate, on_event=listen,
        resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device,
        companions=companions_of(model.config, tokenizer.fingerprint),
    )  # fmt: skip
    model.eval()
    if distributed.is_main():
        last = {"validation_loss": result.validation_loss} | result.measured | dict(ended())
        job.end(**(dataclasses.asdict(result) | last))
    distributed.barrier()


def read(kind: type[LanguageModel], folder: Path, stage: str, settings: type[Any]) -> Any:
    """The result of a stage in a folder, as its kind. Raises BadInput where the folder holds none, or a damaged one."""
    file = folder / "config.json"
    if not file.is_file():
        raise BadInput(f"There is no run in {folder}: give the folder of one.")
    about = read_object(file)
    if about.get("format") != FORMAT or about.get("stage") != stage:
        raise BadInput(f"{file} is damaged or not of a run of {stage}: choose another folder.")
    check_types(about, FACTS, file, needed=FACTS)
    return kind(folder, about, from_dict(settings, about.get("config"), str(file)))
