"""Reports to files or to standard output, complete or not at all."""

import codecs
import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path, PurePath
from typing import Any

from airtool.errors import UsageError
from airtool.images.files import NO_FILE, is_no_file, write_atomic
from airtool.images.formats import by_suffix
from airtool.images.names import shown
from airtool.images.remote import Place, Remote, check_writable, place
from airtool.images.stores import kind

LOOKED_AT = 4096
"""Bytes at the beginning of a file that tell whether it is text."""

STDOUT = "-"
"""The path that stands for standard output."""

FORMULA = ("=", "+", "-", "@", "\t", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet take a cell for a formula; the last four are the wide forms of the first four."""


def check_target(target: str, option: str) -> None:
    """Find out before the work whether a report can be written where `option` asks for it.

    Raises UsageError when the folder is missing or closed, or `target` is itself a folder, a device or an existing
    file that is a picture or no text, such as weights. An existing report is replaced; so is a link, never what it
    leads to.
    """
    if target == STDOUT:
        return
    path = place(target)
    if isinstance(path, Remote):
        check_writable(path, option)
        if by_suffix(path.name) is not None and kind(path) == "file":
            raise UsageError(f"{option} {shown(path)} is a picture that is already there: name another file")
        return
    if path.is_dir():
        raise UsageError(f"{option} {shown(target)} is a folder: name a file in it, or - for standard output")
    if is_no_file(path):
        raise UsageError(f"{option} {shown(target)}: {NO_FILE}")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {shown(target)}: the folder {shown(path.parent)} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(
            f"{option} {shown(target)}: no permission to write in {shown(path.parent)}; choose another folder"
        )
    if path.exists():
        if by_suffix(path) is not None:
            raise UsageError(f"{option} {shown(target)} is a picture that is already there: name another file")
        if not _may_be_a_report(path):
            raise UsageError(f"{option} {shown(target)} is already there and is no report: name another file")


def _may_be_a_report(path: Path) -> bool:
    """Whether a file holds text, as every report does: by its beginning, without zero bytes."""
    try:
        with path.open("rb") as file:
            beginning = file.read(LOOKED_AT)
    except OSError:
        return False
    try:
        # Not final: a character may be cut in two.
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return b"\0" not in beginning


def write_json(target: str | Path, payload: Any) -> None:
    """Write `payload` as indented UTF-8 JSON to a file (atomically, replacing an older one) or to stdout (``"-"``).

    Dataclasses become objects and paths strings. JSON has no infinity and no NaN: infinite numbers become the
    strings ``"inf"`` and ``"-inf"`` (the PSNR of identical pictures), NaN becomes null (a value that is not defined).
    Raises AirtoolError when the file cannot be written.
    """
    write_text(target, json.dumps(plain(payload), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(target: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as UTF-8 CSV with a header line to a file (atomically) or to stdout (``"-"``).

    Infinite numbers are written as ``inf`` and ``-inf``; NaN, None and missing values stay empty. Text that begins
    like a formula (``=``, ``+``, ``-``, ``@``, a tab or a new line) gets an apostrophe before it, since a spreadsheet
    would compute it; numbers stay as they are. A carriage return, where readers may see the end of a row, is written
    as ``\\r``.
    Raises ValueError for a row with a column that is not announced, AirtoolError when the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    write_text(target, text.getvalue())


def plain(value: Any) -> Any:
    """`value` in terms of what JSON knows: dict, list, str, int, float, bool and None.

    Raises TypeError for anything else than those, dataclasses, paths, tuples and NumPy scalars.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # NumPy scalars, without importing NumPy
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a report cannot hold a {type(value).__name__}")


def _cell(value: Any) -> Any:
    if not isinstance(value, str | PurePath):
        return plain(value)
    text = str(value).replace("\r", "\\r")
    return f"'{text}" if text.startswith(FORMULA) else text


def write_text(target: str | Place, text: str) -> None:
    """Write text as UTF-8 to a file or to a URL (atomically, replacing an older one) or to stdout (``"-"``).

    Raises AirtoolError when the file cannot be written.
    """
    # A name with bytes outside UTF-8 arrives as lone surrogates; it must not cost the whole report.
    data = text.encode("utf-8", errors="backslashreplace")
    if str(target) == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        write_atomic(place(target), data, overwrite=True)
