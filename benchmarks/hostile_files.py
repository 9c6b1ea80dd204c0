"""Decode damaged files by the ten thousand: python benchmarks/hostile_files.py [--cases N] [--seed S] [--data DIR]

Real encoders' files (benchmarks/hostile_corpus.py, the smallest pictures of examples/, with --data also those below
DIR) are damaged by truncation, bit flips and edited length fields. Case I of seed S is always the same, so `--first I`
goes on where a run was stopped and `--save I FILE` writes one case down. Each is decoded, and if that succeeds encoded
again, in a process that may die; and a second time with other bytes in fresh memory, so that a picture of what happened
to lie there does not pass for one. Prints a table, and writes it with all that went wrong into
docs/hostile-measured.json.
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from hostile_corpus import MUTATIONS, corpus, damaged

from airtool.errors import PictureError
from airtool.images.decode import decode
from airtool.images.encode import encode
from airtool.images.formats import FORMATS, by_suffix
from airtool.images.limits import MEMORY_PER_PIXEL
from airtool.reports.record import versions

ROOT = Path(__file__).resolve().parent.parent

MAX_PIXELS = 4_000_000
"""What --max-pixels is in every case."""

MEMORY = MEMORY_PER_PIXEL * MAX_PIXELS + (64 << 20)
"""Most bytes that a case may add to what its process takes (264 MB)."""

LIBC = ctypes.CDLL(None)
M_PERTURB = -6
"""glibc's name of the setting."""

SECONDS = 10
"""Most that a case may take of a processor, both decodings and the encoding together."""

SILENCE = 60
"""Seconds on the clock after which a process that says nothing is killed."""

STARTING = 300
"""Seconds that a process may take until its first case, on a busy machine."""

BATCH = 2500
"""Cases that a process does before it is replaced."""

OUTCOMES = ("decoded", "refused", "crash", "hang", "memory", "fault")
"""fault: an exception other than PictureError, a message that is not one line with name and remedy, a picture that
depends on what was in memory before, or another picture than the whole one from a file that was cut short."""

REAL_FILES, REAL_BYTES = 40, 120_000
"""How many real pictures of a folder are taken, and how large they may be."""


@dataclass(frozen=True)
class Result:
    """What became of one case."""

    case: int
    file: str
    mutation: str
    outcome: str
    message: str
    seconds: float
    memory: int
    """Bytes at most, above those before."""


def cases(files: Mapping[str, bytes], seed: int, first: int, last: int) -> Iterator[tuple[int, str, str, bytes]]:
    """Number, file, mutation and bytes of the cases from `first` to before `last`."""
    names = list(files)
    for case in range(first, last):
        rng = random.Random(f"{seed} {case}")
        name, mutation = names[case % len(names)], rng.choice(MUTATIONS)
        yield case, name, mutation, damaged(files[name], mutation, rng)


def tried(data: bytes, whole: bytes | None = None) -> tuple[str, str]:
    """Decode one file as `airtool restore` would, encode the picture again: outcome and message.

    whole: the file that `data` is the beginning of.
    """
    try:
        _fill_memory(0x55)
        picture = decode(data, "case.bin", MAX_PIXELS)
        _fill_memory(0xAA)
        again = decode(data, "case.bin", MAX_PIXELS)
        same = np.array_equal(picture.rgb, again.rgb) and picture.metadata == again.metadata
        if not same or (picture.alpha is not None and not np.array_equal(picture.alpha, again.alpha)):
            return "fault", "shows what was in memory"
        if whole is not None and not np.array_equal(picture.rgb, decode(whole, "whole").rgb):
            return "fault", "half a picture"
        encode(picture, picture.format if FORMATS[picture.format].writable else "png")
    except PictureError as error:
        text = str(error)
        if "does not fit into memory" in text:
            return "memory", text
        told = text.startswith("case.bin ") and ": " in text and text.isprintable()
        return "refused" if told else "fault", text
    except MemoryError:
        return "memory", "MemoryError"
    except Exception as error:
        return "fault", f"{type(error).__name__}: {error}"
    return "decoded", ""


def _fill_memory(byte: int) -> None:
    """Have the C library fill memory with a byte when it is taken, where the library can do that (glibc)."""
    if hasattr(LIBC, "mallopt"):
        LIBC.mallopt(M_PERTURB, byte)


def work(seed: int, first: int, last: int, files: Mapping[str, bytes]) -> None:
    """Do cases and print a line before and after each; runs in a process of its own."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tried(next(iter(files.values())))  # what is loaded at first use is no case's memory
    with open("/proc/self/statm") as file:
        most = int(file.read().split()[0]) * resource.getpagesize() + MEMORY + (256 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for case, name, mutation, data in cases(files, seed, first, last):
        print(case, file=answers, flush=True)
        before, start = _peak(reset=True), time.process_time()
        outcome, message = tried(data, files[name] if mutation == "truncation" else None)
        seconds, memory = time.process_time() - start, _peak() - before
        outcome = "hang" if seconds > SECONDS else "memory" if memory > MEMORY else outcome
        result = Result(case, name, mutation, outcome, message, seconds, memory)
        print(json.dumps(asdict(result)), file=answers, flush=True)


def _peak(reset: bool = False) -> int:
    """Most bytes of memory that this process has taken since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


def campaign(seed: int, first: int, last: int, data: Path | None, batch: int = BATCH) -> Iterator[Result]:
    """The results of all cases, in order; whatever kills a worker is the result of its case."""
    files = all_files(data)
    names = list(files)
    while first < last:
        end = min(first + batch, last)
        command = [sys.executable, __file__, "--work", str(first), str(end), "--seed", str(seed)]
        command += ["--data", str(data)] if data is not None else []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
            under_way = first
            for line in _lines(worker):
                if line.startswith("{"):
                    yield Result(**json.loads(line))
                    first += 1
                else:
                    under_way = int(line)
            if first < end:
                worker.kill()
                code = worker.wait()
                if under_way != first:
                    raise SystemExit(f"worker ended with {code} before case {first}")
                hung = code == -signal.SIGKILL
                cause = f"silent for {SILENCE} s" if hung else f"signal {-code}"
                mutation = next(cases(files, seed, first, first + 1))[2]
                name = names[first % len(names)]
                yield Result(first, name, mutation, "hang" if hung else "crash", cause, 0.0, 0)
                first += 1


def _lines(worker: subprocess.Popen[bytes]) -> Iterator[str]:
    """The lines that a worker prints, until it ends or is silent for too long."""
    assert worker.stdout is not None
    descriptor, rest, patience = worker.stdout.fileno(), b"", STARTING
    while select.select([descriptor], [], [], patience)[0]:
        patience = SILENCE
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            worker.wait()
            return
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in lines)


def all_files(data: Path | None) -> dict[str, bytes]:
    """The corpus, and small pictures of examples/ and below `data`."""
    files = corpus()
    for folder in (ROOT / "examples", data):
        if folder is not None:
            sized = [(path.stat().st_size, path) for path in sorted(folder.rglob("*")) if by_suffix(path)]
            small = [path for size, path in sized if size <= REAL_BYTES]
            for path in small[:: max(1, len(small) // REAL_FILES)]:
                files[f"real/{path.relative_to(folder)}"] = path.read_bytes()
    return files


def table(counts: Mapping[str, Counter[str]]) -> str:
    """Outcomes for each format, as Markdown."""
    rows = [["format", "cases", *OUTCOMES], ["---"] * (len(OUTCOMES) + 2)]
    total: Counter[str] = sum(counts.values(), Counter())
    for name, found in [*sorted(counts.items()), ("all", total)]:
        rows.append([name, str(found.total()), *(str(found[outcome]) for outcome in OUTCOMES)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "hostile-measured.json")
    parser.add_argument("--save", nargs=2, metavar=("CASE", "FILE"))
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.seed, *chosen.work, all_files(chosen.data))
        return
    if chosen.save:
        case = int(chosen.save[0])
        *about, data = next(cases(all_files(chosen.data), chosen.seed, case, case + 1))
        Path(chosen.save[1]).write_bytes(data)
        print(*about)
        return
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    mutations: defaultdict[str, Counter[str]] = defaultdict(Counter)
    wrong: list[Result] = []
    slowest = largest = None
    start = time.perf_counter()
    with contextlib.suppress(KeyboardInterrupt):
        for result in campaign(chosen.seed, chosen.first, chosen.first + chosen.cases, chosen.data):
            counts[result.file.partition("/")[0]][result.outcome] += 1
            mutations[result.mutation][result.outcome] += 1
            slowest = max(slowest or result, result, key=lambda each: each.seconds)
            largest = max(largest or result, result, key=lambda each: each.memory)
            if result.outcome not in ("decoded", "refused"):
                wrong.append(result)
                print(result, file=sys.stderr, flush=True)
            if result.case % 1000 == 999:
                print(f"{result.case + 1} done in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    print(table(counts))
    if chosen.cases and slowest and largest:
        print(f"slowest: {slowest.seconds:.2f} s (case {slowest.case}, {slowest.file})")
        print(f"most memory: {largest.memory / 1e6:.0f} MB (case {largest.case}, {largest.file})")
        measured = {
            "command": "benchmarks/hostile_files.py",
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "seed": chosen.seed,
            "cases": [chosen.first, chosen.first + sum(found.total() for found in counts.values())],
            "max_pixels": MAX_PIXELS,
            "memory_bound": MEMORY,
            "seconds_bound": SECONDS,
            "files": len(all_files(chosen.data)),
            "formats": {name: dict(found) for name, found in sorted(counts.items())},
            "mutations": {name: dict(found) for name, found in sorted(mutations.items())},
            "slowest": asdict(slowest),
            "largest": asdict(largest),
            "wrong": [asdict(each) for each in wrong],
            "seconds": time.perf_counter() - start,
        }
        chosen.out.write_text(json.dumps(measured, indent=1) + "\n")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
