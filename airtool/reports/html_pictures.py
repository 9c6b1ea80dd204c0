"""The pictures of a run as HTML: cards of the few that are shown, and the table of all."""

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape

from airtool.images.names import shown
from airtool.reports.gallery import Exhibit
from airtool.reports.markup import class_, scrolling, section
from airtool.reports.ranking import worst
from airtool.reports.record import Evaluation, PictureResult, Stage
from airtool.reports.words import METRIC, PSNR, SSIM, number

MAX_ROWS = 5_000
"""Most rows of the table of pictures: the worst ones of a larger set."""

DIVIDER = '<span class="divider"></span>'

ZOOMS = (1, 2, 4)
"""How many times a picture can be magnified."""


def exhibits(heading: str, shown_ones: Sequence[Exhibit]) -> str:
    """A section with a card for each; nothing when there are none."""
    if not shown_ones:
        return ""
    cards = "".join(_exhibit(each) for each in shown_ones)
    return section(heading, f'<div class="exhibits">{cards}</div>')


def _exhibit(exhibit: Exhibit) -> str:
    result, names = exhibit.result, list(exhibit.views)
    name = escape(shown(result.picture))
    figures = [
        f"{protocol}: PSNR "
        + _steps([by[protocol].psnr for by in result.scores.values()], PSNR)
        + " dB, SSIM "
        + _steps([by[protocol].ssim for by in result.scores.values()], SSIM)
        for protocol in next(iter(result.scores.values()), ())
    ]
    figures += [
        f"{metric}: {_steps([by[metric] for by in result.metrics.values()], METRIC)}"
        for metric in next(iter(result.metrics.values()), ())
    ]
    styles = ("left", "right", "") if len(names) > 1 else ("right",)
    images = "".join(
        f'<img data-view="{view}" class="{styles[min(index, 2)]}" width="{exhibit.width}" '
        f'height="{exhibit.height}" alt="{name}, {view}" src="{_data_uri(data)}">'
        for index, (view, data) in enumerate(exhibit.views.items())
    )
    zooms = "".join(
        f'<button type="button" value="{factor}" aria-pressed="{"true" if factor == 1 else "false"}">{factor}×</button>'
        for factor in ZOOMS
    )
    size = f"{result.width}x{result.height} pixels"
    if (exhibit.width, exhibit.height) != (result.width, result.height):
        size += f", shown as {exhibit.width}x{exhibit.height}"
    return (
        f'<article class="exhibit"><h3>{name}</h3><p class="figures">{"<br>".join(map(escape, [*figures, size]))}</p>'
        f'<div class="view" tabindex="0" role="group" aria-label="{name}: scrolls when zoomed" '
        f'style="--w:{exhibit.width};--h:{exhibit.height}">'
        f'<div class="stack">{images}{DIVIDER if len(names) > 1 else ""}</div></div>'
        f'<div class="controls">{_slider(name, names) if len(names) > 1 else ""}'
        f'<div class="zoom" role="group" aria-label="Zoom of {name}">Zoom {zooms}</div></div></article>'
    )


def _slider(name: str, views: Sequence[str]) -> str:
    """What chooses two of several views, and where they meet."""
    left, right = (
        f'<select aria-label="{side} of {name}">'
        + "".join(f"<option{' selected' if view == chosen else ''}>{view}</option>" for view in views)
        + "</select>"
        for side, chosen in (("Left view", views[0]), ("Right view", views[1]))
    )
    return (
        f'{left}<input type="range" min="0" max="100" step="0.5" value="50" '
        f'aria-label="Where the views of {name} meet, in percent from the left">{right}'
    )


def _data_uri(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _steps(values: Iterable[float], form: str) -> str:
    return " → ".join(number(value, form) for value in values)


def every_picture(evaluation: Evaluation) -> str:
    """A section with the figures of every picture, to be sorted."""
    if not evaluation.results:
        return ""
    results: Sequence[PictureResult] = evaluation.results
    hint = "Press a heading to sort."
    if len(results) > MAX_ROWS:
        hint += f" The {MAX_ROWS} worst of {len(results)} pictures; a report by --csv has all."
        results = worst(evaluation, MAX_ROWS)
    columns: list[tuple[Stage, str]] = [(stage, name) for name in evaluation.protocols for stage in evaluation.stages]
    header = ["picture"]
    for stage, protocol in columns:
        header += [f"{stage} PSNR {protocol}", f"{stage} SSIM {protocol}"]
    both = len(evaluation.stages) > 1
    header += [f"gain PSNR {protocol}" for protocol in evaluation.protocols] if both else []
    metrics = [(stage, metric.name) for metric in evaluation.picture_metrics for stage in evaluation.stages]
    header += [f"{stage} {metric}" for stage, metric in metrics]
    timed = any(result.seconds is not None for result in results)
    header += ["seconds", "width", "height"] if timed else ["width", "height"]
    headings = "".join(
        f'<th scope="col" aria-sort="none"{class_("num" if index else "")}>'
        f'<button type="button">{escape(text)}</button></th>'
        for index, text in enumerate(header)
    )
    rows = "".join(_picture(evaluation, result, columns, metrics, both, timed) for result in results)
    table = f'<table class="sortable pictures"><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>'
    return section("Every picture", f'<p class="hint">{hint}</p>', scrolling("Every picture", table, tall=True))


def _picture(
    evaluation: Evaluation,
    result: PictureResult,
    columns: Sequence[tuple[Stage, str]],
    metrics: Sequence[tuple[Stage, str]],
    both: bool,
    timed: bool,
) -> str:
    figures: list[tuple[float, str]] = []
    for stage, protocol in columns:
        score = result.scores[stage][protocol]
        figures += [(score.psnr, PSNR), (score.ssim, SSIM)]
    if both:
        figures += [
            (result.scores["restored"][name].psnr - result.scores["input"][name].psnr, f"+{PSNR}")
            for name in evaluation.protocols
        ]
    figures += [(result.metrics[stage][metric], METRIC) for stage, metric in metrics]
    figures += [(math.nan if result.seconds is None else result.seconds, ".2f")] if timed else []
    figures += [(result.width, "d"), (result.height, "d")]
    cells = "".join(
        f'<td class="num{" loss-figure" if form[0] == "+" and value < 0 else ""}" data-v="{_sortable(value)}">'
        f"{number(value, form)}</td>"
        for value, form in figures
    )
    return f'<tr><th scope="row">{escape(shown(result.picture))}</th>{cells}</tr>'


def _sortable(value: float) -> str:
    """A number as JavaScript reads it."""
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return "NaN" if math.isnan(value) else f"{value:.9g}"
