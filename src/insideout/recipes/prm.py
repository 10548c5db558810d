"""The process model: worked answers -> how likely each step is right, up to there.

It learns from a label to each step, none after the first error, and one to the answer.
Taught in book/4-reasoning-with-transformers/04_process_reward_models.md.
Source: Lightman et al. 2023, §2.
"""

from pathlib import Path

from insideout.recipes import verifier
from insideout.recipes.job import Inputs, Job
from insideout.recipes.stage import Stage
from insideout.recipes.verifier import SETTINGS, VerifierConfig, VerifierRun, report, sources


def make(config: VerifierConfig, inputs: Inputs, job: Job) -> None:
    """Train it, the result last."""
    verifier.make(config, inputs, job, "process")


def load(folder: Path) -> VerifierRun:
    """The verifier in a folder."""
    return verifier.load(folder, "prm")


STAGE = Stage(
    "prm", "A verifier that judges each step: a process reward model.", SETTINGS, make, load,
    needs={"model": "reasoner", "data": "traces"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
