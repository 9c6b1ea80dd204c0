"""Further metrics in every report: figures, direction, what is missing, and runs that have nothing else."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hostile import HOSTILE
from markdown_it import MarkdownIt

from airtool.images.names import shown
from airtool.reports.compare import compare, read_earlier
from airtool.reports.gallery import Gallery
from airtool.reports.html import page
from airtool.reports.markdown import markdown
from airtool.reports.ranking import worst, yardstick
from airtool.reports.record import Evaluation, Failure, Metric, PictureResult, Question
from airtool.reports.rows import SUMMARY_COLUMNS, csv_columns, csv_rows, payload, summary_rows
from airtool.reports.tables import print_evaluation
from airtool.reports.words import comparison_lines, notes
from airtool.reports.writers import plain, write_csv, write_json

LPIPS = Metric("lpips", "lpips of a <library>; lower is better", lower_is_better=True)
MUSIQ = Metric(
    "musiq", "musiq; higher is better", lower_is_better=False, missing="musiq: m.pth is missing; put it in x"
)
NIQE = Metric("niqe", "niqe; lower is better", lower_is_better=True)


@pytest.fixture
def metric_run(run: Evaluation) -> Evaluation:
    """`run` with LPIPS that falls by 0.25 for every picture but the last, which has none, and without MUSIQ."""
    results = [
        replace(
            measured,
            metrics={
                stage: {"lpips": start - 0.25 * (stage == "restored"), "musiq": math.nan}
                for stage in ("input", "restored")
            },
        )
        for measured, start in zip(
            run.results, [0.3125, 0.375, 0.4375, 0.5, 0.5625, 0.625, 0.6875, math.nan], strict=True
        )
    ]
    return replace(run, results=tuple(results), metrics=(LPIPS, MUSIQ))


@pytest.fixture
def alone() -> Evaluation:
    """Pictures without ground truths, the second of which the only metric could not score."""
    values = {HOSTILE[0]: 3.5, "small": math.nan, "best": 2.0, "worst": 9.25}
    return Evaluation(
        question=Question(None, pictures="photos|<i>", available=5, limit=4),
        protocols={},
        stages=("given",),
        restoration=None,
        results=tuple(PictureResult(name, 40, 30, None, {}, {"given": {"niqe": v}}) for name, v in values.items()),
        failures=(Failure("small", "small: niqe cannot be computed: too small"),),
        metrics=(NIQE,),
    )


def printed(evaluation: Evaluation) -> str:
    out = io.StringIO()
    print_evaluation(evaluation, out)
    return out.getvalue()


def rows_of(text: str) -> list[list[str]]:
    return [line.replace("│", " ").split() for line in text.splitlines()]


def test_the_table_shows_figures_direction_and_a_dash_for_what_is_missing(metric_run: Evaluation) -> None:
    text = printed(metric_run)
    rows = rows_of(text)
    change = metric_run.metric_summary["lpips"].change
    assert change is not None
    assert (change.mean, change.pictures, change.higher, change.lower) == (-0.25, 7, 0, 7)
    assert ["change", "-0.2500", "[-0.2500,", "-0.2500]"] in rows
    assert ["musiq", "higher", "input", "-"] in rows
    assert ["restored", "-"] in rows
    assert next(row for row in rows if row[:1] == ["lpips"])[1:4] == ["lower", "input", "0.5000"]
    assert "metric lpips: lpips of a <library>; lower is better" in text
    assert "note: no figures: musiq: m.pth is missing; put it in x" in text
    assert "lpips input: pictures without a finite value, left out of the mean: 1" in text
    assert not any(note.startswith("musiq") for note in notes(metric_run))
    assert not metric_run.complete
    assert "lowest PSNR (rgb, restored): " in text  # the ranking stays that of PSNR


def test_json_has_null_for_what_is_missing(metric_run: Evaluation) -> None:
    report = plain(payload(metric_run))
    lpips, musiq = report["metrics"]["lpips"], report["metrics"]["musiq"]
    assert (lpips["lower_is_better"], lpips["missing"], lpips["input"]["mean"]) == (True, None, 0.5)
    assert (lpips["change"]["mean"], lpips["input"]["finite"], lpips["input"]["undefined"]) == (-0.25, 7, 1)
    assert musiq["missing"] == MUSIQ.missing
    assert (musiq["restored"]["mean"], musiq["change"]["mean"], musiq["restored"]["finite"]) == (None, None, 0)
    assert report["pictures"][0]["metrics"]["restored"] == {"lpips": 0.0625, "musiq": None}


def test_csv_files_stay_empty_where_something_is_missing(metric_run: Evaluation, tmp_path: Path) -> None:
    files = tmp_path / "r.csv", tmp_path / "s.csv"
    write_csv(files[0], csv_columns(metric_run), csv_rows(metric_run))
    write_csv(files[1], SUMMARY_COLUMNS, summary_rows(metric_run))
    pictures, means = (list(csv.DictReader(file.read_text("utf-8").splitlines())) for file in files)
    first = next(row for row in pictures if row["picture"] == "equal")
    assert (first["input_lpips"], first["restored_lpips"], first["restored_musiq"]) == ("0.6875", "0.4375", "")
    by_name = {(row["metric"], row["measured"]): row for row in means}
    assert (by_name["lpips", "change"]["mean"], by_name["lpips", "change"]["better"]) == ("-0.25", "lower")
    assert (by_name["musiq", "input"]["mean"], by_name["musiq", "input"]["pictures"]) == ("", "0")
    assert by_name["lpips", "input"]["protocol"] == by_name["", "input"]["metric"] == ""


def test_markdown_and_the_page_show_both(metric_run: Evaluation, gallery: Gallery) -> None:
    text = markdown(metric_run)
    assert "| musiq | higher | restored | - |  |" in text
    assert "| lpips | lower | change | -0.2500 |" in text
    row = next(line for line in text.splitlines() if line.startswith("| equal |"))
    assert row.endswith("| 0.6875 | 0.4375 | - | - |")
    written = page(metric_run, gallery)
    for cell in ("<td>musiq</td><td>higher</td><td>input</td>", ">-0.2500</td>", "<dt>Restored, musiq</dt><dd>- "):
        assert cell in written
    assert "lpips of a &lt;library&gt;; lower is better" in written
    assert '<td class="num" data-v="0.4375">0.4375</td><td class="num" data-v="NaN">-</td>' in written
    assert "restored musiq</button>" in written


def test_a_run_without_ground_truths_has_no_psnr_anywhere(alone: Evaluation) -> None:
    pixels = np.random.default_rng(0).random((30, 40, 3), np.float32)
    gallery = Gallery("given", yardstick([], alone.metrics), worst_count=1, best_count=1)
    for measured in alone.results:
        gallery.offer(measured, {"given": pixels})
    assert [exhibit.result.picture for exhibit in (*gallery.worst, *gallery.best)] == ["worst", "best"]
    assert [result.picture for result in worst(alone)] == ["worst", HOSTILE[0], "best"]
    shown_page, text, table = page(alone, gallery), markdown(alone), printed(alone)
    assert "highest niqe (given): worst 9.2500, " in table
    assert "4 pictures of photos|<i>, without ground truths; 1 failed" in table
    assert "a sample: the first 4 of 5 pictures" in table
    assert ["niqe", "lower", "given", "4.9167"] in rows_of(table)
    assert "## Highest niqe (given)" in text
    assert MarkdownIt("commonmark").enable("table").render(text).count("<table>") == 4
    assert shown_page.count("<svg") == 1
    assert "<h2>Highest niqe (given)</h2>" in shown_page
    assert shown_page.count("<img ") == 2
    assert 'type="range"' not in shown_page  # there is nothing to slide between
    for report in (shown_page.partition("</style>")[2], text, table, json.dumps(plain(payload(alone)))):
        assert "PSNR" not in report
        assert "ssim" not in report.casefold()
    assert csv_columns(alone) == ["picture", "width", "height", "seconds", "given_niqe", "error"]
    assert [row["metric"] for row in summary_rows(alone)] == ["niqe"]
    assert shown(HOSTILE[0]) in table


def test_metrics_are_compared_with_an_earlier_run_where_they_mean_the_same(
    metric_run: Evaluation, alone: Evaluation, tmp_path: Path
) -> None:
    report = tmp_path / "old.json"
    write_json(report, payload(metric_run))
    lifted = [
        replace(r, metrics={s: {**by, "lpips": by["lpips"] + 0.125} for s, by in r.metrics.items()})
        for r in metric_run.results
    ]
    now = replace(metric_run, results=tuple(lifted))
    comparison = compare(now, read_earlier(str(report), now.protocols, now.metrics))
    assert (comparison.metrics["lpips"].mean, comparison.metrics["lpips"].higher) == (0.125, 7)
    assert comparison.incomparable == ()
    assert any("lpips: restored minus restored" in line and "+0.1250" in line for line in comparison_lines(comparison))
    rows = list(summary_rows(replace(now, comparison=comparison)))
    assert [row["mean"] for row in rows if row["measured"] == "difference" and row.get("metric")] == [0.125]
    other = replace(now, metrics=(replace(LPIPS, statement="another version"), MUSIQ))
    assert compare(other, read_earlier(str(report), now.protocols, other.metrics)).incomparable == ("lpips",)

    write_json(report, payload(alone))
    same = compare(alone, read_earlier(str(report), {}, alone.metrics))
    assert (same.stage, same.other_stage, same.metrics["niqe"].mean, same.metrics["niqe"].pictures) == (
        "given",
        "given",
        0,
        3,
    )
