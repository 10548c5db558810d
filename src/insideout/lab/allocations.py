"""How many bytes torch really allocates, by its allocator's own account: what memory.py's formulas are checked against.

Every tensor and every buffer of a kernel counts, to the byte, and each run gives the same number. Measured on the CPU.
Used in book/2-building-a-transformer/07_training.md and by benchmarks/planner.py.
"""

import gc
import tempfile
from collections.abc import Callable
from pathlib import Path

from insideout.planner.memory import Load


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that was allocated at once during `work`, beyond what was there before."""
    from torch.profiler import ProfilerActivity, profile

    gc.collect()  # what was left from before must not be freed, and so counted, meanwhile
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        result = work()
    assert seen.profiler is not None and seen.profiler.kineto_results is not None
    events = [each for each in seen.profiler.kineto_results.events() if each.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    del result
    return most


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
