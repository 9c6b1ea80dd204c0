"""Places to write to: inside the folder that was named, and nowhere else."""

import os
from collections.abc import Iterable
from pathlib import Path

from airtool.errors import UsageError
from airtool.images.names import shown
from airtool.images.remote import Place, Remote


def check_links(folder: Place, files: Iterable[Place | None]) -> None:
    """Find links below an output folder that would lead files out of it.

    The folder itself may be a link, or lie behind one: it is what the user named. Links that are in it may come from
    anybody, and those that stay inside do no harm. Stores have none. files: planned outputs; None and what lies
    elsewhere is passed over. Raises UsageError, which names the link.
    """
    if isinstance(folder, Remote):
        return
    real = Path(os.path.realpath(folder))
    for parent in dict.fromkeys(file.parent for file in files if isinstance(file, Path)):
        if not parent.is_relative_to(folder) or Path(os.path.realpath(parent)).is_relative_to(real):
            continue
        below = parent.relative_to(folder).parts
        ways = (folder.joinpath(*below[: count + 1]) for count in range(len(below)))
        link = next((way for way in ways if way.is_symlink()), parent)
        raise UsageError(
            f"{shown(link)} is a link that leads out of the folder {shown(folder)}: remove it, or choose another folder"
        )
