"""The reward model: pairs of answers -> a number for an answer, the higher the likelier it is to be preferred.

    loss = −log σ(r_chosen − r_rejected − margin) + centring · (r_chosen + r_rejected)²

It goes on from the model whose answers are compared, with a head of one row in place of its own, and learns from the
recipe's pairs, or from a .jsonl. How right it is, is told beside how right the best judge could be: who draws pairs
from an annotator of known noise knows that ceiling.
Sources: Stiennon et al. 2020, §3.4; Ouyang et al. 2022, §3.5; centring: Eisenstein et al. 2023.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput
from insideout.recipes.job import Inputs, Job
from insideout.recipes.language_model import LanguageModel, fit, read
from insideout.recipes.pair_tuning import PairTuning, chosen_pairs, learned, sources
from insideout.recipes.pairs import ceiling
from insideout.recipes.runs import companions_of
from insideout.recipes.stage import Stage
from insideout.recipes.start import answering, chat_of
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from torch import Tensor

    from insideout.data.batch import Document
    from insideout.finetuning.reward_model import RewardModel


@dataclass(frozen=True)
class RewardConfig(PairTuning):
    """As for all that learns from pairs, and what its loss asks for."""

    margin: float = 0.0
    """By how much the chosen answer must be ahead."""
    centring: float = 0.01
    """How strongly scores are held near 0: else their mean may drift, since only differences are learned."""

    def __post_init__(self) -> None:
        for name in ("margin", "centring"):
            if getattr(self, name) < 0:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be at least 0.")


SETTINGS: dict[Scale, RewardConfig] = {
    "tiny": RewardConfig(
        train=TrainConfig(
            steps=8, batch_size=6, lr=2e-3, min_lr=2e-4, warmup_steps=2, weight_decay=0.0, precision="float32",
            eval_every=4, checkpoint_every=4,
        ),
    ),
    "laptop": RewardConfig(
        train=TrainConfig(
            steps=250, batch_size=32, lr=5e-4, min_lr=5e-5, warmup_steps=20, weight_decay=0.01, eval_every=50,
            checkpoint_every=125,
        ),
    ),
    "gpu": RewardConfig(
        train=TrainConfig(
            steps=800, batch_size=128, lr=1e-4, min_lr=1e-5, warmup_steps=40, weight_decay=0.01, eval_every=100,
            checkpoint_every=400,
        ),
    ),
}  # fmt: skip

HELD_OUT = (
    Metric("validation_loss", "held-out loss", unit="nats a pair", section="Loss", words="Knowing nothing: 0.693."),
    Metric("held_out_accuracy", "held-out pairs in the right order", unit="%", section="Accuracy", better="higher"),
    Metric("held_out_margin", "held-out, chosen less rejected", section="Scores", better="higher"),
)  # fmt: skip


class Rewarder(LanguageModel):
    """A reward model on disk."""

    def model(self, device: str = "cpu") -> "RewardModel":  # type: ignore[override]
        """The reward model of the newest checkpoint, dropout off. `model().score(batch)` gives (D,)."""
        from insideout.finetuning.reward_model import RewardModel
        from insideout.training import checkpoint
        from insideout.transformer.model import GPT

        newest, config = self.newest(), self.model_config()
        found = checkpoint.load(newest)
        checkpoint.check_companions(newest, found.state, companions_of(config, self.about["tokenizer_fingerprint"]))
        model = RewardModel.of(GPT(config))
        checkpoint.load_model(model, found.model)
        return model.eval().to(device)

    def chat(self) -> Any:
        """How the conversations are written down that it scores."""
        return chat_of(self.tokenizer(), self.about["template"])

    def score(self, conversations: Sequence[Sequence[Any]], device: str = "cpu") -> list[float]:
        """A number for each conversation's last answer. Raises BadInput for one that has none, or is too long."""
        from insideout.finetuning.preferences import answer_document

        chat, model = self.chat(), self.model(device)
        documents = [answer_document(chat, talk[:-1], talk[-1].content) for talk in conversations]
        for number, document in enumerate(documents, 1):
            n = sum(len(segment.ids) for segment in document)
            if n > model.config.context_length:
                raise BadInput(f"Conversation {number} has {n} tokens, and the reward model's context holds "
                               f"{model.config.context_length}: shorten it, or leave it out.")  # fmt: skip
        return scores_of(model, documents, chat.pad_id).tolist()


def scores_of(model: "RewardModel", documents: "Sequence[Document]", pad_id: int) -> "Tensor":
    """A number for each document, (D,), read a few at a time."""
    import torch

    from insideout.data.batch import padded

    device = next(model.parameters()).device
    parts = [documents[first : first + 64] for first in range(0, len(documents), 64)]
    return torch.cat([model.score(padded(part, pad_id).to(device)).cpu() for part in parts])


def make(config: RewardConfig, inputs: Inputs, job: Job) -> None:
    """Train a reward model on pairs, the result last."""
    import torch

    from insideout.data.batch import padded
    from insideout.estimates import proportion
    from insideout.finetuning.losses import bradley_terry
    from insideout.finetuning.reward_model import RewardModel, agreement, calibration, reward_objective, sides
    from insideout.machine import choose_device
    from insideout.training import distributed
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    start = answering(config.model, inputs)
    model = RewardModel.of(start.model(), config.train.seed)
    chat, pairs = start.chat, learned(config, inputs, start.chat, model.config.context_length)
    objective = reward_objective(margin=config.margin, centring_weight=config.centring)
    scored: Any = None

    def batch_at(step: int, micro_step: int) -> Any:
        place = (step * config.train.accumulation + micro_step) * distributed.data_ranks(config.train.parallel)
        place += distributed.data_rank(config.train.parallel)
        chosen = chosen_pairs(pairs.train, config.train.batch_size, place, config.train.seed)
        return padded([pairs.train[i] for i in chosen], chat.pad_id)

    def measure(model: Any) -> tuple[dict[str, float], str]:
        nonlocal scored
        with torch.autocast(device.type, enabled=False):
            scored = sides(scores_of(model, pairs.held_out, chat.pad_id))
        found = {
            "validation_loss": bradley_terry(*scored).mean(), "held_out_accuracy": agreement(*scored).mean(),
            "held_out_margin": (scored[0] - scored[1]).mean(),
        }  # fmt: skip
        return {name: float(value) for name, value in found.items()}, ""

    def ended() -> dict[str, Any]:
        if scored is None:  # nothing was left to do
            measure(model)
        right = int((scored[0] > scored[1]).sum())
        accuracy = proportion(right, len(scored[0]))
        known = None if pairs.known is None else ceiling(pairs.known)
        return {
            "accuracy_low": accuracy.low, "accuracy_high": accuracy.high, "ceiling": known,
            "share_of_ceiling": None if known is None else accuracy.mean / known,
            "calibration_error": calibration(*scored).error, "n_held_out": len(scored[0]),
        }  # fmt: skip

    fit(
        job, model, start.tokenizer, Objective(objective.loss, (*HELD_OUT, *objective.metrics), counted="pairs"),
        batch_at, config.train, measure, device, facts={"template": start.template}, ended=ended,
    )  # fmt: skip


def load(folder: Path) -> Rewarder:
    """The reward model in a folder."""
    found: Rewarder = read(Rewarder, folder, "reward", RewardConfig)
    return found


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.finetuning.reward_model import METRICS
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result = run.result() or {}

    def share(name: str) -> str:
        return figure(None if result.get(name) is None else 100 * result[name], 1) + " %"

    cards = (
        Card("held-out pairs in the right order", share("held_out_accuracy"),
             f"of {result.get('n_held_out', 0):,}; 95% interval {share('accuracy_low')} to {share('accuracy_high')}"),
        Card("the best judge there could be", share("ceiling"), "agrees so often, where that is known"),
        Card("share of that", share("share_of_ceiling")),
        Card("calibration error", figure(result.get("calibration_error"), 3), "of its confidence in held-out pairs"),
    )  # fmt: skip
    return write_report(
        run, together((*HELD_OUT, *METRICS), "pairs"), title="A reward model",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "reward", "A model that scores answers, learned from pairs.", SETTINGS, make, load,
    needs={"model": "sft", "data": "pairs"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
