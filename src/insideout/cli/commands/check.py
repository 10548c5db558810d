"""`insideout check`: answers in a file or in notebooks, the list of exercises, or one exercise with its hints."""

import itertools
import linecache
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from insideout.errors import BadInput


@dataclass(frozen=True)
class Check:
    """Mark answers to exercises, in a file or in your copy; show one exercise; or list them all and your progress."""

    what: Annotated[str | None, tyro.conf.Positional] = None
    """A Python file that calls check(id, answer); a notebook, or a folder of them, such as my-book; an exercise's id; a
    chapter's, such as gradients.loss. Left out: list all exercises."""
    hint: bool = False
    """Show the exercise's next hint."""

    def run(self) -> int:
        from insideout.exercises.catalogue import topics

        if self.what is None:
            return list_all(topics())
        path = Path(self.what)
        if self.what in topics():
            return list_all([self.what])
        if path.is_dir() or (path.is_file() and path.suffix == ".ipynb"):
            return run_notebooks(path)
        if path.is_file():
            return run_file(path)
        if path.suffix or "/" in self.what or "\\" in self.what:
            if self.what.count(".") == 2 and path.suffix != ".py":
                return show_exercise(self.what, self.hint)
            raise BadInput(f"There is no file {path}: give a Python file that calls check(id, answer).")
        raise BadInput(f"There is no file and no exercise {self.what!r}: `insideout check` lists the exercises.")


def run_file(path: Path) -> int:
    """Run the file, and sum up its verdicts. 1 when an answer is wrong or the file breaks off, else 0."""
    from insideout.exercises.grading import collected, raised_text
    from insideout.exercises.showing import write

    try:
        source = path.read_bytes()
        compile(source, str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise BadInput(f"{path} could not be read: {error.strerror or error}.") from None
    except (SyntaxError, ValueError) as error:
        raise BadInput(syntax_sentence(path, error)) from None
    sys.path.insert(0, str(path.resolve().parent))
    broken = ""
    with collected() as verdicts:
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as left:
            broken = f"{path.name} left early, by exit code {left.code}." if left.code not in (None, 0) else ""
        except BadInput:
            raise
        except Exception as error:
            linecache.checkcache(str(path))
            broken = f"{path.name} broke off: {raised_text(error, None)}."
        finally:
            sys.path.pop(0)
    if not verdicts:
        if broken:
            raise BadInput(broken)
        raise BadInput(f"{path} checks nothing: it never calls check(id, answer).")
    counts = {name: sum(each.outcome == name for each in verdicts) for name in ("right", "wrong", "not yet")}
    write(f"\n{len(verdicts)} answers: " + ", ".join(f"{n} {name}" for name, n in counts.items() if n) + ".")
    if broken:
        write(broken, sys.stderr)
    return 1 if counts["wrong"] or broken else 0


def run_notebooks(path: Path) -> int:
    """Grade the answers in a notebook, or in all of a folder, and sum up. 1 when one is wrong, else 0."""
    from insideout.exercises.grading import collected, raised_text
    from insideout.exercises.showing import write
    from insideout.lab.answers import answers, notebooks

    found = [answer for each in notebooks(path) for answer in answers(each)]
    if not found:
        raise BadInput(f"{path} holds no answer: no cell of a notebook in it calls check(id, answer).")
    broken = 0
    with collected() as verdicts:
        for answer in (each for each in found if each.tried):
            trouble = answer.trouble
            if not trouble:
                try:
                    answer.run()
                except BadInput as error:
                    trouble = str(error)
                except Exception as error:
                    trouble = f"it broke off: {raised_text(error, None)}"
            if trouble:
                broken += 1
                write(f"✗ {answer.exercise} ({answer.place}): {trouble}")
    counts = {name: sum(each.outcome == name for each in verdicts) for name in ("right", "wrong", "not yet")}
    counts["wrong"] += broken
    counts["not yet"] += sum(not each.tried for each in found)
    write(f"\n{len(found)} exercises: " + ", ".join(f"{n} {name}" for name, n in counts.items() if n) + ".")
    return 1 if counts["wrong"] else 0


def syntax_sentence(path: Path, error: Exception) -> str:
    """Where Python cannot read a file."""
    if not isinstance(error, SyntaxError):
        return f"{path} is not a Python file: {error}."
    text = f": {error.text.strip()}" if error.text and error.text.strip() else ""
    return f"{path} is not Python at line {error.lineno or 1} ({error.msg}){text}"


def list_all(topics: list[str]) -> int:
    """The exercises by part and chapter, and which are solved."""
    from insideout.exercises.catalogue import exercises_of
    from insideout.exercises.chapters import PARTS, chapter, practice
    from insideout.exercises.showing import write

    kept = kept_progress()
    n_all = n_solved = 0
    for part, inside in itertools.groupby(topics, key=lambda topic: topic.partition(".")[0]):
        write(f"{list(PARTS).index(part) + 1} {PARTS[part]}")
        for topic in inside:
            here = exercises_of(topic)
            solved = [bool(kept.get(each.id, {}).get("solved")) for each in here]
            number = chapter(topic).number
            title = chapter(topic).title if number is None else f"{number:02} {chapter(topic).title}"
            write(f"\n  {title} ({sum(solved)} of {len(here)})" if here else f"\n  {title} (needs torch)")
            for each, done in zip(here, solved, strict=True):
                mark = "✓" if done else "✗" if each.id in kept else "○"
                found = practice(each.id)
                title = f"  {found.title}" if found else ""
                write(f"    {mark} {each.rating} {each.minutes:>3} min  {each.id}{title and ' ·' + title[1:]}")
            n_all, n_solved = n_all + len(here), n_solved + sum(solved)
        write("")
    write(f"{n_solved} of {n_all} solved. `insideout check ID` shows an exercise.")
    return 0


def show_exercise(id: str, hint: bool) -> int:
    """The exercise as its chapter gives it, and its next hint if that is asked for."""
    from insideout.exercises.catalogue import find
    from insideout.exercises.chapters import chapter, practice
    from insideout.exercises.progress import keep_hint
    from insideout.exercises.showing import write

    exercise, found = find(id), practice(id)
    entry = kept_progress().get(id, {})
    solved = f", solved {entry['solved'][:10]}" if entry.get("solved") else ""
    if found is None:
        write(f"{id}\n{exercise.rating}, {exercise.minutes} minutes{solved}. Its text stands in the chapter, not here.")
        return 0
    shown = min(entry.get("hints", 0), len(found.hints))
    write(f"{found.title} · {id}\n{chapter(exercise.topic).name}{solved}\n\n{found.statement}\n\n{found.stub}\n")
    if hint and shown < len(found.hints):
        shown += 1
        try:
            keep_hint(id, shown)
        except OSError as error:
            write(f"(That a hint was shown could not be kept: {error.strerror or error}.)", sys.stderr)
    for i, each in enumerate(found.hints[:shown]):
        write(f"Hint {i + 1} of {len(found.hints)}: {each}\n")
    left = len(found.hints) - shown
    write(
        f"`insideout check {id} --hint` shows {'the first' if not shown else 'the next'} hint."
        if left
        else "No more hints."
    )
    return 0


def kept_progress() -> dict[str, dict[str, Any]]:
    """The reader's progress; none, and a word about it, where it cannot be read."""
    from insideout.exercises.progress import progress
    from insideout.exercises.showing import write

    try:
        return progress()
    except OSError as error:
        write(f"(Your progress could not be read: {error.strerror or error}.)", sys.stderr)
        return {}
