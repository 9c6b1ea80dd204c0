"""`airtool evaluate` with metrics beside PSNR and SSIM: --metric, and --no-reference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from airtool.cli.console import warn
from airtool.cli.evaluate_end import conclude
from airtool.cli.outputs import say_passed_over
from airtool.cli.reports import Reports
from airtool.errors import UsageError

if TYPE_CHECKING:
    from airtool.benches.evaluate import Watch
    from airtool.benches.scorers import Scorer
    from airtool.images.reader import Reader

PANEL = "Further metrics"

MetricOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Also measure LPIPS, MUSIQ or another metric of pyiqa, e.g. lpips; repeat for more.",
        rich_help_panel=PANEL,
    ),
]
MetricWeightsOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Folder with the metrics' files in checkpoints/ and pyiqa/ (default: PyTorch's hub folder).",
        rich_help_panel=PANEL,
    ),
]
MetricDeviceOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Where metrics compute: as --device (default: auto).", rich_help_panel=PANEL),
]
MetricBatchOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Pictures of one size that a metric gets at once (default: 1).", rich_help_panel=PANEL
    ),
]
NoReferenceOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Score pictures without ground truths by every --metric that needs none.",
        rich_help_panel="What to measure",
    ),
]


@dataclass(frozen=True)
class MetricRequest:
    """Which metrics were asked for, and how to compute them."""

    names: tuple[str, ...] = ()
    weights: str | None = None
    device: str = "auto"
    referenced: bool = True
    batch: int = 1

    def open(self) -> "tuple[Scorer, ...]":
        """Make them ready, and say on standard error which of them are missing.

        Raises UsageError for what no machine could compute.
        """
        if not self.names:
            return ()
        from airtool.benches.scorers import open_scorers
        from airtool.engine.device import pick_device

        try:
            device = str(pick_device(self.device))
        except UsageError as error:
            raise UsageError(str(error).replace("--device", "--metric-device")) from None
        scorers = open_scorers(self.names, self.weights, device, self.referenced)
        for scorer in scorers:
            if scorer.metric.missing is not None:
                warn(scorer.metric.missing)
        return scorers


def parse_metric_request(
    metric: Sequence[str] | None, weights: str | None, device: str | None, batch: int | None, referenced: bool
) -> MetricRequest:
    """What --metric and its companions ask for. Raises UsageError for a contradiction."""
    from airtool.benches.scorers import parse_metrics
    from airtool.engine.settings import Settings

    for option, value in (("--metric-weights", weights), ("--metric-device", device), ("--metric-batch", batch)):
        if value is not None and not metric:
            raise UsageError(f"{option} has no effect without --metric: leave it out")
    names = parse_metrics(metric or (), referenced)
    return MetricRequest(names, weights, Settings(device=device or "auto").device, referenced, batch or 1)


def run_unreferenced(
    pictures: str,
    request: MetricRequest,
    limit: int | None,
    reports: Reports,
    compare_with: str | None,
    watch: "Watch",
    reader: "Reader",
    quiet: bool,
) -> None:
    """Score pictures without ground truths.

    Raises typer.Exit(1) when a metric was missing or a picture failed; the rest is measured.
    """
    from airtool.benches.unreferenced import evaluate_unreferenced, find_pictures
    from airtool.reports.compare import compare, read_earlier
    from airtool.reports.gallery import Gallery
    from airtool.reports.ranking import yardstick

    if not request.names:
        raise UsageError("--no-reference needs a metric: add --metric musiq or another one that needs no ground truths")
    question, sources, passed_over = find_pictures(pictures, limit)
    say_passed_over(passed_over, quiet)
    scorers = request.open()
    metrics = [scorer.metric for scorer in scorers]
    earlier = None if compare_with is None else read_earlier(compare_with, {}, metrics)
    gallery = Gallery("given", yardstick([], metrics)) if reports.html is not None else None
    evaluation = evaluate_unreferenced(question, sources, scorers, watch, gallery, request.batch, reader)
    if earlier is not None:
        evaluation = replace(evaluation, comparison=compare(evaluation, earlier))
    left = reports.write(evaluation, gallery)
    interrupted, measured = evaluation.interrupted, len(evaluation.results)
    conclude(evaluation.complete, interrupted, measured, len(sources), restores=False, keep=False, left=left)
