"""What an evaluation says: means that can be trusted, notes that name every exception, one row a picture."""

import io
import math
from dataclasses import replace

import pytest

from airtool import __version__
from airtool.reports.ranking import worst
from airtool.reports.record import Evaluation, Failure, PictureResult, Published, Question, Score
from airtool.reports.rows import SUMMARY_COLUMNS, csv_columns, csv_rows, payload, summary_rows
from airtool.reports.tables import print_evaluation
from airtool.reports.words import notes
from airtool.reports.writers import plain


def result(name: str, before: tuple[float, float], after: tuple[float, float]) -> PictureResult:
    scores = {"input": {"rgb": Score(*before)}, "restored": {"rgb": Score(*after)}}
    return PictureResult(name, 80, 64, 0.25, scores)  # type: ignore[arg-type]


def evaluation(*results: PictureResult, **question: object) -> Evaluation:
    return Evaluation(
        question=Question("clean", **question),  # type: ignore[arg-type]
        protocols={"rgb": "values in [0, 255] [bold]"},
        stages=("input", "restored"),
        restoration={"method": "ndr", "weights": {"file": "w.safetensors", "sha256": "ab12"}, "tile": None, "seed": 4},
        results=results,
        failures=(Failure("broken", "broken.png: is truncated"),),
        date="2031-01-02T03:04:05+00:00",
    )


USUAL = (result("a", (20.0, 0.5), (30.0, 0.9)), result("b", (22.0, 0.6), (31.0, 0.8)))


def test_means_and_gain() -> None:
    summary = evaluation(*USUAL).summary["rgb"]
    assert (summary.means["input"].psnr, summary.means["restored"].psnr) == (21.0, 30.5)
    assert summary.means["restored"].ssim == pytest.approx(0.85)
    assert summary.gain is not None
    assert summary.gain.psnr == pytest.approx(9.5)
    assert summary.gain.ssim == pytest.approx(0.3)
    assert notes(evaluation(*USUAL)) == []


def test_equal_pictures_do_not_make_the_mean_infinite_and_are_counted() -> None:
    run = evaluation(*USUAL, result("same", (math.inf, 1.0), (50.0, 0.99)))
    summary = run.summary["rgb"]
    assert summary.means["input"].psnr == 21.0
    assert summary.means["input"].identical == 1
    assert summary.gain is not None
    assert summary.gain.psnr == pytest.approx(9.5)  # nothing can be gained on an infinite PSNR
    assert notes(run) == ["rgb input: equal to the ground truth (infinite PSNR): 1, left out of the mean PSNR"]


def test_only_equal_pictures_have_an_infinite_mean() -> None:
    run = evaluation(result("same", (math.inf, 1.0), (math.inf, 1.0)))
    summary = run.summary["rgb"]
    assert summary.means["restored"].psnr == math.inf
    assert summary.gain is not None
    assert math.isnan(summary.gain.psnr)
    report = plain(payload(run))
    assert report["summary"]["rgb"]["restored"]["psnr"] == "inf"
    assert report["summary"]["rgb"]["gain"]["psnr"] is None


def test_undefined_values_are_left_out_and_counted() -> None:
    run = evaluation(*USUAL, result("tiny", (24.0, math.nan), (math.nan, math.nan)))
    means = run.summary["rgb"].means
    assert means["input"].psnr == 22.0
    assert means["restored"].psnr == 30.5
    assert means["restored"].ssim == pytest.approx(0.85)
    assert (means["input"].undefined, means["restored"].undefined) == (1, 1)
    assert "rgb restored: too small for this protocol's SSIM: 1" in notes(run)


def test_the_report_of_a_run_without_any_result_is_still_a_report() -> None:
    report = plain(payload(evaluation()))
    assert report["measured"] == 0
    assert report["summary"]["rgb"]["restored"]["psnr"] is None
    assert report["failures"] == [{"picture": "broken", "reason": "broken.png: is truncated"}]


def test_notes_name_samples_and_synthesis() -> None:
    said = notes(evaluation(*USUAL, degradation="noise:25", seed=4, available=68, limit=2))
    assert said[0] == "a sample: the first 2 of 68 pictures"
    assert said[1].startswith("inputs synthesised from the ground truths by noise:25, seed 4")
    assert "not quantised" in said[1]
    assert notes(evaluation(*USUAL, available=2, limit=2)) == []


def test_every_report_holds_the_intervals() -> None:
    run = evaluation(*(result(f"p{i}", (20.0 + i, 0.5), (27.0 + 2 * i, 0.5 + i / 50)) for i in range(8)))
    mean, gain = run.summary["rgb"].means["restored"], run.summary["rgb"].gain
    assert gain is not None
    assert mean.psnr_interval is not None
    assert gain.psnr_interval is not None
    assert 27.0 < mean.psnr_interval.low < mean.psnr == 34.0 < mean.psnr_interval.high < 41.0
    assert (gain.pictures, gain.better, gain.worse) == (8, 8, 0)
    report = plain(payload(run))
    assert report["summary"]["rgb"]["restored"]["psnr_interval"] == plain(mean.psnr_interval)
    assert "percentile bootstrap" in report["intervals"]
    rows = {row["measured"]: row for row in summary_rows(run)}
    assert list(rows) == ["input", "restored", "gain"]
    assert (rows["restored"]["psnr_low"], rows["restored"]["psnr_high"]) == tuple(
        report["summary"]["rgb"]["restored"]["psnr_interval"].values()
    )
    assert all(set(row) <= set(SUMMARY_COLUMNS) for row in rows.values())
    out = io.StringIO()
    print_evaluation(run, out)
    assert f"[{mean.psnr_interval.low:.2f}, {mean.psnr_interval.high:.2f}]" in out.getvalue()
    assert f"[{gain.psnr_interval.low:+.2f}, {gain.psnr_interval.high:+.2f}]" in out.getvalue()


def test_the_worst_are_those_with_the_lowest_psnr_of_what_was_restored() -> None:
    scores = {"c": 30.0, "a": 25.0, "b": 25.0, "equal": math.inf, "none": math.nan}
    run = evaluation(*(result(name, (40.0, 0.9), (psnr, 0.9)) for name, psnr in scores.items()))
    assert [r.picture for r in worst(run)] == ["a", "b", "c", "equal"]
    assert [r.picture for r in worst(run, 2)] == ["a", "b"]
    assert payload(run)["worst"] == ["a", "b", "c", "equal"]
    out = io.StringIO()
    print_evaluation(run, out)
    assert "lowest PSNR (rgb, restored): a 25.00, b 25.00, c 30.00, equal inf" in out.getvalue()


def test_published_figures_stand_below_the_table() -> None:
    run = replace(evaluation(*USUAL), published=(Published("Other [x]", 31.5, None, "rgb", "Table 1"),))
    out = io.StringIO()
    print_evaluation(run, out)
    rows = [line.replace("│", " ").split() for line in out.getvalue().splitlines()]
    assert ["Other", "[x]", "rgb", "31.50", "-", "Table", "1"] in rows
    assert plain(payload(run))["published"][0]["psnr"] == 31.5


def test_the_payload_holds_what_is_needed_to_repeat_the_run() -> None:
    report = plain(payload(evaluation(*USUAL, degraded="dirty", pairing="equal stems", seed=4)))
    assert report["date"] == "2031-01-02T03:04:05+00:00"
    assert report["versions"]["airtool"] == __version__
    assert report["restoration"]["weights"]["sha256"] == "ab12"
    assert report["protocols"] == {"rgb": "values in [0, 255] [bold]"}
    settings = report["settings"]
    assert (settings["ground_truth"], settings["degraded"], settings["seed"]) == ("clean", "dirty", 4)
    assert report["pictures"][0] == {
        "picture": "a",
        "width": 80,
        "height": 64,
        "seconds": 0.25,
        "input": {"rgb": {"psnr": 20.0, "ssim": 0.5}},
        "restored": {"rgb": {"psnr": 30.0, "ssim": 0.9}},
    }


def test_csv_has_one_row_for_every_picture_and_every_column_announced() -> None:
    run = evaluation(*USUAL)
    rows = list(csv_rows(run))
    assert [row["picture"] for row in rows] == ["a", "b", "broken"]
    assert rows[1]["restored_rgb_psnr"] == 31.0
    assert rows[2]["error"] == "broken.png: is truncated"
    assert set().union(*rows) <= set(csv_columns(run))
    assert csv_columns(run)[4:] == [
        "input_rgb_psnr",
        "input_rgb_ssim",
        "restored_rgb_psnr",
        "restored_rgb_ssim",
        "error",
    ]


def test_the_table_shows_means_protocol_weights_and_notes() -> None:
    out = io.StringIO()
    run = evaluation(*USUAL, degraded="dirty [red]", pairing="equal stems", available=9, limit=2)
    print_evaluation(run, out)
    text = out.getvalue()
    rows = [line.replace("│", " ").split() for line in text.splitlines()]
    assert ["rgb", "input", "21.00", "0.5500"] in rows
    assert ["restored", "30.50", "0.8500"] in rows
    assert ["gain", "+9.50", "+0.3000"] in rows
    assert "2 pictures of dirty [red] against clean, paired by equal stems; 1 failed" in text
    assert "protocol rgb: values in [0, 255] [bold]" in text
    assert "restored by: method ndr, weights (file w.safetensors, sha256 ab12), seed 4" in text
    assert "note: a sample: the first 2 of 9 pictures" in text
    assert "\x1b" not in text
