"""File names in messages."""

import os
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

LISTED = 5
"""How many file names an error message spells out."""


def shown(name: object) -> str:
    """A file name or a URL as one printable line: control characters and bytes outside UTF-8 are escaped.

    Spaces of all widths stay, which screenshots of some systems have in their names. For people, not for programs: what
    was escaped cannot be told from what was called so.
    """
    text = str(name)
    if text.isprintable():
        return text
    return "".join(c if _printable(c) else c.encode("unicode_escape").decode() for c in text)


def counted(number: int, noun: str = "picture") -> str:
    """ "1 picture" or "12 pictures"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def in_utf8(name: Path) -> Path:
    """A local name as it reads where names are UTF-8, whatever else the locale takes its bytes for.

    What is no UTF-8 becomes the surrogates that it is there. The result is for comparing: it opens nothing.
    """
    if sys.getfilesystemencoding() == "utf-8":
        return name
    return Path(os.fsencode(name).decode("utf-8", "surrogateescape"))


def _printable(c: str) -> bool:
    return c.isprintable() or unicodedata.category(c) == "Zs"


def listing(names: Sequence[object]) -> str:
    """The first `LISTED` names, and how many more there are."""
    rest = len(names) - LISTED
    return ", ".join(shown(name) for name in names[:LISTED]) + (f" and {rest} more" if rest > 0 else "")
