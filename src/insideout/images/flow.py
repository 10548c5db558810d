"""Flow matching: the objective that a model of pictures is trained by, and how pictures are drawn with it.

    loss = E ‖ model(x_t, t, class) − (a'(t) data + s'(t) noise) ‖² / numbers of a picture

t, the noise and the pictures whose class is dropped are drawn anew at every step. A coin is thrown for every picture:
one coin for the whole batch would leave steps without a null class and steps with nothing else.
Shapes: B pictures. Used in part 5. Sources: Lipman et al. 2022, eq. 14; Ho and Salimans 2022, algorithm 1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from insideout.checks import real, whole
from insideout.errors import BadInput
from insideout.images.guidance import guided
from insideout.images.paths import LINEAR, Path, conditional_velocity, interpolate
from insideout.images.solvers import Field, Solution, Solver, solve
from insideout.images.time_sampling import logit_normal, uniform
from insideout.training.metrics import Metric

__all__ = ["FLOW_METRICS", "Times", "draw_pictures", "drop_labels", "field_of", "flow_loss", "held_out_loss"]

Times = Literal["uniform", "logit_normal"]
Loss = Callable[[nn.Module, Mapping[str, Tensor]], tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]]

FLOW_METRICS = (
    Metric("loss", "training loss", unit="per number of a picture", section="Loss"),
    Metric("validation_loss", "held-out loss", section="Loss",
           words="Held-out loss is measured with the same noise and the same times each time. It cannot reach 0: what "
           "led to a noisy picture is not known."),
    Metric("loss_near_noise", "loss at t below ½", section="Loss by time"),
    Metric("loss_near_data", "loss at t from ½", section="Loss by time"),
    Metric("null_share", "pictures without their class", unit="%", section="", live=False),
)  # fmt: skip


def flow_loss(path: Path = LINEAR, times: Times = "logit_normal", label_dropout: float = 0.1) -> Loss:
    """The loss for insideout.training: a batch holds pictures (B, C, H, W) and, for a model with classes, labels (B,).

    Gives (Σ over pictures of the mean square, how many pictures, {metric: (Σ, count)}).
    Raises BadInput for a label_dropout outside [0, 1], or another name of times.
    """
    if not 0 <= label_dropout <= 1:
        raise BadInput(f"label_dropout is {label_dropout}: it must lie between 0 and 1.")
    if times not in ("uniform", "logit_normal"):
        raise BadInput(f"There are no times called {times!r}: choose uniform or logit_normal.")

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]:
        data = batch["pictures"]
        n = len(data)
        t = (uniform(n) if times == "uniform" else logit_normal(n)).to(data.device)
        noise = torch.randn_like(data)
        told = dict(batch)
        del told["pictures"]
        found: dict[str, tuple[Tensor, Tensor]] = {}
        if "labels" in told:
            null = int(model.n_classes)  # type: ignore[arg-type]
            told["labels"] = drop_labels(told["labels"], null, label_dropout)
            found["null_share"] = ((told["labels"] == null).sum(), torch.tensor(n))
        error = squared_error(model, data, noise, t, path, told)  # (B,)
        near_data = t >= 0.5
        seen = error.detach()
        found["loss_near_noise"] = (seen[~near_data].sum(), (~near_data).sum())
        found["loss_near_data"] = (seen[near_data].sum(), near_data.sum())
        return error.sum(), torch.tensor(n), found

    return loss


def squared_error(
    model: nn.Module, data: Tensor, noise: Tensor, t: Tensor, path: Path, told: Mapping[str, Tensor]
) -> Tensor:
    """Mean square of the error in the velocity, of each picture. -> (B,)"""
    x = interpolate(data, noise, t, path)
    error = model(x, t, **told).float() - conditional_velocity(data, noise, t, path)
    return error.square().flatten(1).mean(1)


def drop_labels(labels: Int64[Tensor, " B"], null_class: int, share: float) -> Int64[Tensor, " B"]:
    """The labels, about this share of them replaced by the null class: a coin for every picture.

    Raises BadInput for a share outside [0, 1].
    """
    if not 0 <= real("share", share) <= 1:
        raise BadInput(f"share is {share}: it must lie between 0 and 1.")
    dropped = torch.rand(labels.shape, device=labels.device) < share
    return torch.where(dropped, null_class, labels)


def held_out_loss(
    model: nn.Module, data: Float[Tensor, "N C H W"], labels: Int64[Tensor, " N"] | None = None, path: Path = LINEAR,
    batch_size: int = 256, seed: int = 0,
) -> float:  # fmt: skip
    """The loss on held-out pictures, at times spread evenly over [0, 1], with the same noise for the same seed.

    Raises BadInput for no pictures, another number of labels, and a batch_size below 1.
    """
    whole("batch_size", batch_size, 1)
    if not len(data) or (labels is not None and len(labels) != len(data)):
        found = "no" if labels is None else f"{len(labels)}"
        raise BadInput(f"{len(data)} pictures and {found} labels: give at least one picture, and a label to each.")
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(data.shape, generator=generator)
    t = (torch.randperm(len(data), generator=generator) + 0.5) / len(data)
    device = next(model.parameters()).device
    total = 0.0
    with torch.no_grad():
        for rows in torch.split(torch.arange(len(data)), batch_size):
            told = {} if labels is None else {"labels": labels[rows].to(device)}
            pictures, noises, times = data[rows].to(device), noise[rows].to(device), t[rows].to(device)
            total += float(squared_error(model, pictures, noises, times, path, told).sum())
    return total / len(data)


def field_of(model: nn.Module, labels: Int64[Tensor, " B"] | None = None, **told: Tensor) -> Field:
    """A model's velocity field for pictures of these classes, or of none, for the solvers."""

    def field(x: Tensor, t: Tensor) -> Tensor:
        return model(x, t, **({} if labels is None else {"labels": labels}), **told)

    return field


@torch.no_grad()
def draw_pictures(
    model: nn.Module, labels: Sequence[int] | Int64[Tensor, " B"] | None, shape: tuple[int, int, int], *, n: int = 1,
    n_steps: int = 20, solver: Solver = "heun", guidance: float = 1.0, interval: tuple[float, float] = (0.0, 1.0),
    seed: int = 0, keep_trajectory: bool = False,
) -> Solution:  # fmt: skip
    """Pictures of these classes, drawn from noise; n of no class where labels is None. shape is (C, H, W).

    Picture i begins with the same noise whatever the others, the guidance and the steps. Raises BadInput for a label
    out of range, a number of steps below 1, a guidance that is no number or needs classes that the model does not know.
    """
    n_classes = int(model.n_classes)  # type: ignore[arg-type]
    device = next(model.parameters()).device
    if labels is None:
        classes = None
    else:
        classes = _classes(labels)
        if not n_classes:
            raise BadInput("This model knows no classes: give it no labels.")
        if len(classes) and not 0 <= int(classes.min()) <= int(classes.max()) < n_classes:
            wrong = int(classes[(classes < 0) | (classes >= n_classes)][0])
            raise BadInput(f"The label {wrong} is out of range: the classes go from 0 to {n_classes - 1}.")
        n, classes = len(classes), classes.to(device)
    if whole("n", n, 0) < 1:
        raise BadInput("There is no picture to draw: ask for at least 1.")
    if not 1 <= whole("steps", n_steps, 0) <= 10_000:
        raise BadInput(f"steps is {n_steps}: it must lie between 1 and 10,000.")
    if guidance != 1 and classes is None:
        raise BadInput(
            f"guidance is {guidance:g}, and no class is asked for: there is nothing to guide to. Leave it at 1."
        )
    field = guided(field_of(model, classes), field_of(model), guidance, interval)
    was_training = model.training
    model.eval()
    start = noise_for(n, shape, seed).to(device)
    try:
        return solve(field, start, n_steps, solver, keep_trajectory=keep_trajectory)
    finally:
        model.train(was_training)


def _classes(labels: Sequence[int] | Tensor) -> Int64[Tensor, " B"]:
    """One class a picture. Raises BadInput for fractions, which would be cut off, and another shape."""
    given = torch.as_tensor(labels)
    if given.dim() != 1 or (given.numel() and (given.is_floating_point() or given.dtype == torch.bool)):
        raise BadInput("The labels are one list of whole numbers, a class to each picture.")
    return given.to(torch.int64)


def noise_for(n: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Noise for n pictures, the first k the same for every n. -> (n, *shape)"""
    generator = torch.Generator().manual_seed(whole("seed", seed, 0, 2**63 - 1))
    return torch.stack([torch.randn(shape, generator=generator) for _ in range(n)])
