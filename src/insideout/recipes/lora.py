"""LoRA: the supervised fine-tuning of `sft`, with the model frozen and an adapter beside it that is trained instead.

    insideout lora                                   beside the base model of the town
    insideout lora --model smollm2 --n-examples 240 --steps 60 --batch-size 8
    insideout lora --quantise nf4                    the model in 4 bits, which is QLoRA
    insideout chat --model RUN                       the model it began as, and its adapter

A stage of its own and no setting of `sft`, since nearly every number is another: AdamW in place of Muon, a rate about
ten times that of full tuning, no decay. What it does is `sft`'s, by the same function. Its checkpoints hold the adapter
alone, and are refused beside any other model than the one that it was learned beside. Where peft knows the
architecture, the folder `adapter` has it in peft's format as well.
New rows of a vocabulary that had to grow are frozen too; for a model whose own template is used, there are none.
Sources: Hu et al. 2021 (LoRA); Kalajdzievski 2023 (rsLoRA); Dettmers et al. 2023 (QLoRA).
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from insideout.errors import BadInput
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import read
from insideout.recipes.sft import Assistant, SFTConfig, report_of, sources, tune
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.events import Note

if TYPE_CHECKING:
    from insideout.transformer.model import GPT


@dataclass(frozen=True)
class LoRATuning(SFTConfig):
    """As sft, and how large the adapter is, how strong, and where."""

    rank: int = 16
    """Rows of A, columns of B."""
    alpha: float = 16.0
    """The product B A is scaled by alpha / rank."""
    targets: tuple[str, ...] = ("blocks.*",)
    """Beside which linear layers, by patterns or ends of their names: value, attention.output, blocks.0.*."""
    rslora: bool = False
    """Scale by alpha / √rank instead."""
    dropout: float = 0.0
    """Of what A reads, while training."""
    quantise: Literal["no", "int8", "nf4"] = "no"
    """Keep the frozen matrices of the blocks in 8 or 4 bits: less memory, more time."""
    train: TrainConfig = field(default_factory=lambda: TrainConfig(weight_decay=0.0))
    """How it is trained; batch_size counts conversations: of a fixed set, as many rows as hold so many on average."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1 or not 0 < self.alpha < float("inf") or not 0 <= self.dropout < 1 or not self.targets:
            raise BadInput(
                f"rank is {self.rank}, alpha {self.alpha}, dropout {self.dropout}, with {len(self.targets)} targets: "
                "rank must be at least 1, alpha above 0, dropout from 0 to below 1, and there must be a target."
            )
        if self.train.optimizer == "muon":
            raise BadInput("optimizer is muon, which is for whole hidden matrices: an adapter is trained by adamw.")


SETTINGS: dict[Scale, LoRATuning] = {
    "tiny": LoRATuning(
        row_length=384, questions=4, rank=4,
        train=TrainConfig(
            steps=20, batch_size=8, lr=1e-2, min_lr=1e-3, warmup_steps=3, weight_decay=0.0, precision="float32",
            eval_every=10, checkpoint_every=10,
        ),
    ),
    "laptop": LoRATuning(
        train=TrainConfig(
            steps=1500, batch_size=24, lr=5e-3, min_lr=2e-4, warmup_steps=20, weight_decay=0.0, eval_every=300,
            checkpoint_every=300,
        ),
    ),
    "gpu": LoRATuning(
        row_length=512, questions=300, rank=32,
        train=TrainConfig(
            steps=6000, batch_size=256, lr=2e-3, min_lr=1e-4, warmup_steps=100, weight_decay=0.0, compile=True,
            eval_every=500, checkpoint_every=1000,
        ),
    ),
}  # fmt: skip

ADAPTER = "adapter"
"""Where a run keeps it in peft's format."""


class Adapted(Assistant):
    """A model that answers by an adapter. Its base is looked for where it was; the adapter is in the run itself."""

    def model(self, device: str = "cpu") -> "GPT":
        """The base with its adapter beside it. Raises BadInput where the base is gone, or is another."""
        from insideout.recipes.sft import grown
        from insideout.training import checkpoint

        model = grown(self.start().model(), self.about["vocab_size"], self.config.train.seed)
        adapt(model, self.config)
        checkpoint.load_into(self.newest(), model)
        return model.eval().to(device)


def adapt(model: "GPT", config: LoRATuning) -> None:
    """Freeze the model, in as many bits as these settings ask for, and put the adapter beside it."""
    from insideout.finetuning.lora import LoRAConfig, add_adapter
    from insideout.finetuning.quantised import quantise_linears

    if config.quantise != "no":
        quantise_linears(model, config.quantise)
    wanted = LoRAConfig(config.rank, config.alpha, config.targets, config.dropout, config.rslora)
    add_adapter(model, wanted, seed=config.train.seed)


def make(config: LoRATuning, inputs: Inputs, job: Job) -> None:
    """Learn an adapter from conversations, the result last."""
    tune(config, inputs, job, lambda model: adapt(model, config), keep)


def keep(model: "GPT", base: str, job: Job) -> None:
    """Write the adapter in peft's format, where peft knows the architecture."""
    from insideout.finetuning.peft_files import save_adapter

    shutil.rmtree(job.folder / ADAPTER, ignore_errors=True)
    try:
        save_adapter(model, job.folder / ADAPTER, base=base)
    except BadInput as error:
        job.tell(Note(f"Not kept in peft's format: {error}"))


def load(folder: Path) -> Adapted:
    """The base and its adapter, by the folder of the run."""
    found: Adapted = read(Adapted, folder, "lora", LoRATuning)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    return report_of(load(folder), "A model that answers, by an adapter")


STAGE = Stage(
    "lora", "The base model, frozen, with an adapter that was tuned on conversations: it answers.", SETTINGS, make,
    load, needs={"model": "base"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
