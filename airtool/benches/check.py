"""Looks into every picture of a benchmark set: what cannot be read, does not fit its partner, or is there twice."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from airtool.benches.folders import Found
from airtool.benches.run import odd_sizes
from airtool.errors import reason
from airtool.images.discover import Source
from airtool.images.names import shown
from airtool.images.reader import Reader

WORKERS = 4
"""Pictures decoded at a time, at most: bounds the memory."""


@dataclass(frozen=True)
class Look:
    """What one picture is."""

    source: Source
    size: tuple[int, int] | None
    """(width, height); None when it cannot be read."""
    digest: bytes
    """Equal for pictures of the same pixels, whatever their files."""
    problem: str | None
    """Why it cannot be read, in one line."""


@dataclass(frozen=True)
class Checked:
    """A set and everything that is wrong with this copy of it."""

    found: Found
    odd_sizes: str
    """Sizes that the official set does not have, in words; empty: none."""
    unequal: tuple[str, ...]
    """Pairs of two sizes: the degraded picture's name and both sizes."""
    unreadable: tuple[str, ...]
    """One line each."""
    repeated: tuple[tuple[str, ...], ...]
    """Groups of ground truths with the same pixels, by their paths below the folder of the ground truths."""

    @property
    def sound(self) -> bool:
        """Whether every picture can be read, has its partner, and fits it.

        Repeated ground truths are no fault, as published sets have them, nor is it one to be a sample.
        """
        left = self.found.degraded_left or self.found.ground_truth_left
        return self.found.state != "unrecognised" and not (left or self.unequal or self.unreadable)


def pictures(found: Found) -> list[Source]:
    """Each picture in the pairs of a set once."""
    return list({source.path: source for pair in found.pairs for source in (pair.ground_truth, pair.degraded)}.values())


def check(
    found: Found,
    watch: Callable[[Iterable[Look], int], Iterable[Look]] = lambda looks, total: looks,
    reader: Reader | None = None,
) -> Checked:
    """Read every picture in the pairs of a set.

    watch: passes on what is seen and may show it. reader: what opens the pictures, within its limits.
    """
    sources = pictures(found)
    seen = {look.source.path: look for look in watch(_looks(sources, reader or Reader()), len(sources))}
    truths = list({pair.ground_truth.path: pair.ground_truth for pair in found.pairs}.values())
    groups: dict[bytes, list[str]] = {}
    for truth in truths:
        if (look := seen[truth.path]).size is not None:
            groups.setdefault(look.digest, []).append(truth.relative.as_posix())
    unequal = []
    for pair in found.pairs:
        sizes = [seen[source.path].size for source in (pair.degraded, pair.ground_truth)]
        if None not in sizes and sizes[0] != sizes[1]:
            unequal.append(f"{pair.name} ({' and '.join(f'{size[0]}x{size[1]}' for size in sizes if size)})")
    return Checked(
        found=found,
        odd_sizes=odd_sizes(found.set, [size for truth in truths if (size := seen[truth.path].size)]),
        unequal=tuple(unequal),
        unreadable=tuple(look.problem for look in seen.values() if look.problem),
        repeated=tuple(tuple(group) for group in groups.values() if len(group) > 1),
    )


def _looks(sources: list[Source], reader: Reader) -> Iterator[Look]:
    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1), thread_name_prefix="check") as pool:
        yield from pool.map(partial(_look, reader=reader), sources)


def _look(source: Source, reader: Reader) -> Look:
    assert source.path is not None
    try:
        rgb = reader.read(source.path).rgb
    except Exception as error:
        return Look(source, None, b"", reason(error, shown(source.path)))
    digest = hashlib.blake2b(repr(rgb.shape).encode(), digest_size=16)
    digest.update(rgb.data)
    return Look(source, (rgb.shape[1], rgb.shape[0]), digest.digest(), None)
