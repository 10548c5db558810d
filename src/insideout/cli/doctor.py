"""The doctor: what this machine has, how fast it is, and known trouble, each with its cure."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from insideout.machine import cores, processor, software

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, what was found, and, where there is trouble, what to do."""

    name: str
    found: str
    cure: str = ""


def examine() -> list[Finding]:
    """Look at everything; takes a few seconds."""
    import torch

    from insideout.machine import choose_device
    from insideout.training import precision

    device = torch.device(choose_device("auto"))
    speedup = precision.bfloat16_speedup(str(device))
    chosen = precision.choose("auto", device)
    found = f"{chosen} (bfloat16 was measured {speedup:.2f} times as fast as float32)"
    if not speedup:
        found = "float32 (bfloat16 does not work here)"
    return [
        Finding("processor", f"{processor()}, {cores()} cores"),
        Finding("versions", software()),
        device_finding(device),
        threads(torch.get_num_threads(), cores(), os.environ.get("OMP_NUM_THREADS")),
        Finding("precision", found),
        speed(device),
        *folders(),
        compiler(),
    ]


def device_finding(device: torch.device) -> Finding:
    """Where training will happen; a GPU that torch cannot use is trouble."""
    import torch

    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        return Finding("device", f"cuda: {torch.cuda.get_device_name(device)}, {memory:.0f} GiB")
    if device.type == "mps":
        return Finding("device", "mps: the GPU of this Mac")
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        built = torch.version.cuda
        why = f"torch is built for CUDA {built}: update the driver" if built else "this torch is built for CPUs only"
        return Finding("device", "cpu, though there is an NVIDIA driver", f"{why}, or reinstall torch from pytorch.org")
    return Finding("device", "cpu")


def threads(n_threads: int, n_cores: int, chosen: str | None) -> Finding:
    """More threads than cores fight each other; fewer leave cores idle."""
    found = f"{n_threads} for {n_cores} cores"
    if n_threads > n_cores:
        return Finding("threads", found, f"too many, which is slow: export OMP_NUM_THREADS={n_cores}")
    if chosen and n_threads < n_cores // 2:
        return Finding("threads", found, "cores are idle: unset OMP_NUM_THREADS")
    return Finding("threads", found)


def speed(device: torch.device) -> Finding:
    """Speed of a float32 matrix product: 2 n³ operations."""
    gflops = matrix_product_gflops(device)
    slow = device.type == "cpu" and gflops < 5 * cores()
    cure = "slow for this many cores: close other programs, connect the power supply, check the threads above"
    return Finding("matrix product", f"{gflops:,.0f} GFLOP/s in float32", cure if slow else "")


def matrix_product_gflops(device: torch.device, n: int | None = None) -> float:
    """Best of five products of two (n, n) matrices, after one to warm up."""
    import torch

    n = n or (1024 if device.type == "cpu" else 4096)
    a = torch.ones(n, n, device=device)
    best = float("inf")
    for attempt in range(6):
        start = time.perf_counter()
        float((a @ a)[0, 0])  # reading a number waits for the device
        if attempt:
            best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best / 1e9


def folders() -> list[Finding]:
    """Can results be stored, and is there room?"""
    from insideout.data.fetch import cache_folder, data_folders

    home = cache_folder().parent
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    findings = []
    if not there.is_dir():
        findings.append(Finding("results", f"{there} is a file", "set INSIDEOUT_HOME to a folder"))
    elif os.access(there, os.W_OK):
        free = shutil.disk_usage(there).free / 2**30
        cure = "less than 1 GiB: free some space, or set INSIDEOUT_HOME to another disk" if free < 1 else ""
        findings.append(Finding("results", f"{home}, {free:,.1f} GiB free", cure))
    else:
        findings.append(Finding("results", f"{home} cannot be written", "set INSIDEOUT_HOME to a folder that can"))
    for folder in data_folders():
        if not folder.is_dir():
            cure = "make the folder, or mend INSIDEOUT_DATA"
            findings.append(Finding("data", f"{folder} (in INSIDEOUT_DATA) is absent", cure))
    return findings


def compiler() -> Finding:
    """--compile needs a C++ compiler on a CPU."""
    found = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    if found:
        return Finding("compiler", f"{found} (only needed for --compile)")
    return Finding("compiler", "none, so --compile will not work on a CPU; nothing else needs it")
