"""Measure methods and classical rivals on every benchmark and write docs/scoreboard.md: make scoreboard

Needs the benchmark pictures: bench/ below AIRTOOL_DATA or --data. Every picture's figures are kept at once in
docs/scoreboard/COLUMN.json, and only what is missing is measured, so that an interrupted run goes on where it stopped,
rows can be measured in pieces, and different columns by several processes at a time. New weights start anew.

    python benchmarks/scoreboard.py --columns ndr,dfpir --only "CBSD68,Rain100L"
    python benchmarks/scoreboard.py --columns defusion --limit 8      # the first 8 of each row now, the rest later
    python benchmarks/scoreboard.py --columns rivals                  # BM3D needs pip install -e '.[bench]'
    python benchmarks/scoreboard.py --write-only
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from scoring.classical import NotInstalled
from scoring.kept import Kept
from scoring.measure import measure
from scoring.page import page
from scoring.rivals import RIVALS, is_for
from scoring.rows import ROWS, Row, chosen_rows

from airtool.errors import AirtoolError
from airtool.images.files import write_atomic
from airtool.methods.registry import METHODS
from airtool.methods.weights import embedded


def columns_of(text: str | None) -> tuple[str, ...]:
    """Methods with embedded weights, and rivals that are installed. Raises ValueError for a name of neither."""
    ours = tuple(dict.fromkeys(record.method for record in embedded() if record.method in METHODS))
    installed = tuple(name for name in RIVALS if name != "bm3d" or find_spec("bm3d"))
    groups = {"methods": ours, "rivals": installed}
    found: list[str] = []
    for name in text.split(",") if text else groups:
        if name not in (*groups, *ours, *RIVALS):
            raise ValueError(f"no column {name!r}; there are {', '.join((*groups, *ours, *RIVALS))}")
        found += groups.get(name, (name,))
    return tuple(dict.fromkeys(found))


def run(columns: Sequence[str], rows: Sequence[Row], bench: Path, limit: int | None, out: Path, again: bool) -> bool:
    """Measure what is missing and write the page after each row. Returns whether every picture was measured."""
    kept, good = Kept(out / "scoreboard"), True
    for column in columns:
        for row in (row for row in rows if column not in RIVALS or is_for(column, row)):
            try:
                failures = measure(column, row, bench, limit, kept, again)
            except NotInstalled as error:
                print(f"{column}: {error}", file=sys.stderr)
                good = False
                break
            for failure in failures:
                print(f"{column} | {row.name} | {failure.reason}", file=sys.stderr)
            good = good and not failures
            write_page(out)
            print(f"{column} | {row.name}", flush=True)
    return good


def write_page(out: Path) -> None:
    text = page(Kept(out / "scoreboard"), embedded(), out / "speed-measured.json")
    write_atomic(out / "scoreboard.md", text.encode(), overwrite=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--columns", help="comma-separated: methods, rivals, or names of some; default: all")
    parser.add_argument("--only", help="comma-separated beginnings of row names")
    parser.add_argument("--limit", type=int, help="only the first so many pictures of each row")
    parser.add_argument("--again", action="store_true", help="measure what is kept, too")
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the page from kept figures")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args(words)
    if arguments.write_only:
        write_page(arguments.out)
        return 0
    bench = Path(arguments.data or "") / "bench"
    if arguments.data is None or not bench.is_dir():
        print("name the folder that holds bench/ with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    try:
        columns = columns_of(arguments.columns)
        rows = chosen_rows(arguments.only.split(",")) if arguments.only else ROWS
        good = run(columns, rows, bench, arguments.limit, arguments.out, arguments.again)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except AirtoolError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
