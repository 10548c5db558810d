"""Pretraining: text -> tokens -> a GPT that predicts the next one -> a run directory with a report.

    bits per byte = loss / (ln 2 · bytes per token)

so that runs with different tokenizers can be compared. The first stage of the models' life, and what `insideout train`
runs; part 2 of the book uses its result.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.files import cache_folder
from insideout.machine import accelerator, choose_device, machine, memory
from insideout.recipes.job import Inputs, Job
from insideout.recipes.runs import Run, companions_of
from insideout.recipes.settings import first_difference
from insideout.recipes.stage import Stage
from insideout.recipes.texts import (
    Samples,
    bits_per_nat,
    held_out_loss,
    make_tokenizer,
    sample,
    usable_prompt,
)
from insideout.scales import Scale, scale
from insideout.training.config import LATER, TrainConfig
from insideout.training.events import Event, Measured, Note, Sample, Started
from insideout.training.metrics import Metric, together
from insideout.transformer.config import GPTConfig
from insideout.words import duration

if TYPE_CHECKING:
    from torch import nn

    from insideout.data.text.corpus import Corpus

PROMPT = "The "


@dataclass(frozen=True)
class PretrainConfig:
    """What to learn from, how the text becomes tokens, the model, and how it is trained."""

    corpus: tuple[str, ...] = ("python-docs",)
    """Names (python-docs, tinyshakespeare, …) or paths of text files, JSON lines or folders."""
    tokenizer: Literal["bpe", "character"] = "bpe"
    """bpe learns vocab_size tokens from the corpus; with character, the corpus's characters are the vocabulary."""
    validation_fraction: float = 0.1
    """Share of the corpus, from its end, that is held out."""
    validation_tokens: int = 16_384
    """Held-out tokens measured along the way; after the last step all of them are. 0: always all."""
    sample_prompt: str = PROMPT
    """How the samples along the way begin."""
    sample_tokens: int = 96
    """Length of these samples. 0: none."""
    short_until: float = field(default=0.0, metadata=LATER)
    """Share of the steps, the first ones, that train on half the context and twice as many windows. 0: none."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: GPTConfig = field(default_factory=GPTConfig)
    """The model's sizes and choices."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not self.corpus:
            raise BadInput("No corpus was given: name one, such as python-docs, or give the path of a text file.")
        if not 0 < self.validation_fraction < 1:
            raise BadInput(f"validation_fraction is {self.validation_fraction}; it must lie between 0 and 1.")
        if self.validation_tokens < 0 or self.sample_tokens < 0:
            raise BadInput("validation_tokens and sample_tokens must be at least 0.")
        if not 0 <= self.short_until <= 1:
            raise BadInput(f"short_until is {self.short_until}; it must be at least 0 and at most 1.")
        if self.short_until and self.model.context_length < 2:
            raise BadInput("short_until needs a context_length of at least 2: half of it must be a context, too.")
        if not self.sample_prompt:
            raise BadInput("sample_prompt is empty: give at least one character.")
        if self.sample_tokens >= self.model.context_length:
            raise BadInput(
                f"sample_tokens {self.sample_tokens} does not fit in the context length "
                f"{self.model.context_length}: make it smaller."
            )


SETTINGS: dict[Scale, PretrainConfig] = {
    "tiny": PretrainConfig(
        validation_tokens=2048,
        sample_tokens=24,
        model=GPTConfig(vocab_size=512, context_length=32, d_model=32, n_layers=2, n_heads=2),
        train=TrainConfig(
            steps=40, batch_size=8, lr=3e-3, min_lr=3e-4, warmup_steps=5, optimizer="muon", precision="float32",
            eval_every=20, checkpoint_every=20,
        ),
    ),
    "laptop": PretrainConfig(
        model=GPTConfig(vocab_size=2048, context_length=256, d_model=192, n_layers=4, n_heads=6),
        train=TrainConfig(
            steps=400, batch_size=8, lr=3e-3, min_lr=1e-4, warmup_steps=20, optimizer="muon", eval_every=50,
            checkpoint_every=200,
        ),
    ),
    "gpu": PretrainConfig(
        validation_tokens=131_072,
        sample_tokens=128,
        model=GPTConfig(vocab_size=8192, context_length=1024, d_model=768, n_layers=12, n_heads=12),
        train=TrainConfig(
            steps=5000, batch_size=32, accumulation=4, lr=1e-3, min_lr=1e-4, warmup_steps=200, optimizer="muon",
            compile=True, eval_every=250, checkpoint_every=1000,
        ),
    ),
}  # fmt: skip


def pretrain_config(at: Scale | None = None) -> PretrainConfig:
    """The settings of this stage at a scale, by default the present one."""
    return SETTINGS[at or scale()]


METRICS = (
    Metric("loss", "training loss", unit="nats per token", section="Loss"),
    Metric(
        "validation_loss", "held-out loss", unit="nats per token", section="Loss",
        words="Training loss is the mean over each step's batch; held-out loss is over the same part of the text each "
        "time, which is never trained on.",
    ),
    Metric("bits_per_byte", "bits per byte"),
)  # fmt: skip
"""What this stage shows beside what the loop measures by itself."""


def make(config: PretrainConfig, inputs: Inputs, job: Job) -> None:
    """Train a GPT as the config says, the result last."""
    import torch

    from insideout.data.text.corpus import load_corpus
    from insideout.data.text.tokens import prepare, sample_batch
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    device = distributed.start(choose_device(config.device))
    job.tell(Note(f"Reading {', '.join(config.corpus)}"))
    corpus = load_corpus(config.corpus)
    if job.resume:
        before = Run(job.folder)
        check_same(before, config, corpus)
        if lost := before.lost():
            job.tell(Note(f"{lost}: going on from there"))
    job.tell(Note(f"Learning the tokens of {corpus.n_bytes / 1e6:.1f} MB of text"))
    tokenizer = make_tokenizer(config.tokenizer, config.model.vocab_size, config.validation_fraction, corpus)
    model_config = dataclasses.replace(config.model, vocab_size=tokenizer.vocab_size)
    length, batch_size = model_config.context_length, config.train.batch_size
    data = prepare(corpus, tokenizer, cache_folder("data") / "tokens", config.validation_fraction, length)
    bits = bits_per_nat(data)
    prompt = usable_prompt(config.sample_prompt, PROMPT, tokenizer, corpus)
    if len(tokenizer.encode(prompt)) + config.sample_tokens > length:
        raise BadInput("sample_prompt and sample_tokens together exceed the context length: make one smaller.")
    if device.type == "cpu":
        check_fits(model_config, config.train, distributed.world_size())
    torch.manual_seed(config.train.seed)
    model = GPT(model_config)
    samples, latest = Samples(job.folder / "samples.jsonl"), ""

    def begin() -> None:
        job.settings = dataclasses.replace(config, sample_prompt=prompt)
        job.begin(
            vocab_size=tokenizer.vocab_size, n_parameters=model.n_parameters,
            tokenizer_fingerprint=tokenizer.fingerprint,
            corpus={"name": corpus.name, "fingerprint": corpus.fingerprint, "bytes": corpus.n_bytes},
            tokens={"train": len(data.train), "validation": len(data.validation)},
            bytes_per_token=data.validation_bytes_per_token, machine=machine(accelerator(device)),
            threads=torch.get_num_threads(),
        )  # fmt: skip
        tokenizer.save(job.folder / "tokenizer.json")

    def batch_at(step: int, micro_step: int) -> Any:
        rank = distributed.data_rank(config.train.parallel)
        rows, context = batch_shape(config, step)
        return sample_batch(data.train, step, rows, context, config.train.seed, micro_step, rank)

    def validate(model: "nn.Module") -> dict[str, float]:
        nonlocal latest
        latest = sample(model, tokenizer, prompt, config.sample_tokens) if config.sample_tokens else ""
        loss = held_out_loss(model, data.validation, length, batch_size, config.validation_tokens)
        return {"validation_loss": loss, "bits_per_byte": loss * bits}

    def listen(event: Event) -> None:
        if isinstance(event, Started):  # all is checked, what is gone on with too
            begin()
        job.tell(event)
        if isinstance(event, Measured) and latest:
            samples.add(event.step, latest)
            job.tell(Sample(event.step, latest, prompt))

    result = train(
        model, Objective(next_token_loss, METRICS), batch_at, config.train, out=job.folder, validate=validate,
        on_event=listen, resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device,
        companions=companions_of(model_config, tokenizer.fingerprint),
    )  # fmt: skip
    job.tell(Note("Measuring all of the held-out text"))
    model.eval()
    loss = held_out_loss(model, data.validation, length, batch_size, 0)  # by all: each may hold a slice
    if distributed.is_main():
        per_step = batch_size * config.train.accumulation * distributed.data_ranks(config.train.parallel)
        seen = result.step * per_step * length
        speed = seen / result.seconds if result.seconds else None
        ended = dataclasses.asdict(result) | {"validation_loss": loss, "bits_per_byte": loss * bits}
        job.end(**ended, tokens_seen=seen, tokens_per_second=speed)
    distributed.barrier()


def batch_shape(config: PretrainConfig, step: int) -> tuple[int, int]:
    """Windows of one forward pass at this step, and their length. At first they may be short, and twice as many."""
    rows, context = config.train.batch_size, config.model.context_length
    return (2 * rows, context // 2) if step < config.short_until * config.train.steps else (rows, context)


def check_same(before: Run, config: PretrainConfig, corpus: "Corpus") -> None:
    """A resumed run goes on with the text and settings it began with; of `train` the loop checks what may change."""
    if before.about["corpus"]["fingerprint"] != corpus.fingerprint:
        raise BadInput(f"The run in {before.path} was trained on another text: give the --corpus it began with.")
    may_change = ("corpus", "device", "sample_prompt", "sample_tokens", "validation_tokens", "train")
    if differs := first_difference(before.config, config, may_change):
        which, then, now = differs
        raise BadInput(f"The run in {before.path} has {which} {then}, not {now}: resume it with {then}.")


def check_fits(model: GPTConfig, train: TrainConfig, n_devices: int) -> None:
    """Raise BadInput, before anything is made, for what this machine's memory cannot hold: a bound from below.

    Weights, gradients and a moment of the matrices around attention and of the head; logits, and the residual stream.
    """
    attention = 2 * model.d_model * (model.n_heads + model.kv_heads) * model.head_width
    numbers = 3 * (model.n_layers * attention + model.vocab_size * model.d_model)
    numbers += train.batch_size * model.context_length * (model.vocab_size + model.n_layers * model.d_model)
    needed, there = 4 * numbers // n_devices, memory()
    if there is not None and needed > there:
        raise BadInput(
            f"This takes {needed / 2**30:,.0f} GiB of memory at the least, and this machine has {there / 2**30:,.0f}: "
            "choose smaller sizes, a shorter context or a smaller batch. insideout plan says what each of them takes."
        )


def texts(config: PretrainConfig) -> dict[str, str]:
    """The fingerprint of the text that it learns from."""
    from insideout.data.text.corpus import load_corpus

    return {"corpus": load_corpus(config.corpus).fingerprint}


def report(folder: Path) -> Path:
    """Write the report.html of a run in a folder; return its path."""
    from insideout.recipes.report import Card, Section, figure, table, write_report

    run = Run(folder)
    about, config, result = run.about, run.config, run.result() or {}
    name = ", ".join(Path(each).name or each for each in config.corpus)
    per_step = config.train.batch_size * config.train.accumulation * config.model.context_length
    seen = result.get("tokens_seen")
    passes = f", {seen / about['tokens']['train']:.2g} times the training text" if seen else ""
    chance = math.log(about["vocab_size"])
    steps = f"{result.get('step', len(run.metrics())):,} of {config.train.steps:,} steps"
    cards = (
        Card("bits per byte", figure(result.get("bits_per_byte"), 3), "on all held-out text"),
        Card("held-out loss", figure(result.get("validation_loss"), 3), f"nats per token; chance is {chance:.2f}"),
        Card("tokens per second", figure(result.get("tokens_per_second"), 0), "held-out measurements included"),
        Card("time", duration(result.get("seconds")), steps),
    )
    sizes = (
        ("parameters", f"{about['n_parameters']:,}"),
        ("vocabulary", f"{about['vocab_size']:,} tokens ({config.tokenizer})"),
        ("text", f"{about['corpus']['bytes']:,} bytes, {about['bytes_per_token']:.2f} bytes per token"),
        ("sha256 of the text", about["corpus"]["fingerprint"]),
        ("training tokens", f"{about['tokens']['train']:,}"),
        ("held-out tokens", f"{about['tokens']['validation']:,}"),
        ("tokens per step", f"{per_step:,}"),
        ("tokens seen", f"{seen:,}{passes}" if seen else "–"),
    )
    return write_report(
        run, together(METRICS, "tokens"), title=f"A GPT trained on {name}",
        lead=f"{about['n_parameters']:,} parameters, at {about['scale']} scale. Transformers from the Inside Out.",
        cards=cards, sections=[Section("Sizes", table(sizes))],
    )  # fmt: skip


STAGE = Stage(
    "pretrain", "The book's small GPT, pretrained on Python's own documentation.", SETTINGS, make, Run,
    sources=texts, free=("corpus", "device", "checkpoint_every"), report=report,
)  # fmt: skip
