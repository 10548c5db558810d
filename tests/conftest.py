"""Shapes in the annotations are enforced in every test: jaxtyping's import hook with beartype."""

import os

from jaxtyping import install_import_hook

os.environ.setdefault("INSIDEOUT_SCALE", "tiny")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors are tiny: a second thread would only wait
install_import_hook(
    ["insideout.transformer", "insideout.training", "insideout.data", "insideout.exercises.transformer"],
    "beartype.beartype",
)
