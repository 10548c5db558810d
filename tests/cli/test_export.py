"""A run goes out to transformers and to ONNX Runtime, and writes the same text there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from insideout.recipes.runs import Run
from insideout.transformer.exchange.onnx import OnnxGPT
from insideout.transformer.generation.generate import generate
from insideout.transformer.tokenizer import load_tokenizer

transformers = pytest.importorskip("transformers", reason="needs the extra 'hub'")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

TEXT = "".join(f"The {c} fox number {i} jumps over the lazy dog.\n" for i in range(90) for c in ("red", "old"))
SMALL = [
    "--scale", "tiny", "--tokenizer", "character", "--d-model", "16", "--n-layers", "1", "--context-length", "32",
    "--sample-tokens", "4", "--steps", "4", "--eval-every", "4", "--checkpoint-every", "4", "--batch-size", "4",
    "--warmup-steps", "1",
]  # fmt: skip


def insideout(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"INSIDEOUT_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "insideout.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two runs: one of the library's own kind, and one that is a Qwen3."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "fox.txt").write_text(TEXT)
    for name, more in (("own", []), ("qwen", ["--mlp", "swiglu"])):
        done = insideout(folder, "train", "--corpus", "fox.txt", *SMALL, *more, "--out", name)
        assert done.returncode == 0, done.stderr
    return folder


def written_by_ours(run: Run) -> tuple[list[int], list[int]]:
    ids = run.tokenizer().encode("The old")
    return ids, generate(run.model(), [ids], 20, temperature=0.0)[0]


def test_to_transformers(folder):
    done = insideout(folder, "export", "qwen", "--to", "transformers", "--out", "there/model")
    assert done.returncode == 0 and done.stdout == "there/model\n", done.stderr
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder / "there" / "model")
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "there" / "model")
    ids, written = written_by_ours(Run(folder / "qwen"))
    inputs = their_tokenizer("The old", return_tensors="pt")
    assert inputs["input_ids"].tolist() == [ids]
    again = theirs.generate(**inputs, max_new_tokens=20, do_sample=False)
    assert again.tolist() == [written]
    shown = insideout(folder, "sample", "--model", "there/model", "--prompt", "The old", "--temperature", "0",
                      "--max-new-tokens", "20")  # fmt: skip
    assert (
        shown.stdout
        == Run(folder / "qwen").tokenizer().decode(written) + "\n"
        == their_tokenizer.decode(again[0]) + "\n"
    )


@pytest.mark.parametrize("name", ["own", "qwen"])
def test_to_onnx(folder, name):
    pytest.importorskip("onnxruntime", reason="needs the extra 'serve'")
    pytest.importorskip("onnxscript", reason="needs the extra 'serve'")
    done = insideout(folder, "export", name, "--to", "onnx", "--out", f"onnx-{name}")
    assert done.returncode == 0, done.stderr
    graph, tokenizer = OnnxGPT(folder / f"onnx-{name}"), load_tokenizer(folder / f"onnx-{name}" / "tokenizer.json")
    ids, written = written_by_ours(Run(folder / name))
    text, new, past = tokenizer.encode("The old"), torch.tensor([ids]), None
    for _ in range(20):
        logits, past = graph(new, past)
        new = logits[:, -1:].argmax(-1)
        text.append(int(new))
    assert text == written


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["own", "--out", "new"], "its feed-forward layer is relu2"),
        (["qwen", "--out", "own"], "own exists and is not empty"),
        (["qwen", "--to", "onnx", "--out", "fox.txt"], "fox.txt exists and is not empty"),
        (["nowhere", "--out", "new"], "nowhere"),
        (["fox.txt", "--out", "new"], "fox.txt"),
        (["qwen", "--out", "x" * 300], "could not be written"),
        (["qwen", "--out", "~nobody-here/x"], "~nobody-here"),
        (["qwen", "--to", "gguf", "--out", "new"], "gguf"),
        (["qwen"], "out"),
        (["home", "--out", "new"], "home"),
    ],
)
def test_what_cannot_be_exported_leaves_nothing(folder, arguments, says):
    before = sorted(str(path) for path in folder.rglob("*"))
    done = insideout(folder, "export", *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert done.stderr.startswith("insideout: ") and done.stderr.count("\n") == 1 and says in done.stderr, done.stderr
    assert sorted(str(path) for path in folder.rglob("*")) == before
