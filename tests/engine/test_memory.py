"""How much memory there is: the machine's, and a container's share of it."""

from pathlib import Path

import pytest
import torch

from airtool.engine import memory

MIB = 2**20


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MACHINE = {"proc/meminfo": f"MemTotal: 99999999 kB\nMemAvailable: {4096 * 1024} kB\n"}
SECOND = {
    "proc/self/cgroup": "0::/user.slice/job.scope\n",
    "sys/fs/cgroup/user.slice/memory.max": f"{900 * MIB}\n",
    "sys/fs/cgroup/user.slice/memory.current": f"{500 * MIB}\n",
    "sys/fs/cgroup/user.slice/memory.stat": f"anon 5\ninactive_file {100 * MIB}\n",
    "sys/fs/cgroup/user.slice/job.scope/memory.max": "max\n",
    "sys/fs/cgroup/user.slice/job.scope/memory.current": f"{300 * MIB}\n",
}
CONTAINER = {  # as in a container, which sees its own group as the top one
    "proc/self/cgroup": "9:name=systemd:/docker/ab12\n4:cpuacct,memory:/docker/ab12\n0::/docker/ab12\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{700 * MIB}\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{800 * MIB}\n",
    "sys/fs/cgroup/memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {130 * MIB}\n",
}
UNLIMITED = {
    **CONTAINER,
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "1\n",
}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (MACHINE, 4096),
        (MACHINE | SECOND, 500),
        (MACHINE | CONTAINER, 30),
        (MACHINE | UNLIMITED, 4096),
        (SECOND, 500),
        (MACHINE | {"proc/self/cgroup": "0::/gone\n"}, 4096),
    ],
)
def test_the_least_of_what_machine_and_groups_leave(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert memory.available_ram(system(tmp_path, files)) == expected * MIB


def test_systems_that_say_nothing(tmp_path: Path) -> None:
    assert memory.available_ram(tmp_path) is None


@pytest.mark.parametrize(
    ("available", "budget"), [(None, 400 * MIB), (8192 * MIB, 400 * MIB), (800 * MIB, 256 * MIB), (0, MIB)]
)
def test_little_memory_makes_small_tiles(available: int | None, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_ram", lambda: available)
    assert memory.activation_budget(torch.device("cpu")) == budget
