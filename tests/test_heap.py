"""What is freed is used again without the kernel's help."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from airtool.heap import keep_heap

if sys.argv[1] == "keep":
    keep_heap()
np.ones(16_000_000, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(16_000_000, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str, script: str = SCRIPT) -> int:
    done = subprocess.run([sys.executable, "-c", script, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")

THREAD = """
import resource, sys, threading
import numpy as np
from airtool.heap import keep_heap, share_heap


def use() -> None:
    for number in range(6):
        np.ones(20_000_000, np.float32)
        if number == 0:
            before.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)


keep_heap()
if sys.argv[1] == "share":
    share_heap()
before: list[int] = []
thread = threading.Thread(target=use)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before[0])
"""

RETURN = """
from pathlib import Path
import numpy as np
from airtool.heap import keep_heap, return_heap


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


keep_heap()
np.ones(16_000_000, np.float32)
kept = resident()
return_heap()
print(kept - resident())
"""


@glibc
def test_a_kept_heap_is_not_mapped_again() -> None:
    assert faults("keep") < faults("leave") / 10


@glibc
def test_nothing_is_kept_where_addresses_are_scarce() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 36, resource.RLIM_INFINITY))\n"
    # How many there are differs from run to run, by how many pages the kernel maps at once; kept, there are hardly any.
    assert faults("keep", limit + SCRIPT) > 10 * faults("keep") + 100


@glibc
def test_a_thread_keeps_what_it_freed_when_the_heap_is_shared() -> None:
    assert faults("share", THREAD) < faults("own", THREAD) / 10


@glibc
def test_a_kept_heap_can_be_handed_back() -> None:
    done = subprocess.run([sys.executable, "-c", RETURN], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 60_000  # KiB, of 62_500
