"""Measure a weights file on every benchmark and write docs/scoreboard.md: make scoreboard AIRTOOL_DATA=DIR

Needs the benchmark pictures (bench/ below AIRTOOL_DATA). Options: --weights FILE, --only NAME[,NAME], --out FILE.
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
from airtool.engine.session import open_session
from airtool.images.picture import Picture
from airtool.metrics.protocols import parse_protocols
from airtool.reports.record import Evaluation, versions
from airtool.reports.rows import payload
from airtool.reports.writers import plain

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
    published: str = ""
    """Figures of papers on this set; their protocol and noise differ in details."""


KODAK = "Kodak24/gt"
ROWS = (
    Row("CBSD68 noise 15", "CBSD68/gt", degradation="noise:15"),
    Row("CBSD68 noise 25", "CBSD68/gt", degradation="noise:25", published="DFPIR 31.47"),
    Row("CBSD68 noise 50", "CBSD68/gt", degradation="noise:50"),
    Row("Rain100L", "Rain100L/gt", degraded="Rain100L/lq", published="NDR-Restore 35.42"),
    Row("Kodak24 rain", KODAK, degradation="rain"),
    Row("Kodak24 haze", KODAK, degradation="haze"),
    Row("Kodak24 low-light", KODAK, degradation="low-light"),
    Row("Kodak24 motion-blur", KODAK, degradation="motion-blur"),
    Row("Kodak24 defocus", KODAK, degradation="defocus"),
    Row("Kodak24 jpeg 10", KODAK, degradation="jpeg:10"),
    Row("Kodak24 jpeg 20", KODAK, degradation="jpeg:20"),
    Row("Kodak24 camera-noise", KODAK, degradation="camera-noise"),
    Row("CBSD68 clean", "CBSD68/gt", degraded="CBSD68/gt"),
    Row("Nam (real noise)", "Nam/gt", degraded="Nam/lq"),
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
        return picture.with_rgb(restored.astype(np.float32) / 255)

    def describe(self) -> Mapping[str, Any]:
        return {"method": "OpenCV fastNlMeansDenoisingColored", "sigma": self.sigma}


def task_of(row: Row, bench: Path) -> Task:
    if row.degradation is not None:
        return task_of_synthesis(str(bench / row.ground_truth), row.degradation, SEED)
    assert row.degraded is not None
    return task_of_pairs(str(bench / row.degraded), str(bench / row.ground_truth))


def measure(row: Row, bench: Path, restorer: Restorer) -> tuple[Evaluation, float]:
    """The evaluation and the seconds per megapixel of restoring."""
    evaluation = evaluate(task_of(row, bench), parse_protocols("rgb,y"), restorer)
    pixels = sum(result.width * result.height for result in evaluation.results)
    seconds = sum(result.seconds or 0.0 for result in evaluation.results)
    return evaluation, seconds / pixels * 1e6


def line(row: Row, evaluation: Evaluation, rate: float, rival: str) -> str:
    summary = evaluation.summary
    before, after = summary["rgb"].means["input"], summary["rgb"].means["restored"]
    luma = summary["y"].means["restored"].psnr
    gain = f"{after.psnr - before.psnr:+.2f}" if np.isfinite(before.psnr) else ""
    start = f"{before.psnr:.2f} / {before.ssim:.4f}" if np.isfinite(before.psnr) else "identical"
    return (
        f"| {row.name} | {len(evaluation.results)} | {start} | **{after.psnr:.2f}** / {after.ssim:.4f} "
        f"| {gain} | {luma:.2f} | {rival} | {row.published} | {rate:.2f} |"
    )


HEAD = """# Scoreboard

{title}. One blind model for all rows; no row was used for training or for choosing weights.

Written by `make scoreboard` (`benchmarks/scoreboard.py`) on {date}; weights `{weights}`, sha256 `{sha256}`;
{versions}; {device}, {precision}, {threads} threads, seed {seed}.

PSNR in dB and SSIM under the protocol `rgb` (8-bit values, whole picture, 11x11 Gaussian window); `Y` is PSNR on luma
under the protocol `y`. Synthesised inputs come from `airtool degrade`'s engine at the stated or default amount, float,
not quantised. Published figures are the papers' own, under their own protocols, from networks of 25 to 40 million
parameters. NLM is OpenCV's non-local means, told the noise level.

| set | pictures | input | airtool | gain | Y | NLM | published | s/MP |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.environ.get("AIRTOOL_DATA"))
    parser.add_argument("--method", default="ndr")
    parser.add_argument("--weights")
    parser.add_argument("--only", help="comma-separated beginnings of row names")
    parser.add_argument("--out", type=Path, default=Path("docs/scoreboard.md"))
    arguments = parser.parse_args()
    if arguments.data is None or not (Path(arguments.data) / "bench").is_dir():
        print("name the folder that holds bench/ with --data or AIRTOOL_DATA", file=sys.stderr)
        return 2
    bench = Path(arguments.data) / "bench"
    wanted = tuple(arguments.only.split(",")) if arguments.only else ("",)
    session = open_session(arguments.method, arguments.weights)
    facts = session.describe()
    text = HEAD.format(
        title=f"{session.method.facts.title}, {facts['preset'] or 'own'} weights",
        date=time.strftime("%Y-%m-%d"),
        versions=", ".join(f"{name} {number}" for name, number in versions().items()),
        **facts,
    )
    records = []
    for row in ROWS:
        if not row.name.startswith(wanted):
            continue
        evaluation, rate = measure(row, bench, session)
        rival = ""
        if row.name.startswith("CBSD68 noise"):
            assert row.degradation is not None
            other, _ = measure(row, bench, NonLocalMeans(float(row.degradation.split(":")[1])))
            rival = f"{other.summary['rgb'].means['restored'].psnr:.2f}"
        text += line(row, evaluation, rate, rival) + "\n"
        print(text.splitlines()[-1], flush=True)
        records.append({"row": row.name, **payload(evaluation)})
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(text, "utf-8")
    # Where the pictures lie is the reader's own business.
    text = json.dumps(plain(records), indent=1, ensure_ascii=False).replace(f"{bench}{os.sep}", "bench/")
    arguments.out.with_suffix(".json").write_text(text + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
