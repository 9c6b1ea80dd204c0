"""The most memory that this process holds while it does something."""

import ctypes
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch


def begin_peak(device: torch.device) -> int:
    """Bytes held now; from here on `end_peak` sees the highest. On a GPU it is the GPU's memory that counts."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with suppress(OSError, AttributeError):
        # What the C library keeps of memory that was freed would be used again, unseen.
        ctypes.CDLL(None).malloc_trim(0)
    try:
        # Linux forgets the peak so far. Its ru_maxrss would not do: a child inherits that of its parent.
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return _status("VmHWM") or largest()
    return _status("VmRSS")


def end_peak(device: torch.device) -> int:
    """The most bytes held since `begin_peak`; where the system cannot forget, since the process began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM") or largest()


def _status(name: str) -> int:
    """Bytes of an entry of /proc/self/status; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def largest(whose: int = resource.RUSAGE_SELF) -> int:
    """The most bytes that this process, or the largest of its ended children (RUSAGE_CHILDREN), has held so far."""
    # macOS counts bytes, others kilobytes.
    return resource.getrusage(whose).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
