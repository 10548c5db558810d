"""The museum: broken runs to look at, their faults unnamed, and who says whether a name is right.

    museum("A")                                  curves and samples of run A, a sound run of its kind in grey
    name_the_fault("A", "pad_is_stop")           right, and what gave it away; or what that fault would look like

Each is a small run, one fault switched on (faults.py). There are three halls, of parts 3, 4 and 5 of the book
(making.py); in each, one of the exhibits is sound. They are made when they are first asked for, and kept as a study is.
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
from insideout.lab.museum.making import HALLS, hall_of, make
from insideout.lab.museum.painters import DRAWN
from insideout.lab.studies import Results, study

SOUND = "sound"
"""The name of no fault."""
NOT_SHOWN = ("reference_left_out", "rounded_logprobs", "drawn_backwards")
"""Faults that are on no wall: other exhibits teach the same."""
KINDS_OF_SOUND = {3: "rloo", 4: "grpo", 5: "digits_drawer"}
"""Of which kind the sound exhibit of each hall is."""

Panel = tuple[str, tuple[str, ...]]
TUNED: tuple[Panel, ...] = (
    ("loss", ("loss", "validation_loss")), ("held-out words", ("correct", "stop_rate")),
    ("gradient", ("gradient_norm",)),
)  # fmt: skip
REWARDED: tuple[Panel, ...] = (
    ("reward", ("reward", "gold")), ("KL (nats)", ("kl",)), ("entropy", ("entropy",)),
    ("beyond the clip", ("clip_fraction",)), ("largest ratio", ("ratio_max",)), ("length", ("length",)),
)  # fmt: skip
PAINTED: tuple[Panel, ...] = (
    ("loss", ("loss",)), ("loss by time", ("loss_near_noise", "loss_near_data")),
    ("held-out loss", ("validation_loss", "ema_validation_loss")), ("class left out", ("null_share",)),
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
    "grpo": (("reward", ("reward", "gold")), ("held-out words", ("correct",)), ("length", ("length",)),
             ("groups all alike", ("alike",)), ("size of advantages", ("advantage_size",)),
             ("gradient", ("gradient_norm",))),
    "prm": (("loss", ("loss", "validation_loss")), ("marks", ("accuracy", "are_right")),
            ("right above wrong", ("step_auc",))),
    "distil": TUNED,
    "vote": (("right, by votes", ("correct",)), ("the unreadable wins", ("unreadable",))),
    "digits_drawer": PAINTED,
    "latent_drawer": PAINTED,
    "vae": (("loss", ("loss", "validation_loss")), ("error", ("error",)), ("KL (nats)", ("kl",))),
    "clip": (("loss", ("loss", "validation_loss")), ("find each other", ("finds_caption", "finds_picture")),
             ("temperature", ("temperature",))),
}  # fmt: skip
"""What is shown of a run."""
WORDS = {
    "loss": "training", "validation_loss": "held out", "correct": "right", "stop_rate": "ended by themselves",
    "gold": "true reward", "reward": "reward", "accuracy": "training", "held_out_accuracy": "held out",
    "chosen_logprob": "chosen", "rejected_logprob": "rejected", "loss_near_noise": "near noise",
    "loss_near_data": "near data", "ema_validation_loss": "averaged weights", "finds_caption": "captions found",
    "finds_picture": "pictures found", "are_right": "labelled right",
}  # fmt: skip


def one_run(variant: tuple[str, str], seed: int) -> dict[str, Any]:
    """A run of (kind, fault or ""), as its files tell it: config.json, metrics.jsonl, the last samples, pictures."""
    kind, name = variant
    with tempfile.TemporaryDirectory() as folder:
        made = make(kind, Path(folder), fault_name=name, seed=seed)
        about = json.loads((made / "config.json").read_text(encoding="utf-8"))
        records = [json.loads(line) for line in (made / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        written, drawn = (made / name for name in ("samples.jsonl", DRAWN))
        samples = written.read_text(encoding="utf-8").splitlines() if written.is_file() else []
        painted = json.loads(drawn.read_text(encoding="utf-8")) if drawn.is_file() else {"found": {}, "pictures": {}}
    text = json.loads(samples[-1])["text"] if samples else ""
    return {"about": about, "records": records, "samples": text, **painted}


def curve(run: Mapping[str, Any], name: str) -> list[tuple[int, float]]:
    """(update, value) of one of a run's numbers."""
    return [(each["step"], each[name]) for each in run["records"] if each.get(name) is not None]


def runs(names: list[str] | None = None, hall: int = 3, seeds: int = 1) -> Results:
    """The runs of these faults, by default of all that hang in a hall, and then a sound one of each kind ("sound ppo").

    A name may be "sound ppo" too.
    """
    if names is None:
        names = [name for name in exhibits(hall).values() if name != SOUND] + [
            f"{SOUND} {each}" for each in HALLS[hall]
        ]
    variants = {}
    for name in names:
        first, _, kind = name.partition(" ")
        variants[name] = (kind, "") if first == SOUND and kind else (find(name).kind, name)
    return study("museum", one_run, variants, seeds=seeds)


def exhibits(hall: int = 3) -> dict[str, str]:
    """Which fault hangs under which letter of a hall, room after room; one is sound. In a room the order tells nothing.

    Letters of the halls 4 and 5 have the number before them: 5A.
    """
    find("pad_is_stop")  # all are registered from here on
    kinds = HALLS[hall]
    names = [*(name for name in FAULTS if name not in NOT_SHOWN and FAULTS[name].kind in kinds), SOUND]
    names.sort(key=lambda name: (
        kinds.index(kind_of(name, hall)), hashlib.sha256(f"museum {name}".encode()).hexdigest()
    ))  # fmt: skip
    before = "" if hall == 3 else str(hall)
    return {f"{before}{letter}": name for letter, name in zip(ascii_uppercase, names, strict=False)}


def kind_of(name: str, hall: int = 3) -> str:
    """Of which kind the run is that a fault breaks."""
    return KINDS_OF_SOUND[hall] if name == SOUND else find(name).kind


def hanging(label: str) -> str:
    """The name under a letter. Raises BadInput for a letter under which nothing hangs."""
    found = exhibits(hall_under(label))
    if label not in found:
        raise BadInput(f"No exhibit hangs under {label!r}: there are {', '.join(found)}.")
    return found[label]


def hall_under(label: str) -> int:
    """In which hall a letter is looked for."""
    return int(label[0]) if len(label) > 1 and label[:1] in map(str, HALLS) else 3


def museum(label: str) -> "Exhibit":
    """A run to look at: its curves, a sound run's in grey, and what it made. Raises BadInput as `hanging`."""
    name = hanging(label)
    kind = kind_of(name, hall_under(label))
    sound = study("museum", one_run, {f"{SOUND} {kind}": (kind, "")}, seeds=2 if name == SOUND else 1)
    shown = sound[f"{SOUND} {kind}"][-1] if name == SOUND else runs([name])[name][0]
    return Exhibit(label, kind, shown, sound[f"{SOUND} {kind}"][0])


def room(*kinds: str) -> list["Exhibit"]:
    """All exhibits of these kinds."""
    halls = sorted({hall_of(kind) for kind in kinds})
    return [museum(label) for hall in halls for label, name in exhibits(hall).items() if kind_of(name, hall) in kinds]


def draw(exhibits: Sequence["Exhibit"]) -> Any:
    """Their curves, one exhibit below the other, three panels a row, as a figure of matplotlib."""
    import matplotlib.pyplot as plt

    rows = [-(-each.n_panels // 3) for each in exhibits]
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
    def pictures(self) -> dict[str, list[list[list[int]]]]:
        """What it painted, a row of pictures to each name; empty where it paints nothing."""
        return dict(self.run.get("pictures", {}))

    @property
    def found(self) -> dict[str, float]:
        """What no curve tells, by name: of pictures how like digits they are."""
        return dict(self.run.get("found", {}))

    @property
    def n_panels(self) -> int:
        """Of its curves, and of its pictures, which have two."""
        return len(PANELS[self.kind]) + (2 if self.pictures else 0)

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
        for axis, (run, whose) in zip(axes[len(panels) :], ((self.run, ""), (self.sound, " (sound)")), strict=False):
            if run.get("pictures"):
                show_pictures(axis, run["pictures"], whose)

    def __str__(self) -> str:
        if self.pictures:
            return f"Exhibit {self.label}, a run of {self.kind}."
        share = self.learned_share
        learned = "" if share is None else f"Of the tokens {share:.0%} are learned.\n"
        return f"Exhibit {self.label}, a run of {self.kind}. {learned}What it answered last:\n{self.samples}"


def show_pictures(axis: Any, rows: Mapping[str, list[list[list[int]]]], whose: str) -> None:
    """Rows of pictures in one panel, the names of the rows above."""
    import numpy as np

    grid = np.concatenate([np.concatenate([np.pad(each, 1) for each in row], 1) for row in rows.values()], 0)
    axis.set_visible(True)
    axis.imshow(grid, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
    axis.set_title(f"{', '.join(rows)}{whose}", fontsize=8)
    axis.set_xticks([])
    axis.set_yticks([])


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
    kind = kind_of(there, hall_under(label))
    if guessed.kind != kind:
        return Graded(f"No: {name} is a fault of {guessed.kind}, and this is a run of {kind}.", False)
    return Graded(
        f"No. Were it that {LABELS[name].words}, you would see this: {LABELS[name].symptom} Look again.", False
    )


def possible(label: str) -> list[Fault]:
    """The faults that a run of this exhibit's kind may have: what there is to choose among."""
    kind = kind_of(hanging(label), hall_under(label))
    return [fault for fault in FAULTS.values() if fault.kind == kind]
