"""What the kept figures say: columns of the page, means, gains and who is ahead of whom."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airtool.methods.registry import METHODS
from airtool.methods.weights import WeightsRecord
from scoring.kept import Figures, Kept, Record
from scoring.rivals import RIVALS, chosen, is_for
from scoring.rows import ROWS, Line

NEARLY = 0.02
"""dB by which the inputs of one picture may differ between machines; beyond, a degradation has changed."""


@dataclass(frozen=True)
class Column:
    """A method or a rival with those figures that are of its present weights or parameters."""

    name: str
    title: str
    rows: Mapping[str, Record]
    outdated: int
    """Rows left out because they are of earlier weights or parameters."""

    def pictures(self, line: Line) -> dict[tuple[str, str], Figures]:
        """Figures of a line by the names of row and picture."""
        return {
            (row.name, name): figures
            for row in line.rows
            if row.name in self.rows
            for name, figures in self.rows[row.name].pictures.items()
        }


def methods(kept: Kept, records: Sequence[WeightsRecord]) -> list[Column]:
    """One column a method with embedded `small` weights. records: of the manifest."""
    shas = {record.method: record.sha256 for record in records if record.preset == "small"}

    def present(name: str, record: Record) -> bool:
        return record.by["sha256"] == shas[name] and record.by["detector"] in (None, shas.get("detect"))

    return [
        _column(name, f"`{name}`", {row: (record, present(name, record)) for row, record in kept.column(name).items()})
        for name in METHODS
        if name in shas
    ]


def rivals(kept: Kept) -> list[Column]:
    rows = {row.name: row for row in ROWS}
    columns = []
    for name, rival in RIVALS.items():
        found = {}
        for row, record in kept.column(name).items():
            wanted = row in rows and is_for(name, rows[row])
            found[row] = (record, wanted and record.by["parameters"] == chosen(name, rows[row]))
        columns.append(_column(name, rival.title, found))
    return columns


def _column(name: str, title: str, found: Mapping[str, tuple[Record, bool]]) -> Column:
    usable = {row: record for row, (record, present) in found.items() if present}
    return Column(name, title, usable, len(found) - len(usable))


@dataclass(frozen=True)
class Score:
    """Means over the pictures of a line that a column has."""

    psnr: float | None
    """dB, over those that are not identical to their ground truth; None where all are."""
    ssim: float
    gain: float | None
    """dB over the input, over pictures where neither is identical."""
    pictures: int
    identical: int


def score(pictures: Iterable[Figures]) -> Score:
    """Of restored pictures. Raises ValueError where there are none."""
    rows = list(pictures)
    if not rows:
        raise ValueError("no pictures")
    found = [after for _, _, after, _ in rows if after is not None]
    gains = [after - before for before, _, after, _ in rows if before is not None and after is not None]
    ssim = math.fsum(ssim for *_, ssim in rows) / len(rows)
    return Score(_mean(found), ssim, _mean(gains), len(rows), len(rows) - len(found))


def inputs(columns: Sequence[Column], line: Line) -> dict[tuple[str, str], Figures]:
    """The inputs of a line in the place of restored pictures: of each, what was measured last."""
    found: dict[tuple[str, str], Figures] = {}
    for column in sorted(columns, key=lambda each: _newest(each, line)):
        for key, (psnr, ssim, _, _) in column.pictures(line).items():
            found[key] = (None, 1.0, psnr, ssim)
    return found


def of_other_inputs(column: Column, line: Line, now: Mapping[tuple[str, str], Figures]) -> bool:
    """Whether a column was measured on other inputs than those measured last: a degradation has changed since."""
    return any(
        (before is None) != (now[key][2] is None) or abs((before or 0.0) - (now[key][2] or 0.0)) > NEARLY
        for key, (before, _, _, _) in column.pictures(line).items()
    )


@dataclass(frozen=True)
class Margin:
    """A method against the rival that is hardest for it on a line."""

    rival: str
    """Its title."""
    psnr: float
    """dB by which the method is ahead, over the pictures that both have."""
    pictures: int


def margin(method: Column, against: Sequence[Column], line: Line) -> Margin | None:
    """The smallest lead of a method over the rivals; None where there is no picture in common."""
    ours, found = method.pictures(line), []
    for rival in against:
        theirs = rival.pictures(line)
        leads = [
            after - theirs[key][2]  # type: ignore[operator]
            for key, (_, _, after, _) in ours.items()
            if after is not None and key in theirs and theirs[key][2] is not None
        ]
        if leads:
            found.append(Margin(rival.title, math.fsum(leads) / len(leads), len(leads)))
    return min(found, key=lambda each: each.psnr, default=None)


def _newest(column: Column, line: Line) -> str:
    return max((column.rows[row.name].made["date"] for row in line.rows if row.name in column.rows), default="")


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
