"""Runs whose surroundings change: disks that are full or read-only, inputs, clocks, other runs into the same folder."""

import errno
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fault_runs import Bench, Figures, draw_pictures, hold, leftovers, tree

ROOT = os.geteuid() == 0 and shutil.which("mount") is not None
"""Whether file systems can be mounted, so that disks are really full and really read-only."""

DISTANT = (1.0, 4e9)
"""Times of files, in seconds since 1970: soon after that, and in 2096."""


def full_disk(bench: Bench, amount: int) -> Figures:
    """Too little room for all outputs; then there is more."""
    reference, without_room = bench.reference(bench.restore), 0
    for _ in range(amount):
        with disk(bench, f"size={bench.rng.randint(4, 24) * 4096}") as place:
            out = bench.new("out", place)
            calls = bench.rng.randint(0, 20)
            ended = bench.start(
                bench.restore, out, prepare=None if ROOT else lambda calls=calls: full_after(calls)
            ).ended()
            finished = bench.whole(out, reference)
            lines = [line for line in ended.said.splitlines() if "the disk is full" in line]
            hold(ended.code == 1 and len(lines) == len(reference) - len(finished) > 0, ended.said)
            hold(not leftovers(out), "half-written files stay on a full disk")
            without_room += len(lines)
            change(place, "size=64m")
            bench.complete(bench.restore, out, finished)
    way = "tmpfs" if ROOT else "raised by fsync"
    return {"runs": amount, "outputs without room, a line each": without_room, "disk": way}


def full_after(calls: int) -> None:
    """Have the system say that the disk is full from some call on."""
    flush, done = os.fsync, 0

    def instead(descriptor: int) -> None:
        nonlocal done
        done += 1
        if done > calls:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(descriptor)

    os.fsync = instead  # type: ignore[assignment]


def read_only(bench: Bench, amount: int) -> Figures:
    """An output folder in which some outputs lie already, and that may not be written to any more; then again."""
    reference = bench.reference(bench.restore)
    for _ in range(amount):
        with disk(bench, "size=64m") as place:
            out = bench.new("out", place)
            child = bench.start(bench.restore, out)
            child.signalled_after(bench.rng.uniform(0.5, 0.9) * bench.seconds[bench.restore], signal.SIGKILL)
            child.ended()
            finished = bench.whole(out, reference)
            change(place, "ro")
            ended = bench.start(bench.restore, out, "--resume").ended()
            refused = ended.code == 1 and len(ended.said.splitlines()) <= 2 and "no permission" in ended.said
            hold(refused, f"read-only, ended with {ended.code}: {ended.said}")
            hold(bench.whole(out, reference) == finished, "outputs changed on a read-only disk")
            change(place, "rw")
            bench.complete(bench.restore, out, finished)
    return {"runs": amount, "disk": "tmpfs" if ROOT else "permissions"}


@contextmanager
def disk(bench: Bench, options: str) -> Iterator[Path]:
    """A small file system in memory; a plain folder where that is not allowed."""
    place = bench.folder / "disk"
    place.mkdir(exist_ok=True)
    if not ROOT:
        yield place
        shutil.rmtree(place)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def change(place: Path, option: str) -> None:
    """Change how a disk is mounted: its size, "ro" or "rw"."""
    if ROOT:
        subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True)
    elif option in ("ro", "rw"):
        for folder in [place, *(path for path in place.rglob("*") if path.is_dir())]:
            folder.chmod(0o555 if option == "ro" else 0o755)


def inputs_change(bench: Bench, amount: int) -> Figures:
    """Inputs that are removed, replaced or written over during the run, and a last run when all is quiet."""
    before = bench.reference(bench.restore)
    fresh = bench.folder / "fresh"
    draw_pictures(fresh, len(before), seed=987)
    after = Bench(bench.folder, 0, 0, fresh).reference(bench.restore)
    done: Counter[str] = Counter()
    for _ in range(amount):
        work = Bench(bench.folder, 0, 0, Path(shutil.copytree(bench.source, bench.new("work"))))
        out = bench.new("out")
        child = work.start(bench.restore, out)
        removed: set[str] = set()
        replaced: set[str] = set()
        for name in bench.rng.sample(sorted(before), 4):
            time.sleep(bench.rng.uniform(0, 0.3) * bench.seconds[bench.restore])
            way = bench.rng.choice(("removed", "replaced", "written over"))
            done[way] += 1
            target = work.source / name
            if way == "removed":
                target.unlink()
                removed.add(name)
                continue
            replaced.add(name)
            if way == "replaced":
                copy = target.with_name("copy")
                shutil.copyfile(fresh / name, copy)
                copy.rename(target)
            else:
                target.write_bytes((fresh / name).read_bytes())
        ended = child.ended()
        hold(ended.code in (0, 1), f"ended with {ended.code}: {ended.said}")
        right = [{**before, **{name: after[name] for name in chosen}} for chosen in ((), replaced)]
        work.look()
        found = work.whole(out, *right)
        done["failed, a line each"] += len(before) - len(found)
        hold(set(before) - set(found) <= removed | replaced, "a picture failed that nobody touched")
        counts = work.report(bench.restore, out)
        hold((counts["code"], counts["failed"], counts["unknown"]) == (0, 0, 0), f"resumed with {counts}")
        final = {name: digest for name, digest in tree(out).items() if name not in removed}
        wanted = {name: digest for name, digest in right[1].items() if name not in removed}
        hold(final == wanted, "the resumed folder is not that of the last inputs")
        hold(not leftovers(out), f"left behind: {leftovers(out)}")
    return {"runs": amount, **done}


def together(bench: Bench, amount: int) -> Figures:
    """Two runs into one folder at once, alike and with different methods; and three shards of which one is killed."""
    one, other = bench.reference(bench.restore), bench.reference(bench.other)
    codes: Counter[str] = Counter()
    for turn in range(amount):
        out = bench.new("out")
        second = bench.restore if turn % 2 else bench.other
        runs = [bench.start(bench.restore, out, "--resume", log="a")]
        time.sleep(bench.rng.uniform(0, 0.3) * bench.seconds[bench.restore])
        runs.append(bench.start(second, out, "--resume", log="b"))
        ended = [run.ended() for run in runs]
        found = bench.whole(out, one, other)
        hold(len(found) == len(one) and not leftovers(out), "two runs did less than one")
        if second == bench.restore:
            hold([each.code for each in ended] == [0, 0], "; ".join(each.said for each in ended))
            bench.complete(bench.restore, out, found)
        else:
            # Each says which outputs the other was faster with, or that the folder holds another run's.
            hold({each.code for each in ended} <= {0, 1, 2}, "; ".join(each.said for each in ended))
            codes.update(f"other settings, exit code {each.code}" for each in ended)
        out = bench.new("out")
        runs = [bench.start(bench.restore, out, "--shard", f"{number}/3", log=str(number)) for number in (1, 2, 3)]
        runs[turn % 3].signalled_after(bench.rng.uniform(0, 1.2) * bench.seconds[bench.restore], signal.SIGKILL)
        for run in runs:
            run.ended()
        bench.complete(bench.restore, out, bench.whole(out, one))
    return {"pairs of runs": amount, **codes, "triples of shards": amount}


def clocks(bench: Bench, amount: int) -> Figures:
    """Clocks that jump by decades with every look at them, and files that are from 1970 or from 2096."""
    reference = bench.reference(bench.restore)
    for _ in range(amount):
        out = bench.new("out")
        seed = bench.rng.random()
        child = bench.start(bench.restore, out, prepare=lambda seed=seed: jumping(seed))
        child.signalled_after(bench.rng.uniform(0.3, 1) * bench.seconds[bench.restore], bench.rng.choice((9, 15)))
        child.ended()
        finished = bench.whole(out, reference)
        for path in out.rglob("*"):
            moment = bench.rng.choice(DISTANT)
            os.utime(path, (moment, moment))
        bench.complete(bench.restore, out, finished, prepare=lambda seed=seed: jumping(seed + 1))
    return {"runs": amount}


def jumping(seed: float) -> None:
    """Replace the clock on the wall by one that means nothing."""
    draw, now, written = random.Random(seed), time.time, time.strftime
    time.time = lambda: now() + draw.uniform(-1e9, 1e9)  # type: ignore[assignment]
    time.strftime = lambda form, *_: written(form, time.gmtime(draw.uniform(0, 4e9)))  # type: ignore[assignment]
