"""Finds benchmark sets below a folder and tells what is there of each."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from airtool.benches.pairs import Pair, pair_name
from airtool.benches.registry import BenchSet, Layout, registry
from airtool.benches.templates import compile_template
from airtool.errors import UsageError
from airtool.images.discover import Source, discover
from airtool.images.names import listing, shown

DEPTH = 8
"""How many folders deep sets are looked for. Snow100K comes in six folders, five of them its authors' own."""

NOT_TEST = frozenset({"train", "training"})
"""Folders that hold no test pictures, whatever they are called inside."""

UNPAIRED = compile_template("lq_nogt/{path}")
"""Degraded pictures that a copy keeps apart because it lacks their ground truths."""

State = Literal["complete", "sample", "surplus", "unknown", "no ground truths", "unrecognised"]


@dataclass(frozen=True)
class Found:
    """What one folder holds of one set."""

    set: BenchSet
    folder: Path
    layout: Layout | None
    """The one that fits best; None when no picture fits any."""
    pairs: tuple[Pair, ...]
    """A synthesised set's clean pictures are paired with themselves. Names are paths below the degraded pictures."""
    degraded_left: tuple[str, ...]
    """Paths below the folder of degraded pictures whose ground truth is missing, or whose name another one has."""
    ground_truth_left: tuple[str, ...]
    """The same of clean pictures."""
    unpaired: int
    """Degraded pictures that are known to have no ground truth here."""
    others: int
    """Pictures that belong to no side of the layout."""

    @property
    def state(self) -> State:
        """How much of the official test set is there, by number."""
        if not self.count:
            return "no ground truths" if self.unpaired else "unrecognised"
        if self.set.pictures is None:
            return "unknown"
        if self.count == self.set.pictures:
            return "complete"
        return "sample" if self.count < self.set.pictures else "surplus"

    @property
    def count(self) -> int:
        """Pictures that there are, with ground truths if the set has them."""
        return len(self.pairs) if self.set.ground_truths else self.unpaired

    @property
    def problem(self) -> str | None:
        """Why nothing can be measured, in one line; None when something can."""
        if self.pairs:
            return None
        where = f"{self.set.title} in {shown(self.folder)}"
        if self.unpaired:
            return f"{where}: the {self.unpaired} pictures there have no ground truths: add them"
        layouts = "; ".join(layout.name for layout in self.set.layouts)
        left = [*self.degraded_left, *self.ground_truth_left]
        names = f" (without partner: {listing(left)})" if left else ""
        return f"{where}: no pairs found{names}; arrange the pictures in one of these ways: {layouts}"


def locate(data: str, sets: Sequence[BenchSet]) -> dict[str, Found]:
    """The best copy of each set below a folder, by the set's name; sets that are not there are missing.

    A set is looked for by the names of its folders, down to `DEPTH` folders below `data`, and not inside folders of
    training pictures. Of several copies the one with the most pairs counts, the outermost of equal ones. With a
    single set, `data` itself may be its folder, whatever it is called. Raises UsageError when `data` is no folder.
    """
    root = Path(data)
    if not root.is_dir():
        raise UsageError(f"{shown(data)} is not a folder: name the one that holds the benchmark sets")
    folders = [(folder, _normal(folder)) for folder in _tree(root)]
    best: dict[str, Found] = {}
    for each in sets:
        names = [tuple(_plain(part) for part in name.split("/")) for name in each.folders]
        here = [folder for folder, parts in folders if any(parts[-len(name) :] == name for name in names)]
        copies = [recognise(each, folder) for folder in here]
        if not copies and len(sets) == 1:
            copies = [copy for copy in [recognise(each, root)] if copy.layout is not None]
        if copies:
            best[each.name] = max(copies, key=lambda copy: (len(copy.pairs), copy.unpaired, -len(copy.folder.parts)))
    return best


def locate_all(data: str) -> list[Found]:
    """Every set that is below a folder, without those that only degrade another one's pictures in another way.

    Several sets may share the name of a folder, or one may have a folder that is called like another set; those that
    none of its pictures fits are left out.
    """
    found = list(locate(data, [each for each in registry().values() if each.pictures_of is None]).values())
    fitting = {each.folder for each in found if each.state != "unrecognised"}
    return [each for each in found if each.state != "unrecognised" or not fitting & {each.folder, *each.folder.parents}]


def recognise(each: BenchSet, folder: Path) -> Found:
    """Pair the pictures of a folder by that layout of a set that pairs the most and leaves the fewest over."""
    try:
        sources = discover([str(folder)])
    except UsageError:  # no pictures
        sources = []
    unpaired = [source for source in sources if UNPAIRED.fullmatch(pair_name(source))]
    rest = [source for source in sources if source not in unpaired]
    candidates = [_by_layout(each, folder, layout, rest, len(unpaired)) for layout in each.layouts]
    return max(candidates, key=lambda found: (found.count, -found.others, -_left(found)))


def _left(found: Found) -> int:
    return len(found.degraded_left) + len(found.ground_truth_left)


def _by_layout(each: BenchSet, folder: Path, layout: Layout, sources: Sequence[Source], unpaired: int) -> Found:
    clean: dict[tuple[str, ...], Source] = {}
    degraded: dict[str, tuple[tuple[str, ...], Source]] = {}
    degraded_left, clean_left = [], []
    others = 0
    for source in sources:
        name = pair_name(source)
        if (key := _key(layout.ground_truth, name)) is not None:
            if clean.setdefault(key, source) is not source:
                clean_left.append(source.relative.as_posix())
        elif (key := _key(layout.degraded, name)) is not None:
            if degraded.setdefault(name, (key, source))[1] is not source:
                degraded_left.append(source.relative.as_posix())
        else:
            others += 1
    if layout.degraded is None:
        matched = [(source, source) for source in clean.values()]
    elif layout.ground_truth is None:
        matched, unpaired = [], unpaired + len(degraded)
    else:
        partners = clean
        if layout.gap is not None:
            partners = _in_order([key for key, _ in degraded.values()], clean, layout.gap)
        matched = [(source, partners[key]) for key, source in degraded.values() if key in partners]
        degraded_left += [source.relative.as_posix() for key, source in degraded.values() if key not in partners]
        used = {id(source) for _, source in matched}
        if not layout.spare:
            clean_left += [source.relative.as_posix() for source in clean.values() if id(source) not in used]
    fits = bool(clean or degraded)
    return Found(
        set=each,
        folder=folder,
        layout=layout if fits else None,
        pairs=_pairs(folder, matched),
        degraded_left=tuple(degraded_left),
        ground_truth_left=tuple(clean_left),
        unpaired=unpaired,
        others=others,
    )


def _key(pattern: re.Pattern[str] | None, name: str) -> tuple[str, ...] | None:
    """What a picture has in common with its partner; None when it does not belong to this side."""
    found = pattern.fullmatch(name) if pattern is not None else None
    return tuple(found[group] for group in sorted(found.re.groupindex)) if found else None


def _in_order(
    degraded: Sequence[tuple[str, ...]], clean: Mapping[tuple[str, ...], Source], gap: int
) -> dict[tuple[str, ...], Source]:
    """The clean pictures by the keys of the degraded ones that they go with, as `Layout.gap` has it.

    None where the two sides do not go together: a guess would measure pictures against the wrong ones.
    """
    pairs = list(zip(sorted(degraded, key=_number), sorted(clean, key=_number), strict=False))
    together = len(degraded) == len(clean) and all(abs(_number(a) - _number(b)) <= gap for a, b in pairs)
    return {a: clean[b] for a, b in pairs} if together else {}


def _number(key: tuple[str, ...]) -> int:
    return int(key[0])


def _pairs(folder: Path, matched: Sequence[tuple[Source, Source]]) -> tuple[Pair, ...]:
    """Pairs whose sources are relative to the innermost folder that holds all of their side."""
    firsts, seconds = (_below([pair[side] for pair in matched], folder) for side in (0, 1))
    return tuple(Pair(pair_name(first), first, second) for first, second in zip(firsts, seconds, strict=True))


def _below(sources: Sequence[Source], folder: Path) -> list[Source]:
    if not sources:
        return []
    base = Path(os.path.commonpath([source.relative.parent.as_posix() or "." for source in sources]))
    return [Source(source.path, source.relative.relative_to(base), folder / base) for source in sources]


def _tree(root: Path) -> Iterator[Path]:
    """A folder and those below it, links followed, each folder once, hidden and training folders left out."""
    seen = set()
    for parent, folders, _ in os.walk(root, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield Path(parent)
        if len(Path(parent).parts) - len(root.parts) >= DEPTH:
            folders.clear()
        folders[:] = sorted(name for name in folders if name[0] != "." and name.casefold() not in NOT_TEST)


def _normal(folder: Path) -> tuple[str, ...]:
    # The folder that was named may be a link: what the user calls it counts.
    return tuple(_plain(part) for part in Path(os.path.abspath(folder)).parts)


def _plain(part: str) -> str:
    """The name of a folder without whatever people write differently."""
    return re.sub("[^0-9a-z]", "", part.casefold())
