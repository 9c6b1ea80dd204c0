"""Restored pictures that stay in a folder: written once, or reused by the next run of the same measurement."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from airtool import __version__
from airtool.benches.pairs import Pair
from airtool.errors import AirtoolError, PictureError, UsageError
from airtool.images.discover import STDIN
from airtool.images.encode import encode
from airtool.images.files import TakenError, sweep, write_atomic
from airtool.images.names import listing, shown
from airtool.images.picture import Picture
from airtool.images.places import check_links
from airtool.images.plan import plan
from airtool.images.reader import Reader
from airtool.images.remote import local
from airtool.images.stores import lies_in
from airtool.metrics.protocols import Pixels
from airtool.reports.record import Question, Treatment
from airtool.reports.writers import plain

MANIFEST = "kept.jsonl"
"""The file beside kept pictures: what they were made with in its first line, then a line for each picture."""

NOT_OURS = "was not made by airtool, or was changed since: remove it"

INCIDENTAL = ("threads", "weights", "preset")
"""What a restorer tells about itself without effect on its pictures; the sha256 says which weights they are."""


def plan_kept(pairs: Sequence[Pair], folder: str) -> dict[str, Path]:
    """Where each restored picture goes: PNG files that mirror the tree of the inputs, by `Pair.name`.

    Files that exist already are no error, for `Kept` can tell whether they may be reused. Raises UsageError as
    `airtool.images.plan.plan` does, when they would come to lie among the ground truths, and for links out of `folder`.
    """
    if folder == STDIN:
        raise UsageError("--keep takes a folder, not standard output: name one")
    planned = plan([pair.degraded for pair in pairs], folder, format="png", existing="resume")
    for root in {pair.ground_truth.root for pair in pairs} - {None}:
        if root is not None and lies_in(Path(folder), local(root)):
            raise UsageError(f"--keep {shown(folder)} lies inside the ground truths {shown(root)}: name another folder")
    targets = {job.source: job.target for job in (*planned.jobs, *planned.skipped)}
    check_links(Path(folder), targets.values())
    return {pair.name: local(target) for pair in pairs if (target := targets[pair.degraded]) is not None}


@dataclass(frozen=True)
class Made:
    """A restored picture."""

    picture: Picture
    seconds: float
    """That it took."""
    treatment: Treatment


class Kept:
    """The pictures that one method restored of one set, kept as PNG files from one run to the next.

    targets: from `plan_kept`. folder: where they and `MANIFEST` lie. identity: what decides how they look, from
    `identity`. reader: what opens them, within its limits. Raises UsageError when the folder holds pictures without
    manifest, or a manifest of another identity; AirtoolError when the folder cannot be written to.

    A picture is reused when its file is what was written and its input what was restored; otherwise it is restored
    afresh, and its file replaced if the manifest knows its bytes as that picture's. Either way it is measured as its
    file holds it, or would hold it, so that all runs give equal figures.
    """

    def __init__(
        self, targets: Mapping[str, Path], folder: Path, identity: Mapping[str, Any], reader: Reader | None = None
    ) -> None:
        self.targets = targets
        self._reader = reader or Reader()
        self.manifest = folder / MANIFEST
        self.reused = 0
        entries = _read(self.manifest, plain(identity))
        if entries is None:
            if there := [str(target) for target in targets.values() if os.path.lexists(target)]:
                raise UsageError(
                    f"already there, with no {MANIFEST} that tells what made them: {listing(there)}; name an empty "
                    "folder after --keep, or remove them"
                )
            entries = []
        self._known = {entry["picture"]: entry for entry in entries}
        self._made = {(entry["picture"], entry["sha256"]) for entry in entries}
        sweep(path.parent for path in (*targets.values(), self.manifest))
        # Afresh, since an interrupted run may have left half a line.
        lines = [plain(identity), *entries]
        write_atomic(self.manifest, "".join(json.dumps(line) + "\n" for line in lines).encode(), overwrite=True)

    @property
    def statement(self) -> str:
        """How the figures came about, for reports."""
        said = "restored pictures were measured as their kept PNG files hold them, rounded to the depth of the input"
        if self.reused:
            said += f"; {self.reused} of them were restored, and timed, in an earlier run"
        return said

    def find(self, name: str, given: Picture) -> Made | None:
        """The kept picture that was restored from `given`; None where there is none."""
        entry = self._known.get(name)
        if entry is None or entry.get("input") != _digest(given.rgb):
            return None
        try:
            data = self.targets[name].read_bytes()
            if hashlib.sha256(data).hexdigest() != entry["sha256"]:
                return None
            treatment = Treatment(**entry.get("treatment", {}))
            found = Made(self._reader.decode(data, str(self.targets[name])), float(entry["seconds"]), treatment)
        except (OSError, AirtoolError, KeyError, TypeError, ValueError):
            return None
        self.reused += 1
        return found

    def add(self, name: str, given: Picture, made: Made) -> tuple[Made, list[str]]:
        """Keep a picture: as its file holds it, and why it could not be kept, if so. Raises as `encode` does."""
        target = self.targets[name]
        data = encode(made.picture, format="png")
        entry = {
            "picture": name,
            "input": _digest(given.rgb),
            "sha256": hashlib.sha256(data).hexdigest(),
            "seconds": made.seconds,
            "treatment": plain(made.treatment),
        }
        problems = []
        try:
            ours = self._is_ours(name, target, data)
            # Listed first: a file that an interruption leaves without its line would be taken for somebody else's.
            _append(self.manifest, json.dumps(entry) + "\n")
            write_atomic(target, data, overwrite=ours)
        except TakenError:  # somebody has put it there meanwhile
            problems.append(f"{shown(target)} {NOT_OURS}")
        except AirtoolError as error:
            problems.append(str(error))
        return replace(made, picture=self._reader.decode(data, str(target))), problems

    def _is_ours(self, name: str, target: Path, data: bytes) -> bool:
        """Whether a file is there that `data` may replace. Raises PictureError for one that it may not."""
        try:
            there = target.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise PictureError(f"cannot read {shown(target)}: {error.strerror or error}; remove it") from error
        if there != data and (name, hashlib.sha256(there).hexdigest()) not in self._made:
            raise PictureError(f"{shown(target)} {NOT_OURS}")
        return True


def identity(bench: str | None, question: Question, restoration: Mapping[str, Any]) -> dict[str, Any]:
    """What decides how the pictures look that a method restored of a bench: the first line of `MANIFEST`.

    bench: None for pictures of no bench. They are known by their folder, lest those of another one, which may have the
    same names, replace them.
    """
    folder = question.degraded or question.ground_truth or ""
    return {
        "airtool": __version__,
        **({"bench": bench} if bench is not None else {"inputs": str(Path(folder).resolve())}),
        "degradation": question.degradation,
        "bench_seed": question.seed,
        "noise_protocol": question.noise_protocol,
        "align": question.align,
        "restoration": _essential(restoration),
    }


def _essential(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what is incidental, of the restorer and of the detector that it asks."""
    return {
        key: _essential(value) if isinstance(value, Mapping) else value
        for key, value in facts.items()
        if key not in INCIDENTAL
    }


def _read(manifest: Path, expected: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """What a manifest says of pictures, oldest first; None when there is none. Lines that make no sense are left out.

    A picture that was made again has several: which of these files is there depends on where the run was ended.
    """
    try:
        lines = manifest.read_bytes().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AirtoolError(f"cannot read {shown(manifest)}: {error.strerror or error}") from error
    entries = [_parsed(line) for line in lines]
    if not entries or entries[0] != expected:
        differing = _differing(entries[0] if entries else {}, expected)
        raise UsageError(
            f"{shown(manifest.parent)} holds pictures of another run (other {', '.join(differing)}): name another "
            "folder after --keep, or remove this one"
        )
    names = ("picture", "sha256")
    return [entry for entry in entries[1:] if all(isinstance(entry.get(name), str) for name in names)]


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _differing(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Names of the entries in which two identities differ."""
    names = []
    for key in dict.fromkeys([*here, *there]):
        mine, theirs = here.get(key), there.get(key)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            names += _differing(theirs, mine)
        elif mine != theirs:
            names.append(key.replace("_", " "))
    return names


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise PictureError(f"cannot write {shown(path)}: {error.strerror or error}") from error


def _digest(rgb: Pixels) -> str:
    digest = hashlib.blake2b(str(rgb.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(rgb).data)
    return digest.hexdigest()
