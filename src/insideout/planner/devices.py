"""What accelerators can do, as their makers publish it: peak speed of matrix products, memory, memory bandwidth.

Speeds are for dense matrices; where a data sheet gives the one with 2:4 sparsity, half of it. bfloat16 and float16 are
equally fast on all of the GPUs; a TPU has no float16. float32 is full float32, as torch computes it unless told
otherwise, not TF32. Memory is given in GB on the sheet and read as GiB here: an A100 of "40 GB" holds 39.5 GiB. Where
the card keeps its error correction in the same memory, as those with GDDR6 do, a sixteenth less.
"""

import math
from dataclasses import dataclass

from insideout.errors import BadInput


@dataclass(frozen=True)
class Device:
    """One kind of device."""

    name: str
    low_precision_flops: float
    """Peak operations a second in bfloat16, and in float16 where there is any."""
    float32_flops: float | None
    """Peak operations a second in float32; None where none is published."""
    memory: float
    """GiB."""
    bandwidth: float
    """Bytes a second between memory and chip."""
    source: str
    float16: bool = True
    """Whether its matrix units know float16."""

    def flops(self, precision: str) -> float:
        """Peak operations a second. Raises BadInput where none is published."""
        if precision == "float16" and not self.float16:
            raise BadInput(f"{self.name} has no float16: choose precision bfloat16.")
        found = self.float32_flops if precision == "float32" else self.low_precision_flops
        if found is None:
            raise BadInput(f"No float32 speed is published for {self.name}: choose precision bfloat16.")
        return found


def _device(
    name: str, low: float, full: float | None, memory: float, bandwidth: float, source: str, float16: bool = True
) -> Device:
    """From TFLOP/s, GB and GB/s."""
    return Device(name, low * 1e12, None if full is None else full * 1e12, memory, bandwidth * 1e9, source, float16)


ECC = 15 / 16
"""Share of GDDR6 that is left beside its error correction."""


DEVICES = {
    each.name: each
    for each in (
        _device("a100-40", 312, 19.5, 40, 1555, "NVIDIA A100 data sheet, SXM4 40 GB"),
        _device("a100-80", 312, 19.5, 80, 2039, "NVIDIA A100 data sheet, SXM4 80 GB"),
        _device("h100", 989.4, 67, 80, 3350, "NVIDIA H100 data sheet, SXM5"),
        _device("h200", 989.4, 67, 141, 4800, "NVIDIA H200 data sheet, SXM"),
        _device("b200", 2250, 75, 180, 7700, "NVIDIA HGX B200 data sheet, an eighth of the system"),
        _device("l4", 121, 30.3, 24 * ECC, 300, "NVIDIA L4 data sheet, less error correction"),
        _device("l40s", 362, 91.6, 48 * ECC, 864, "NVIDIA L40S data sheet, less error correction"),
        _device("rtx4090", 165.2, 82.6, 24, 1008, "NVIDIA Ada architecture white paper, appendix A, sums in float32"),
        _device("mi300x", 1307.4, 163.4, 192, 5300, "AMD Instinct MI300X data sheet"),
        _device("tpu-v4", 275, None, 32, 1200, "Google Cloud documentation, TPU v4", float16=False),
        _device("tpu-v5e", 197, None, 16, 819, "Google Cloud documentation, TPU v5e", float16=False),
        _device("tpu-v5p", 459, None, 95, 2765, "Google Cloud documentation, TPU v5p", float16=False),
    )
}


def choose_device(
    name: str, tflops: float | None = None, memory: float | None = None, bandwidth: float | None = None
) -> Device:
    """A device of the table, or "custom": one with a peak of `tflops` 10^12 operations a second, in any precision,
    `memory` GiB and `bandwidth` GB a second. Raises BadInput for another word, or numbers missing or out of place.
    """
    own = {"tflops": tflops, "memory": memory, "bandwidth": bandwidth}
    if name != "custom":
        for each, value in own.items():
            if value is not None:
                raise BadInput(f"--{each} describes a device of your own: give --device custom as well.")
        if name not in DEVICES:
            raise BadInput(f"--device is {name!r}; it must be one of {', '.join(DEVICES)} or custom.")
        return DEVICES[name]
    for each, value in own.items():
        if value is None or not 0 < value < math.inf:
            raise BadInput(f"A custom device needs --{each}, a finite number above 0.")
        if not 1e-9 <= value <= 1e9:
            raise BadInput(f"--{each} is {value:g}; no device is planned with less than 1e-9 or more than 1e9.")
    assert tflops is not None and memory is not None and bandwidth is not None
    return _device("custom", tflops, tflops, memory, bandwidth, "as given")
