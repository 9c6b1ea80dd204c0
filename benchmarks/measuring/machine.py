"""Where figures were measured, and what the machine could do at best."""

import os
import platform
import sys
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from airtool.reports.record import versions

SIDES = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices whose product gives the peak, by the device's type."""

ATTEMPTS = 8
"""Products of which the quickest counts: a peak is what the machine can, not what it does on average."""

IDLE = 0.3
"""Load average (processes that want to compute, over the last minute) up to which a machine counts as idle."""


def processor() -> str:
    """Model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def facts(device: torch.device, load: float | None) -> dict[str, Any]:
    """What has to be known of a run to read its figures. load: of the machine before the run began."""
    numbers = versions()
    with suppress(PackageNotFoundError):
        numbers["openvino"] = version("openvino")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "versions": numbers,
        "processor": processor() if device.type == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "load": load,
    }


def load_average() -> float | None:
    """Over the last minute; None where the system does not say. Warns when it is no idle machine's."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return None
    if load > IDLE:
        print(f"the machine is busy (load {load:.1f}): these figures will not be valid", file=sys.stderr)
    return load


def matmul_peak(device: torch.device) -> float:
    """Floating-point operations a second of the quickest float32 `torch.mm`, with the threads that are set."""
    side = SIDES[device.type]
    a, b = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
    best = float("inf")
    for _ in range(ATTEMPTS + 2):  # the first two are for caches and clocks, and are slower
        start = time.perf_counter()
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best
