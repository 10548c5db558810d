"""The museum of broken trainers: classic faults as switches, small runs that show them, and who names them.

Taught in book/3-fine-tuning-a-transformer/20_broken_trainers.md.
"""

from insideout.lab.museum.exhibits import Exhibit, curve, draw, exhibits, museum, name_the_fault, possible, room, runs
from insideout.lab.museum.faults import FAULTS, Fault, fault
from insideout.lab.museum.labels import LABELS, Label

__all__ = [
    "FAULTS", "LABELS", "Exhibit", "Fault", "Label", "curve", "draw", "exhibits", "fault", "museum", "name_the_fault",
    "possible", "room", "runs",
]  # fmt: skip
