"""Measure the methods on every benchmark and write docs/scoreboard.md: make scoreboard AIRTOOL_DATA=DIR

Needs the benchmark pictures (bench/ below AIRTOOL_DATA). Figures of each method are kept in docs/scoreboard/METHOD.json
and the table is written from all of them, so methods, and with --only rows, can be measured one by one.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from airtool.benches.evaluate import Restorer, Task, evaluate, task_of_pairs, task_of_synthesis
from airtool.engine.session import Session, open_session
from airtool.errors import UsageError
from airtool.images.picture import Picture
from airtool.methods.registry import METHODS
from airtool.methods.weights import embedded
from airtool.metrics.protocols import parse_protocols
from airtool.reports.record import versions

SEED = 0
"""Of every synthesised input."""


@dataclass(frozen=True)
class Row:
    """One line of the scoreboard."""

    name: str
    ground_truth: str
    """Folder below bench/."""
    degraded: str | None = None
    """Folder below bench/ of real or published inputs..."""
    degradation: str | None = None
    """...or how they are synthesised."""
    label: str | None = None
    """What a method that has to be told is told; None: what was synthesised, or nothing where nothing is wrong."""
    published: str = ""
    """Figures of papers on this set; their protocol and noise differ in details."""


KODAK = "Kodak24/gt"
ROWS = (
    Row("CBSD68 noise 15", "CBSD68/gt", degradation="noise:15"),
    Row("CBSD68 noise 25", "CBSD68/gt", degradation="noise:25", published="DFPIR 31.47"),
    Row("CBSD68 noise 50", "CBSD68/gt", degradation="noise:50"),
    Row("Rain100L", "Rain100L/gt", degraded="Rain100L/lq", label="rain", published="NDR-Restore 35.42"),
    Row("Kodak24 rain", KODAK, degradation="rain"),
    Row("Kodak24 haze", KODAK, degradation="haze"),
    Row("Kodak24 low-light", KODAK, degradation="low-light"),
    Row("Kodak24 motion-blur", KODAK, degradation="motion-blur"),
    Row("Kodak24 defocus", KODAK, degradation="defocus"),
    Row("Kodak24 jpeg 10", KODAK, degradation="jpeg:10"),
    Row("Kodak24 jpeg 20", KODAK, degradation="jpeg:20"),
    Row("Kodak24 camera-noise", KODAK, degradation="camera-noise"),
    Row("Kodak24 snow", KODAK, degradation="snow"),
    Row("Kodak24 raindrop", KODAK, degradation="raindrop"),
    Row("Kodak24 rain,noise,snow", KODAK, degradation="rain,noise,snow"),
    Row("CBSD68 clean", "CBSD68/gt", degraded="CBSD68/gt"),
    Row("Nam (real noise)", "Nam/gt", degraded="Nam/lq", label="camera-noise"),
)


class NonLocalMeans:
    """OpenCV's non-local means, told the noise level: the classical rival for noise."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def restore_picture(self, picture: Picture) -> Picture:
        noisy = np.rint(picture.rgb * 255).astype(np.uint8)
        # On four held-out photographs 0.6 or 0.8 sigma was the best of 0.4, 0.6, 0.8, 1.0 and 1.2 at every noise level.
        strength = 0.7 * self.sigma
        restored = cv2.fastNlMeansDenoisingColored(noisy, None, strength, strength, 7, 21)
        return picture.with_rgb(restored.astype(np.float32) / np.float32(255))

    def describe(self) -> Mapping[str, Any]:
        return {"method": "OpenCV fastNlMeansDenoisingColored", "sigma": self.sigma}


def task_of(row: Row, bench: Path, limit: int | None) -> Task:
    if row.degradation is not None:
        return task_of_synthesis(str(bench / row.ground_truth), row.degradation, SEED, limit)
    assert row.degraded is not None
    return task_of_pairs(str(bench / row.degraded), str(bench / row.ground_truth), limit)


def measure(row: Row, bench: Path, limit: int | None, restorer: Restorer) -> dict[str, Any]:
    """One row's figures: PSNR in dB (None: identical) and SSIM, before and after, and seconds per megapixel."""
    evaluation = evaluate(task_of(row, bench, limit), parse_protocols("rgb,y"), restorer)
    pixels = sum(result.width * result.height for result in evaluation.results)
    seconds = sum(result.seconds or 0.0 for result in evaluation.results)
    figures: dict[str, Any] = {"pictures": len(evaluation.results), "seconds_per_megapixel": seconds / pixels * 1e6}
    for protocol, summary in evaluation.summary.items():
        figures[protocol] = {
            stage: {"psnr": mean.psnr if np.isfinite(mean.psnr) else None, "ssim": mean.ssim}
            for stage, mean in summary.means.items()
        }
    return figures


def measure_method(method: str, rows: tuple[Row, ...], bench: Path, limit: int | None) -> dict[str, Any]:
    """All rows of a method with its embedded weights; each row is printed when it is done."""
    facts: dict[str, Any] = {}
    figures = {}
    for row in rows:
        session, told = told_session(method, row)
        facts = {**session.describe(), "degradation": None}
        figures[row.name] = {**measure(row, bench, limit, session), "told": told}
        print(f"{method} | {row.name} | {cell(figures[row.name], 'restored')}", flush=True)
    return {
        "restoration": facts,
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "limit": limit,
        "rows": figures,
    }


def told_session(method: str, row: Row) -> tuple[Session, str | None]:
    """The method, told what is wrong where it can be told that, else left to find out; and what it was told."""
    told = row.label or row.degradation if METHODS[method].needs != "nothing" else None
    if told:
        try:
            return open_session(method, degradation=tuple(told.split(","))), told
        except UsageError:
            pass  # one prompt where there are several degradations, or none that was trained
    return open_session(method), None


def cell(figures: Mapping[str, Any], stage: str) -> str:
    """PSNR / SSIM."""
    mean = figures["rgb"][stage]
    return "identical" if mean["psnr"] is None else f"{mean['psnr']:.2f} / {mean['ssim']:.3f}"


def gained(figures: Mapping[str, Any]) -> str:
    """PSNR / SSIM after restoring, and the gain over this method's own inputs: samples differ from whole sets."""
    before, after = (figures["rgb"][stage]["psnr"] for stage in ("input", "restored"))
    gain = "" if before is None or after is None else f" ({after - before:+.2f})"
    return cell(figures, "restored") + gain


def heading(method: str, limit: int | None) -> str:
    return f"`{method}`" + (f", first {limit} only" if limit else "")


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The Markdown table over all methods measured so far."""
    names = [name for name in found if name in METHODS]
    lines = [
        "| set | input | " + " | ".join(heading(name, found[name]["limit"]) for name in names) + " | NLM | published |",
        "|---" * (len(names) + 4) + "|",
    ]
    for row in ROWS:
        here = {name: each["rows"][row.name] for name, each in found.items() if row.name in each["rows"]}
        if not any(name in here for name in names):
            continue
        first = next(iter(here.values()))
        cells = [gained(here[name]) if name in here else "" for name in names]
        rival = cell(here[RIVAL], "restored") if RIVAL in here else ""
        lines.append(f"| {row.name} | {cell(first, 'input')} | {' | '.join(cells)} | {rival} | {row.published} |")
    return "\n".join(lines) + "\n"


HEAD = """# Scoreboard

Each method with its embedded `small` weights. PSNR in dB / SSIM under the protocol `rgb` (8-bit values, whole picture,
11x11 Gaussian window), means over the pictures, and the gain over the input. Where a column is marked as a sample, its
figures are of other pictures than its neighbours': compare gains. No row was used for training; what was looked at
while weights were chosen is in models/MODEL_CARDS.md. `ndr` and `up-restorer` are blind; the others were told the true
degradation, as their papers do, except for clean pictures and for what they have no word for, where they worked it out
themselves. Synthesised inputs come from `airtool degrade`'s engine at the stated or default amount, float, not
quantised. Published figures are the papers' own, under their own protocols, from networks of 25 to 40 million
parameters. NLM is OpenCV's non-local means, told the noise level.

"""


def board(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page."""
    text = HEAD + table(found) + "\n## How\n\nWritten by `make scoreboard` (`benchmarks/scoreboard.py`).\n\n"
    for name, each in found.items():
        if name not in METHODS:
            continue
        facts = each["restoration"]
        sample = f"; the first {each['limit']} pictures of each set only" if each["limit"] else ""
        numbers = ", ".join(f"{what} {number}" for what, number in each["versions"].items())
        text += (
            f"- `{name}`: {each['date']}, `{facts['weights']}`, sha256 `{facts['sha256']}`; {facts['device']}, "
            f"{facts['precision']}, {facts['threads']} threads, seed {facts['seed']}; {numbers}{sample}\n"
        )
    return text


RIVAL = "nlm"
"""Key of the classical rival's figures."""


def measure_rival(bench: Path, limit: int | None) -> dict[str, Any]:
    rows = {}
    for row in ROWS:
        if row.degradation is not None and row.degradation.startswith("noise:"):
            rows[row.name] = measure(row, bench, limit, NonLocalMeans(float(row.degradation.split(":")[1])))
    return {"date": time.strftime("%Y-%m-%d"), "versions": versions(), "limit": limit, "rows": rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--method", help="comma-separated; default: every method with embedded weights, and the rival")
    parser.add_argument("--only", help="comma-separated beginnings of row names")
    parser.add_argument("--limit", type=int, help="only the first so many pictures of each set: a sample, said so")
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the page from kept figures")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    if arguments.data is None or not (Path(arguments.data) / "bench").is_dir():
        print("name the folder that holds bench/ with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    bench = Path(arguments.data) / "bench"
    rows = tuple(row for row in ROWS if row.name.startswith(tuple((arguments.only or "").split(","))))
    known = [*dict.fromkeys(record.method for record in embedded()), RIVAL]
    folder = arguments.out / "scoreboard"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = arguments.method.split(",") if arguments.method else known
    for method in () if arguments.write_only else wanted:
        if method == RIVAL:
            measured = measure_rival(bench, arguments.limit)
        else:
            measured = measure_method(method, rows, bench, arguments.limit)
        (folder / f"{method}.json").write_text(json.dumps(merged(folder / f"{method}.json", measured), indent=1) + "\n")
    found = {
        name: json.loads((folder / f"{name}.json").read_text()) for name in known if (folder / f"{name}.json").exists()
    }
    (arguments.out / "scoreboard.md").write_text(board(found), "utf-8")
    return 0


def merged(path: Path, measured: dict[str, Any]) -> dict[str, Any]:
    """New rows over those of an earlier run of the same weights and sample; otherwise the new ones alone."""
    if not path.exists():
        return measured
    earlier = json.loads(path.read_text())
    if identity(earlier) != identity(measured):
        return measured
    return {**measured, "rows": {**earlier["rows"], **measured["rows"]}}


def identity(measured: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must agree for rows to stand in one column."""
    facts = measured["restoration"]
    return facts["sha256"], facts["precision"], facts["seed"], measured["limit"]


if __name__ == "__main__":
    sys.exit(main())
