"""`insideout doctor`: look at this machine, or at a run."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from insideout.errors import BadInput


@dataclass(frozen=True)
class Doctor:
    """Look at Python, torch, device, precision and speed, or at the curves of a run: known trouble, with its cure."""

    run_folder: Annotated[str | None, tyro.conf.arg(name="run", metavar="PATH")] = None
    """The folder of a run of ours, finished or not: look at its curves instead of the machine."""

    def run(self) -> int:
        if self.run_folder is not None:
            return look_at(self.run_folder)
        from insideout.cli.doctor import examine

        findings = examine()
        width = max(len(each.name) for each in findings)
        for each in findings:
            print(f"{'✗' if each.cure else '✓'} {each.name:<{width}}  {each.found}")
            if each.cure:
                print(f"  {'':<{width}}  cure: {each.cure}")
        return told(sum(bool(each.cure) for each in findings))


def look_at(folder: str) -> int:
    """Say what the curves of a run tell."""
    from insideout.files import expanded
    from insideout.recipes.diagnosis import SIGNATURES, diagnose
    from insideout.recipes.runs import FORMAT, read_object
    from insideout.training.metrics import read

    path = expanded(folder, "--run")
    config, metrics = path / "config.json", path / "metrics.jsonl"
    if not config.is_file():
        raise BadInput(f"There is no run in {path}: give the folder of one.")
    about = read_object(config)
    if about.get("format") != FORMAT:
        raise BadInput(f"{config} is damaged or not of a run of ours: choose another folder.")
    records = read(metrics) if metrics.is_file() else []
    found = diagnose(about, records)
    print(f"{about.get('stage', 'run')}, {len(records):,} steps, {len(SIGNATURES)} signatures of known faults.\n")
    for each in found:
        print(f"✗ {each.name}: {each.seen}\n  look at: {each.look}")
    return told(len(found))


def told(n: int) -> int:
    """The last line."""
    print(f"\n{n} known trouble{'s' if n > 1 else ''}." if n else "\nNo known trouble.")
    return 0
