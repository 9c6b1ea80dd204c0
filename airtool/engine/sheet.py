"""Contact sheets: a row for each picture, a column for each step, with captions."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from airtool.engine.tiles import Pixels
from airtool.errors import PictureError, UsageError
from airtool.images.encode import encode
from airtool.images.files import write_atomic
from airtool.images.formats import by_suffix, missing_encoder
from airtool.images.names import listing, shown
from airtool.images.opencv import cv2
from airtool.images.picture import Metadata, Picture
from airtool.images.plan import Job, folded_identity
from airtool.images.remote import local
from airtool.images.stores import lies_in

ROWS = 40
"""Pictures on one sheet; further ones go to further sheets."""

VIEW = 200
"""Pixels of the longer side of each small picture."""

GAP, LINE, TEXT = 10, 17, 13
"""Pixels between views, from one line of text to the next, and the height of the letters."""

FEWEST_COLUMNS = 3
"""Sheets are at least so many views wide, so that names have room."""

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """A small picture with the lines below it."""

    pixels: Bytes
    """(h, w, 3) R G B, at most `VIEW` a side."""
    caption: tuple[str, ...]


def view(rgb: Pixels, *caption: str) -> View:
    """The small copy of a picture (H, W, 3) in [0, 1]."""
    height, width = rgb.shape[:2]
    scale = min(1.0, VIEW / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
    return View(np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8), caption)


@dataclass(frozen=True)
class Strip:
    """One row: at least one view."""

    title: str
    views: tuple[View, ...]


def plan_sheets(target: str, jobs: Sequence[Job], taken: Sequence[Path], replace: bool) -> list[Path]:
    """The files of the sheets: `target`, then NAME-2, NAME-3 and so on, enough for all jobs.

    taken: what else the run writes. replace: allow files that are there already. Raises UsageError for those otherwise,
    for a name that is no picture's, a folder that is missing, and a file that is an input, an output or would be taken
    for an input by the next run.
    """
    path = Path(target)
    name = by_suffix(path)
    if name is None:
        raise UsageError(f"--sheet {shown(target)} is no name of a picture: add .jpg or .png")
    if reason := missing_encoder(name):
        raise UsageError(f"--sheet {shown(target)}: {reason}; choose .jpg or .png")
    if not path.parent.is_dir():
        raise UsageError(f"--sheet {shown(target)}: the folder {shown(path.parent)} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--sheet {shown(target)}: no permission to write in {shown(path.parent)}")
    count = max(1, -(-len(jobs) // ROWS))
    sheets = [path, *(path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(2, count + 1))]
    for root in {job.source.root for job in jobs} - {None}:
        if root is not None and lies_in(path.parent, local(root)):
            raise UsageError(f"--sheet {shown(target)} lies inside the input folder {shown(root)}: name another place")
    used = {folded_identity(each) for each in taken}
    used |= {folded_identity(local(job.source.path)) for job in jobs if job.source.path is not None}
    if both := [sheet for sheet in sheets if folded_identity(sheet) in used]:
        raise UsageError(f"--sheet: {listing(both)} is also an input or output: name another file")
    if folders := [sheet for sheet in sheets if sheet.is_dir()]:
        raise UsageError(f"--sheet: {listing(folders)} is a folder: name a file")
    if not replace and (there := [sheet for sheet in sheets if os.path.lexists(sheet)]):
        raise UsageError(f"already there: {listing(there)}; pass --overwrite to replace, or name another sheet")
    return sheets


class Sheets:
    """Writes a sheet as soon as its rows are there, so that only one is in memory."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.written: list[Path] = []
        self.problems: list[str] = []
        """Why sheets could not be written, in one line each: no reason to stop the work on the pictures."""
        self._waiting = list(files)
        self._rows: list[Strip] = []

    def add(self, strip: Strip) -> None:
        self._rows.append(strip)
        if len(self._rows) == ROWS:
            self.finish()

    def finish(self) -> None:
        """Write the rows that there are, if any."""
        if not self._rows:
            return
        path = self._waiting.pop(0)
        try:
            sheet = Picture(drawn(self._rows), None, 8, False, by_suffix(path) or "png", Metadata())
            write_atomic(path, encode(sheet), overwrite=True)
            self.written.append(path)
        except PictureError as error:
            self.problems.append(str(error))
        self._rows = []


def drawn(rows: Sequence[Strip]) -> Pixels:
    """A sheet (H, W, 3) in [0, 1], black on white, as wide as the longest row."""
    columns = max(FEWEST_COLUMNS, *(len(row.views) for row in rows))
    width = GAP + columns * (VIEW + GAP)
    return np.concatenate([_row(row, width) for row in rows]).astype(np.float32) / np.float32(255)


def _row(row: Strip, width: int) -> Bytes:
    tallest = max(each.pixels.shape[0] for each in row.views)
    lines = max(len(each.caption) for each in row.views)
    canvas = np.full((GAP + LINE + GAP + tallest + lines * LINE + GAP, width, 3), 255, np.uint8)
    font = cv2.FontFace("sans")

    def write(text: str, left: int, top: int, right: int) -> None:
        # Drawn on its own, so that a long line is cut off rather than running into its neighbour.
        strip = np.full((LINE, right - left, 3), 255, np.uint8)
        cv2.putText(strip, shown(text), (0, TEXT), (0, 0, 0), font, TEXT)
        canvas[top : top + LINE, left:right] = strip

    write(row.title, GAP, GAP, width)
    top = GAP + LINE + GAP
    for index, each in enumerate(row.views):
        left = GAP + index * (VIEW + GAP)
        height, wide = each.pixels.shape[:2]
        canvas[top : top + height, left : left + wide] = each.pixels
        for number, text in enumerate(each.caption):
            write(text, left, top + tallest + number * LINE, left + VIEW)
    return canvas
