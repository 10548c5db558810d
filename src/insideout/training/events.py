"""What happens while something is trained, told to whoever listens: a progress bar, a notebook, a test.

    def listen(event: Event) -> None:
        if isinstance(event, Step): ...

The loop tells Started once, Step after each update, and Measured after each look at held-out data; what happens around
it (reading, tokenising, a sample that the model wrote) the stage tells by itself. Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from insideout.training.metrics import Metric


@dataclass(frozen=True)
class Note:
    """Something worth a line."""

    text: str


@dataclass(frozen=True)
class Started:
    """The loop begins."""

    step: int
    """Updates made before: 0, or where a resumed run goes on."""
    steps: int
    """Updates in all."""
    metrics: tuple[Metric, ...]
    """Everything that the coming events may hold, and how it is shown."""


@dataclass(frozen=True)
class Step:
    """One update was made. Numbers that this step did not have, or that were not finite, are absent from `values`."""

    step: int
    """Updates made, this one counted."""
    loss: float
    seconds: float
    """Since the run began, without the time between a stop and its resuming."""
    values: Mapping[str, float] = field(default_factory=dict)
    """All numbers of the step by name: loss, lr, gradient_norm, tokens_per_second, and the objective's own metrics."""


@dataclass(frozen=True)
class Measured:
    """Held-out data were looked at."""

    step: int
    values: Mapping[str, float]
    """What was found, by name; of averaged weights under ema_NAME."""


@dataclass(frozen=True)
class Sample:
    """Something that the model made."""

    step: int
    text: str
    prompt: str = ""
    """How `text` begins, if it was begun for the model."""


Event = Note | Started | Step | Measured | Sample
