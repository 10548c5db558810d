"""How many bytes torch really allocates, by its allocator's own account: what memory.py's formulas are checked against.

Every tensor and every buffer of a kernel counts, to the byte, and each run gives the same number. Measured on the CPU.
Used in book/2-building-a-transformer/08_memory_and_speed.md and by benchmarks/planner.py.
"""

import gc
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from insideout.planner.memory import Load


class Timeline(NamedTuple):
    """What was allocated at each moment of a piece of work, beyond what was there before."""

    seconds: list[float]
    """When something was allocated or released, counted from the first time."""
    held: list[int]
    """Bytes in use from then on."""
    marks: list[tuple[str, float]]
    """The blocks of `torch.profiler.record_function` by name, each with the second at which it began."""


def timeline(work: Callable[[], object]) -> Timeline:
    """The bytes in use while `work` is done, moment by moment."""
    from torch.profiler import ProfilerActivity, profile

    gc.collect()  # what was left from before must not be freed, and so counted, meanwhile
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        result = work()
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    events = sorted(seen.profiler.kineto_results.events(), key=lambda each: each.start_ns())
    changes = [each for each in events if each.name() == "[memory]"]
    start, held, total = changes[0].start_ns() if changes else 0, [], 0
    for each in changes:
        total += each.nbytes()
        held.append(total)
    del result
    return Timeline(
        [(each.start_ns() - start) / 1e9 for each in changes],
        held,
        [(each.name(), (each.start_ns() - start) / 1e9) for each in events if each.is_user_annotation()],
    )


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that was allocated at once during `work`, beyond what was there before."""
    return max(timeline(work).held, default=0)


def training_peak(load: Load, steps: int = 2) -> int:
    """The same for a training run through the library's loop, from building the model on.

    From the second step on there is optimizer state, so two steps have seen everything. Under torchrun, or in processes
    that know of each other, each calls this and gets its own number.
    """
    import torch

    from insideout.training.config import TrainConfig
    from insideout.training.loop import train
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    settings = TrainConfig(
        steps=steps, warmup_steps=0, batch_size=load.batch_size, accumulation=load.accumulation, eval_every=0,
        checkpoint_every=0, precision=load.precision, optimizer=load.optimizer, parallel=load.parallel,
        checkpoint_activations=load.checkpoint_activations,
    )  # fmt: skip

    def batch_at(step: int, micro_step: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.randint(load.config.vocab_size, (load.batch_size, load.config.context_length))
        return ids, ids.roll(-1, dims=1)

    def run(out: Path) -> GPT:
        model = GPT(load.config)
        train(model, next_token_loss, batch_at, settings, out=out)
        return model

    with tempfile.TemporaryDirectory() as folder:
        return peak_bytes(lambda: run(Path(folder) / "run"))
