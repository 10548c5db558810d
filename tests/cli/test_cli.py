"""The command line: bad input is one sentence and exit code 2, help is quick, and a run goes from text to report."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from insideout.cli import main as cli
from insideout.cli.commands.draw import labels_of
from insideout.errors import BadInput
from insideout.recipes.runs import Run

TEXT = "".join(
    f"The {colour} fox number {i} jumps over the lazy dog.\n" for i in range(90) for colour in ("red", "old")
)
SMALL = [
    "--scale", "tiny", "--tokenizer", "character", "--d-model", "16", "--n-layers", "1", "--context-length", "16",
    "--sample-tokens", "8", "--steps", "6", "--eval-every", "3", "--checkpoint-every", "3", "--batch-size", "4",
    "--warmup-steps", "2",
]  # fmt: skip


def insideout(*arguments: str, home: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"INSIDEOUT_HOME": str(home), "INSIDEOUT_SCALE": "tiny", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "insideout.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd or home)


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The same in this process, which is quicker: exit code, standard output, standard error."""
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        shown = capsys.readouterr()
        return left.value.code, shown.out, shown.err

    return run


def one_sentence(code, out, err):
    return code == 2 and out == "" and err.startswith("insideout: ") and err.count("\n") == 1


def test_a_missing_corpus_in_a_process_of_its_own(tmp_path):
    done = insideout("train", "--corpus", "absent.txt", "--out", "run", home=tmp_path)
    assert one_sentence(done.returncode, done.stdout, done.stderr.splitlines(keepends=True)[-1]), done.stderr
    assert "absent.txt" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()
    assert "Traceback" in insideout("--debug", "sample", "--run", "nowhere", home=tmp_path).stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"ab\0c" * 99, "binary"),
        (b"caf\xe9 " * 99, "UTF-8"),
        (b"short", "too "),
        (b" \n" * 400, "empty"),
    ],
)
def test_an_unusable_corpus(call, tmp_path, content, says):
    (tmp_path / "bad.txt").write_bytes(content)
    code, out, err = call("train", "--corpus", "bad.txt", *SMALL, "--out", "run")
    assert one_sentence(code, out, err.splitlines(keepends=True)[-1]) and says in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dance"], "dance"),
        (["train", "--n-heads", "5"], "n_heads 5"),
        (["train", "--steps", "0"], "steps is 0"),
        (["train", "--scale", "huge"], "tiny, laptop, gpu"),
        (["train", "--resume", "--out", "nowhere"], "nowhere"),
        (["sample"], "no runs"),
        (["sample", "--run", "nowhere"], "nowhere"),
        (["check", "absent.py"], "absent.py"),
        (["run", "cake"], "cake"),
    ],
)
def test_arguments_that_cannot_be_used(call, arguments, says):
    code, out, err = call(*arguments)
    assert one_sentence(code, out, err) and says in err, err


def test_a_context_longer_than_the_corpus(call, tmp_path):
    (tmp_path / "text.txt").write_text("abc " * 50)
    code, _, err = call("train", "--corpus", "text.txt", *SMALL, "--context-length", "5000", "--out", "run")
    assert code == 2 and "5,000" in err and not (tmp_path / "run").exists()


def test_from_text_to_report_and_on(call, tmp_path):
    (tmp_path / "fox.txt").write_text(TEXT)
    code, out, _ = call("train", "--corpus", "fox.txt", *SMALL)
    run = Run(tmp_path / "runs" / "fox-tiny-1")
    assert code == 0 and "fox-tiny-1/report.html" in out and out.count("    insideout ") == 3
    assert [r["step"] for r in run.metrics()] == [1, 2, 3, 4, 5, 6] and [s["step"] for s in run.samples()] == [3, 6]
    assert run.result()["step"] == 6 and 0 < run.result()["bits_per_byte"] < 12
    page = run.report.read_text()
    for wanted in ("<svg", "nats per token", "prefers-color-scheme: dark", "Seed <b>0</b>", "tokens per second"):
        assert wanted in page
    assert "http://" not in page and "https://" not in page and "src=" not in page

    code, out, _ = call("sample", "--prompt", "The old ", "--max-new-tokens", "5")
    assert code == 0 and out.startswith("The old ") and len(out) == len("The old ") + 6
    assert call("sample", "--prompt", "The old ", "--max-new-tokens", "5")[1] == out
    assert call("sample", "--prompt", "Ω")[0] == 2

    before = (run.path / "metrics.jsonl").read_bytes()
    code, _, err = call("train", "--corpus", "fox.txt", *SMALL, "--out", str(run.path))
    assert code == 2 and "already holds a run" in err and (run.path / "metrics.jsonl").read_bytes() == before
    code, _, err = call("train", "--resume", "--out", str(run.path), "--n-layers", "2")
    assert code == 2 and "n_layers" in err
    (tmp_path / "fox.txt").write_text(TEXT + "Another text.")
    code, _, err = call("train", "--resume", "--out", str(run.path), "--steps", "8")
    assert code == 2 and "another text" in err
    (tmp_path / "fox.txt").write_text(TEXT)
    code, _, _ = call("train", "--resume", "--out", str(run.path), "--steps", "8")
    assert code == 0 and [r["step"] for r in Run(run.path).metrics()] == list(range(1, 9))
    assert call("train", "--corpus", "fox.txt", *SMALL, "--steps", "2")[0] == 0
    assert (tmp_path / "runs" / "fox-tiny-2" / "report.html").is_file()

    (run.path / "tokenizer.json").write_text("{")
    assert call("sample", "--run", str(run.path))[0] == 2
    (run.path / "config.json").write_text(json.dumps({"format": "other"}))
    assert call("sample", "--run", str(run.path))[0] == 2


def test_a_folder_with_other_things_is_left_alone(call, tmp_path):
    (tmp_path / "fox.txt").write_text(TEXT)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    code, _, err = call("train", "--corpus", "fox.txt", *SMALL, "--out", "mine")
    assert code == 2 and "thesis.txt" in err and [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def best_of_three(*command: str) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def test_import_and_help_are_quick():
    assert best_of_three("-c", "import insideout") < 0.2
    assert best_of_three("-m", "insideout.cli.main", "--help") < 0.5


@pytest.mark.parametrize(
    "module", ["insideout.lab", "insideout.cli.main", "insideout.cli.commands", "insideout.scales"]
)
def test_light_modules_import_nothing_heavy(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'matplotlib', 'transformers') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_live_display_shows_the_numbers_and_the_sample():
    import io

    from rich.console import Console

    from insideout.recipes.pretrain import METRICS
    from insideout.recipes.progress import State
    from insideout.training.events import Measured, Sample, Started, Step
    from insideout.training.metrics import together

    state, values = State("A GPT"), {"loss": 2.0, "tokens_per_second": 900.0}
    state.take(Started(0, 10, together(METRICS, "tokens")))
    state.take(Step(1, 2.0, 2.0, values))
    state.take(Step(5, 2.0, 10.0, values))
    state.take(Measured(5, {"validation_loss": 2.5, "bits_per_byte": 1.25}))
    state.take(Sample(5, "The fox", "The "))
    file = io.StringIO()
    Console(file=file, width=80, force_terminal=False).print(state)
    shown = file.getvalue()
    assert all(part in shown for part in ("5 of 10", "2.000", "2.500", "1.250", "900", "10 s", "The fox", "step 5"))
    assert "held-out loss" in shown and max(len(line) for line in shown.splitlines()) <= 80
    assert not any("━" in line and "step" in line for line in shown.splitlines())


def test_the_doctor_sees_a_home_that_is_no_folder(tmp_path, monkeypatch):
    from insideout.cli.doctor import folders

    (tmp_path / "home").write_text("a file")
    for name in ("home", "home/below"):
        monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / name))
        [found] = [each for each in folders() if each.name == "results"]
        assert found.cure and "is a file" in found.found


def test_what_a_sentence_quotes_is_short_and_harmless(call):
    code, _, err = call("train", "--corpus", "c.txt", "--d-model", "9" * 400, "--d-ff", "8" * 3000)
    assert code == 2 and len(err) < 700
    code, _, err = call("\x1b[2Jtrain\x07")
    assert code == 2 and "\x1b" not in err and "\x07" not in err
    code, _, err = call("plan", "--parameters", "")
    assert code == 2 and "--parameters" in err and "NoneType" not in err


@pytest.mark.parametrize("variable", ["RANK", "WORLD_SIZE"])
def test_a_rank_that_is_no_number_is_one_sentence(call, monkeypatch, variable):
    monkeypatch.setenv(variable, "first")
    code, _, err = call("train", "--corpus", "c.txt", "--scale", "tiny")
    assert code == 2 and variable in err


@pytest.mark.parametrize("each", ["9" * 5000, "12", "\u0663" * 40])
def test_a_label_that_is_no_class_is_refused_whatever_its_length(each):
    with pytest.raises(BadInput, match="There is no class"):
        labels_of((each,), ("a", "b"))


def test_an_input_that_is_closed_is_an_empty_one(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    cli.open_streams()
    assert not sys.stdin.isatty() and sys.stdin.read() == ""


def test_memory_that_is_lacking_is_one_sentence_also_where_torch_says_so(monkeypatch, capsys):
    def lacking(given):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(cli, "run", lacking)
    with pytest.raises(SystemExit) as left:
        cli.main(["doctor"])
    assert left.value.code == 1 and "not enough memory" in capsys.readouterr().err


@pytest.mark.parametrize("stage", ["sft", "lora", "reward", "dpo"])
def test_damaged_data_are_refused_before_the_model_that_they_would_tune_is_made(call, tmp_path, stage):
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a"}\n')
    for name, words in (("mine.jsonl", "line 1"), ("/dev/zero", "a pipe or a device")):
        code, _, said = call(stage, "--data", name)
        assert code == 2 and words in said and not list((tmp_path / "home").rglob("*.safetensors"))
