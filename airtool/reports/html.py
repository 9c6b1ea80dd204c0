"""An evaluation as one HTML page that holds everything it needs and opens offline from a file."""

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from airtool.images.names import shown
from airtool.reports import words
from airtool.reports.gallery import SIDE, Gallery
from airtool.reports.html_pictures import every_picture, exhibits
from airtool.reports.markup import bullets, section, table
from airtool.reports.plots import Point, histogram, labelled, scatter
from airtool.reports.ranking import yardstick_of
from airtool.reports.record import Evaluation, seconds_per_megapixel
from airtool.reports.several import (
    DIFFERENCE_HEADER,
    DIFFERENCES,
    Versus,
    by_set,
    difference_cells,
    method_of,
    overview_cells,
    overview_header,
)
from airtool.reports.words import METRIC, PSNR, PUBLISHED_SSIM, SSIM, notes, number

MAX_FAILURES = 200
"""Most failures that are spelt out."""


def page(evaluation: Evaluation, gallery: Gallery) -> str:
    """The page as text.

    gallery: the previews that were collected during the run. Names of files and all other text from outside are
    escaped; the page's policy lets it run its own script only and load nothing.
    """
    return _assembled(
        words.title(evaluation),
        words.subject(evaluation),
        bullets("notes", notes(evaluation)) + _tiles(evaluation),
        _sections(evaluation, gallery),
    )


def page_of_several(
    evaluations: Sequence[Evaluation], galleries: Sequence[Gallery], compared: Sequence[Versus], missing: Sequence[str]
) -> str:
    """One page for several evaluations: the table of all, their plots and differences, then the sections of each.

    galleries: as for `page`, one an evaluation. compared: from `airtool.reports.several.differences`. missing: what
    was asked for and could not be measured, and why, in one line each.
    """
    header = overview_header(evaluations)
    links = "".join(
        f'<li><a href="#run-{index}">{escape(words.title(evaluation))}</a></li>'
        for index, evaluation in enumerate(evaluations, 1)
    )
    published = ""
    if any(evaluation.published for evaluation in evaluations):
        published = " Published figures are for the complete set, as their authors state them; compare equal protocols."
    parts = [
        section(
            "Overview",
            table("Overview", header, overview_cells(evaluations), numeric=(3, *range(5, len(header)))),
            f'<p class="hint">s/Mpx: seconds a megapixel, measured here.{published}</p>',
        ),
        _paces(evaluations),
    ]
    if compared:
        cells = difference_cells(compared)
        hint = f'<p class="hint">{escape(DIFFERENCES.capitalize())}.</p>'
        parts.append(section("Differences", hint, table("Differences", DIFFERENCE_HEADER, cells, (3, 5, 6, 7))))
    for index, (evaluation, gallery) in enumerate(zip(evaluations, galleries, strict=True), 1):
        heading = f"<h2>{escape(words.title(evaluation))}</h2>"
        subject = f'<p class="subject">{escape(words.subject(evaluation))}</p>'
        told = bullets("notes", notes(evaluation)) + _tiles(evaluation)
        sections = _sections(evaluation, gallery)
        parts.append(f'<article class="run" id="run-{index}">{heading}{subject}{told}{sections}</article>')
    methods = list(dict.fromkeys(method_of(evaluation) for evaluation in evaluations))
    sets = list(dict.fromkeys(evaluation.question.bench or "" for evaluation in evaluations))
    title = f"{', '.join(methods)} on {sets[0] if len(sets) == 1 else f'{len(sets)} sets'}"
    head = bullets("notes", [f"Not measured: {line}" for line in missing]) + f'<ul class="contents">{links}</ul>'
    return _assembled(title, f"Sets: {'; '.join(sets)}", head, "\n".join(parts))


def _sections(evaluation: Evaluation, gallery: Gallery) -> str:
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
    return "\n".join(part for part in sections if part)


def _paces(evaluations: Sequence[Evaluation]) -> str:
    """For every set with several timed methods, how good each is against the time that it takes."""
    drawings = []
    for group in by_set(evaluations):
        points = [
            Point(method_of(each), pace, each.summary[protocol].means[each.judged].psnr)
            for each in group
            for protocol in list(each.protocols)[:1]
            if (pace := seconds_per_megapixel(each)) is not None
        ]
        points = [point for point in points if math.isfinite(point.y)]
        if len(points) > 1:
            title = f"{group[0].question.bench} ({next(iter(group[0].protocols))})"
            drawings.append(labelled(title, "seconds a megapixel", "PSNR in dB", points))
    return section("PSNR against time", f'<div class="plots">{"".join(drawings)}</div>') if drawings else ""


def _assembled(title: str, subject: str, head: str, sections: str) -> str:
    """The whole page. title, subject: text; head, sections: markup that is ready."""
    script = _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    parts = {
        "title": escape(title),
        "subject": escape(subject),
        "head": head,
        "sections": sections,
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
            (row.method, row.protocol, number(row.psnr, PSNR), number(row.ssim, PUBLISHED_SSIM), row.source)
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
