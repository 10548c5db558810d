"""The outcome model: worked answers -> how likely the whole is right, read at its end.

It learns from one bit an answer, was the answer right, which any problem with a known answer gives for nothing.
Taught in book/4-reasoning-with-transformers/04_process_reward_models.md.
Source: Cobbe et al. 2021, §4.
"""

from pathlib import Path

from insideout.recipes import verifier
from insideout.recipes.job import Inputs, Job
from insideout.recipes.stage import Stage
from insideout.recipes.verifier import SETTINGS, VerifierConfig, VerifierRun, report, sources


def make(config: VerifierConfig, inputs: Inputs, job: Job) -> None:
    """Train it, the result last."""
    verifier.make(config, inputs, job, "outcome")


def load(folder: Path) -> VerifierRun:
    """The verifier in a folder."""
    return verifier.load(folder, "orm")


STAGE = Stage(
    "orm", "A verifier that judges whole answers: an outcome reward model.", SETTINGS, make, load,
    needs={"model": "reasoner", "data": "traces"}, sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
