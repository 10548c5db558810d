"""What is refused changes nothing, what is begun goes on, and a run's files are looked at before they are used."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from insideout.cli import main as cli
from insideout.errors import BadInput
from insideout.files import LEFTOVER
from insideout.recipes.pretrain import report
from insideout.recipes.runs import Run, held, newest_run

TEXT = "".join(f"The {colour} fox number {i} jumps over it.\n" for i in range(90) for colour in ("red", "old"))
SMALL = [
    "--scale", "tiny", "--tokenizer", "character", "--d-model", "16", "--n-layers", "1", "--context-length", "16",
    "--sample-tokens", "8", "--steps", "6", "--eval-every", "3", "--checkpoint-every", "3", "--batch-size", "4",
    "--warmup-steps", "2",
]  # fmt: skip


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A command in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.txt").write_text(TEXT)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        shown = capsys.readouterr()
        return left.value.code, shown.out, shown.err

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of SMALL on c.txt, to be copied."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "c.txt").write_text(TEXT)
    before, home = Path.cwd(), os.environ.get("INSIDEOUT_HOME")
    os.environ["INSIDEOUT_HOME"] = str(folder / "home")
    os.chdir(folder)
    try:
        with pytest.raises(SystemExit) as left:
            cli.main(["train", "--corpus", "c.txt", *SMALL, "--out", "r"])
        assert left.value.code == 0
    finally:
        os.chdir(before)
        os.environ.pop("INSIDEOUT_HOME")
        if home:
            os.environ["INSIDEOUT_HOME"] = home
    return folder / "r"


@pytest.fixture
def run(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "r"))


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(code, out, err):
    lines = err.strip().splitlines()
    return code == 2 and lines[-1].startswith("insideout: ") and "Traceback" not in err and out == ""


@pytest.mark.parametrize(
    "flags",
    [
        ["--batch-size", "2"], ["--lr", "0.1"], ["--n-layers", "2"], ["--tokenizer", "bpe"], ["--optimizer", "adamw"],
        ["--validation-fraction", "0.2"], ["--corpus", "other.txt"], ["--corpus", "absent.txt"], ["--seed", "3"],
        ["--sample-tokens", "16"], ["--sample-prompt", "Ωmega"], ["--steps", "0"], ["--steps", "1"], ["--d-ff", "3"],
        ["--positions", "alibi"], ["--norm-eps", "0.1"], ["--n-heads", "4"], ["--accumulation", "2"],
        ["--device", "cuda"], ["--scale", "huge"], ["--whatever"], ["--early-stop-patience", "-1"],
    ],
)  # fmt: skip
def test_a_refused_resume_changes_no_byte(call, run, tmp_path, flags):
    (tmp_path / "other.txt").write_text(TEXT * 2)
    before = content(run)
    result = call("train", "--resume", "--out", "r", *flags)
    if flags == ["--steps", "1"]:  # all of its steps are made
        assert result[0] in (0, 2)
        return
    assert refused(*result), result
    assert content(run) == before
    code, _, err = call("train", "--resume", "--out", "r", "--steps", "7")
    assert code == 0, err
    assert Run(run).result()["step"] == 7 and [record["step"] for record in Run(run).metrics()] == list(range(1, 8))


def test_a_refused_new_run_leaves_nothing(call, tmp_path):
    for flags in (["--n-heads", "5"], ["--context-length", "50000"], ["--corpus", "absent"], ["--sample-prompt", "Ω"]):
        assert refused(*call("train", "--corpus", "c.txt", *SMALL, "--out", "a/b/c", *flags))
        assert refused(*call("train", "--corpus", "c.txt", *SMALL, *flags))
        assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["c.txt"]


def test_a_run_that_made_no_step_is_never_the_newest(call, run, tmp_path):
    shutil.copytree(run, tmp_path / "runs" / "old-1")
    begun = tmp_path / "runs" / "new-1"
    begun.mkdir()
    shutil.copy(run / "config.json", begun)
    os.utime(begun / "config.json", (2**31, 2**31))
    assert newest_run(tmp_path / "runs").path.name == "old-1"
    assert call("sample", "--max-new-tokens", "3")[0] == 0
    shutil.rmtree(tmp_path / "runs" / "old-1")
    assert refused(*call("sample"))


def test_the_newest_run_is_one_that_writes(call, run, tmp_path):
    shutil.copytree(run, tmp_path / "runs" / "text-1")
    shutil.copytree(run, tmp_path / "runs" / "photos")
    drawn = tmp_path / "runs" / "photos" / "config.json"
    drawn.write_text(json.dumps(json.loads(drawn.read_text()) | {"stage": "folder_drawer"}))
    os.utime(drawn, (2**31, 2**31))
    assert newest_run(tmp_path / "runs").path.name == "text-1"
    assert call("sample", "--max-new-tokens", "3")[0] == 0
    drawn.write_text("{")
    os.utime(drawn, (2**31, 2**31))
    code, out, err = call("sample")
    assert refused(code, out, err) and "photos" in err


@pytest.mark.parametrize(
    "left", [["tokenizer.json"], ["config.json", "tokenizer.json"], [".config.json.abcd1234.part"], [".run.lock"],
             ["checkpoints/.step-00000003.part/model.safetensors", "metrics.jsonl"]],
)  # fmt: skip
def test_a_run_that_was_killed_while_it_began_is_begun_again(call, run, tmp_path, left):
    for name in left:
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        source = run / name
        (tmp_path / "s" / name).write_bytes(
            source.read_bytes() if source.is_file() and name != "metrics.jsonl" else b""
        )
    if "config.json" in left:
        assert call("train", "--resume", "--out", "s")[0] == 0
    else:
        assert refused(*call("train", "--resume", "--out", "s"))
        assert call("train", "--corpus", "c.txt", *SMALL, "--out", "s")[0] == 0
    assert Run(tmp_path / "s").result()["step"] == 6
    assert not list((tmp_path / "s").rglob(".*"))


def test_after_an_early_stop_more_patience_or_steps_go_on(call, tmp_path):
    flags = [*SMALL, "--lr", "1e-9", "--min-lr", "0", "--muon-lr", "1e-9", "--eval-every", "1", "--steps", "8"]
    assert call("train", "--corpus", "c.txt", *flags, "--early-stop-patience", "1", "--out", "r")[0] == 0
    first = Run(tmp_path / "r").result()["step"]
    assert first < 8
    assert call("train", "--resume", "--out", "r", "--early-stop-patience", "50")[0] == 0
    assert Run(tmp_path / "r").result()["step"] == 8


def test_two_processes_do_not_share_a_folder(call, run, tmp_path):
    before = content(run)
    with held(run, resume=True):
        for more in (["--resume"], ["--resume", "--steps", "9"]):
            code, out, err = call("train", "--out", "r", *more)
            assert refused(code, out, err) and "another process" in err
    with held(tmp_path / "s"):
        code, out, err = call("train", "--corpus", "c.txt", *SMALL, "--out", "s")
        assert refused(code, out, err) and "another process" in err
    assert content(run) == before and not (tmp_path / "s").exists()


def environment(tmp_path):
    return os.environ | {"INSIDEOUT_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1", "INSIDEOUT_SCALE": "tiny"}


def start(tmp_path, *words, **keywords):
    command = [sys.executable, "-m", "insideout.cli.main", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | keywords
    return subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path), **pipes)


def test_two_runs_begun_together_get_two_folders(tmp_path):
    (tmp_path / "c.txt").write_text(TEXT)
    both = [start(tmp_path, "train", "--corpus", "c.txt", *SMALL, "--seed", str(seed)) for seed in (1, 2)]
    for each in both:
        assert each.wait(timeout=300) == 0, each.stderr.read()
    runs = [Run(tmp_path / "runs" / f"c-tiny-{n}") for n in (1, 2)]
    assert {each.config.train.seed for each in runs} == {1, 2}
    assert all(each.result()["step"] == 6 for each in runs)


@pytest.mark.skipif(os.name != "posix", reason="signals as Linux and macOS send them")
def test_a_resume_of_a_run_that_is_still_training_is_refused(tmp_path):
    (tmp_path / "c.txt").write_text(TEXT)
    first = start(tmp_path, "train", "--corpus", "c.txt", *SMALL, "--steps", "100000", "--out", "r")
    try:
        end = time.monotonic() + 120
        while not any((tmp_path / "r" / "checkpoints").glob("step-*")):
            assert time.monotonic() < end and first.poll() is None, first.stderr.read()
            time.sleep(0.1)
        second = start(tmp_path, "train", "--resume", "--out", "r")
        assert second.wait(timeout=120) == 2 and "another process" in second.stderr.read()
        first.send_signal(signal.SIGINT)
        assert first.wait(timeout=60) == 130
    finally:
        first.kill()
    step = len(Run(tmp_path / "r").metrics())
    assert Run(tmp_path / "r").newest().name == f"step-{step:08d}"


FILES = ("config.json", "result.json", "metrics.jsonl", "samples.jsonl", "tokenizer.json")
VALUES = (None, True, -1, 1.5, "text", [], [1], {}, {"a": 1}, float("nan"), float("inf"), 10**400)


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in itertools.islice(inside, 12):
        yield from places(each, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


USES = {
    "config.json": (Run.model, report),
    "result.json": (Run.newest, report),
    "metrics.jsonl": (Run.newest, report),
    "samples.jsonl": (Run.samples, report),
    "tokenizer.json": (Run.tokenizer,),
}
"""What reads each file."""


@pytest.mark.parametrize("name", FILES)
def test_wrong_types_in_a_runs_files_are_one_sentence(run, name):
    """Every place of every file with every kind of value: what reads it works, or says one sentence."""
    whole = (run / name).read_text(encoding="utf-8")
    lines = name.endswith(".jsonl")
    value = json.loads(whole.splitlines()[2 if name == "metrics.jsonl" else 0] if lines else whole)
    tried = said = 0
    for path in places(value):
        for new in VALUES:
            text = json.dumps(replaced(value, path, new))
            (run / name).write_text(whole + text + "\n" if lines else text, encoding="utf-8")
            for use in USES[name]:
                tried += 1
                try:
                    use(Run(run) if use is not report else run)
                except BadInput as error:
                    said += 1
                    assert "\n" not in str(error) and len(str(error)) < 700, (path, new)
                except Exception as error:
                    raise AssertionError(f"{name} {path} {new!r}: {type(error).__name__} {error}") from error
    (run / name).write_text(whole, encoding="utf-8")
    assert said > 0.1 * tried and Run(run).model() is not None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_file_is_one_sentence(call, run, name, damage):
    (run / name).write_bytes(damage)
    for words in (
        ["sample", "--run", "r", "--max-new-tokens", "2"],
        ["train", "--resume", "--out", "r", "--steps", "7"],
    ):
        code, _, err = call(*words)
        assert code in (0, 2) and "Traceback" not in err, (words, err)
        if code == 2:
            assert len(err.strip().splitlines()[-1]) < 700


def test_an_older_model_is_never_used_in_silence(call, run):
    shutil.rmtree(run / "checkpoints" / "step-00000006")
    code, _, err = call("sample", "--run", "r")
    assert code == 2 and "6" in err and "3" in err
    code, _, err = call("train", "--resume", "--out", "r")
    assert code == 0 and "going on from there" in err and Run(run).result()["step"] == 6
    (run / "result.json").unlink()  # one that was killed
    shutil.rmtree(run / "checkpoints" / "step-00000006")
    assert call("sample", "--run", "r")[0] == 0  # step 6 may have been killed before it was saved
    shutil.rmtree(run / "checkpoints" / "step-00000003")
    assert call("sample", "--run", "r")[0] == 2
    state = run / "checkpoints"
    assert not list(state.glob("step-*"))


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_newest_checkpoint_is_said(call, run, file):
    path = run / "checkpoints" / "step-00000006" / file
    path.write_bytes(path.read_bytes()[:-20])
    for words in (["sample", "--run", "r"], ["train", "--resume", "--out", "r", "--steps", "7"]):
        assert refused(*call(*words)), words


def test_weights_are_not_used_with_another_tokenizer_or_architecture(call, run):
    config = json.loads((run / "config.json").read_text())
    for change in ({"n_heads": 1}, {"positions": "none"}, {"norm_eps": 0.5}, {"mlp": "gelu"}):
        (run / "config.json").write_text(json.dumps(config | {"config": config["config"] | {
            "model": config["config"]["model"] | change}}))  # fmt: skip
        for words in (["sample", "--run", "r"], ["train", "--resume", "--out", "r", "--steps", "7"]):
            code, out, err = call(*words)
            assert refused(code, out, err) and "another model" in err, (change, err)
    (run / "config.json").write_text(json.dumps(config))
    tokenizer = json.loads((run / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    vocab["e"], vocab["o"] = vocab["o"], vocab["e"]
    (run / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert refused(*call("sample", "--run", "r"))


@pytest.mark.parametrize("name", ["samples.jsonl", "result.json", "config.json", "metrics.jsonl", "tokenizer.json"])
@pytest.mark.parametrize("number", [28, 30])
def test_a_disk_that_takes_no_more_is_one_sentence(call, tmp_path, monkeypatch, name, number):
    from insideout import files
    from insideout.training import metrics

    original, opened = files.write_whole, metrics.MetricsFile.write

    def full(path, content):
        if path.name == name:
            raise OSError(number, os.strerror(number))
        original(path, content)

    def full_line(self, record):
        if name == "metrics.jsonl" and record["step"] > 3:
            raise files.disk_trouble(OSError(number, os.strerror(number)), self.path)
        opened(self, record)

    monkeypatch.setattr(files, "write_whole", full)
    monkeypatch.setattr(metrics.MetricsFile, "write", full_line)
    code, _, err = call("train", "--corpus", "c.txt", *SMALL, "--out", "r")
    assert code == 2 and "Traceback" not in err and ("disk is full" in err or "could not be written" in err)
    monkeypatch.undo()
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    again = ["--resume"] if (tmp_path / "r" / "config.json").exists() else ["--corpus", "c.txt", *SMALL]
    assert call("train", "--out", "r", *again)[0] == 0 and Run(tmp_path / "r").result()["step"] == 6


def test_a_report_that_cannot_be_drawn_does_not_end_the_run(call, tmp_path, monkeypatch):
    for trouble in (OSError(28, "No space left on device"), ValueError("no such colour"), RecursionError()):
        shutil.rmtree(tmp_path / "r", ignore_errors=True)

        def fails(*_, **__):
            raise trouble  # noqa: B023

        monkeypatch.setattr("insideout.recipes.report.write_report", fails)
        code, _, err = call("train", "--corpus", "c.txt", *SMALL, "--out", "r")
        assert code == 0 and "report" in err and "Traceback" not in err
        assert Run(tmp_path / "r").result()["step"] == 6 and not (tmp_path / "r" / "report.html").exists()


def test_leftovers_of_a_killed_process_are_swept(call, run):
    for name in (".config.json.abcd1234.part", ".samples.jsonl.zzzz_999.part"):
        assert LEFTOVER.fullmatch(name)
        (run / name).write_text("half")
    (run / ".mine").write_text("mine")
    assert call("train", "--resume", "--out", "r", "--steps", "7")[0] == 0
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == [".mine"]


@pytest.mark.parametrize(
    "words",
    [["sample", "--run", ""], ["sample", "--model", ""], ["export", "", "--out", "e"], ["sample", "--run", "x" * 5000],
     ["scores", "--scale", "x"], ["sample", "--run"], ["check", "x" * 5000], ["sample", "--run", "~nobody-knows/r"]],
    ids=lambda words: " ".join(words)[:30],
)  # fmt: skip
def test_an_empty_or_endless_name_is_one_sentence(call, run, monkeypatch, words):
    """In a folder that is a run itself: an empty name does not mean the present folder."""
    monkeypatch.chdir(run)
    before = content(run)
    code, out, err = call(*words)
    assert refused(code, out, err) and len(err) < 700, err
    assert "Invalid choice invalid" not in err and "Missing argument Missing" not in err
    assert content(run) == before
