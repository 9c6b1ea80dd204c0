"""An evaluation as one HTML page that holds everything it needs and opens offline from a file."""

import base64
import hashlib
import math
import re
from html import escape
from importlib.resources import files

from airtool.images.names import shown
from airtool.reports import words
from airtool.reports.gallery import SIDE, Gallery
from airtool.reports.html_pictures import every_picture, exhibits
from airtool.reports.markup import bullets, section, table
from airtool.reports.plots import Point, histogram, scatter
from airtool.reports.ranking import yardstick_of
from airtool.reports.record import Evaluation
from airtool.reports.words import METRIC, PSNR, SSIM, notes, number

MAX_FAILURES = 200
"""Most failures that are spelt out."""


def page(evaluation: Evaluation, gallery: Gallery) -> str:
    """The page as text.

    gallery: the previews that were collected during the run. Names of files and all other text from outside are
    escaped; the page's policy lets it run its own script only and load nothing.
    """
    script = _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    by = gallery.by
    sections = (
        _summary(evaluation),
        _comparison(evaluation),
        _plots(evaluation),
        exhibits(f"{by.worst_end.capitalize()} {by.figure} ({by.about(gallery.stage)})", gallery.worst),
        exhibits(f"For contrast: {by.best_end} {by.figure}", gallery.best),
        every_picture(evaluation),
        _failures(evaluation),
        _facts(evaluation),
    )
    parts = {
        "title": escape(words.title(evaluation)),
        "subject": escape(words.subject(evaluation)),
        "notes": bullets("notes", notes(evaluation)),
        "tiles": _tiles(evaluation),
        "sections": "\n".join(part for part in sections if part),
        "side": str(SIDE),
        "style": _resource("page.css"),
        "script": script,
        "script_hash": f"sha256-{digest}",
    }
    # In one pass, so that nothing that is put in can be taken for a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _resource("page.html"))


def _resource(name: str) -> str:
    return (files("airtool.reports") / "page" / name).read_text("utf-8")


def _tiles(evaluation: Evaluation) -> str:
    if not evaluation.results:
        return ""
    tiles = []
    for protocol, summary in list(evaluation.summary.items())[:1]:
        tiles += [
            (f"{stage.capitalize()}, {protocol}", f"{number(mean.psnr, PSNR)} dB", f"SSIM {number(mean.ssim, SSIM)}")
            for stage, mean in summary.means.items()
        ]
        if summary.gain is not None:
            gain = summary.gain
            interval = words.span(gain.psnr_interval, f"+{PSNR}")
            tiles.append(("Gain", f"{number(gain.psnr, f'+{PSNR}')} dB", f"95 % {interval}" if interval else ""))
            tiles.append(("Made worse", str(gain.worse), f"of {gain.pictures} pictures"))
    for metric in evaluation.metrics:
        mean = evaluation.metric_summary[metric.name].means[evaluation.judged].mean
        hint = "missing" if metric.missing is not None else f"{words.better(metric)} is better"
        tiles.append((f"{evaluation.judged.capitalize()}, {metric.name}", number(mean, METRIC), hint))
    body = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(figure)} <small>{escape(more)}</small></dd></div>"
        for label, figure, more in tiles
    )
    return f'<dl class="tiles">{body}</dl>'


def _summary(evaluation: Evaluation) -> str:
    parts = []
    if evaluation.protocols:
        header: tuple[str, ...] = ("protocol", "measured", "PSNR (dB)", "95 %", "SSIM", "95 %")
        parts.append(table("Means", header, words.summary_cells(evaluation), numeric=(2, 4)))
    if evaluation.metrics:
        parts.append(table("Metrics", words.METRIC_HEADER, words.metric_cells(evaluation), numeric=(3,)))
    parts.append(f'<p class="hint">{escape(words.INTERVALS)}.</p>')
    if evaluation.published:
        rows = [
            (row.method, row.protocol, number(row.psnr, PSNR), number(row.ssim, SSIM), row.source)
            for row in evaluation.published
        ]
        method = (evaluation.restoration or {}).get("method")
        own = [
            (f"{method} (this run)" if method else "this run", cells[0], cells[2], cells[4], "measured here")
            for cells in words.summary_cells(evaluation)
            if cells[1] == evaluation.judged
        ]
        parts.append("<h3>Beside published figures</h3>")
        parts.append('<p class="hint">For the complete set, as their authors state them; compare equal protocols.</p>')
        header = ("method", "protocol", "PSNR (dB)", "SSIM", "source")
        parts.append(table("Published figures", header, [*own, *rows], numeric=(2, 3), wide=(4,), own=len(own)))
    return section("Summary", *parts)


def _comparison(evaluation: Evaluation) -> str:
    if evaluation.comparison is None:
        return ""
    lines = bullets("", words.comparison_lines(evaluation.comparison))
    earlier = words.settings(evaluation.comparison.restoration or {})
    return section("Compared with an earlier run", lines, f'<p class="hint">Earlier run: {escape(earlier)}</p>')


def _plots(evaluation: Evaluation) -> str:
    by = yardstick_of(evaluation)
    points = [
        Point(shown(result.picture), *(by.value(result, stage) for stage in evaluation.stages[-2:]))
        for result in evaluation.results
        if len(evaluation.stages) > 1
    ]
    points = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y)]
    if points:
        gains = [point.y - point.x for point in points]
        plots = (
            histogram(f"Gain of each picture ({by.protocol})", "restored minus input, PSNR in dB", gains),
            scatter(f"Before and after ({by.protocol})", "input, PSNR in dB", "restored, PSNR in dB", points),
        )
        hint = '<p class="hint">Orange, below zero or below the dashed line: pictures that were made worse.</p>'
        return section("Plots", hint, f'<div class="plots">{"".join(plots)}</div>')
    values = [by.value(result, evaluation.judged) for result in evaluation.results]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    unit = f" in{by.unit}" if by.unit else ""
    plot = histogram(
        f"{by.figure} of each picture ({by.about(evaluation.judged)})",
        f"{evaluation.judged}, {by.figure}{unit}",
        finite,
    )
    return section("Plots", f'<div class="plots">{plot}</div>')


def _failures(evaluation: Evaluation) -> str:
    if not evaluation.failures:
        return ""
    rows = [(shown(failure.picture), shown(failure.reason)) for failure in evaluation.failures[:MAX_FAILURES]]
    more = len(evaluation.failures) - len(rows)
    hint = f'<p class="hint">And {more} more; a report by --csv has all.</p>' if more else ""
    return section(
        f"Failed: {len(evaluation.failures)}", table("Failures", ("picture", "reason"), rows, wide=(1,)), hint
    )


def _facts(evaluation: Evaluation) -> str:
    body = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in words.facts(evaluation))
    return section("How it was measured", f'<dl class="facts">{body}</dl>')
