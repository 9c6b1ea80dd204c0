"""`airtool evaluate` on benchmark sets: --list, --check and --bench."""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airtool.cli.console import say, warn
from airtool.cli.progress import track
from airtool.cli.reports import Reports
from airtool.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from airtool.benches.check import Checked
    from airtool.benches.evaluate import Restorer, Watch
    from airtool.benches.noise import NoiseProtocol
    from airtool.benches.run import Missing
    from airtool.reports.record import Evaluation

PANEL = "Benchmark sets"

BenchOption = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Measure these benchmarks, e.g. rain100l,cbsd68-25.", rich_help_panel=PANEL),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Folder that holds the sets (default: the variable AIRTOOL_DATA).", rich_help_panel=PANEL
    ),
]
ListOption = Annotated[
    bool, typer.Option("--list", help="List the benchmarks that airtool knows.", rich_help_panel=PANEL)
]
CheckOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Tell which sets are in a folder, and what is missing or wrong.", rich_help_panel=PANEL
    ),
]
NoiseOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Synthesised noise: ndr keeps float values, promptir cuts them to 8 bits (default: ndr).",
        rich_help_panel=PANEL,
    ),
]


def list_benches(reports: Reports) -> None:
    """Print the sets, as a table or with everything that is known of them as JSON."""
    from airtool.benches.registry import registry
    from airtool.reports.writers import write_json

    _json_only(reports, "--list")
    if reports.json is not None:
        write_json(reports.json, [_facts(each) for each in registry().values()])
        return
    table = _table("set", "benchmarks", "task", "protocols", "degradation")
    table.add_column("pictures", justify="right", no_wrap=True)
    table.add_column("published", justify="right", no_wrap=True)
    for each in registry().values():
        table.add_row(
            each.name,
            _names([bench.name for bench in each.benches]) or "none: no ground truths",
            each.task,
            ",".join(each.protocols),
            each.degradation,
            "?" if each.pictures is None else str(each.pictures),
            str(sum(len(bench.published) for bench in each.benches)),
        )
    _print(table)


def _names(benches: list[str]) -> str:
    """The first three names: with more, the table would be wider than any terminal. --json has them all."""
    more = f" and {len(benches) - 3} more" if len(benches) > 3 else ""
    return ", ".join(benches[:3]) + more


def check_data(data: str, names: str | None, reports: Reports, quiet: bool) -> None:
    """Print what is in a folder: every set that is recognised, or those of `names` alone."""
    from airtool.benches.check import check
    from airtool.benches.folders import locate, locate_all
    from airtool.benches.registry import find_set
    from airtool.reports.writers import write_json

    _json_only(reports, "--check")
    if names is None:
        found = locate_all(data)
    else:
        sets = {each.name: each for name in names.split(",") if (each := find_set(name.strip()))}
        found = list(locate(data, list(sets.values())).values())
        for name in sets.keys() - {each.set.name for each in found}:
            warn(f"{name}: no folder {' or '.join(sets[name].folders)} below {data}")
    if not found:
        raise UsageError(
            f"no benchmark set recognised below {data}; --list --json - tells what their folders are called"
        )
    checked = [check(each, lambda looks, total: track(looks, total, "checked", quiet)) for each in found]
    if reports.json is not None:
        write_json(reports.json, [_checked_facts(each) for each in checked])
    else:
        _print_checked(checked)
    if (names is not None and len(found) < len(sets)) or not all(each.sound for each in checked):
        raise typer.Exit(1)


@dataclass(frozen=True)
class BenchRequest:
    """What --bench was asked to do."""

    names: str
    data: str | None
    protocol: str | None
    """None: those of each set."""
    noise: "NoiseProtocol | None"
    limit: int | None
    crop: bool
    keep: str | None
    quiet: bool


def run_benches(
    request: BenchRequest, reports: Reports, open_restorer: "Callable[[], Restorer | None]", watch: "Watch"
) -> None:
    """Measure benchmarks one after the other, and print each table as soon as it is there.

    Raises typer.Exit(1) when a set was missing or a picture failed; the rest is measured.
    """
    from airtool.benches.evaluate import evaluate, plan_kept
    from airtool.benches.run import judged, left_over, plan_benches
    from airtool.metrics.protocols import parse_protocols
    from airtool.reports.writers import STDOUT

    data = request.data or os.environ.get("AIRTOOL_DATA")
    if data is None:
        raise UsageError("--bench needs the folder that holds the sets: add --data DIR, or set AIRTOOL_DATA")
    planned, missing = plan_benches(request.names, data, request.noise, request.limit, request.crop)
    if reports.html is not None and len(planned) + len(missing) > 1:
        raise UsageError("--html takes one benchmark: name one after --bench")
    protocols = [parse_protocols(request.protocol or ",".join(each.set.protocols)) for each in planned]
    kept = [plan_kept(each.task, str(Path(request.keep, each.bench.name))) if request.keep else {} for each in planned]
    for each in missing:
        warn(each.reason)
    restorer = open_restorer() if planned else None
    gallery = _gallery(reports, restorer is not None, protocols[0][0].name) if planned else None
    evaluations = []
    for bench, chosen, targets in zip(planned, protocols, kept, strict=True):
        say(f"{bench.bench.name}: {len(bench.task.pairs)} pictures in {bench.found.folder}", request.quiet)
        evaluation = judged(bench, evaluate(bench.task, chosen, restorer, targets, watch, gallery))
        for failure in left_over(bench.found):
            warn(failure.reason)
        evaluations.append(evaluation)
        if STDOUT not in (reports.json, reports.csv, reports.csv_summary, reports.markdown, reports.html):
            from airtool.reports.tables import print_evaluation

            mark = ": A SAMPLE, NOT THE BENCHMARK" if evaluation.question.sample else ""
            print(f"{evaluation.question.bench}{mark}")
            print_evaluation(evaluation, sys.stdout)
    _write(reports, evaluations, missing, gallery)
    if request.keep is not None and evaluations:
        say(f"restored pictures are in {request.keep}", request.quiet)
    if missing or any(evaluation.failures for evaluation in evaluations):
        raise typer.Exit(1)


def _gallery(reports: Reports, restoring: bool, protocol: str) -> Any:
    from airtool.reports.gallery import Gallery

    return Gallery("restored" if restoring else "input", protocol) if reports.html is not None else None


def _write(reports: Reports, evaluations: "list[Evaluation]", missing: "list[Missing]", gallery: Any) -> None:
    from airtool.benches.run import benches_csv, benches_payload, benches_summary
    from airtool.reports.writers import write_csv, write_json, write_text

    if reports.json is not None:
        write_json(reports.json, benches_payload(evaluations, missing))
    if reports.csv is not None:
        write_csv(reports.csv, *benches_csv(evaluations, missing))
    if reports.csv_summary is not None:
        write_csv(reports.csv_summary, *benches_summary(evaluations))
    if reports.markdown is not None:
        from airtool.reports.markdown import markdown

        write_text(reports.markdown, "\n".join(markdown(evaluation) for evaluation in evaluations))
    if reports.html is not None and evaluations:
        from airtool.reports.html import page

        write_text(reports.html, page(evaluations[0], gallery))


def _json_only(reports: Reports, option: str) -> None:
    if any((reports.csv, reports.csv_summary, reports.markdown, reports.html)):
        raise UsageError(f"{option} is printed as a table or written with --json: leave the other reports out")


def _facts(each: Any) -> dict[str, Any]:
    from dataclasses import asdict, replace

    facts = asdict(replace(each, layouts=()))
    layouts = [
        {
            "name": layout.name,
            "degraded": layout.degraded and layout.degraded.pattern,
            "ground_truth": layout.ground_truth and layout.ground_truth.pattern,
        }
        for layout in each.layouts
    ]
    return {**facts, "sizes": [f"{width}x{height}" for width, height in each.sizes], "layouts": layouts}


def _checked_facts(each: "Checked") -> dict[str, Any]:
    found = each.found
    return {
        "set": found.set.name,
        "folder": found.folder,
        "layout": found.layout and found.layout.name,
        "state": found.state,
        "pictures": found.count,
        "official": found.set.pictures,
        "without_ground_truth": found.unpaired,
        "others": found.others,
        "degraded_without_partner": found.degraded_left,
        "ground_truths_without_partner": found.ground_truth_left,
        "sizes_not_official": each.odd_sizes,
        "unequal_sizes": each.unequal,
        "unreadable": each.unreadable,
        "repeated_ground_truths": each.repeated,
    }


def _print_checked(checked: "Iterable[Checked]") -> None:
    from airtool.images.names import shown

    table = _table("set", "state", "layout", "folder")
    table.add_column("pictures", justify="right", no_wrap=True)
    for each in checked:
        found = each.found
        official = "?" if found.set.pictures is None else str(found.set.pictures)
        layout = "-" if found.layout is None else found.layout.name
        table.add_row(found.set.name, found.state, layout, shown(found.folder), f"{found.count} of {official}")
    _print(table)
    for each in checked:
        for line in _remarks(each):
            print(f"{each.found.set.name}: {line}")


def _remarks(each: "Checked") -> Iterable[str]:
    """What else there is to say about a set, one line each."""
    from airtool.images.names import listing

    found = each.found
    if found.set.ground_truths and found.problem is not None:
        yield found.problem
    for names, what in (
        (found.degraded_left if found.pairs else (), "inputs without ground truth"),
        (found.ground_truth_left if found.pairs else (), "ground truths without input"),
        (each.unequal, "pairs of unequal size"),
        (each.unreadable, "unreadable"),
        (["=".join(group) for group in each.repeated], "ground truths that are there more than once"),
    ):
        if names:
            yield f"{len(names)} {what}: {listing(list(names))}"
    if each.odd_sizes:
        yield f"sizes that the official set does not have: {each.odd_sizes}"
    if found.pairs and found.unpaired:
        yield f"{found.unpaired} more pictures kept apart without ground truth"
    if found.others:
        yield f"{found.others} pictures that are no part of this layout"


def _table(*columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def _print(table: "Table") -> None:
    from rich.console import Console

    # In a pipe nothing is cut off or wrapped.
    width = None if sys.stdout.isatty() else 1000
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)
