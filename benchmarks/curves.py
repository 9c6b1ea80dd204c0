"""Learning curves of training runs, from their TensorBoard logs to docs/training.md:

    python benchmarks/curves.py runs/ndr-small runs/dfpir-small
    python benchmarks/curves.py runs/ndr-small-tune --note "Ran its first 2,000 steps on a longer cosine."
    python benchmarks/curves.py --write-only

Keeps each run's figures in docs/curves/NAME.json and a picture of them in docs/curves/NAME.svg, new ones in the place
of those of the same name, and writes the page from all that are there. NAME is the folder's path below runs/, with -
for /. A note stays with its run. Needs the package tensorboard, which `airtool[train]` installs.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from learning.drawing import drawing
from learning.events import Curve, curve_of
from learning.page import page

from airtool.errors import AirtoolError
from airtool.images.files import write_atomic

SHARES = ("detect", "language")
"""What names of runs hold whose validation figures are %."""


def name_of(folder: Path) -> str:
    """The path of a run's folder below the last folder called runs, as one name; else the folder's own."""
    parts = folder.resolve().parts
    below = parts[len(parts) - parts[::-1].index("runs") :] if "runs" in parts else parts[-1:]
    return "-".join(below)


def keep(folder: Path, out: Path, note: str | None) -> None:
    """Read one run and write its figures and its picture. note: None keeps the one that there is."""
    name = name_of(folder)
    path = out / "curves" / f"{name}.json"
    if note is None:
        note = Curve.from_text(path.read_text("utf-8")).note if path.exists() else ""
    curve = curve_of(folder / "tensorboard", name, "%" if any(each in name for each in SHARES) else "dB", note)
    write_atomic(path, curve.text().encode(), overwrite=True)
    write_atomic(path.with_suffix(".svg"), drawing(curve).encode(), overwrite=True)


def write_page(out: Path) -> None:
    curves = [Curve.from_text(path.read_text("utf-8")) for path in sorted((out / "curves").glob("*.json"))]
    write_atomic(out / "training.md", page(curves).encode(), overwrite=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="folder of a run of airtool train")
    parser.add_argument("--note", help="what a reader must know of these runs")
    parser.add_argument("--write-only", action="store_true", help="write the page from kept figures")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args(words)
    if not arguments.runs and not arguments.write_only:
        print("name the folders of the runs, or --write-only", file=sys.stderr)
        return 2
    try:
        for folder in arguments.runs:
            keep(folder, arguments.out, arguments.note)
    except AirtoolError as error:
        print(error, file=sys.stderr)
        return 1
    write_page(arguments.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
