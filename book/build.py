"""Build the book: execute each chapter that has changed, then make the site and the EPUB.

    python book/build.py                    all of it, into book/_build/html and book/_build/epub
    python book/build.py --part 2           execute part 2 alone; other chapters show what they gave before, or say so

What a chapter gave is remembered until its code, the code it reaches, the scale or what computes it changes. Site and
EPUB are made beside their places and moved there when both are whole. INSIDEOUT_SCALE chooses the scale.
"""

import argparse
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

BOOK = Path(__file__).resolve().parent
sys.path.insert(0, str(BOOK / "_ext"))
if find_spec("insideout") is None:
    sys.path.insert(0, str(BOOK.parent / "src"))

from execution import NotExecuted, execution, notebooks, stored  # noqa: E402

from insideout.errors import BadInput  # noqa: E402
from insideout.files import locked  # noqa: E402
from insideout.scales import scale  # noqa: E402

BUILDERS = ("html", "epub")


def main() -> int:
    """Do what the flags say; return the exit code."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--part", help="execute the chapters of this part alone: 1, 2, ...")
    flags.add_argument("--book", type=Path, default=BOOK, help="where the chapters are")
    flags.add_argument("--out", type=Path, default=BOOK / "_build", help="where html and epub go")
    flags.add_argument("--executed", type=Path, help="where the chapters' results are kept; else executed, in --out")
    chosen = flags.parse_args()
    executed = chosen.executed or chosen.out / "executed"
    try:
        with locked(chosen.out / "build", wait=False):
            execute_all(chosen.book, executed, chosen.part)
            write_pages(chosen.book, executed, chosen.out)
    except BlockingIOError:
        return trouble(f"Another build is writing to {chosen.out}: wait for it, or give another --out.")
    except (BadInput, NotExecuted) as error:
        return trouble(str(error))
    except KeyboardInterrupt:
        return trouble("Stopped. The next build goes on with the chapter it was at.", code=130)
    print(f"Open {chosen.out / 'html' / 'index.html'}")
    return 0


def trouble(sentence: str, code: int = 1) -> int:
    """Say what went wrong, and that nothing half made was left."""
    print(sentence, file=sys.stderr)
    return code


def execute_all(book: Path, executed: Path, part: str | None) -> None:
    """Execute the pages of one part, or of all, whose results are not there."""
    every = notebooks(book)
    chosen = [path for path in every if part is None or path.parent.name.startswith(f"{part}-")]
    if not chosen:
        parts = sorted({path.parent.name[0] for path in every if path.parent.name[0].isdigit()})
        raise BadInput(f"There is no part {part!r}: choose one of {', '.join(parts)}." if parts else "No chapter here.")
    waiting = [path for path in chosen if stored(path, executed) is None]
    print(f"{len(chosen)} pages, scale {scale()}: {len(waiting)} to execute, {len(chosen) - len(waiting)} unchanged")
    for number, path in enumerate(waiting, 1):
        name = path.relative_to(book).with_suffix("").as_posix()
        print(f"[{number}/{len(waiting)}] {name} ...", end="", flush=True)
        found = execution(path, executed)
        print(f" {found.seconds:.0f} s", flush=True)
    absent = [path for path in every if path not in chosen and stored(path, executed) is None]
    if absent:
        print(f"{len(absent)} other pages have no results, and say so.")


def write_pages(book: Path, executed: Path, out: Path) -> None:
    """Make the site and the EPUB, and put them in their places when both are there."""
    work, start = out / "unfinished", time.perf_counter()
    shutil.rmtree(work, ignore_errors=True)
    print("Writing the pages ...", end="", flush=True)
    for builder in BUILDERS:
        settings = ["-c", str(BOOK), "-D", f"executed={executed.resolve()}"]
        command = [sys.executable, "-m", "sphinx", "-q", "-b", builder, *settings, str(book), str(work / builder)]
        if subprocess.run(command).returncode:
            raise BadInput("Sphinx could not write the pages; it says why above.")
    for builder in BUILDERS:
        if (out / builder).exists():
            (out / builder).replace(work / f"{builder}-before")
        (work / builder).replace(out / builder)
    shutil.rmtree(work)
    print(f" {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
