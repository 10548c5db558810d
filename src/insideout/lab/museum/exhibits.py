"""The museum: broken runs to look at, their faults unnamed, and who says whether a name is right.

    museum("A")                                  curves and samples of run A, a sound run of its kind in grey
    name_the_fault("A", "pad_is_stop")           right, and what gave it away; or what that fault would look like

Each is a small run in the world of letters (runs.py), one fault switched on (faults.py); one of them is sound. They are
made when they are first asked for, and kept as a study is.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from insideout.errors import BadInput
from insideout.lab.museum.faults import FAULTS, Fault, find
from insideout.lab.museum.labels import LABELS
from insideout.lab.museum.runs import KINDS, make
from insideout.lab.studies import Results, study

SOUND = "sound"
"""The name of no fault."""
NOT_SHOWN = ("reference_left_out", "rounded_logprobs")
"""Faults that are on no wall: other exhibits teach the same."""
KIND_OF_SOUND = "rloo"

Panel = tuple[str, tuple[str, ...]]
TUNED: tuple[Panel, ...] = (
    ("loss", ("loss", "validation_loss")), ("held-out words", ("correct", "stop_rate")),
    ("gradient", ("gradient_norm",)),
)  # fmt: skip
REWARDED: tuple[Panel, ...] = (
    ("reward", ("reward", "gold")), ("KL (nats)", ("kl",)), ("entropy", ("entropy",)),
    ("beyond the clip", ("clip_fraction",)), ("largest ratio", ("ratio_max",)), ("length", ("length",)),
)  # fmt: skip
PANELS: Mapping[str, tuple[Panel, ...]] = {
    "sft": TUNED,
    "lora": TUNED,
    "reward": (("loss", ("loss", "validation_loss")), ("pairs in order", ("accuracy", "held_out_accuracy")),
               ("margin", ("margin",))),
    "dpo": (("loss", ("loss",)), ("pairs in order", ("accuracy",)), ("margin", ("margin",)),
            ("held-out words", ("correct", "gold")), ("log π", ("chosen_logprob", "rejected_logprob"))),
    "ppo": (*REWARDED[:4], ("critic's loss", ("value_loss",)), ("foreseen", ("explained_variance",))),
    "rloo": REWARDED,
}  # fmt: skip
"""What is shown of a run."""
WORDS = {
    "loss": "training", "validation_loss": "held out", "correct": "right", "stop_rate": "ended by themselves",
    "gold": "true reward", "reward": "reward", "accuracy": "training", "held_out_accuracy": "held out",
    "chosen_logprob": "chosen", "rejected_logprob": "rejected",
}  # fmt: skip


def one_run(variant: tuple[str, str], seed: int) -> dict[str, Any]:
    """A run of (kind, fault or ""), as its files tell it: config.json, metrics.jsonl, the last samples."""
    kind, name = variant
    with tempfile.TemporaryDirectory() as folder:
        made = make(kind, Path(folder), fault_name=name, seed=seed)
        about = json.loads((made / "config.json").read_text(encoding="utf-8"))
        records = [json.loads(line) for line in (made / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        samples = (made / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return {"about": about, "records": records, "samples": json.loads(samples[-1])["text"] if samples else ""}


def curve(run: Mapping[str, Any], name: str) -> list[tuple[int, float]]:
    """(update, value) of one of a run's numbers."""
    return [(each["step"], each[name]) for each in run["records"] if each.get(name) is not None]


def runs(names: list[str] | None = None) -> Results:
    """The runs of these faults, by default of all that are shown, and then a sound one of each kind ("sound ppo")."""
    chosen = [find(name) for name in (names if names is not None else exhibits().values()) if name != SOUND]
    kinds = KINDS if names is None else ()
    variants = {each.name: (each.kind, each.name) for each in chosen}
    return study("museum", one_run, variants | {f"{SOUND} {kind}": (kind, "") for kind in kinds}, seeds=1)


def exhibits() -> dict[str, str]:
    """Which fault hangs under which letter, room after room; one is sound. Within a room the order tells nothing."""
    find("pad_is_stop")  # all are registered from here on
    names = [*(name for name in FAULTS if name not in NOT_SHOWN), SOUND]
    names.sort(key=lambda name: (KINDS.index(kind_of(name)), hashlib.sha256(f"museum {name}".encode()).hexdigest()))
    return dict(zip(ascii_uppercase, names, strict=False))


def kind_of(name: str) -> str:
    """Of which kind the run is that a fault breaks."""
    return KIND_OF_SOUND if name == SOUND else find(name).kind


def hanging(label: str) -> str:
    """The name under a letter. Raises BadInput for a letter under which nothing hangs."""
    found = exhibits()
    if label not in found:
        raise BadInput(f"No exhibit hangs under {label!r}: there are {', '.join(found)}.")
    return found[label]


def museum(label: str) -> "Exhibit":
    """A run to look at: its curves, a sound run's in grey, and what it answers. Raises BadInput as `hanging`."""
    name = hanging(label)
    kind = kind_of(name)
    sound = study("museum", one_run, {f"{SOUND} {kind}": (kind, "")}, seeds=2 if name == SOUND else 1)
    shown = sound[f"{SOUND} {kind}"][-1] if name == SOUND else runs([name])[name][0]
    return Exhibit(label, kind, shown, sound[f"{SOUND} {kind}"][0])


def room(*kinds: str) -> list["Exhibit"]:
    """All exhibits of these kinds."""
    return [museum(label) for label, name in exhibits().items() if kind_of(name) in kinds]


def draw(exhibits: Sequence["Exhibit"]) -> Any:
    """Their curves, one exhibit below the other, three panels a row, as a figure of matplotlib."""
    import matplotlib.pyplot as plt

    rows = [-(-len(PANELS[each.kind]) // 3) for each in exhibits]
    figure, axes = plt.subplots(sum(rows), 3, figsize=(7.5, 1.7 * sum(rows)), squeeze=False)
    first = 0
    for each, n in zip(exhibits, rows, strict=True):
        each.draw_in(axes[first : first + n].flatten())
        axes[first][0].set_ylabel(each.label, rotation=0, labelpad=14, fontsize=13, fontweight="bold")
        first += n
    figure.tight_layout()
    return figure


class Exhibit:
    """A run on the wall."""

    def __init__(self, label: str, kind: str, run: Mapping[str, Any], sound: Mapping[str, Any]) -> None:
        self.label, self.kind, self.run, self.sound = label, kind, run, sound

    @property
    def samples(self) -> str:
        """What the run answered last."""
        return str(self.run["samples"])

    @property
    def learned_share(self) -> float | None:
        """Which share of the tokens was learned, where the run tells it."""
        found: float | None = self.run["about"].get("learned_share")
        return found

    def draw(self) -> Any:
        """Its curves, a panel each, as a figure of matplotlib."""
        return draw([self])

    def draw_in(self, axes: Any) -> None:
        """Its curves, into a row of panels; a sound run's in grey."""
        from insideout.lab.figures import BLUE, GREY, ORANGE

        panels = PANELS[self.kind]
        for axis, (title, keys) in zip(axes, panels, strict=False):
            for key, colour, style in zip(keys, (BLUE, ORANGE), ("-", "--"), strict=False):
                for run, shade in ((self.sound, GREY), (self.run, colour)):
                    points = curve(run, key)
                    label = WORDS.get(key, key) if len(keys) > 1 and shade is colour else None
                    steps, values = [x for x, _ in points], [y for _, y in points]
                    axis.plot(steps, values, style, color=shade, label=label, linewidth=1.2,
                              marker="." if len(points) < 12 else None)  # fmt: skip
            axis.set_title(title, fontsize=9)
            axis.tick_params(labelsize=7)
            if len(keys) > 1:
                axis.legend(fontsize=6)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)

    def __str__(self) -> str:
        share = self.learned_share
        learned = "" if share is None else f"Of the tokens {share:.0%} are learned.\n"
        return f"Exhibit {self.label}, a run of {self.kind}. {learned}What it answered last:\n{self.samples}"


class Graded(str):
    """What was said of a name; `right` says whether it is the fault's."""

    right: bool

    def __new__(cls, words: str, right: bool) -> "Graded":
        self = super().__new__(cls, words)
        self.right = right
        return self


def name_the_fault(label: str, name: str) -> Graded:
    """Is this the fault of that exhibit? If so what gives it away, else what it would look like.

    Raises BadInput for an exhibit or a fault that there is not.
    """
    there = hanging(label)
    if name == there:
        if there == SOUND:
            return Graded("Right: nothing is wrong with it. Its curves are as noisy as those of any sound run.", True)
        plate, target = LABELS[there], find(there).target
        words = f"Right: {plate.words}. {plate.symptom} The switch replaced {target}. Met in: {plate.source}."
        return Graded(words, True)
    if name == SOUND:
        return Graded("No, something is wrong with it: hold each panel against the grey one.", False)
    guessed = find(name)
    kind = kind_of(there)
    if guessed.kind != kind:
        return Graded(f"No: {name} is a fault of {guessed.kind}, and this is a run of {kind}.", False)
    return Graded(
        f"No. Were it that {LABELS[name].words}, you would see this: {LABELS[name].symptom} Look again.", False
    )


def possible(label: str) -> list[Fault]:
    """The faults that a run of this exhibit's kind may have: what there is to choose among."""
    kind = kind_of(hanging(label))
    return [fault for fault in FAULTS.values() if fault.kind == kind]
