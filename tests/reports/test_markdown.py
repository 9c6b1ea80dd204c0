"""Markdown that an independent parser reads as what was meant, whatever files are called."""

from dataclasses import replace
from html import escape

from hostile import HOSTILE
from markdown_it import MarkdownIt

from airtool.images.names import shown
from airtool.reports.compare import Earlier, compare
from airtool.reports.markdown import markdown
from airtool.reports.record import Evaluation


def rendered(run: Evaluation) -> str:
    return MarkdownIt("commonmark").enable("table").render(markdown(run))


def cells(html: str) -> list[list[str]]:
    """The rows of all tables, as the escaped text of their cells."""
    rows = [row.partition("</tr>")[0] for row in html.split("<tr>")[1:]]
    return [[cell.partition(">")[2].partition("</t")[0] for cell in row.split("<t")[1:]] for row in rows]


def test_every_name_shows_as_it_is_and_makes_no_markup(run: Evaluation) -> None:
    html = rendered(run)
    for tag in ("<script", "<a ", "<em", "<code", "<br", "<i>", "<img"):
        assert tag not in html
    names = [row[0] for row in cells(html)]
    for name in HOSTILE:
        assert names.count(escape(shown(name)).replace("&#x27;", "'")) == 2  # among the worst, and among all
    assert "\x1b" not in html


def test_tables_hold_the_figures_with_their_intervals(run: Evaluation) -> None:
    rows = cells(rendered(run))
    gain = run.summary["rgb"].gain
    assert gain is not None
    assert gain.psnr_interval is not None
    interval = f"[{gain.psnr_interval.low:+.2f}, {gain.psnr_interval.high:+.2f}]"
    assert ["rgb", "gain", f"{gain.psnr:+.2f}", interval] in [row[:4] for row in rows]
    assert ["equal", "40x30", "inf", "1.0000", "50.00", "0.9900"] in rows
    assert ["small", "40x30", "20.00", "-", "24.00", "-"] in rows
    assert ["Other &amp; Co", "y", "31.25", "-", "A. &lt;Author&gt;, 2024, table 1"] in rows
    assert ["broken&lt;br&gt;", "broken&lt;br&gt;.png: is | truncated"] in rows
    assert len({len(row) for row in rows if row[0] in ("equal", "small", "picture")} - {2}) == 1


def test_the_head_tells_what_a_reader_needs(run: Evaluation) -> None:
    text = markdown(run)
    assert text.startswith("# ndr on dirty\\|\\<i\\>\n")
    assert "- **Weights sha256**: ab12\n" in text
    assert "- Note: a sample: the first 8 of 9 pictures\n" in text
    assert "percentile bootstrap" in text
    earlier = Earlier("old.json", run.protocols, "restored", None, {r.picture: r for r in run.results[1:]})
    compared = markdown(replace(run, comparison=compare(run, earlier)))
    assert "## Compared with old.json" in compared
    assert "1 picture only in this run: \\<script\\>" in compared


def test_a_run_without_any_result(run: Evaluation) -> None:
    html = rendered(replace(run, results=(), published=()))
    assert ["rgb", "restored", "-", "", "-", ""] in cells(html)
    assert "Every picture" not in html
