"""Supervised fine-tuning: conversations -> the assistant's words and its stop are learned -> a model that answers.

    loss = −Σ w_t log P(id_t | ids before) / Σ w_t        w_t: 1 on the assistant's words and stop, else prompt_weight

It goes on from the base model, or from any other: one of ours by its folder, whose vocabulary gets the template's
tokens, or a pretrained one from the Hub, which keeps the template that it was tuned in. It learns from the town's
demonstrations, drawn anew for each step, or from a .jsonl of conversations. `lora` does the same with the model frozen.
Taught in book/3-fine-tuning-a-transformer/04_supervised_fine_tuning.md.
Sources: Ouyang et al. 2022 (InstructGPT), §3.5; Taori et al. 2023 (Alpaca).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.files import content_of, expanded
from insideout.recipes.found import trained
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import LanguageModel, begin, read
from insideout.recipes.pretrained import Pretrained
from insideout.recipes.runs import companions_of
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.events import Event, Measured, Note, Sample, Started
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from torch import nn

    from insideout.data.batch import Batch, Document
    from insideout.data.suite import Message
    from insideout.finetuning.chat import ChatFormat
    from insideout.finetuning.hub_chat import HubChat
    from insideout.transformer.generation.writer import GPTWriter
    from insideout.transformer.model import GPT

TOWN = "town"


@dataclass(frozen=True)
class SFTConfig:
    """What it goes on from, what it learns from and in which format, and how it is trained."""

    model: str = ""
    """What to go on from: the folder of a run of ours, smollm2, a name on the Hub, or the folder or .gguf file of a
    pretrained model. Empty: the base model of the town."""
    data: str = TOWN
    """town, or the path of a .jsonl of conversations."""
    template: Literal["auto", "ours", "alpaca", "chatml", "llama"] = "auto"
    """How a conversation is written down. auto: as the model was tuned in; a model that never was, in ours."""
    prompt_weight: float = 0.0
    """How much of the user's words is learned as well; 0: none, 1: as much as the assistant's."""
    n_examples: int = 0
    """Learn from so many conversations, again and again. 0: from all; of the town, new ones each step."""
    row_length: int = 256
    """Tokens in a row: conversations are packed into rows of so many, and see nothing of each other."""
    questions: int = 100
    """Development questions of the town that are asked along the way."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained; batch_size counts conversations: of a fixed set, as many rows as hold so many on average."""

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput("data is empty: give town, or the path of a .jsonl of conversations.")
        if not 0 <= self.prompt_weight <= 1:
            raise BadInput(f"prompt_weight is {self.prompt_weight}; it must lie between 0 and 1.")
        if self.n_examples < 0 or self.row_length < 8 or self.questions < 2:
            raise BadInput("n_examples must be at least 0, row_length at least 8, and questions at least 2.")


SETTINGS: dict[Scale, SFTConfig] = {
    "tiny": SFTConfig(
        row_length=384, questions=4,
        train=TrainConfig(
            steps=20, batch_size=8, lr=2e-3, min_lr=2e-4, warmup_steps=3, optimizer="muon", precision="float32",
            eval_every=10, checkpoint_every=10,
        ),
    ),
    "laptop": SFTConfig(
        train=TrainConfig(
            steps=1800, batch_size=14, lr=4e-3, min_lr=1e-4, warmup_steps=20, optimizer="muon", eval_every=300,
            checkpoint_every=300,
        ),
    ),
    "gpu": SFTConfig(
        row_length=512, questions=300,
        train=TrainConfig(
            steps=6000, batch_size=256, lr=5e-4, min_lr=2e-5, warmup_steps=100, optimizer="muon", compile=True,
            eval_every=500, checkpoint_every=1000,
        ),
    ),
}  # fmt: skip

METRICS = (
    Metric("validation_loss", "held-out loss", unit="nats per token", section="Loss",
           words="Of the answers' tokens alone: what is only read does not count."),
    Metric("correct", "right answers", unit="%", section="Development questions", better="higher",
           words="The likeliest answer to questions of the development split, judged by the town's gold judge."),
    Metric("stop_rate", "answers that ended by themselves", unit="%", section="Development questions", better="higher"),
)  # fmt: skip


class Assistant(LanguageModel):
    """A model that answers."""

    suites = ("instructions",)
    """What it can be asked."""

    @property
    def template(self) -> str:
        """The name of the template that it was tuned in; own: the pretrained model's."""
        return str(self.about.get("template", self.config.template))

    def start(self) -> Any:
        """What it went on from. Raises BadInput where that is no longer there."""
        return trained(str(self.about["start"]))

    def chat(self) -> "ChatFormat | HubChat":
        """How it is spoken with."""
        return format_of(self.tokenizer(), self.template)

    def writer(self, temperature: float = 1.0) -> "GPTWriter":
        """The model, spoken with in the format that it was tuned in."""
        return self.chat().writer(self.model(), temperature)


def make(config: SFTConfig, inputs: Inputs, job: Job) -> None:
    """Tune a model on conversations, the result last."""
    tune(config, inputs, job)


def tune(
    config: SFTConfig,
    inputs: Inputs,
    job: Job,
    adapt: "Callable[[GPT], None] | None" = None,
    keep: "Callable[[GPT, str, Job], None] | None" = None,
) -> None:
    """Tune a model on conversations: all of it, or what `adapt` puts beside it. `keep` is handed the trained model."""
    import dataclasses

    import torch

    from insideout.data.batch import packed
    from insideout.finetuning.chat import learned_share
    from insideout.machine import choose_device
    from insideout.recipes.texts import Samples
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective
    from insideout.transformer.loss import next_token_loss

    device = distributed.start(choose_device(config.device))
    start = inputs["model"] if "model" in inputs else trained(config.model)
    template = template_of(start) if config.template == "auto" else config.template
    chat = start.chat() if template == "own" else format_of(start.tokenizer(), template)
    length = config.row_length
    tokenizer = chat.tokenizer
    model = grown(start.model(), tokenizer.vocab_size, config.train.seed)
    base = str(start.path.absolute()) if hasattr(start, "path") else str(start.name)
    if length > model.config.context_length:
        raise BadInput(f"row_length is {length}, more than the model's context of {model.config.context_length}.")
    if adapt is not None:
        adapt(model)
    batch_of, held_out, prompt = conversations(config, chat)
    share = learned_share(held_out)
    job.tell(Note(f"Of the tokens {share:.0%} are learned: the assistant's words and the stop"))
    samples, latest = Samples(job.folder / "samples.jsonl"), ""

    def batch_at(step: int, micro_step: int) -> Any:
        place = (step * config.train.accumulation + micro_step) * distributed.data_ranks(config.train.parallel)
        return batch_of(place + distributed.data_rank(config.train.parallel))

    def validate(model: "nn.Module") -> dict[str, float]:
        nonlocal latest
        total, count = 0.0, 0.0
        with torch.no_grad():
            for first in range(0, len(held_out), 64):
                batch = packed(held_out[first : first + 64], chat.pad_id, length).to(device)
                loss, n = next_token_loss(model, batch)
                total, count = total + float(loss), count + n
        with torch.autocast(device.type, enabled=False):
            found, latest = asked(chat.writer(model, 0.0), config, prompt)  # type: ignore[arg-type]
        return {"validation_loss": total / count, **found}

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            begin(job, model, tokenizer, device, learned_share=share, template=template, start=base)
        job.tell(event)
        if isinstance(event, Measured):
            samples.add(event.step, latest)
            job.tell(Sample(event.step, latest, ""))

    result = train(
        model, Objective(next_token_loss, METRICS), batch_at, config.train, out=job.folder, validate=validate,
        on_event=listen, resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device,
        companions=companions_of(model.config, tokenizer.fingerprint),
    )  # fmt: skip
    if distributed.is_main():
        if keep is not None:
            keep(model, base, job)
        job.end(**dataclasses.asdict(result), **{name: result.measured.get(name) for name in (m.name for m in METRICS)})
    distributed.barrier()


def template_of(start: Any) -> str:
    """The name of the template that a model speaks: that it was tuned in, own for a Hub model's, else ours."""
    if isinstance(start, Pretrained):
        return "own"
    return start.template if isinstance(start, Assistant) else str(start.about.get("template", "ours"))


def format_of(tokenizer: Any, template: str) -> "ChatFormat | HubChat":
    """A tokenizer's chat format, with the tokens it needs. Raises BadInput where it has no template of its own."""
    from insideout.finetuning.chat import ChatFormat, with_chat_tokens
    from insideout.finetuning.hub_chat import HubChat
    from insideout.finetuning.templates import TEMPLATES

    if template == "own":
        return HubChat(tokenizer)
    return ChatFormat(with_chat_tokens(tokenizer, TEMPLATES[template]), TEMPLATES[template])


def grown(model: "GPT", vocab_size: int, seed: int) -> "GPT":
    """A copy of the model with a row for every token, an adapter that it has merged into it."""
    from insideout.finetuning.lora import adapters, merged_copy
    from insideout.transformer.vocabulary import grow

    return grow(merged_copy(model) if adapters(model) else model, max(vocab_size, model.config.vocab_size), seed)


def conversations(
    config: SFTConfig, chat: "ChatFormat | HubChat"
) -> "tuple[Callable[[int], Batch], list[Document], Sequence[Message]]":
    """(the batch that is learned from at the n-th place, held-out conversations, a held-out prompt), all checked.

    Raises BadInput for a conversation that is longer than a row, with its line where it is from a file.
    """
    import random

    from insideout.data.batch import length_of, packed
    from insideout.data.conversations import read_conversations
    from insideout.data.town.instructions import Town
    from insideout.finetuning.messages import check_messages

    size, weight = config.train.batch_size, config.prompt_weight

    def documents(talks: Sequence[Any]) -> "list[Document]":
        return [chat.document(talk, prompt_weight=weight) for talk in talks]

    if config.data == TOWN:
        talks: Sequence[Any] = list(islice(Town().demonstrations("development"), 200))
        held_out, prompt = documents(talks), talks[0][:-1]
        if not config.n_examples:

            def anew(place: int) -> "Batch":
                stream = Town().demonstrations("train", (config.train.seed + 1) * 1_000_003 + place)
                return packed(documents(list(islice(stream, size))), chat.pad_id, config.row_length)

            return anew, held_out, prompt
        known = documents(list(islice(Town().demonstrations("train", config.train.seed), config.n_examples)))
    else:
        talks = read_conversations(expanded(config.data, "data"))
        every = documents(talks)
        for number, document in enumerate(every, 1):
            n = length_of(document)
            if n > config.row_length:
                raise BadInput(
                    f"{config.data}: conversation {number} has {n} tokens, and row_length is {config.row_length}: make "
                    "row_length larger, or leave it out."
                )
        order = list(range(len(every)))
        random.Random(0).shuffle(order)
        n_held_out = max(1, len(every) // 10)
        held_out = [every[i] for i in order[:n_held_out]]
        known = [every[i] for i in order[n_held_out:]][: config.n_examples or None]
        prompt = check_messages(talks[order[0]], answered=True)[:-1]
        if not known:
            raise BadInput(f"{config.data} has {len(every)} conversations: give at least 2, since a tenth is held out.")

    return again_and_again(known, size, config.row_length, chat.pad_id, config.train.seed), held_out, prompt


def again_and_again(
    known: "Sequence[Document]", size: int, row_length: int, pad_id: int, seed: int
) -> "Callable[[int], Batch]":
    """Batches of a fixed set by place: packed once as a whole, then in every epoch all rows in an order of its own.

    Each batch has as many rows as hold `size` documents on average, at least one.
    """
    import random
    from functools import lru_cache

    from insideout.data.batch import laid_out, length_of
    from insideout.data.packing import best_fit

    rows = best_fit([length_of(document) for document in known], row_length)
    at_once = max(1, round(size * len(rows) / len(known)))

    @lru_cache(maxsize=2)
    def order(epoch: int) -> list[int]:
        numbers = list(range(len(rows)))
        random.Random(f"{seed} {epoch}").shuffle(numbers)
        return numbers

    def batch_of(place: int) -> "Batch":
        taken: list[Document] = []
        chosen: list[list[int]] = []
        for at in range(place * at_once, (place + 1) * at_once):
            epoch, i = divmod(at, len(rows))
            row = rows[order(epoch)[i]]
            chosen.append(list(range(len(taken), len(taken) + len(row))))
            taken += [known[number] for number in row]
        return laid_out(chosen, taken, pad_id, row_length)

    return batch_of


def asked(writer: "GPTWriter", config: SFTConfig, prompt: "Sequence[Message]") -> tuple[dict[str, float], str]:
    """What development questions of the town find, and a held-out prompt with its answer, to be looked at.

    A model that learns from data of the reader's own is not asked about the town.
    """
    from statistics import fmean

    from insideout.data.town.instructions import Town

    town = Town()
    room = writer.model.config.context_length - len(writer.ids_of(tuple(prompt)))
    [[answer]] = writer.write([tuple(prompt)], 1, 0, town.max_new_tokens) if room > 0 else [[None]]
    shown = f"{prompt[-1].content}\n→ {'' if answer is None else answer.text}"
    if config.data != TOWN:
        return {}, shown
    questions = town.draw("development", config.questions)
    answers = [each for [each] in writer.write([q.prompt for q in questions], 1, 0, town.max_new_tokens)]
    right = [bool(town.judge(q, each.text)["correct"]) for q, each in zip(questions, answers, strict=True)]
    return {"correct": fmean(right), "stop_rate": fmean(bool(each.finished) for each in answers)}, shown


def sources(config: SFTConfig) -> dict[str, str]:
    """Fingerprints of what it reads from elsewhere."""
    import hashlib

    from insideout.data.conversations import read_conversations

    found = {}
    if config.data != TOWN:
        file = expanded(config.data, "data")
        read_conversations(file)  # a damaged line is told before the model that is to be tuned is made
        found["data"] = hashlib.sha256(content_of(file)).hexdigest()
    if config.model:
        found["model"] = trained(config.model).fingerprint
    return found


def load(folder: Path) -> Assistant:
    """The assistant in a folder."""
    found: Assistant = read(Assistant, folder, "sft", SFTConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return report_of(load(folder), "A model that answers")


def report_of(run: Assistant, title: str) -> Path:
    """Write the report.html of a tuned model; return its path."""
    from insideout.recipes.report import Card, figure, write_report

    result = run.result() or {}
    share = {name: None if result.get(name) is None else 100 * result[name] for name in ("correct", "stop_rate")}
    cards = (
        Card("right answers", figure(share["correct"], 0) + " %", "the likeliest, to development questions"),
        Card("ended by themselves", figure(share["stop_rate"], 0) + " %", "of these answers"),
        Card("held-out loss", figure(result.get("validation_loss"), 3), "nats per token of the answers"),
    )
    return write_report(
        run, together(METRICS, "tokens"), title=title,
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "sft", "The base model, tuned on conversations: it answers.", SETTINGS, make, load,
    needs={"model": "base"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
