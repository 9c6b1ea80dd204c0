"""Measures rows, one picture after the other, and keeps each figure as soon as it is there."""

import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airtool.benches.evaluate import Outcome, Restorer, evaluate
from airtool.engine.session import Session, open_session
from airtool.errors import UsageError
from airtool.methods.registry import METHODS
from airtool.metrics.protocols import RGB
from airtool.reports.record import Failure, PictureResult, versions
from scoring.kept import Figures, Kept, Record
from scoring.rivals import RIVALS, rival_for
from scoring.rows import Row, task_of


@dataclass(frozen=True)
class Contender:
    """Who restores the pictures of a row."""

    restorer: Restorer
    by: Mapping[str, Any]
    """As in `Record`."""
    told: str | None


def contender(column: str, row: Row) -> Contender:
    """A method with its embedded weights or a rival.

    Raises ValueError where a rival has no parameters yet, and AirtoolError as `open_session` does.
    """
    if column in RIVALS:
        applied = rival_for(column, row)
        told = None
        if RIVALS[column].told:
            told = "noise level estimated" if row.sigma is None else f"sigma {row.sigma:g}"
        return Contender(applied, {"parameters": applied.parameters}, told)
    session, told = told_session(column, row)
    return Contender(session, identity(session.describe()), told)


def told_session(method: str, row: Row) -> tuple[Session, str | None]:
    """The method, told what is wrong where it can be told that, else left to find out; and what it was told."""
    told = row.told if METHODS[method].needs != "nothing" else None
    if told:
        try:
            return open_session(method, degradation=tuple(told.split(","))), told
        except UsageError:
            pass  # one prompt where there are several degradations, or none that was trained
    return open_session(method), None


def identity(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What must agree for pictures to stand in one row. facts: as `Session.describe` has them."""
    detector = facts["detector"]
    return {
        "sha256": facts["sha256"],
        "precision": facts["precision"],
        "seed": facts["seed"],
        "detector": None if detector is None else detector["sha256"],
    }


def measure(column: str, row: Row, bench: Path, limit: int | None, kept: Kept, again: bool) -> Sequence[Failure]:
    """Measure the pictures of a row that have no figures yet. again: or that have. Returns what failed."""
    who = contender(column, row)
    earlier = kept.column(column).get(row.name)
    record = Record(who.by, who.told, {})
    if earlier is not None and earlier.same(who.by, who.told) and not again:
        record.pictures = earlier.pictures
    elif earlier is not None:
        print(f"{column} | {row.name}: {len(earlier.pictures)} earlier figures are replaced", file=sys.stderr)
    facts = who.restorer.describe()
    record.made = {"date": time.strftime("%Y-%m-%dT%H:%M:%S"), "device": facts.get("device", "cpu"), **versions()}

    def keeping(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
        for outcome in outcomes:
            if outcome.result is not None:
                record.pictures[outcome.picture] = figures(outcome.result)
                kept.put(column, row.name, record)
            yield outcome

    task = task_of(row, bench, limit, frozenset(record.pictures))
    return evaluate(task, (RGB,), who.restorer, keeping).failures if task.pairs else ()


def figures(result: PictureResult) -> Figures:
    before, after = (result.scores[stage][RGB.name] for stage in ("input", "restored"))
    psnr = [round(each.psnr, 3) if math.isfinite(each.psnr) else None for each in (before, after)]
    return psnr[0], round(before.ssim, 4), psnr[1], round(after.ssim, 4)
