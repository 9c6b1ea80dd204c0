"""Try to hurt what `airtool restore` and `airtool iterate` write: kill them, fill the disk, change inputs meanwhile.

    python benchmarks/faults.py [--part NAME=AMOUNT ...] [--pictures 12] [--seed 1] [--json FILE]

Runs real command lines over small pictures, each in a process of its own (`fault_runs.py` says how), and checks after
each that the inputs are untouched, that every output is whole and right or absent, and that `--resume` ends with the
bytes of an undisturbed run, repeats nothing finished and leaves no half-written file. The first broken promise ends
the campaign with exit code 1. For Linux; a full disk and a read-only one are real ones where file systems may be
mounted (as root).
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when PyTorch is loaded: threads gain nothing here, and cannot be forked

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fault_kills import kill_at_every_point, kill_at_random, whole_processes
from fault_places import clocks, full_disk, inputs_change, read_only, together
from fault_runs import Bench, BrokenError, Figures

PARTS: dict[str, tuple[Callable[[Bench, int], Figures], int]] = {
    "kills": (kill_at_random, 300),
    "points": (kill_at_every_point, 150),
    "processes": (whole_processes, 20),
    "full-disk": (full_disk, 10),
    "read-only": (read_only, 5),
    "inputs": (inputs_change, 20),
    "together": (together, 12),
    "clocks": (clocks, 10),
}
"""What is done, and how often unless somebody says otherwise."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", metavar="NAME=AMOUNT", help=f"only these of {', '.join(PARTS)}")
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    chosen = {name: amount for name, (_, amount) in PARTS.items()}
    if arguments.part:
        chosen = {
            name: int(amount or chosen[name]) for name, _, amount in (each.partition("=") for each in arguments.part)
        }
    told: dict[str, Figures] = {}
    broken = False
    for name, amount in chosen.items():
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                told[name] = PARTS[name][0](Bench(Path(folder), arguments.pictures, arguments.seed), amount)
            except BrokenError as error:
                told[name], broken = {"BROKEN": str(error)}, True
        told[name]["seconds"] = round(time.monotonic() - start)
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in told[name].items())}", flush=True)
        if broken:
            break
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps({"pictures": arguments.pictures, "seed": arguments.seed, **told}, indent=2) + "\n"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
