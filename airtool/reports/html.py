"""An evaluation as one HTML page that holds everything it needs and opens offline from a file."""

import base64
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files

from airtool.images.names import shown
from airtool.reports import words
from airtool.reports.gallery import SIDE, Exhibit, Gallery
from airtool.reports.plots import Point, histogram, scatter
from airtool.reports.record import Evaluation, PictureResult, Stage, notes, worst
from airtool.reports.words import PSNR, SSIM, number

MAX_ROWS = 5_000
"""Most rows of the table of pictures: the worst ones of a larger set."""

MAX_FAILURES = 200
"""Most failures that are spelt out."""

ZOOMS = (1, 2, 4)


def page(evaluation: Evaluation, gallery: Gallery) -> str:
    """The page as text.

    gallery: the previews that were collected during the run. Names of files and all other text from outside are
    escaped; the page's policy lets it run its own script only and load nothing.
    """
    script = _resource("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sections = (
        _summary(evaluation),
        _comparison(evaluation),
        _plots(evaluation),
        _exhibits(f"Lowest PSNR ({gallery.protocol}, {gallery.stage})", gallery.worst),
        _exhibits("For contrast: highest PSNR", gallery.best),
        _pictures(evaluation),
        _failures(evaluation),
        _facts(evaluation),
    )
    parts = {
        "title": escape(words.title(evaluation)),
        "subject": escape(words.subject(evaluation)),
        "notes": _list("notes", notes(evaluation)),
        "tiles": _tiles(evaluation),
        "sections": "\n".join(section for section in sections if section),
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
    protocol = next(iter(evaluation.protocols))
    summary = evaluation.summary[protocol]
    tiles = [
        (f"{stage.capitalize()}, {protocol}", f"{number(mean.psnr, PSNR)} dB", f"SSIM {number(mean.ssim, SSIM)}")
        for stage, mean in summary.means.items()
    ]
    if summary.gain is not None:
        gain = summary.gain
        interval = words.span(gain.psnr_interval, f"+{PSNR}")
        tiles.append(("Gain", f"{number(gain.psnr, f'+{PSNR}')} dB", f"95 % {interval}" if interval else ""))
        tiles.append(("Made worse", str(gain.worse), f"of {gain.pictures} pictures"))
    body = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(figure)} <small>{escape(more)}</small></dd></div>"
        for label, figure, more in tiles
    )
    return f'<dl class="tiles">{body}</dl>'


def _summary(evaluation: Evaluation) -> str:
    header: tuple[str, ...] = ("protocol", "measured", "PSNR (dB)", "95 %", "SSIM", "95 %")
    parts = [_table("Means", header, words.summary_cells(evaluation), numeric=(2, 4))]
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
        parts.append(_table("Published figures", header, [*own, *rows], numeric=(2, 3), wide=(4,), own=len(own)))
    return _section("Summary", *parts)


def _comparison(evaluation: Evaluation) -> str:
    if evaluation.comparison is None:
        return ""
    lines = _list("", words.comparison_lines(evaluation.comparison))
    earlier = words.settings(evaluation.comparison.restoration or {})
    return _section("Compared with an earlier run", lines, f'<p class="hint">Earlier run: {escape(earlier)}</p>')


def _plots(evaluation: Evaluation) -> str:
    protocol = next(iter(evaluation.protocols))
    points = [
        Point(shown(result.picture), *(result.scores[stage][protocol].psnr for stage in evaluation.stages[-2:]))
        for result in evaluation.results
        if len(evaluation.stages) > 1
    ]
    points = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y)]
    if points:
        gains = [point.y - point.x for point in points]
        plots = (
            histogram(f"Gain of each picture ({protocol})", "restored minus input, PSNR in dB", gains),
            scatter(f"Before and after ({protocol})", "input, PSNR in dB", "restored, PSNR in dB", points),
        )
        hint = '<p class="hint">Orange, below zero or below the dashed line: pictures that were made worse.</p>'
        return _section("Plots", hint, f'<div class="plots">{"".join(plots)}</div>')
    values = [result.scores[evaluation.judged][protocol].psnr for result in evaluation.results]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    plot = histogram(f"PSNR of each picture ({protocol})", f"{evaluation.judged}, PSNR in dB", finite)
    return _section("Plots", f'<div class="plots">{plot}</div>')


def _exhibits(heading: str, exhibits: Sequence[Exhibit]) -> str:
    if not exhibits:
        return ""
    cards = "".join(_exhibit(exhibit) for exhibit in exhibits)
    return _section(heading, f'<div class="exhibits">{cards}</div>')


def _exhibit(exhibit: Exhibit) -> str:
    result, names = exhibit.result, list(exhibit.views)
    name = escape(shown(result.picture))
    figures = [
        f"{protocol}: PSNR "
        + _steps([by[protocol].psnr for by in result.scores.values()], PSNR)
        + " dB, SSIM "
        + _steps([by[protocol].ssim for by in result.scores.values()], SSIM)
        for protocol in next(iter(result.scores.values()))
    ]
    images = "".join(
        f'<img data-view="{view}" class="{("left", "right", "")[min(index, 2)]}" width="{exhibit.width}" '
        f'height="{exhibit.height}" alt="{name}, {view}" src="{_data_uri(data)}">'
        for index, (view, data) in enumerate(exhibit.views.items())
    )
    left, right = (
        f'<select aria-label="{side} of {name}">'
        + "".join(f"<option{' selected' if view == chosen else ''}>{view}</option>" for view in names)
        + "</select>"
        for side, chosen in (("Left view", names[0]), ("Right view", names[min(1, len(names) - 1)]))
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
        f'<div class="stack">{images}<span class="divider"></span></div></div>'
        f'<div class="controls">{left}<input type="range" min="0" max="100" step="0.5" value="50" '
        f'aria-label="Where the views of {name} meet, in percent from the left">{right}'
        f'<div class="zoom" role="group" aria-label="Zoom of {name}">Zoom {zooms}</div></div></article>'
    )


def _data_uri(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"


def _steps(values: Iterable[float], form: str) -> str:
    return " → ".join(number(value, form) for value in values)


def _pictures(evaluation: Evaluation) -> str:
    if not evaluation.results:
        return ""
    results: Sequence[PictureResult] = evaluation.results
    hint = "Press a heading to sort."
    if len(results) > MAX_ROWS:
        hint += f" The {MAX_ROWS} lowest of {len(results)} pictures; a report by --csv has all."
        results = worst(evaluation, MAX_ROWS)
    columns: list[tuple[Stage, str]] = [(stage, name) for name in evaluation.protocols for stage in evaluation.stages]
    header = ["picture", "width", "height", "seconds"]
    for stage, protocol in columns:
        header += [f"{stage} PSNR {protocol}", f"{stage} SSIM {protocol}"]
    both = len(evaluation.stages) > 1
    header += [f"gain PSNR {protocol}" for protocol in evaluation.protocols] if both else []
    headings = "".join(
        f'<th scope="col" aria-sort="none"{_class("num" if index else "")}>'
        f'<button type="button">{escape(text)}</button></th>'
        for index, text in enumerate(header)
    )
    rows = "".join(_picture(evaluation, result, columns, both) for result in results)
    table = f'<table class="sortable pictures"><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>'
    return _section("Every picture", f'<p class="hint">{hint}</p>', _scrolling("Every picture", table, tall=True))


def _picture(evaluation: Evaluation, result: PictureResult, columns: Sequence[tuple[Stage, str]], both: bool) -> str:
    seconds = math.nan if result.seconds is None else result.seconds
    figures = [(result.width, "d"), (result.height, "d"), (seconds, ".2f")]
    for stage, protocol in columns:
        score = result.scores[stage][protocol]
        figures += [(score.psnr, PSNR), (score.ssim, SSIM)]
    if both:
        figures += [
            (result.scores["restored"][name].psnr - result.scores["input"][name].psnr, f"+{PSNR}")
            for name in evaluation.protocols
        ]
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


def _failures(evaluation: Evaluation) -> str:
    if not evaluation.failures:
        return ""
    rows = [(shown(failure.picture), shown(failure.reason)) for failure in evaluation.failures[:MAX_FAILURES]]
    more = len(evaluation.failures) - len(rows)
    hint = f'<p class="hint">And {more} more; a report by --csv has all.</p>' if more else ""
    return _section(
        f"Failed: {len(evaluation.failures)}", _table("Failures", ("picture", "reason"), rows, wide=(1,)), hint
    )


def _facts(evaluation: Evaluation) -> str:
    body = "".join(f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in words.facts(evaluation))
    return _section("How it was measured", f'<dl class="facts">{body}</dl>')


def _section(heading: str, *parts: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{''.join(parts)}</section>"


def _list(style: str, lines: Sequence[str]) -> str:
    body = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul{_class(style)}>{body}</ul>" if lines else ""


def _table(
    label: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    numeric: Iterable[int] = (),
    wide: Iterable[int] = (),
    own: int = 0,
) -> str:
    """A table of text: `numeric` columns set to the right, `wide` ones may break, the first `own` rows stand out."""
    styles: Mapping[int, str] = {**dict.fromkeys(numeric, "num"), **dict.fromkeys(wide, "wide")}
    headings = "".join(
        f'<th scope="col"{_class(styles.get(i, ""))}>{escape(text)}</th>' for i, text in enumerate(header)
    )
    body = "".join(
        f"<tr{_class('own' if row_number < own else '')}>"
        + "".join(f"<td{_class(styles.get(i, ''))}>{escape(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row_number, row in enumerate(rows)
    )
    return _scrolling(label, f"<table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table>")


def _scrolling(label: str, table: str, tall: bool = False) -> str:
    """A table in a box that scrolls by itself, also by keyboard, so that the page never does sideways."""
    style = "scroll tall" if tall else "scroll"
    return f'<div class="{style}" tabindex="0" role="region" aria-label="{escape(label)}">{table}</div>'


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""
