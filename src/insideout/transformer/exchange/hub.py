"""Pretrained weights into our GPT and ours out, for the GPT-2, Llama and Qwen3 families.

    from_hf, to_hf     a `transformers` model in memory <-> our GPT, the same logits
    load               "gpt2", "Qwen/Qwen3-0.6B" or a folder -> (model, tokenizer)
    save               (model, tokenizer) -> a folder that AutoModelForCausalLM and AutoTokenizer load

One difference stays: RoPE's angles are float64 here and float32 in `transformers`, so that ten thousand positions into
a text its angles, and with them the logits, are off by more than rounding.
Taught in book/2-building-a-transformer/06_complete_model.md. Which weight lies where is in families.py, how weights
come from files is in weights.py.
"""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from insideout.errors import BadInput
from insideout.transformer.exchange.families import (
    PREFIX,
    check_family,
    config_from_hf,
    config_to_hf,
    import_transformers,
    is_turned,
    places,
)
from insideout.transformer.exchange.weights import build, first_line, read_json, stored
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer, load_tokenizer

__all__ = ["config_from_hf", "config_to_hf", "from_hf", "load", "new_folder", "save", "to_hf"]

_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]  # what is downloaded: nothing that is pickled
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json")


def from_hf(theirs: Any) -> GPT:
    """Our GPT with the weights of a `transformers` GPT-2, Llama or Qwen3, in the same precision, on the same device.

    Raises BadInput for another architecture, or a setting or a weight that we have no part for.
    """
    config, device = config_from_hf(theirs.config), next(theirs.parameters()).device
    return build(config, theirs.config.model_type, theirs.state_dict(), "this model").to(device)


def to_hf(model: GPT) -> Any:
    """A `transformers` causal language model with the same weights, in the same precision, on the same device.

    Raises BadInput if the model is not of one of the families.
    """
    config = config_to_hf(model.config)
    family, ours, embedding = config.model_type, model.state_dict(), model.token_embedding.weight
    weights = {"lm_head.weight": ours["head.weight"]}
    for name, parts in places(model, family).items():
        tensor = ours[name].T if is_turned(family, name) else ours[name]
        rows = [shape[0] for shape in parts.values()]
        for part, numbers in zip(parts, tensor.split(rows), strict=True):
            weights[part if name == "head.weight" else PREFIX[family] + part] = numbers
    theirs = import_transformers().AutoModelForCausalLM.from_config(config, dtype=embedding.dtype)
    theirs.load_state_dict(weights, strict=True)
    return theirs.to(embedding.device).eval()


def load(name_or_path: str | Path, *, dtype: torch.dtype | None = None) -> tuple[GPT, Any]:
    """A pretrained model and its tokenizer, from a folder or by the name of a model on the Hugging Face Hub.

    The numbers are kept as they are stored unless a dtype is given. The tokenizer is ours if it is of our kind, else
    `transformers`' own; both have `encode` and `decode`. At its peak this takes at most 1.2 times the model's memory.
    Raises BadInput when the model cannot be found, is of another architecture, or its weights do not fit or are
    pickled.
    """
    folder = Path(name_or_path).expanduser()
    if not folder.is_dir():
        folder = _download(str(name_or_path))
    about = read_json(folder / "config.json")
    if "model_type" not in about:
        raise BadInput(f"{folder / 'config.json'} names no model_type: give the folder of a model of transformers.")
    family, transformers = check_family(about["model_type"]), import_transformers()
    try:
        theirs = transformers.AutoConfig.for_model(**about)
    except Exception as error:  # whatever their configuration finds wrong
        raise BadInput(f"{folder / 'config.json'} is no {family} configuration: {first_line(error)}.") from error
    config, weights, tokenizer = config_from_hf(theirs), stored(folder), _tokenizer(folder)
    return build(config, family, weights, str(folder), dtype), tokenizer


def save(model: GPT, tokenizer: Any, folder: str | Path) -> None:
    """Write model and tokenizer (ours or `transformers`') in the form that `transformers` loads.

    Raises BadInput if the folder exists and is not empty, the model is not of one of the families, or the tokenizer
    has more tokens than the model.
    """
    ours = isinstance(tokenizer, BPETokenizer | CharacterTokenizer)
    n_tokens = tokenizer.vocab_size if ours else len(tokenizer)
    if n_tokens > model.config.vocab_size:
        raise BadInput(
            f"The tokenizer has {n_tokens} tokens and the model {model.config.vocab_size}: give the model's own."
        )
    with new_folder(folder) as partial:
        theirs = to_hf(model)
        if ours:
            tokenizer.save(partial / "tokenizer.json")
            fast = import_transformers().PreTrainedTokenizerFast
            tokenizer = fast(tokenizer_file=str(partial / "tokenizer.json"), clean_up_tokenization_spaces=False)
        theirs.config.eos_token_id = theirs.generation_config.eos_token_id = tokenizer.eos_token_id
        theirs.save_pretrained(partial)
        tokenizer.save_pretrained(partial)


@contextlib.contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A folder beside, to be written into, that becomes `folder` when all went well and vanishes otherwise.

    Raises BadInput if the folder exists and is not empty, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} exists and is not empty: choose a new folder.")
    partial = folder.with_name(f".partial-{folder.name}")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    except OSError as error:
        raise BadInput(f"{folder} could not be written ({first_line(error)}): choose another folder.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _tokenizer(folder: Path) -> Any:
    """Ours where it gives the same ids, else what AutoTokenizer makes of the folder."""
    try:
        after = read_json(folder / "tokenizer.json").get("post_processor") or {"special_tokens": {}}
        if after.get("type") == "ByteLevel" or after.get("special_tokens") == {}:  # puts no token around a text
            return load_tokenizer(folder / "tokenizer.json")
    except BadInput:
        pass
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):  # AutoTokenizer would make an empty one
        raise BadInput(f"{folder} has no tokenizer: put the model's {' or '.join(_TOKENIZER_FILES)} there.")
    try:
        return import_transformers().AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # each kind of file has errors of its own
        raise BadInput(f"The tokenizer in {folder} cannot be loaded: {first_line(error)}.") from error


def _download(name: str) -> Path:
    """The folder of the Hub's model in its local cache, downloaded if need be."""
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name) or Path(name).exists():
        raise BadInput(f"There is no folder {name}, and no model on the Hub can have that name: check the path.")
    import_transformers()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED, ignore_patterns=["*/*"]))
    except GatedRepoError:
        raise BadInput(
            f"{name} is only for those who accept its terms: do so on its page at huggingface.co, then hf auth login."
        ) from None
    except RepositoryNotFoundError:
        raise BadInput(f"There is neither a folder nor a model on the Hub called {name}: check the spelling.") from None
    except (ConnectionError, LocalEntryNotFoundError) as error:
        raise BadInput(
            f"{name} is no folder here and not in the Hub's cache, and the Hub cannot be reached: connect once to "
            "download it, or give a folder that holds it."
        ) from error
    except (OSError, ValueError) as error:
        raise BadInput(f"{name} could not be downloaded: {first_line(error)}.") from error
