"""What became of each picture of a batch."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from airtool.reports.record import versions

Status = Literal["restored", "failed", "kept", "unknown"]


@dataclass(frozen=True)
class Record:
    """One picture of a batch."""

    source: str
    """Path of the input, or "standard input"."""
    target: str
    """Path of the output, or "standard output"."""
    status: Status
    """kept: the output is there already, as this run would make it. unknown: it is there, but not by this tool's
    manifest; kept as it is."""
    width: int | None = None
    """Pixels, after the EXIF orientation; None where the picture was not read."""
    height: int | None = None
    seconds: float | None = None
    """In the network, without reading and writing."""
    tile: tuple[int, int] | None = None
    """(height, width) in pixels of the largest piece that went through the network at once."""
    degradation: tuple[str, ...] = ()
    """What the method was asked to remove; empty for blind and for prompted methods."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """The same for a prompted method: weights of the classes, which add up to 1."""
    guessed: bool = False
    """Whether that was worked out from the picture."""
    message: str | None = None
    """Why it failed, in one line."""
    notes: tuple[str, ...] = ()
    """What the output file cannot keep of the input, in words."""


def count(records: Sequence[Record]) -> dict[str, int]:
    """How many records there are of each status."""
    found = Counter(record.status for record in records)
    return {name: found[name] for name in get_args(Status)}


def left_alone(records: Sequence[Record]) -> int:
    """How many pictures were handed back as they were, because nothing was found in them that could be removed."""
    from airtool.methods.autodir.vocabulary import NOTHING  # takes OpenCV along, which plans do without

    return sum(
        r.status == "restored" and r.guessed and not r.degradation and set(r.shares) <= {NOTHING} for r in records
    )


def megapixels(records: Sequence[Record]) -> float:
    """Millions of pixels restored."""
    return sum((r.width or 0) * (r.height or 0) for r in records if r.status == "restored") / 1e6


@dataclass(frozen=True)
class Outcome:
    """A finished or interrupted batch."""

    records: tuple[Record, ...]
    seconds: float
    """From the first picture to the last, reading and writing included."""
    interrupted: bool
    """Whether Ctrl-C ended it early."""


def payload(
    outcome: Outcome,
    kept: Sequence[Record],
    restoration: Mapping[str, Any] | None,
    shard: str | None,
    passed_over: Mapping[str, int],
) -> dict[str, Any]:
    """The whole run for `airtool.reports.writers.write_json`.

    kept: what was there already. restoration: what `Session.describe` says; None where nothing was to restore. shard:
    which part of the pictures this is; None for all. passed_over: what `airtool.images.discover.search` did not take.
    """
    records = [*outcome.records, *kept]
    return {
        "command": "restore",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "restoration": restoration,
        "shard": shard,
        "interrupted": outcome.interrupted,
        **count(records),
        "passed_over": passed_over,
        "seconds": outcome.seconds,
        "megapixels": megapixels(outcome.records),
        "pictures": records,
    }
