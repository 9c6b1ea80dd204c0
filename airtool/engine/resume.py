"""What to do about outputs that are there already: which of them are finished, and which are not ours to touch."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from airtool.engine.identity import Identity
from airtool.engine.manifest import Recorded, digest_of, name_of, read_manifest
from airtool.engine.records import Record
from airtool.engine.tasks import Task
from airtool.errors import UsageError
from airtool.images.names import listing
from airtool.images.plan import Job
from airtool.images.remote import Place
from airtool.images.stores import size_of

HASHING = 4
"""Threads that read and hash files."""

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""sha256 of no bytes."""

Verdict = Literal["finished", "changed", "foreign", "unknown"]


@dataclass(frozen=True)
class Judged:
    """An output that is there already."""

    job: Job
    verdict: Verdict
    """finished: this run would make the same file. changed: an equal run made it, from other bytes of the input; or its
    name was taken by a run that was cut off before it could give it to the finished file. foreign: a run with other
    settings or weights made it. unknown: the manifest does not list these bytes, so somebody else's they are."""
    digest: str | None = None
    """sha256 of the output; None where nobody needs to know."""
    differing: tuple[str, ...] = ()
    """Names of the settings in which the run that made it differed."""


def judge(jobs: Sequence[Job], folder: Place | None, identity: Identity | None) -> Iterator[Judged]:
    """What the outputs of `jobs`, which are there already, are, in order.

    By the bytes of outputs and inputs alone, which are read by several threads; times mean nothing. folder, identity:
    None where no manifest is kept, and so nothing is known.
    """
    if folder is None or identity is None or not jobs:
        yield from (Judged(job, "unknown") for job in jobs)
        return
    names = {name_of(job.target, folder) for job in jobs if job.target is not None}
    recorded = read_manifest(folder, names)
    pool = ThreadPoolExecutor(HASHING, "hash")
    try:
        yield from pool.map(partial(_judge, folder=folder, identity=identity, recorded=recorded), jobs)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _judge(job: Job, folder: Place, identity: Identity, recorded: Recorded) -> Judged:
    assert job.target is not None
    size = size_of(job.target)
    if size is None:
        return Judged(job, "unknown")
    listed = recorded.entries.get(name_of(job.target, folder), set())
    if listed and size == 0 and digest_of(job.target) == EMPTY:
        # Without hard links a name is taken before the file gets it; nothing is lost with nothing.
        return Judged(job, "changed", EMPTY)
    if not any(entry.size == size for entry in listed):
        return Judged(job, "unknown")
    digest = digest_of(job.target)
    same = [entry for entry in listed if entry.digest == digest]
    if not same:
        return Judged(job, "unknown")
    sources = {entry.source for entry in same if entry.key == identity.key}
    if not sources:
        facts = recorded.facts.get(same[0].key)
        differing = ["how is not known any more"] if facts is None else identity.differing(facts)
        return Judged(job, "foreign", digest, tuple(differing))
    if job.source.path is None:  # standard input has not been read
        return Judged(job, "unknown")
    return Judged(job, "finished" if digest_of(job.source.path) in sources else "changed", digest)


@dataclass(frozen=True)
class Settled:
    """What is left to do, and what is kept."""

    jobs: tuple[Job, ...]
    """Those whose outputs are missing, then those to be made again."""
    again: int = 0
    """How many of the jobs make an output of our own again, because its input has changed."""
    replaced: int = 0
    """How many of the jobs replace whatever is there, because ``--overwrite`` asks for it."""
    finished: tuple[Job, ...] = ()
    """Those whose outputs are there already, as this run would make them."""
    unknown: tuple[Job, ...] = ()
    """Those whose outputs are there already, and not by the manifest."""

    @property
    def kept(self) -> list[Record]:
        """One record for each output that was there and stays."""
        return [
            *(Record(task.name, task.output, "kept") for task in map(Task, self.finished)),
            *(Record(task.name, task.output, "unknown") for task in map(Task, self.unknown)),
        ]


def settle(missing: Sequence[Job], judged: Sequence[Judged], *, overwrite: bool = False) -> Settled:
    """What follows from the verdicts on what is there, and from what is missing.

    overwrite: replace everything that this run would not make the same. Raises UsageError without it when outputs were
    made by a run with other settings or weights: neither are they what was asked for, nor does ``--resume`` alone
    replace them.
    """
    finished = tuple(each.job for each in judged if each.verdict == "finished")
    if overwrite:
        rest = tuple(each.job for each in judged if each.verdict != "finished")
        return Settled((*missing, *rest), replaced=len(rest), finished=finished)
    if foreign := [each for each in judged if each.verdict == "foreign"]:
        names = listing([each.job.target for each in foreign if each.job.target is not None])
        differing = ", ".join(dict.fromkeys(name for each in foreign for name in each.differing))
        raise UsageError(
            f"already there, made with other settings ({differing}): {names}; name another folder, or add --overwrite "
            "to replace what was made otherwise"
        )
    again = [replace(each.job, replaces=each.digest) for each in judged if each.verdict == "changed"]
    return Settled(
        (*missing, *again),
        again=sum(each.digest != EMPTY for each in judged if each.verdict == "changed"),
        finished=finished,
        unknown=tuple(each.job for each in judged if each.verdict == "unknown"),
    )
