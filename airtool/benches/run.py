"""From the names of benches to what is measured, and from what was measured to what it may be called."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airtool.benches.evaluate import Task, cropping
from airtool.benches.folders import Found, locate
from airtool.benches.noise import NoiseProtocol
from airtool.benches.registry import Bench, BenchSet, find_benches
from airtool.degradations.compose import parse_steps
from airtool.errors import UsageError
from airtool.images.discover import Source
from airtool.images.names import listing, shown
from airtool.reports.record import Evaluation, Failure, Question
from airtool.reports.rows import SUMMARY_COLUMNS, csv_columns, csv_rows, payload, summary_rows


@dataclass(frozen=True)
class Planned:
    """A bench whose pictures are there."""

    set: BenchSet
    bench: Bench
    found: Found
    task: Task


@dataclass(frozen=True)
class Missing:
    """A bench that cannot be measured."""

    bench: str
    reason: str
    """One line that says what was looked for, or what is wrong with what was found."""


def plan_benches(
    names: str, data: str, noise: NoiseProtocol | None = None, limit: int | None = None, crop: bool = False
) -> tuple[list[Planned], list[Missing]]:
    """Find the pictures of a comma-separated list of benches below the folder `data`.

    noise: how noisy pictures are stored; None: as float values. limit: only the first so many pictures of each.
    crop: cut pictures of unequal size instead of refusing them. Raises UsageError for a name that does not exist, a
    folder that does not exist, and `noise` where no bench is one of noise alone.
    """
    wanted = find_benches(names)
    if noise is not None and not any(bench.noise_only for _, bench in wanted):
        raise UsageError("--noise-protocol has no effect on these benchmarks, which are not of synthesised noise")
    found = locate(data, list(dict.fromkeys(each for each, _ in wanted)))
    planned, missing = [], []
    for each, bench in wanted:
        here = found.get(each.name)
        if here is None:
            folders = " or ".join(each.folders)
            missing.append(
                Missing(bench.name, f"{bench.name}: no folder {folders} below {shown(data)}; get it from: {each.where}")
            )
        elif here.problem is not None:
            missing.append(Missing(bench.name, f"{bench.name}: {here.problem}"))
        else:
            task = _task(here, bench, noise, limit)
            planned.append(Planned(each, bench, here, cropping(task) if crop else task))
    return planned, missing


def _task(found: Found, bench: Bench, noise: NoiseProtocol | None, limit: int | None) -> Task:
    assert found.layout is not None
    noise = noise if bench.noise_only else None
    question = Question(
        ground_truth=_root(found.pairs[0].ground_truth),
        degraded=None if bench.steps is not None else _root(found.pairs[0].degraded),
        pairing=f"layout {found.layout.name}",
        degradation=bench.steps,
        seed=bench.seed,
        available=len(found.pairs),
        limit=limit,
        bench=bench.title,
        noise_protocol=None if noise is None else noise.statement,
    )
    steps = () if bench.steps is None else parse_steps(bench.steps)
    return Task(question, found.pairs[:limit], given="input", steps=steps, noise=noise)


def _root(source: Source) -> str:
    return str(source.root)


def left_over(found: Found) -> list[Failure]:
    """A failure for every picture without partner, named by its path below the folder of the set."""
    sides = ((found.degraded_left, "no ground truth goes with it"), (found.ground_truth_left, "no input goes with it"))
    return [
        Failure(name, f"{shown(found.folder / name)}: {why} by the layout {found.layout.name}; complete or remove it")
        for names, why in sides
        for name in names
        if found.layout is not None
    ]


def judged(planned: Planned, evaluation: Evaluation) -> Evaluation:
    """The evaluation of a planned bench with what it may be called.

    Pictures without partner are added to the failures. Only figures over exactly the official pictures are the
    benchmark's and get the published ones beside them; all others say that, and why, they are a sample.
    """
    reasons, official = [], planned.set.pictures
    measured = len(evaluation.results)
    if official is None:
        reasons.append(f"how many pictures the official set has is not recorded; {measured} were measured")
    elif measured != official:
        reasons.append(f"{measured} pictures were measured, the official set has {official}")
    if odd := odd_sizes(planned.set, [(result.width, result.height) for result in evaluation.results]):
        reasons.append(f"pictures of sizes that the official set does not have: {odd}")
    sample = f"a sample, not the benchmark {planned.bench.title}: {'; '.join(reasons)}" if reasons else None
    return replace(
        evaluation,
        question=replace(evaluation.question, sample=sample),
        failures=(*evaluation.failures, *left_over(planned.found)),
        published=() if sample else planned.bench.published,
    )


def odd_sizes(each: BenchSet, sizes: Iterable[tuple[int, int]]) -> str:
    """Sizes that no official picture of a set has, and how many pictures have each, in words; empty: none."""
    odd = Counter(size for size in sizes if each.sizes and size not in each.sizes)
    return listing([f"{width}x{height} ({count})" for (width, height), count in odd.most_common()])


def benches_payload(evaluations: Sequence[Evaluation], missing: Sequence[Missing]) -> dict[str, Any]:
    """Several benches for `airtool.reports.writers.write_json`; a single one as by `payload`."""
    if len(evaluations) == 1 and not missing:
        return payload(evaluations[0])
    return {
        "command": "evaluate",
        "benches": [payload(evaluation) for evaluation in evaluations],
        "missing": missing,
    }


def benches_csv(
    evaluations: Sequence[Evaluation], missing: Sequence[Missing]
) -> tuple[list[str], Iterable[dict[str, Any]]]:
    """Header and rows of several benches for `airtool.reports.writers.write_csv`.

    The column ``sample`` says why the figures of a row are no benchmark's; where it is empty, they are.
    """
    columns = dict.fromkeys(column for evaluation in evaluations for column in csv_columns(evaluation))
    header = ["bench", "sample", *(column for column in columns if column != "error"), "error"]
    rows = [
        {"bench": evaluation.question.bench, "sample": evaluation.question.sample, **row}
        for evaluation in evaluations
        for row in csv_rows(evaluation)
    ]
    return header, [*rows, *({"bench": each.bench, "error": each.reason} for each in missing)]


def benches_summary(evaluations: Sequence[Evaluation]) -> tuple[list[str], Iterable[dict[str, Any]]]:
    """The means of several benches for `airtool.reports.writers.write_csv`, with ``sample`` as in `benches_csv`."""
    rows = [
        {"bench": evaluation.question.bench, "sample": evaluation.question.sample, **row}
        for evaluation in evaluations
        for row in summary_rows(evaluation)
    ]
    return ["bench", "sample", *SUMMARY_COLUMNS], rows
