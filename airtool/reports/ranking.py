"""Which of the pictures of a run are the worst, and by which figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from airtool.reports.record import Evaluation, Metric, PictureResult, Stage
from airtool.reports.words import METRIC, PSNR

WORST = 10
"""How many of the worst pictures reports name."""


@dataclass(frozen=True)
class Yardstick:
    """The figure by which pictures are ranked, drawn and exhibited."""

    figure: str
    """PSNR, or the name of a metric."""
    protocol: str | None
    """The protocol of that PSNR."""
    lower_is_better: bool = False

    @property
    def form(self) -> str:
        """How its values are written."""
        return METRIC if self.protocol is None else PSNR

    @property
    def unit(self) -> str:
        """What stands behind its values."""
        return "" if self.protocol is None else " dB"

    @property
    def worst_end(self) -> str:
        """Where on the scale the worst pictures are."""
        return "highest" if self.lower_is_better else "lowest"

    @property
    def best_end(self) -> str:
        """Where on the scale the best pictures are."""
        return "lowest" if self.lower_is_better else "highest"

    def about(self, stage: Stage) -> str:
        """What the figure is about, for headings."""
        return stage if self.protocol is None else f"{self.protocol}, {stage}"

    def value(self, result: PictureResult, stage: Stage) -> float:
        """The figure of one picture; NaN where it has none."""
        if self.protocol is None:
            return result.metrics[stage][self.figure]
        return result.scores[stage][self.protocol].psnr

    def badness(self, result: PictureResult, stage: Stage) -> tuple[float, str]:
        """What sorts pictures from the worst to the best; the name makes sure that the order is always the same."""
        value = self.value(result, stage)
        return -value if self.lower_is_better else value, result.picture


def yardstick(protocols: Sequence[str], metrics: Sequence[Metric] = ()) -> Yardstick:
    """The PSNR under the first protocol; without protocols the first metric that has figures."""
    if protocols:
        return Yardstick("PSNR", protocols[0])
    chosen = next((metric for metric in metrics if metric.missing is None), metrics[0])
    return Yardstick(chosen.name, None, bool(chosen.lower_is_better))


def yardstick_of(evaluation: Evaluation) -> Yardstick:
    """What ranks the pictures of a run."""
    return yardstick(list(evaluation.protocols), evaluation.metrics)


def worst(evaluation: Evaluation, count: int = WORST) -> list[PictureResult]:
    """The pictures whose figures of the judged stage are the worst, the worst first; those without are left out."""
    by, stage = yardstick_of(evaluation), evaluation.judged
    ranked = [result for result in evaluation.results if not math.isnan(by.value(result, stage))]
    return sorted(ranked, key=lambda result: by.badness(result, stage))[:count]
