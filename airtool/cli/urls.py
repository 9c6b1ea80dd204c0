"""URLs on the command line: which commands take them, and what to do about the others."""

import re
from collections.abc import Iterable, Sequence

from airtool.errors import UsageError
from airtool.images.remote import PROCESS_ONLY, Remote, is_url, place

TAKERS = ("restore", "detect")
"""Commands whose pictures may be URLs."""


def check_commands(args: Sequence[str]) -> None:
    """Refuse URLs given to a command that knows only local files, also as ``--option=URL``. Raises UsageError."""
    if not args or args[0] in TAKERS:
        return
    for arg in args[1:]:
        value = re.sub(r"^--[a-z-]+=", "", arg)
        if is_url(value):
            _refuse(f"airtool {args[0]}", value)


def check_local(option: str, value: str | None) -> None:
    """Raises UsageError when an option that takes local files has a URL."""
    if value is not None and is_url(value):
        _refuse(option, value)


def check_visible(texts: Iterable[str | None]) -> None:
    """Refuse places that only this process sees, before other processes are sent there. Raises UsageError."""
    for text in texts:
        named = None if text is None else place(text)
        if isinstance(named, Remote) and named.protocol in PROCESS_ONLY:
            raise UsageError(
                f"{named}: only this process sees {named.protocol}://, the workers of --engine ray do not: "
                "leave --engine out, or name another store"
            )


def _refuse(what: str, url: str) -> None:
    named = place(url)
    if isinstance(named, Remote):
        raise UsageError(f"{what} takes local files, not {named}: copy it here first, or mount the store")
    raise UsageError(f"{what} takes paths, not URLs: write {named}")
