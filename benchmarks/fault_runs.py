"""What `faults.py` is made of: pictures, command lines in forked processes, and what has to hold after each.

Starting Python and torch takes seconds, restoring a dozen small pictures half a second. So this process loads
everything once, and every command line runs in a child forked from it, which calls what the `airtool` command calls.
From there on the child is an ordinary process: signals reach it as any other, and SIGKILL leaves it no chance.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from airtool.cli.app import main as command_line
from airtool.images.encode import encode
from airtool.images.files import TEMPORARY
from airtool.images.formats import FORMATS
from airtool.images.picture import Metadata, Picture
from airtool.methods.ndr.method import NDRMethod
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.weights import write_weights

for module in ("airtool.engine.session", "airtool.engine.iterate_files", "airtool.engine.resume"):
    import_module(module)  # before forking

LONGEST = 600.0
"""Seconds after which a run counts as hung, on a machine that may be busy with other things."""

MEMORY = Path("/dev/shm")
"""A file system of its own on most Linux systems."""

Tree = dict[str, str]
"""sha256 by path below a folder."""

Figures = dict[str, object]
"""What there is to tell about a part of the campaign."""


class BrokenError(Exception):
    """A promise was broken."""


def hold(condition: object, what: object) -> None:
    """Raises BrokenError, whatever Python's optimisation, unless the condition holds."""
    if not condition:
        raise BrokenError(str(what))


def draw_pictures(folder: Path, count: int, seed: int) -> None:
    """Small pictures of several kinds in two folders: stripes and noise, so that no two are alike."""
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        height, width = (int(side) for side in rng.integers(24, 97, 2))
        ramp = np.add.outer(np.linspace(0, 1, height), np.linspace(0, 1, width)) / 2
        rgb = ramp[..., None] * rng.random(3) + 0.15 * rng.standard_normal((height, width, 3))
        rgb = np.clip(rgb, 0, 1).astype(np.float32)
        format, depth, grey = (("png", 8, False), ("jpeg", 8, False), ("tiff", 16, False), ("png", 16, True))[index % 4]
        if grey:
            rgb[:] = rgb.mean(axis=2, keepdims=True)
        alpha = rng.integers(0, 256, (height, width), np.uint8) if index % 8 == 0 else None
        picture = Picture(rgb, alpha, depth, grey, format, Metadata())
        path = folder / ("deep" if index % 3 == 2 else "") / f"{index:03d}{FORMATS[format].suffixes[0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture))


def draw_weights(path: Path, seed: int) -> None:
    """A tiny untrained network: what is tried here is not how well pictures are restored."""
    torch.manual_seed(seed)
    config = NDRConfig(
        dim=8,
        atom_dim=8,
        feature_dim=8,
        rank=2,
        blocks=(1, 1, 1, 1),
        refinement_blocks=1,
        block="nafnet",
        residual=True,
    )
    write_weights(path, "ndr", config, NDRMethod(config).network.state_dict(), {"recipe": "none"}, half=True)


def tree(folder: Path) -> Tree:
    """All files that a user sees."""
    visible = [path for path in folder.rglob("*") if path.is_file() and not hidden(path.relative_to(folder))]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in visible}


def hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def leftovers(*folders: Path) -> list[Path]:
    """Files that are half-written, or were."""
    return [path for folder in folders for path in folder.rglob("*") if TEMPORARY.fullmatch(path.name)]


@dataclass
class Ended:
    """How a run ended."""

    code: int
    """Exit code, or minus the number of the signal that ended it."""
    said: str
    """What it wrote to standard error."""


class Child:
    """A command line in a forked process. `prepare` runs in the child first."""

    def __init__(self, arguments: Sequence[object], log: Path, prepare: Callable[[], None] | None = None) -> None:
        self.log = log
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(target, 1)
            os.dup2(target, 2)
            # A shell that starts this script in the background has it ignore Ctrl-C.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if prepare is not None:
                prepare()
            code = command_line([str(argument) for argument in arguments])
        except KeyboardInterrupt:
            code = 130
        except BaseException:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)

    def signalled_after(self, seconds: float, number: int) -> None:
        """Send a signal after some time, unless the run has ended by then."""
        time.sleep(seconds)
        # It is not reaped yet, so its number belongs to nobody else.
        os.kill(self.pid, number)

    def ended(self) -> Ended:
        """Wait for it. Raises BrokenError when it hangs or shows a traceback."""
        deadline = time.monotonic() + LONGEST
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise BrokenError(f"hung: {self.log.read_text()}")
            time.sleep(0.002)
        said = self.log.read_text()
        hold("Traceback" not in said, said)
        return Ended(os.waitstatus_to_exitcode(status), said)


class Bench:
    """A folder with inputs, and what undisturbed runs make of them. source: inputs that are there; None: draw some."""

    def __init__(self, folder: Path, pictures: int, seed: int, source: Path | None = None) -> None:
        torch.set_num_threads(1)  # a forked child cannot use threads that OpenMP has started before
        self.folder, self.source = folder, source or folder / "in"
        self.rng = random.Random(seed)
        own, others = folder / "own.safetensors", folder / "others.safetensors"
        if not own.exists():
            draw_weights(own, 0)
            draw_weights(others, 1)
        self.restore = ("restore", "--weights", str(own))
        """The plain command."""
        self.other = ("restore", "--weights", str(others))
        """Another restoration of the same pictures."""
        self.iterate = ("iterate", "--method-for-step", "ndr", "--weights", str(own), "--threshold", "0.1")
        if source is None:
            draw_pictures(self.source, pictures, seed)
        self.look()
        self.seconds: dict[tuple[str, ...], float] = {}
        self._references: dict[tuple[str, ...], Tree] = {}

    def look(self) -> None:
        """From now on the inputs have to stay as they are."""
        self.inputs, self.stamps = tree(self.source), self._stamps()

    def _stamps(self) -> dict[str, tuple[int, int]]:
        paths = [path for path in self.source.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in paths}

    def new(self, name: str, root: Path | None = None) -> Path:
        """An output folder that does not exist yet."""
        path = (root or self.folder) / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def start(
        self, command: Sequence[str], out: Path, *more: object, prepare: Callable[[], None] | None = None, log: str = ""
    ) -> Child:
        """`airtool COMMAND[0] in OUT COMMAND[1:] MORE`."""
        arguments = [command[0], self.source, out, *command[1:], *more]
        return Child(arguments, self.folder / f"log{log}.txt", prepare)

    def report(
        self, command: Sequence[str], out: Path, *more: object, prepare: Callable[[], None] | None = None
    ) -> Mapping[str, int]:
        """Resume to the end, undisturbed: what the report counts, with the exit code."""
        file = self.folder / "report.json"
        file.unlink(missing_ok=True)
        option = "--report" if command[0] == "restore" else "--trace"
        ended = self.start(command, out, "--resume", option, file, *more, prepare=prepare).ended()
        counts = {"restored": 0, "failed": 0, "kept": len(tree(out)), "unknown": 0}  # iterate with nothing to do
        if file.exists():
            counts = {name: json.loads(file.read_text())[name] for name in counts}
        return {**counts, "code": ended.code}

    def reference(self, command: Sequence[str]) -> Tree:
        """The outputs of an undisturbed run."""
        key = tuple(command)
        if key not in self._references:
            out = self.new("reference")
            start = time.perf_counter()
            ended = self.start(command, out).ended()
            self.seconds[key] = time.perf_counter() - start
            hold(ended.code == 0, f"the undisturbed run failed: {ended.said}")
            self._references[key] = tree(out)
            hold(len(self._references[key]) == len(self.inputs), "an undisturbed run misses pictures")
            shutil.rmtree(out)
        return self._references[key]

    def whole(self, out: Path, *references: Tree, reserved: bool = False) -> Tree:
        """The outputs that are there, every one of them right; empty ones, where `reserved`, are left out.

        Raises BrokenError for any other, and when an input is not what it was.
        """
        found = tree(out)
        if reserved:
            found = {name: digest for name, digest in found.items() if (out / name).stat().st_size}
        for name, digest in found.items():
            hold(any(reference.get(name) == digest for reference in references), f"{out / name} is not right")
        hold(tree(self.source) == self.inputs and self._stamps() == self.stamps, "an input was touched")
        return found

    def complete(
        self,
        command: Sequence[str],
        out: Path,
        finished: Tree,
        *more: object,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """Resume to the end: nothing finished is made again, nothing is missing, no half-written file remains."""
        counts = self.report(command, out, *more, prepare=prepare)
        missing = len(self.inputs) - len(finished)
        expected = {"restored": missing, "failed": 0, "kept": len(finished), "unknown": 0, "code": 0}
        hold(counts == expected, f"resumed with {counts} in place of {expected}")
        hold(tree(out) == self.reference(command), "the resumed folder differs from that of an undisturbed run")
        left = leftovers(out, *(path for path in more if isinstance(path, Path)))
        hold(not left, f"left behind: {left}")
