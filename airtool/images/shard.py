"""One of several runs that share the pictures between them."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePath

from airtool.errors import UsageError

MOST = 100_000
"""More shards than this are a slip of the keyboard."""


@dataclass(frozen=True)
class Shard:
    """The `number`-th (from 1) of `count` runs. Raises UsageError for numbers that make no sense."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= MOST:
            raise UsageError(f"--shard {self}: the first number goes from 1 to the second, which is at most {MOST}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, relative: PurePath) -> bool:
        """Whether the picture of this name below the folder that was asked for belongs to this run.

        relative: a local one as `airtool.images.names.in_utf8` has it, so that locales agree.

        By a hash of the name alone: every picture belongs to exactly one of `count` runs, whatever machine lists it, in
        whatever order, and whatever else is in the folder. Composed and decomposed letters count as equal.
        """
        name = unicodedata.normalize("NFC", relative.as_posix()).encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(name).digest()[:8]) % self.count == self.number - 1


def parse_shard(text: str | None) -> Shard | None:
    """The value of ``--shard``, such as "2/4". Raises UsageError for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if found is None:
        raise UsageError(f"--shard {text}: give two numbers, such as 2/4 for the second of four runs")
    return Shard(int(found[1]), int(found[2]))
