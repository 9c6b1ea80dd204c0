"""What commands that turn pictures into pictures check alike, before they load anything heavy."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from airtool.cli.console import say
from airtool.cli.progress import track
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.engine.identity import Identity
    from airtool.engine.resume import Settled
    from airtool.engine.tasks import Task
    from airtool.images.plan import Plan


def say_passed_over(passed_over: Mapping[str, int], quiet: bool) -> None:
    """Say how many files, which look like pictures, have been passed over, if any have."""
    if count := sum(passed_over.values()):
        files, whose = ("file", "format") if count == 1 else ("files", "formats")
        say(f"{count} {files} passed over, whose {whose} airtool does not read: {' '.join(passed_over)}", quiet)


def plan_outputs(
    inputs: Sequence[str],
    output: str,
    format: str | None,
    overwrite: bool,
    resume: bool,
    shard: str | None = None,
    *,
    quiet: bool,
) -> "Plan":
    """Which picture becomes which; says what is passed over.

    Raises UsageError or AirtoolError for whatever stands in the way.
    """
    from airtool.images.discover import search
    from airtool.images.plan import STDOUT, plan
    from airtool.images.shard import parse_shard

    if output == STDOUT and sys.__stdout__ is None:
        raise UsageError("standard output is closed: name an output file")
    if output == STDOUT and sys.stdout.isatty():
        raise UsageError("standard output is a terminal: redirect it (> out.png), or name an output file")
    # With both, `settle_outputs` finds out which of those that are there are to be replaced.
    existing: Literal["error", "overwrite", "resume"] = "resume" if resume else "overwrite" if overwrite else "error"
    found = search(inputs)
    planned = plan(found.sources, output, format=format, existing=existing, shard=parse_shard(shard))
    say_passed_over(found.passed_over, quiet)
    return replace(planned, passed_over=found.passed_over)


def settle_outputs(planned: "Plan", identity: "Identity | None", overwrite: bool, quiet: bool) -> "Settled":
    """What of a plan is left to do, after a look at what is there already; says what is kept and why.

    identity: None where no manifest is kept. overwrite: with ``--resume``, replace what this run would make otherwise.
    Raises UsageError for outputs that were made otherwise, and where the
    manifest could not lie in the output folder.
    """
    from airtool.engine.manifest import check_place
    from airtool.engine.resume import judge, settle

    if planned.folder is not None:
        check_place(planned.folder)
    judged = judge(planned.skipped, planned.folder, identity)
    if planned.skipped:
        judged = track(judged, len(planned.skipped), "checked", quiet)
    settled = settle(planned.jobs, list(judged), overwrite=overwrite)
    if settled.finished:
        say(f"{len(settled.finished)} already there, kept", quiet)
    if settled.unknown:
        say(f"{len(settled.unknown)} kept that airtool's record does not know", quiet)
    if settled.again:
        say(f"{settled.again} made again, because their inputs have changed", quiet)
    if settled.replaced:
        say(f"{settled.replaced} replaced, which are not what this run would make", quiet)
    return settled


def how_to_go_on(overwrite: bool) -> str:
    """What to do after an interruption. overwrite: whether older outputs were being replaced."""
    if overwrite:
        # Older outputs in their places are kept by --resume alone or, made with other settings, refused.
        return "the others are as they were; go on with --overwrite --resume"
    return "go on with --resume"


def sweep_outputs(planned: "Plan", *reports: str | None, tasks: Sequence["Task"] = ()) -> None:
    """Remove what a run that was killed left half-written in the folders that this run writes to."""
    from airtool.images.files import sweep
    from airtool.images.remote import place

    files = [job.target for job in (*planned.jobs, *planned.skipped) if job.target is not None]
    files += [file for task in tasks for file in task.files]
    files += [place(report) for report in reports if report is not None]
    sweep([file.parent for file in files if isinstance(file, Path)])


def check_quality(planned: "Plan", quality: int | None) -> None:
    """Raises UsageError for a ``--quality`` that no output has a use for."""
    from airtool.images.formats import FORMATS

    formats = planned.formats
    if quality is not None and None not in formats and not any(FORMATS[name].lossy for name in formats if name):
        raise UsageError("--quality has no effect on a lossless format: leave it out, or add --format jpeg")
