"""What machine this is, in a few words that go into every report and claim, and which device computes.

Imports torch only when a device is asked for.
"""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from insideout.errors import BadInput


def processor() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def cores() -> int:
    """The processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def memory() -> int | None:
    """This machine's memory in bytes, or None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def told(variable: str) -> int:
    """A whole number from the environment, such as torchrun's RANK; 0 where there is none. Else BadInput."""
    value = os.environ.get(variable) or "0"
    if not value.isdecimal():
        raise BadInput(f"{variable} is {value!r}; it must be a whole number, as torchrun sets it: unset it otherwise.")
    return int(value)


def torch_version() -> str:
    """The installed torch, without importing it."""
    try:
        return version("torch")
    except PackageNotFoundError:
        return "absent"


def machine(accelerator: str = "") -> str:
    """One line: processor, cores, system, Python, torch."""
    computing = f"{processor()}, {cores()} core{'s' if cores() != 1 else ''}"
    if accelerator:
        computing = f"{accelerator}; {computing}"
    return f"{computing}; {platform.system()} {platform.machine()}; {software()}"


def software() -> str:
    """Python and torch, by version."""
    return f"Python {platform.python_version()}, torch {torch_version()}"


def choose_device(device: str) -> str:
    """The device to compute on. Raises BadInput for one that this machine has not."""
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return "cuda" if there["cuda"] else "mps" if there["mps"] else "cpu"
    if not there.get(device):
        raise BadInput(
            f"This machine has no {device} device that torch can use: try --device cpu, or insideout doctor."
        )
    return device


def accelerator(device: Any) -> str:
    """The accelerator's name, or nothing on a CPU."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else {"mps": "Apple GPU"}.get(device.type, "")
