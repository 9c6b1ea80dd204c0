"""`airtool evaluate --list` and `--check`: which benchmark sets there are, and which of them are here."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from airtool.cli.console import warn
from airtool.cli.progress import track
from airtool.cli.reports import Reports
from airtool.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from airtool.benches.check import Checked
    from airtool.images.reader import Reader

PANEL = "Benchmark sets"

ListOption = Annotated[
    bool, typer.Option("--list", help="List the benchmarks that airtool knows.", rich_help_panel=PANEL)
]
CheckOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR", help="Tell which sets are in a folder, and what is missing or wrong.", rich_help_panel=PANEL
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


def check_data(data: str, names: str | None, reports: Reports, quiet: bool, reader: "Reader") -> None:
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
    checked = [check(each, lambda looks, total: track(looks, total, "checked", quiet), reader) for each in found]
    if reports.json is not None:
        write_json(reports.json, [_checked_facts(each) for each in checked])
    else:
        _print_checked(checked)
    if (names is not None and len(found) < len(sets)) or not all(each.sound for each in checked):
        raise typer.Exit(1)


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
    from airtool.images.names import counted, listing

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
        yield f"{counted(found.others)} beside this layout"


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
