"""A model and data small enough to train in milliseconds; every batch is a function of the step."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.training.config import TrainConfig

VOCABULARY = 11


class Tiny(nn.Module):
    """Embedding, a hidden layer with dropout, a head."""

    def __init__(self, dropout: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(VOCABULARY, 8)
        self.blocks = nn.ModuleList([nn.Linear(8, 16), nn.Linear(16, 8)])
        self.norm = nn.LayerNorm(8)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, VOCABULARY, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        x = x + self.blocks[1](self.dropout(torch.relu(self.blocks[0](x))))
        return self.head(self.norm(x))


def batch(seed: int, rows: int = 4, length: int = 6) -> tuple[Tensor, Tensor]:
    """Ids and targets; a varying number of targets is masked, so that counts differ between batches."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(VOCABULARY, (rows, length), generator=generator)
    targets = (3 * ids + 1) % VOCABULARY
    targets[0, : seed % 4] = -100
    return ids, targets


def loss_fn(model: nn.Module, ids_and_targets: Any) -> tuple[Tensor, int]:
    ids, targets = ids_and_targets
    loss = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    return loss, int((targets != -100).sum())


def batch_at(step: int, micro_step: int) -> tuple[Tensor, Tensor]:
    return batch(1000 * step + micro_step)


def validate(model: nn.Module) -> float:
    loss, count = loss_fn(model, batch(999_999))
    return float(loss) / count


def config(**changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "steps": 12, "warmup_steps": 3, "lr": 0.01, "min_lr": 0.001, "accumulation": 2, "precision": "float32",
        "eval_every": 4, "checkpoint_every": 3, "optimizer": "muon",
    }  # fmt: skip
    return TrainConfig(**(values | changes))


def fingerprint(model: nn.Module) -> str:
    """Every bit of the weights."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().numpy().tobytes())
    return digest.hexdigest()


def losses(out: Path) -> list[tuple[Any, ...]]:
    """The metrics without the clock's."""
    from insideout.training.metrics import read

    return [tuple(r.get(key) for key in ("step", "loss", "lr", "validation_loss")) for r in read(out / "metrics.jsonl")]


def records(out: Path) -> list[dict[str, Any]]:
    """All metrics."""
    from insideout.training.metrics import read

    return read(out / "metrics.jsonl")


class Replay:
    """A source with a memory, as reinforcement learning has: a buffer of what the model itself wrote, refilled now and
    then, from which batches are drawn again and again."""

    def __init__(self, model: nn.Module, every: int = 3) -> None:
        self.model, self.every = model, every
        self.buffer = torch.zeros(0, 6, dtype=torch.long)
        self.counts: dict[str, Any] = {"filled": 0, "history": []}

    @torch.no_grad()
    def fill(self) -> None:
        """Sixteen rows, each token drawn from the model's own distribution after the one before."""
        self.model.eval()
        ids = torch.randint(VOCABULARY, (16, 1))
        for _ in range(5):
            ids = torch.cat([ids, torch.multinomial(self.model(ids)[:, -1].softmax(-1), 1)], 1)
        self.model.train()
        self.buffer = torch.cat([self.buffer, ids])[-24:]
        self.counts["filled"] += 1
        self.counts["history"].append(int(ids.sum()))

    def batch_at(self, step: int, micro_step: int) -> tuple[Tensor, Tensor]:
        if micro_step == 0 and (step % self.every == 0 or not len(self.buffer)):
            self.fill()
        ids = self.buffer[torch.randint(len(self.buffer), (4,))]
        return ids, (3 * ids + 1) % VOCABULARY

    def state(self) -> dict[str, Any]:
        return {"buffer": self.buffer, **self.counts}

    def load_state(self, state: Any) -> None:
        self.buffer = state["buffer"]
        self.counts = {name: state[name] for name in ("filled", "history")}
