"""The JSON record of what was applied to which picture: kept complete over several runs into one folder."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from airtool import __version__
from airtool.degradations.batch import Degraded, Failed, Outcome
from airtool.degradations.compose import Step
from airtool.errors import AirtoolError, UsageError
from airtool.images.plan import Job
from airtool.images.remote import Place, local

FILE_NAME = "degradations.json"
"""The record's name in a folder of degraded pictures."""


def output_name(target: Place | None, folder: Path | None) -> str:
    """How the record calls an output: its path from the record's folder with `/`, or "-" for standard output.

    Its whole path where there is none from the one to the other, as between two drives of Windows.
    """
    if target is None:
        return "-"
    target = local(target)
    try:
        return Path(os.path.relpath(target, folder)).as_posix() if folder is not None else target.as_posix()
    except ValueError:
        return Path(os.path.abspath(target)).as_posix()


def read_earlier(path: Path) -> dict[str, dict[str, Any]]:
    """The pictures of an earlier record by their outputs; empty where there is no such file.

    Raises UsageError when the file is something else than a record, so that it is not overwritten, and AirtoolError
    when it cannot be read.
    """
    try:
        pictures = json.loads(path.read_bytes())["pictures"]
        return {picture["output"]: picture for picture in pictures}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AirtoolError(f"{path}: cannot be read ({error.strerror}); name another record with --record") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is no record of degradations: move it away, or name another with --record") from None


def check_continues(
    earlier: dict[str, dict[str, Any]], skipped: Iterable[Job], steps: Sequence[Step], seed: int, folder: Path | None
) -> int:
    """How many of the skipped pictures the earlier record does not know.

    Raises UsageError when one that it knows was made with other steps or another seed: a folder resumed like that
    would be of two kinds.
    """
    unknown = 0
    for job in skipped:
        name = output_name(job.target, folder)
        if name not in earlier:
            unknown += 1
            continue
        before = earlier[name].get("with"), earlier[name].get("seed")
        if before != (describe(steps), seed):
            raise UsageError(
                f"{job.target} was made --with {before[0]} --seed {before[1]}: resume with the same, or --overwrite"
            )
    return unknown


def describe(steps: Sequence[Step]) -> str:
    """Steps as they are typed, amounts with all their digits: "rain:0.6,noise:25.0"."""
    return ",".join(f"{step.name}:{step.amount!r}" for step in steps)


def build(
    outcomes: Iterable[Outcome],
    earlier: dict[str, dict[str, Any]],
    steps: Sequence[Step],
    seed: int,
    folder: Path | None,
) -> dict[str, Any]:
    """The record for `airtool.reports.writers.write_json`: this run's pictures, and earlier ones that are still there.

    It holds no date and lists pictures by name, so that equal runs write equal records.
    """
    outcomes = list(outcomes)
    pictures = {name: entry for name, entry in earlier.items() if folder is not None and (folder / name).is_file()}
    for outcome in outcomes:
        if isinstance(outcome, Degraded):
            name = output_name(outcome.job.target, folder)
            pictures[name] = _entry(outcome, name, steps, seed)
    failures = [
        {"input": _input_name(outcome.job), "reason": outcome.reason}
        for outcome in outcomes
        if isinstance(outcome, Failed)
    ]
    return {
        "command": "degrade",
        "versions": {"airtool": __version__, "numpy": np.__version__, "opencv": cv2.__version__},
        "pictures": [pictures[name] for name in sorted(pictures)],
        "failures": sorted(failures, key=lambda failure: failure["input"]),
    }


def _entry(outcome: Degraded, name: str, steps: Sequence[Step], seed: int) -> dict[str, Any]:
    return {
        "input": _input_name(outcome.job),
        "output": name,
        "width": outcome.width,
        "height": outcome.height,
        "with": describe(steps),
        "seed": seed,
        "applied": list(outcome.applied),
        "lost": list(outcome.lost),
    }


def _input_name(job: Job) -> str:
    return "-" if job.source.path is None else job.source.path.as_posix()
