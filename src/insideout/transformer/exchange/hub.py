"""Pretrained weights into our GPT and ours out, for the GPT-2, Llama and Qwen3 families.

    from_hf, to_hf     a `transformers` model in memory <-> our GPT, the same logits
    load               "gpt2", "Qwen/Qwen3-0.6B", "smollm2", a folder or a .gguf file -> (model, tokenizer)
    save               (model, tokenizer) -> a folder that AutoModelForCausalLM and AutoTokenizer load

The tokenizer knows where its model's text ends: `generate(model, [ids], n, stop=tokenizer.stop_ids)`.

One difference stays: RoPE's angles are float64 here and float32 in `transformers`, so that ten thousand positions into
a text its angles, and with them the logits, are off by more than rounding.
Taught in book/2-building-a-transformer/06_complete_model.md. Which weight lies where is in families.py, how weights
come from files is in weights.py, and GGUF files are read by gguf_file.py.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from insideout.errors import BadInput, first_line
from insideout.files import locked, whole_folder
from insideout.transformer.exchange import gguf_file, smollm2
from insideout.transformer.exchange.families import (
    PREFIX,
    config_from_hf,
    config_from_json,
    config_to_hf,
    import_transformers,
    is_turned,
    weight_map,
)
from insideout.transformer.exchange.hub_tokenizer import HubTokenizer
from insideout.transformer.exchange.weights import build, read_json, stored
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer, load_tokenizer

__all__ = ["config_from_hf", "config_to_hf", "download", "find", "from_hf", "load", "new_folder", "save", "to_hf"]

Tokenizer = BPETokenizer | CharacterTokenizer | HubTokenizer
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
    for name, parts in weight_map(model, family).items():
        tensor = ours[name].T if is_turned(family, name) else ours[name]
        rows = [shape[0] for shape in parts.values()]
        for part, numbers in zip(parts, tensor.split(rows), strict=True):
            weights[part if name == "head.weight" else PREFIX[family] + part] = numbers
    theirs = import_transformers().AutoModelForCausalLM.from_config(config, dtype=embedding.dtype)
    theirs.load_state_dict(weights, strict=True)
    return theirs.to(embedding.device).eval()


def load(name_or_path: str | Path, *, dtype: torch.dtype | None = None) -> tuple[GPT, Tokenizer]:
    """A pretrained model and its tokenizer: by name from the Hugging Face Hub, "smollm2", a folder, or a .gguf file.

    The numbers are kept as they are stored unless a dtype is given; quantised ones of a .gguf become float32. The
    tokenizer is ours if it is of our kind, else `transformers`' own within a `HubTokenizer`; its `stop_ids` are those
    of the model. At its peak this takes at most 1.2 times the model's memory.
    Raises BadInput when the model cannot be found, is of another architecture or too large for this machine, or its
    weights do not fit, are pickled or damaged.
    """
    place = find(name_or_path)
    if place.is_file():
        return gguf_file.load(place, dtype)
    about = read_json(place / "config.json")
    if "model_type" not in about:
        raise BadInput(f"{place / 'config.json'} names no model_type: give the folder of a model of transformers.")
    config, family = config_from_json(about, str(place / "config.json"))
    weights, tokenizer = stored(place), _tokenizer(place)
    tokenizer.stop_ids = _stop_ids(place, about, tokenizer)
    return build(config, family, weights, str(place), dtype), tokenizer


def save(model: GPT, tokenizer: Any, folder: str | Path) -> None:
    """Write model and tokenizer (ours or `transformers`') in the form that `transformers` loads.

    Raises BadInput if the folder exists and is not empty, the model is not of one of the families, or the tokenizer
    has more tokens than the model.
    """
    if not isinstance(tokenizer, Tokenizer):
        tokenizer = HubTokenizer(tokenizer)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise BadInput(
            f"The tokenizer has {tokenizer.vocab_size} tokens and the model {model.config.vocab_size}: give the "
            "model's own, or grow the model (insideout.transformer.vocabulary)."
        )
    config_to_hf(model.config)  # refused before a folder is made
    with new_folder(folder) as partial:
        theirs = to_hf(model)
        stops = list(tokenizer.stop_ids)
        for about in (theirs.config, theirs.generation_config):
            about.pad_token_id, about.bos_token_id = tokenizer.pad_id, tokenizer.begin_id
            about.eos_token_id = stops if len(stops) > 1 else stops[0] if stops else None
        theirs.save_pretrained(partial)
        if isinstance(tokenizer, HubTokenizer):
            tokenizer.theirs.save_pretrained(partial)
        else:
            tokenizer.save(partial / "tokenizer.json")
            names = {"pad": "pad_token", "begin": "bos_token", "end": "eos_token"}
            roles = {names[role]: token for role, token in tokenizer.roles.items()}
            fast = import_transformers().PreTrainedTokenizerFast
            file = str(partial / "tokenizer.json")
            fast(tokenizer_file=file, clean_up_tokenization_spaces=False, **roles).save_pretrained(partial)


@contextlib.contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A folder beside, to be written into, that becomes `folder` when all went well and vanishes otherwise.

    Raises BadInput if the folder exists and is not empty, or cannot be written.
    """
    folder = Path(folder) if Path(folder).name else Path(folder).absolute()
    if "\0" in str(folder):
        raise BadInput("The folder's name holds a null character: choose another.")
    made: list[Path] = []  # folders above it that were not there
    try:
        check_empty(folder)
        made = [above for above in folder.parents if not above.exists()]
        with locked(folder):
            check_empty(folder)  # again, now that nobody else writes
            with whole_folder(folder) as partial:
                yield partial
                check_empty(folder)
        made = []
    except OSError as error:
        raise BadInput(f"{folder} could not be written ({first_line(error)}): choose another folder.") from error
    finally:
        for above in made:
            with contextlib.suppress(OSError):
                above.rmdir()


def check_empty(folder: Path) -> None:
    """Raises BadInput where something is there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} exists and is not empty: choose a new folder.")


def download(name: str) -> Path:
    """The folder of the Hub's model in its local cache, downloaded if need be. Raises BadInput if it cannot be had."""
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


def find(name_or_path: str | Path) -> Path:
    """The folder or the .gguf file that is meant, fetched if need be."""
    name = str(name_or_path)
    try:
        path = Path(name).expanduser()
        if path.is_dir():
            found = [] if (path / "config.json").exists() else list(path.glob("*.gguf"))
            return found[0] if len(found) == 1 else path
        if path.is_file() and path.suffix == ".gguf":
            return path
    except (OSError, RuntimeError, ValueError) as error:  # too long, in a circle, of a user whom nobody knows
        raise BadInput(f"There can be no folder {name[:80]!r} ({first_line(error)}): check the path.") from error
    return smollm2.find_or_fetch() if name == "smollm2" else download(name)


def _stop_ids(folder: Path, about: dict[str, Any], tokenizer: Tokenizer) -> tuple[int, ...]:
    """Where the model's text ends: by its generation_config.json, else by its config.json, else by the tokenizer."""
    file = folder / "generation_config.json"
    generation = read_json(file) if file.is_file() else {}
    for source, where in ((generation, file), (about, folder / "config.json")):
        said = source.get("eos_token_id")
        ids = said if isinstance(said, list) else [] if said is None else [said]
        if not all(type(id) is int for id in ids):
            raise BadInput(f"eos_token_id in {where} is {said!r}; it must be a token's id, or a list of them.")
        if ids:
            return tuple(id for id in ids if 0 <= id < tokenizer.vocab_size)
    return tokenizer.stop_ids


def _tokenizer(folder: Path) -> Tokenizer:
    """Ours where it gives the same ids, else what AutoTokenizer makes of the folder."""
    try:
        after = read_json(folder / "tokenizer.json").get("post_processor") or {"special_tokens": {}}
        if after.get("type") == "ByteLevel" or after.get("special_tokens") == {}:  # puts no token around a text
            return load_tokenizer(folder / "tokenizer.json")
    except (BadInput, AttributeError):
        pass
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):  # AutoTokenizer would make an empty one
        raise BadInput(f"{folder} has no tokenizer: put the model's {' or '.join(_TOKENIZER_FILES)} there.")
    transformers = import_transformers()
    try:
        theirs = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return HubTokenizer(theirs)
    except BaseException as error:  # each kind of file has errors of its own; a panic of Rust's is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise BadInput(f"The tokenizer in {folder} cannot be loaded: {first_line(error)}.") from error
