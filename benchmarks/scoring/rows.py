"""What is measured: the rows of the figures, and the lines of the page that they make."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

from airtool.benches.evaluate import Task, task_of_pairs, task_of_synthesis
from airtool.degradations.compose import parse_steps

SEED = 0
"""Of every synthesised input."""


@dataclass(frozen=True)
class Row:
    """Pictures of one set, degraded in one way."""

    name: str
    ground_truth: str
    """Folder below bench/."""
    pictures: int
    """How many there are."""
    degraded: str | None = None
    """Folder below bench/ of real or published inputs..."""
    degradation: str | None = None
    """...or how they are synthesised."""
    label: str | None = None
    """What a method that has to be told is told; None: what was synthesised, or nothing where nothing is wrong."""
    like: str | None = None
    """The row whose choice of parameters the rivals take; None: their own."""
    bench: str | None = None
    """Name of the bench in `airtool evaluate --list` that has figures of papers."""

    @property
    def told(self) -> str | None:
        return self.label or self.degradation

    @property
    def sigma(self) -> float | None:
        """Level of the Gaussian noise in it on the scale 0..255; None where there is none, or none that is known."""
        steps = parse_steps(self.degradation) if self.degradation else ()
        return next((step.amount for step in steps if step.name == "noise"), None)


@dataclass(frozen=True)
class Line:
    """One line of the page: the pictures of its rows together."""

    name: str
    rows: tuple[Row, ...]


def _cbsd(name: str, **more: str) -> Row:
    return Row(f"CBSD68 {name}", "CBSD68/gt", 68, **more)


def _kodak(name: str, degradation: str, **more: str) -> Row:
    return Row(f"Kodak24 {name}", "Kodak24/gt", 24, degradation=degradation, **more)


MIXED = ("rain", "noise", "snow")
"""What is mixed, in all orders."""

_ORDERS = tuple(_kodak(order, order, like="Kodak24 " + ",".join(MIXED)) for order in map(",".join, permutations(MIXED)))

_SINGLE = (
    _cbsd("noise 15", degradation="noise:15", bench="cbsd68-15"),
    _cbsd("noise 25", degradation="noise:25", bench="cbsd68-25"),
    _cbsd("noise 50", degradation="noise:50", bench="cbsd68-50"),
    _kodak("noise 25", "noise:25", like="CBSD68 noise 25"),
    _kodak("noise 25 as JPEG 85", "noise:25,jpeg:85", label="noise:25", like="CBSD68 noise 25"),
    _kodak("camera-noise", "camera-noise"),
    _kodak("photo-noise", "photo-noise", label="camera-noise", like="Kodak24 camera-noise"),
    Row("Nam (real noise)", "Nam/gt", 15, degraded="Nam/lq", label="camera-noise", like="Kodak24 camera-noise"),
    Row("Rain100L", "Rain100L/gt", 100, degraded="Rain100L/lq", label="rain", bench="rain100l"),
    _kodak("rain", "rain"),
    _kodak("snow", "snow"),
    _kodak("raindrop", "raindrop"),
    _kodak("haze", "haze"),
    Row("SOTS-outdoor (sample)", "SOTS-outdoor/gt", 5, degraded="SOTS-outdoor/lq", label="haze", like="Kodak24 haze"),
    _kodak("low-light", "low-light"),
    _kodak("motion-blur", "motion-blur"),
    _kodak("defocus", "defocus"),
    _kodak("low resolution x2", "downsample:2"),
    _kodak("jpeg 10", "jpeg:10"),
    _kodak("jpeg 20", "jpeg:20"),
)

_CLEAN = (
    _cbsd("clean", degraded="CBSD68/gt"),
    Row("Kodak24 clean", "Kodak24/gt", 24, degraded="Kodak24/gt"),
)

ROWS = (*_SINGLE, *_ORDERS, *_CLEAN)

LINES = (
    *(Line(row.name, (row,)) for row in _SINGLE),
    Line("Kodak24 rain, noise and snow, all six orders", _ORDERS),
    *(Line(row.name, (row,)) for row in _CLEAN),
)


def chosen_rows(beginnings: Sequence[str]) -> tuple[Row, ...]:
    """Rows whose names begin with one of these. Raises ValueError for a beginning that no row has."""
    for beginning in beginnings:
        if not any(row.name.startswith(beginning) for row in ROWS):
            raise ValueError(f"no row begins with {beginning!r}; there are {'; '.join(row.name for row in ROWS)}")
    return tuple(row for row in ROWS if row.name.startswith(tuple(beginnings)))


def task_of(row: Row, bench: Path, limit: int | None, done: frozenset[str] = frozenset()) -> Task:
    """The first `limit` pictures of a row but for those that are done. bench: folder of the benchmark sets."""
    if row.degradation is not None:
        task = task_of_synthesis(str(bench / row.ground_truth), row.degradation, SEED, limit)
    else:
        assert row.degraded is not None
        task = task_of_pairs(str(bench / row.degraded), str(bench / row.ground_truth), limit)
    return replace(task, pairs=tuple(pair for pair in task.pairs if pair.name not in done))
