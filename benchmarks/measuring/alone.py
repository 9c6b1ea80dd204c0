"""A contender in a process of its own: an allocator, threads and memory that no other contender touches."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from measuring.contenders import Case

FOLDER = Path(__file__).resolve().parents[1]
"""benchmarks/, where the worker's module is found."""


@dataclass(frozen=True)
class Alone:
    """The process of one contender, which waits for its turns."""

    title: str
    process: subprocess.Popen[str]
    log: IO[str]
    """What it says besides its answers."""

    def turn(self, **order: Any) -> dict[str, Any]:
        """What `measuring.worker.Worker.turn` answers. Raises RuntimeError, in one line, when the process is gone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise RuntimeError(self._end()) from None
        if not (answer := self.process.stdout.readline()):
            raise RuntimeError(self._end())
        return json.loads(answer)

    def _end(self) -> str:
        """How the process came to its end."""
        code = self.process.wait()
        self.log.seek(0)
        said = [line.strip() for line in self.log if line.strip()] if code > 0 else []
        if code == -signal.SIGKILL:
            said = ["killed; perhaps memory ran out"]
        return f"{self.title}: its process ended: {said[-1] if said else f'exit status {code}'}"


@contextmanager
def alone(case: Case, name: str, threads: int) -> Iterator[Alone]:
    """Start the process of a contender, called as `measuring.contenders.line_up` has it. It loads while this one goes
    on, and ends with the `with` block."""
    told = {"case": case.values(), "name": name, "threads": threads}
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "measuring.worker", json.dumps(told)]
    # A file, because a pipe that nobody empties would stop the process.
    with TemporaryFile(mode="w+", errors="replace") as log:
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True)
        try:
            yield Alone(f"{case.method} {case.preset}, {name}", process, log)
        finally:
            process.kill()
            process.communicate()  # closes its pipes, whatever is left in them
