"""Runs that are killed: at random moments, at every system call that matters, and from the very start of Python."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from fault_runs import MEMORY, Bench, Figures, Tree, hold, leftovers

CODES = {signal.SIGKILL: (-9, 0), signal.SIGTERM: (143, -15, 0), signal.SIGINT: (130, 0)}
"""Exit codes that a run may end with: -15 where SIGTERM came before the command, 0 where the run was faster."""


def kill_at_random(bench: Bench, amount: int) -> Figures:
    """SIGKILL, SIGTERM and SIGINT after random delays, often several times before the work is complete."""
    elsewhere = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    ways: list[tuple[Sequence[str], Callable[[], None] | None, Path]] = [
        (bench.restore, None, bench.folder),
        (bench.restore, None, elsewhere),
        (bench.restore, no_links, bench.folder),
        (bench.other, None, bench.folder),
        (bench.iterate, None, bench.folder),
    ]
    sent: Counter[str] = Counter()
    resumed = spared = 0
    while sent.total() < amount:
        command, prepare, root = bench.rng.choice(ways)
        more = ("--compare", bench.new("beside")) if command == bench.restore and bench.rng.random() < 0.3 else ()
        reference, out = bench.reference(command), bench.new("out", root)
        finished: Tree = {}
        for _ in range(bench.rng.choice((1, 1, 2, 3))):
            number = bench.rng.choice(tuple(CODES))
            child = bench.start(command, out, "--resume", *more, "--workers", bench.rng.randint(1, 4), prepare=prepare)
            child.signalled_after(bench.rng.uniform(0, 1.05) * bench.seconds[tuple(command)], number)
            ended = child.ended()
            hold(ended.code in CODES[number], f"{number.name} ended with {ended.code}: {ended.said}")
            sent[number.name] += ended.code != 0
            found = bench.whole(out, reference, reserved=prepare is no_links)
            hold(finished.items() <= found.items(), "a finished output is gone")
            finished = found
            if number != signal.SIGKILL:
                hold(not leftovers(out), f"{number.name} left {leftovers(out)}")
                hold(len(ended.said.splitlines()) < 8, f"{number.name} is told in more than a few lines: {ended.said}")
        resumed, spared = resumed + 1, spared + len(finished)
        bench.complete(command, out, finished, *more, prepare=prepare)
    shutil.rmtree(elsewhere)
    return {**sent, "last resumes": resumed, "outputs that they found finished": spared}


def no_links() -> None:
    """As on FAT and some network shares."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    os.link = refuse  # type: ignore[assignment]


def kill_at_every_point(bench: Bench, amount: int) -> Figures:
    """SIGKILL directly before or after each system call that makes, fills, flushes, names or removes a file."""
    counted = bench.folder / "calls"
    bench.start(bench.restore, bench.new("out"), prepare=lambda: dying_at(-1, counted)).ended()
    calls = counted.stat().st_size
    points = bench.rng.sample(range(2 * calls), min(amount, 2 * calls))
    died = 0
    for point in points:
        out = bench.new("out")
        ended = bench.start(bench.restore, out, prepare=lambda point=point: dying_at(point)).ended()
        died += ended.code == -9
        bench.complete(bench.restore, out, bench.whole(out, bench.reference(bench.restore)))
    return {"system calls in a run": calls, "points tried": len(points), "runs killed": died}


def dying_at(point: int, counted: Path | None = None) -> None:
    """Have this process kill itself before (even) or after (odd) the system call number `point` // 2; count calls."""
    done = 0

    def watched(call: Callable[..., object]) -> Callable[..., object]:
        def instead(*arguments: object, **options: object) -> object:
            nonlocal done
            number, done = done, done + 1
            if counted is not None:
                with counted.open("ab") as file:
                    file.write(b".")
            if point == 2 * number:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = call(*arguments, **options)
            if point == 2 * number + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return instead

    for name in ("open", "write", "fsync", "link", "unlink", "mkdir"):
        setattr(os, name, watched(getattr(os, name)))


def whole_processes(bench: Bench, amount: int) -> Figures:
    """The same with `python -m airtool` as a shell starts it, the start of Python and PyTorch included."""
    command, *options = bench.restore
    arguments = [sys.executable, "-m", "airtool", command, str(bench.source), *options]
    reference, out = bench.reference(bench.restore), bench.new("out")
    start = time.perf_counter()
    subprocess.run([*arguments, str(out), "-q"], check=True)
    seconds = time.perf_counter() - start
    sent: Counter[str] = Counter()
    for _ in range(amount):
        number, out = bench.rng.choice(tuple(CODES)), bench.new("out")
        with subprocess.Popen(
            [*arguments, str(out)], stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c
        ) as process:
            time.sleep(bench.rng.uniform(0, seconds))
            process.send_signal(number)
            _, said = process.communicate(timeout=120)
        # -2: where an interruption goes through C code that was being imported, Python ends itself by SIGINT.
        hold(
            process.returncode in (*CODES[number], -number, -2),
            f"{number.name} ended with {process.returncode}: {said}",
        )
        sent[number.name] += process.returncode != 0
        bench.complete(bench.restore, out, bench.whole(out, reference))
    return dict(sent)


def heed_ctrl_c() -> None:
    """A shell that starts this script in the background has it ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
