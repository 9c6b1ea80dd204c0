"""Figures that were measured, one file a column, kept picture by picture so that any row can be measured in pieces."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airtool.images.files import write_atomic

Figures = tuple[float | None, float, float | None, float]
"""PSNR in dB (None: identical) and SSIM of the input, then of the restored picture."""


@dataclass
class Record:
    """One row of one column."""

    by: Mapping[str, Any]
    """What decides the result: figures of other weights or parameters are never mixed."""
    told: str | None
    made: Mapping[str, Any]
    """When, on what device and with which versions the last picture was measured."""
    pictures: dict[str, Figures] = field(default_factory=dict)
    """By name, in the order of measuring."""

    def same(self, by: Mapping[str, Any], told: str | None) -> bool:
        return (self.by, self.told) == (by, told)


class Kept:
    """The files of a folder. Every new picture is on the disk at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def column(self, name: str) -> dict[str, Record]:
        """Records of a column by the row's name."""
        path = self._path(name)
        rows = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return {row: _record(found) for row, found in rows.items()}

    def put(self, column: str, row: str, record: Record) -> None:
        """Write one row; the others stay as they are on the disk, where another process may have put them."""
        rows = {**self.column(column), row: record}
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(vars(each))}" for name, each in rows.items())
        write_atomic(self._path(column), f"{{\n{lines}\n}}\n".encode(), overwrite=True)

    def _path(self, column: str) -> Path:
        return self.folder / f"{column}.json"


def _record(found: Mapping[str, Any]) -> Record:
    return Record(found["by"], found["told"], found["made"], {k: tuple(v) for k, v in found["pictures"].items()})
