"""From the names of benches to what is measured, and from what was measured to what it may be called."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from airtool.benches.evaluate import Task, cropping
from airtool.benches.folders import Found, locate
from airtool.benches.noise import NoiseProtocol
from airtool.benches.registry import Bench, BenchSet, find_benches
from airtool.degradations.compose import parse_steps
from airtool.errors import UsageError
from airtool.images.discover import Source
from airtool.images.names import listing, shown
from airtool.reports.record import Evaluation, Failure, Question


@dataclass(frozen=True)
class Planned:
    """A bench whose pictures are there."""

    set: BenchSet
    bench: Bench
    found: Found
    task: Task


@dataclass(frozen=True)
class Missing:
    """A bench that cannot be measured, with any method or with one."""

    bench: str
    reason: str
    """One line that says what was looked for, or what is wrong with what was found."""
    method: str | None = None
    """The method that cannot measure it; None: there are no pictures."""

    @property
    def told(self) -> str:
        """The reason with what it is about."""
        return self.reason if self.method is None else f"{self.bench}, {self.method}: {self.reason}"


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
    if evaluation.interrupted:
        reasons.append("the run was interrupted")
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
