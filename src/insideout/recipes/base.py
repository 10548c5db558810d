"""The base model: stories of the town -> tokens -> a GPT that goes on with a story. Nothing asks, nothing answers.

Its vocabulary is learned from stories and from questions, as a large model's is from all kinds of text; what it is
trained on is stories and plain facts alone. Where a story ends, the model learns to say the end token. The first stage
of part 3's model. Taught in book/3-fine-tuning-a-transformer/00_introduction.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import LanguageModel, begin, read
from insideout.recipes.runs import companions_of
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.events import Event, Measured, Note, Sample, Started
from insideout.training.metrics import Metric, together
from insideout.transformer.config import GPTConfig

if TYPE_CHECKING:
    from torch import nn

    from insideout.data.batch import Document
    from insideout.finetuning.chat import PlainWriter
    from insideout.recipes.scoreboard import HeldOut
    from insideout.transformer.tokenizer import BPETokenizer

PROMPT = "Anna was in the kitchen."
END, PAD = "<|end|>", "<|pad|>"


@dataclass(frozen=True)
class BaseConfig:
    """How many stories make the vocabulary and the held-out text, the model, and how it is trained."""

    tokenizer_texts: int = 3000
    """Stories, and as many questions, that the vocabulary is learned from."""
    validation_stories: int = 400
    """Held-out stories that the loss is measured on."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: GPTConfig = field(default_factory=GPTConfig)
    """The model's sizes and choices."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts stories, which are packed into rows of the context's length."""

    def __post_init__(self) -> None:
        if self.tokenizer_texts < 1 or self.validation_stories < 1:
            raise BadInput("tokenizer_texts and validation_stories must be at least 1.")


SETTINGS: dict[Scale, BaseConfig] = {
    "tiny": BaseConfig(
        tokenizer_texts=100, validation_stories=16,
        model=GPTConfig(vocab_size=400, context_length=384, d_model=32, n_layers=2, n_heads=2),
        train=TrainConfig(
            steps=30, batch_size=8, lr=3e-3, min_lr=3e-4, warmup_steps=5, optimizer="muon", precision="float32",
            eval_every=15, checkpoint_every=15,
        ),
    ),
    "laptop": BaseConfig(
        model=GPTConfig(vocab_size=1024, context_length=256, d_model=128, n_layers=4, n_heads=4),
        train=TrainConfig(
            steps=600, batch_size=32, lr=3e-3, min_lr=1e-4, warmup_steps=20, optimizer="muon", eval_every=100,
            checkpoint_every=200,
        ),
    ),
    "gpu": BaseConfig(
        tokenizer_texts=20_000, validation_stories=2000,
        model=GPTConfig(vocab_size=2048, context_length=512, d_model=512, n_layers=8, n_heads=8),
        train=TrainConfig(
            steps=4000, batch_size=512, lr=1e-3, min_lr=1e-4, warmup_steps=100, optimizer="muon", compile=True,
            eval_every=250, checkpoint_every=1000,
        ),
    ),
}  # fmt: skip

METRICS = (Metric("validation_loss", "held-out loss", unit="nats per token", section="Loss"),)


class Base(LanguageModel):
    """The base model of the town."""

    suites = ("instructions",)
    """What it can be asked."""

    def writer(self, temperature: float = 1.0) -> "PlainWriter":
        """The model, asked in the only way that it knows: by a text to go on with."""
        from insideout.finetuning.chat import PlainWriter

        tokenizer = self.tokenizer()
        return PlainWriter(self.model(), tokenizer, temperature, tokenizer.special_ids[END])

    def held_out(self) -> "HeldOut":
        """Stories that it was not trained on."""
        import numpy as np

        from insideout.data.text.tokens import Tokens
        from insideout.recipes.scoreboard import HeldOut

        texts = list(held_out_stories(self.config.validation_stories))
        tokenizer = self.tokenizer()
        ids = [id for text in texts for id in (*tokenizer.encode(text), tokenizer.special_ids[END])]
        length = self.config.model.context_length
        return HeldOut(Tokens(np.array(ids, dtype=np.uint32)), sum(map(len, texts)) / len(ids), length)


def held_out_stories(n: int) -> Iterator[str]:
    """Stories of the test split."""
    from insideout.data.town.stories import stories

    return islice(stories("test", 0), n)


def make(config: BaseConfig, inputs: Inputs, job: Job) -> None:
    """Train a GPT on stories, the result last."""
    import dataclasses

    import torch

    from insideout.data.batch import packed
    from insideout.machine import choose_device
    from insideout.recipes.texts import Samples, sample
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    device = distributed.start(choose_device(config.device))
    job.tell(Note("Learning the tokens of the town"))
    tokenizer = town_tokenizer(config.model.vocab_size, config.tokenizer_texts)
    model_config = dataclasses.replace(config.model, vocab_size=tokenizer.vocab_size)
    length, pad = model_config.context_length, tokenizer.special_ids[PAD]
    torch.manual_seed(config.train.seed)
    model = GPT(model_config)
    samples, latest = Samples(job.folder / "samples.jsonl"), ""

    def batch_at(step: int, micro_step: int) -> Any:
        rank = distributed.data_rank(config.train.parallel)
        seed = f"{config.train.seed} {step} {micro_step} {rank}"
        return packed(list(islice(documents(tokenizer, "train", seed), config.train.batch_size)), pad, length)

    def validate(model: "nn.Module") -> dict[str, float]:
        nonlocal latest
        room = length - len(tokenizer.encode(PROMPT))
        latest = sample(model, tokenizer, PROMPT, min(60, room))
        return {"validation_loss": story_loss(model, tokenizer, config.validation_stories, length)}

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            begin(job, model, tokenizer, device)
        job.tell(event)
        if isinstance(event, Measured):
            samples.add(event.step, latest)
            job.tell(Sample(event.step, latest, PROMPT))

    result = train(
        model, Objective(next_token_loss, METRICS), batch_at, config.train, out=job.folder, validate=validate,
        on_event=listen, resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device,
        companions=companions_of(model_config, tokenizer.fingerprint),
    )  # fmt: skip
    if distributed.is_main():
        job.end(**dataclasses.asdict(result), validation_loss=result.validation_loss)
    distributed.barrier()


@lru_cache(maxsize=2)
def town_tokenizer(vocab_size: int, n_texts: int) -> "BPETokenizer":
    """A vocabulary for the town, with the end and the pad token, from training stories and conversations."""
    from insideout.data.town.instructions import Town
    from insideout.data.town.stories import stories
    from insideout.transformer.tokenizer import BPETokenizer

    told = islice(stories("train", 1), n_texts)
    said = (" ".join(turn.content for turn in each) for each in islice(Town().demonstrations("train", 1), n_texts))
    return BPETokenizer.train([*told, *said], vocab_size, special_tokens=[PAD, END])


def documents(tokenizer: Any, split: Literal["train", "test"], seed: str) -> "Iterator[Document]":
    """Stories as documents, without end; each ends with the end token."""
    from insideout.data.batch import Segment
    from insideout.data.town.stories import stories

    source = int.from_bytes(seed.encode()) if split == "train" else 0
    for text in stories(split, source):
        yield [Segment([*tokenizer.encode(text), tokenizer.special_ids[END]], learn=True)]


def story_loss(model: "nn.Module", tokenizer: Any, n: int, length: int) -> float:
    """Mean loss in nats over the tokens of n held-out stories."""
    import torch

    from insideout.data.batch import packed
    from insideout.transformer.loss import next_token_loss

    device = next(model.parameters()).device
    told, total, count = documents(tokenizer, "test", ""), 0.0, 0.0
    with torch.no_grad():
        for first in range(0, n, 64):
            batch = packed(list(islice(told, min(64, n - first))), tokenizer.special_ids[PAD], length).to(device)
            loss, m = next_token_loss(model, batch)
            total, count = total + float(loss), count + m
    return total / count


def load(folder: Path) -> Base:
    """The base model in a folder."""
    found: Base = read(Base, folder, "base", BaseConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result = run.result() or {}
    cards = (
        Card("held-out loss", figure(result.get("validation_loss"), 3), "nats per token, on stories of the test split"),
    )
    return write_report(
        run, together(METRICS, "tokens"), title="A GPT that tells stories of the town",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "base", "A small GPT, pretrained on stories of the town.", SETTINGS, make, load,
    free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
