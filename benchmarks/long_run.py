"""Many pictures in one run: memory, completeness, and how long resuming takes.

    python benchmarks/long_run.py [--pictures 5000] [--bad 0.05] [--limit 700] [--untrained] [--json FILE] ...

Draws small pictures (24 to 96 pixels a side) of several sizes and kinds, spoils a part of them, runs `airtool` over all
and looks at its memory meanwhile, then resumes. Ends with exit code 1 when the run takes more than --limit MiB of
memory, when that grows by more than 3 % in the second half, when a good picture is missing or not as large as its
input, when a bad one is not told in a line, or when resuming makes anything again. For Linux.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when PyTorch is loaded: threads gain nothing with such small pictures

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fault_runs import BrokenError, draw_pictures, draw_weights, hold, leftovers, tree

from airtool.images.decode import read

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Of the pictures that are finished, at which memory is told."""

REPORTING = 2.0

GROWTH = 1.03
"""Most memory at the end, as a part of that after half of the pictures: until then PyTorch and the C library fill their
caches, of convolutions prepared for pictures of each size above all."""


def spoil(folder: Path, share: float, seed: int) -> list[str]:
    """Make a part of the pictures unreadable, each in one of five ways; their names below the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    draw = random.Random(seed)
    spoilt = draw.sample(paths, round(share * len(paths)))
    for path in spoilt:
        whole = path.read_bytes()
        path.write_bytes(
            draw.choice(
                (b"", b"no picture", whole[: len(whole) // 2], b"GIF89a" + whole[6:], os.urandom(16) + whole[16:])
            )
        )
    return sorted(path.relative_to(folder).as_posix() for path in spoilt)


def watch(command: Sequence[str], out: Path, log: Path, total: int) -> tuple[int, dict[float, float]]:
    """Run a command: its exit code, and the most MiB of memory that it held up to each share of its pictures.

    Progress is read off the manifest, which gets a line for each output. The share `REPORTING` is what comes after all.
    """
    most = dict.fromkeys((*SHARES, REPORTING), 0.0)
    lines, position = 0, 0
    with log.open("wb") as said, subprocess.Popen(command, stderr=said, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            for file in (out / ".airtool").glob("*.jsonl"):
                with file.open("rb") as journal:
                    journal.seek(position)
                    fresh = journal.read()
                lines, position = lines + fresh.count(b"\n"), position + len(fresh)
            resident = memory(process.pid)
            reached = next((share for share in SHARES if lines < share * total + 1), REPORTING)
            most[reached] = max(most[reached], resident)
            time.sleep(0.1)
        return process.returncode, {share: round(value, 1) for share, value in most.items()}


def memory(process: int) -> float:
    """MiB that a process holds in memory; 0 once it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--bad", type=float, default=0.05)
    parser.add_argument("--limit", type=float, default=700, help="MiB")
    parser.add_argument("--untrained", action="store_true", help="a tiny network in place of the embedded one")
    parser.add_argument("--command", choices=("restore", "iterate"), default="restore")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = run(Path(folder), arguments)
    except BrokenError as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    print(json.dumps(figures, indent=2))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    source, out, log, report = (folder / name for name in ("in", "out", "log.txt", "report.json"))
    draw_pictures(source, arguments.pictures, arguments.seed)
    bad = spoil(source, arguments.bad, arguments.seed)
    before = tree(source)
    good = sorted(set(before) - set(bad))
    command = [sys.executable, "-m", "airtool", arguments.command, str(source), str(out)]
    command += ["--method-for-step", "ndr"] if arguments.command == "iterate" else []
    if arguments.untrained:
        draw_weights(folder / "tiny.safetensors", 0)
        command += ["--weights", str(folder / "tiny.safetensors")]
    command += ["--trace" if arguments.command == "iterate" else "--report", str(report)]
    start = time.perf_counter()
    code, most = watch(command, out, log, len(good))
    seconds = time.perf_counter() - start
    lines = log.read_text().splitlines()
    hold(code == (1 if bad else 0), f"exit code {code}: {lines[-3:]}")
    finished = tree(out)
    hold(sorted(finished) == good, f"{len(finished)} outputs in place of {len(good)}")
    for name in good:
        hold(read(out / name).rgb.shape == read(source / name).rgb.shape, f"{name} has another size")
    untold = [name for name in bad if sum(f"{source / name}" in line for line in lines) != 1]
    hold(not untold, f"not told in one line: {untold[:5]}")
    told = counted(report)
    hold((told["restored"], told["failed"]) == (len(good), len(bad)), f"the report counts {told}")
    hold(tree(source) == before and not leftovers(out), "inputs were touched, or half-written files are left")
    start = time.perf_counter()
    again = subprocess.run([*command, "--resume"], stderr=subprocess.DEVNULL, check=False).returncode
    resumed = time.perf_counter() - start
    told = counted(report)
    hold((again, told["restored"], told["kept"]) == (code, 0, len(good)), f"resumed with {again}, {told}")
    hold(tree(out) == finished, "resuming changed outputs")
    figures = {
        "command": arguments.command,
        "pictures": len(before),
        "bad": len(bad),
        "seconds": round(seconds, 1),
        "most MiB up to a share of the pictures": {f"{share:.0%}": most[share] for share in SHARES},
        "most MiB while the report is written": most[REPORTING],
        "seconds to resume with nothing left but the bad ones": round(resumed, 1),
    }
    hold(max(most.values()) <= arguments.limit, f"it takes more memory than allowed: {figures}")
    hold(most[1.0] <= GROWTH * most[0.5], f"its memory grows: {figures}")
    return figures


def counted(report: Path) -> dict[str, int]:
    said = json.loads(report.read_text())
    return {name: said[name] for name in ("restored", "failed", "kept", "unknown")}


if __name__ == "__main__":
    sys.exit(main())
