"""How large a tile may be."""

import math
import re
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath

import torch

from airtool.engine.padding import round_up

CPU_BUDGET = 400 * 2**20
"""Bytes of tensors on a CPU. The C library's heap makes up to twice that of it, by keeping what was freed; with PyTorch
itself (0.3 GiB) and a 25-megapixel picture (0.3 GiB) a process stays below 1.5 GiB: 1283 MiB by docs/speed.md."""

GPU_SHARE = 0.6
"""Part of a GPU's free memory for activations; the rest is for workspaces and fragmentation."""

OUT_OF_MEMORY = re.compile(
    "not enough memory|can't allocate memory|out of memory|bad_alloc|can't start new thread"
    "|could not (create|execute) a (primitive|memory( object)?)(?! desc)",
    re.IGNORECASE,
)
"""In messages of PyTorch. oneDNN tells no reason, but that a computation is possible at all has been found out before,
by its descriptor."""


@dataclass(frozen=True)
class Groups:
    """Where a version of Linux's control groups keeps what it says of memory."""

    folder: str
    limit: str
    used: str
    idle: str
    """Bytes of files' pages that were not used lately, in memory.stat."""


GROUPS = {
    "": Groups("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": Groups("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""By the controllers that /proc/self/cgroup names: none for the second version."""

LARGEST_TILE = 4096 * 4096
"""Pixels. Beyond this, tensors of 128 channels have more elements than 32-bit indices can count."""


def activation_budget(device: torch.device) -> int:
    """Bytes that one pass of the network may take on `device` now."""
    if device.type == "cuda":
        return _steady(torch.cuda.mem_get_info(device)[0] * GPU_SHARE)
    if device.type == "mps":
        return _steady((torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()) * GPU_SHARE)
    available = available_ram()
    return CPU_BUDGET if available is None or available > 3 * CPU_BUDGET else _steady(available / 3)


def available_ram(root: Path = Path("/")) -> int | None:
    """Bytes of main memory that can be had without swapping, by the machine and by the container's limit.

    None where the system does not say. root: of the file system that tells it.
    """
    known = [room for room in (_free_on_machine(root), _free_in_groups(root)) if room is not None]
    return min(known, default=None)


def _free_on_machine(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _free_in_groups(root: Path) -> int | None:
    """What Linux's control groups leave, the innermost of this process and those around it; containers are such groups.

    Pages of files that were not used lately count as free, as they do for `MemAvailable`.
    """
    free: list[int] = []
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, inside = line.split(":", 2)
        groups = next((GROUPS[each] for each in controllers.split(",") if each in GROUPS), None)
        if groups is None:
            continue
        # A container may see its own group as the top one, whatever name it has outside.
        for names in accumulate(
            PurePosixPath(inside.lstrip("/")).parts, PurePosixPath.joinpath, initial=PurePosixPath()
        ):
            group = root / groups.folder / names
            limit, used = _number(group / groups.limit), _number(group / groups.used)
            if limit is not None and used is not None:
                idle = [each.split()[1] for each in _lines(group / "memory.stat") if each.startswith(f"{groups.idle} ")]
                free.append(max(0, limit - used + sum(map(int, idle))))
    return min(free, default=None)


def _number(path: Path) -> int | None:
    """The number in a file; None where there is no file, or a word ("max") in it."""
    text = "".join(_lines(path))
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def tile_shape(height: int, width: int, pixels: int, multiple: int) -> tuple[int, int]:
    """Height and width of the largest tile of at most `pixels` pixels, multiples of `multiple`.

    As square as the picture allows: a picture narrower than the square gets longer tiles. At least one multiple.
    """
    height, width = round_up(height, multiple), round_up(width, multiple)
    pixels = min(pixels, LARGEST_TILE)
    side = math.isqrt(pixels)
    tile_height = min(height, side)
    tile_width = min(width, pixels // max(tile_height, 1))
    tile_height = min(height, pixels // max(tile_width, 1))
    return max(tile_height // multiple, 1) * multiple, max(tile_width // multiple, 1) * multiple


def is_out_of_memory(error: BaseException) -> bool:
    """Whether PyTorch failed for lack of memory: the CPU and MPS allocators, and oneDNN, raise a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return OUT_OF_MEMORY.search(str(error)) is not None


def _steady(budget: float) -> int:
    """The power of two below `budget`: free memory wavers from run to run, tile sizes (and so results) should not."""
    return 2 ** math.floor(math.log2(max(budget, 2**20)))
