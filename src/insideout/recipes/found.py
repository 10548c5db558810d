"""A model that a person names, of whatever stage: a run of ours by its folder, else a pretrained one.

    trained("runs/sft-laptop-1").writer(0.0)
    reader_of("smollm2")                        what reads it; its code is part of the keys of what is made from it

The one place that finds out what a folder holds: for the setting `model` of every stage that goes on from a model, and
for the commands that speak with one. Used from part 3 on.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from insideout.errors import BadInput
from insideout.files import expanded
from insideout.recipes.runs import FORMAT, read_object


def trained(path: str) -> Any:
    """A model to go on from, or to be asked: a run of ours by its folder, else a pretrained one by name or place.

    Raises BadInput for what can be neither, and for a run that writes nothing.
    """
    folder = expanded(path, "model")
    found = reader_of(path)(folder if is_run(folder) else str(folder) if folder.exists() else path)
    if not hasattr(found, "writer"):
        raise BadInput(f"{folder} holds no model that could be tuned or asked: give the folder of a run that writes.")
    return found


def reader_of(path: str) -> Callable[[Any], Any]:
    """What reads the model of this name: the `load` of its stage, or Pretrained. Raises BadInput as `trained` does."""
    from insideout.recipes.pretrained import Pretrained
    from insideout.recipes.stage import STAGES, find

    folder = expanded(path, "model")
    if is_run(folder):
        stage = str(read_object(folder / "config.json").get("stage", "pretrain"))
        if stage not in STAGES:
            raise BadInput(f"{folder} is a run of {stage!r}, which there is not here: it is from another version.")
        return find(stage).load
    if not folder.exists() and path != "smollm2" and path.count("/") != 1:
        raise BadInput(
            f"There is no model in {folder}: give the folder of a run of ours, smollm2, OWNER/NAME on the Hub, or "
            "the folder or .gguf file of a pretrained model."
        )
    return Pretrained


def is_run(folder: Path) -> bool:
    """Is this the folder of a run of ours?"""
    file = folder / "config.json"
    return file.is_file() and read_object(file).get("format") == FORMAT
