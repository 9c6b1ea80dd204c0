"""A run against the JSON of an earlier one: what they share is compared, everything else is named."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from airtool.errors import UsageError
from airtool.reports.compare import compare, read_earlier
from airtool.reports.record import Evaluation, Score
from airtool.reports.rows import SUMMARY_COLUMNS, payload, summary_rows
from airtool.reports.words import comparison_lines
from airtool.reports.writers import write_json


@pytest.fixture
def report(run: Evaluation, tmp_path: Path) -> Path:
    """What `run` wrote as JSON."""
    path = tmp_path / "old.json"
    write_json(path, payload(run))
    return path


def lifted(run: Evaluation, by: float) -> Evaluation:
    """The same run with restored pictures that are so many dB better."""
    results = [
        replace(
            r, scores={**r.scores, "restored": {n: Score(s.psnr + by, s.ssim) for n, s in r.scores["restored"].items()}}
        )
        for r in run.results
    ]
    return replace(run, results=tuple(results))


def test_the_difference_is_that_of_every_picture(run: Evaluation, report: Path) -> None:
    earlier = read_earlier(str(report), run.protocols)
    assert math.isnan(earlier.pictures["small"].scores["input"]["rgb"].ssim)
    assert earlier.pictures["equal"].scores["input"]["rgb"].psnr == math.inf
    comparison = compare(lifted(run, 0.5), earlier)
    by = comparison.differences["rgb"]
    assert by.psnr == pytest.approx(0.5)
    assert by.psnr_interval is not None
    assert (by.psnr_interval.low, by.psnr_interval.high) == pytest.approx((0.5, 0.5))
    assert (by.ssim, by.pictures, by.better, by.worse) == (0.0, 8, 8, 0)
    assert comparison.restoration is not None
    assert comparison.restoration["sha256"] == "ab12"
    for left_over in ("only_here", "only_there", "resized", "other_inputs", "incomparable"):
        assert getattr(comparison, left_over) == ()
    said = comparison_lines(comparison)
    assert said == [
        f"rgb: restored minus restored of {report}: PSNR +0.50 dB [+0.50, +0.50], SSIM +0.0000 [+0.0000, +0.0000] "
        "over 8 pictures, 8 better, 0 worse"
    ]


def test_what_is_not_shared_is_left_out_and_named(run: Evaluation, report: Path) -> None:
    earlier = read_earlier(str(report), run.protocols)
    first, second, third, *rest = lifted(run, 1.0).results
    renamed = replace(first, picture="new")
    resized = replace(second, width=41)
    reseeded = replace(third, scores={**third.scores, "input": {"rgb": Score(3.0, 0.1)}})
    now = replace(run, results=(renamed, resized, reseeded, *rest))
    comparison = compare(now, earlier)
    assert comparison.differences["rgb"].pictures == 6
    assert comparison.only_here == ("new",)
    assert comparison.only_there == (first.picture,)
    assert comparison.resized == (second.picture,)
    assert comparison.other_inputs == (third.picture,)
    said = "\n".join(comparison_lines(comparison)[1:])
    for name in ("new", "<script>alert(1)</script>", "a|b`c"):
        assert name in said
    assert "runs did not start alike" in said
    written = payload(replace(now, comparison=comparison))["comparison"]
    assert written.only_there == (first.picture,)


def test_protocols_must_mean_the_same(run: Evaluation, report: Path) -> None:
    with pytest.raises(UsageError, match="was measured under rgb: choose --protocol"):
        read_earlier(str(report), {"y": "luma"})
    with pytest.raises(UsageError, match="was measured under rgb"):
        read_earlier(str(report), {"rgb": "something else"})
    both = {**run.protocols, "y": "luma"}
    results = [
        replace(r, scores={stage: {**by, "y": Score(1.0, 1.0)} for stage, by in r.scores.items()}) for r in run.results
    ]
    now = replace(run, protocols=both, results=tuple(results))
    comparison = compare(now, read_earlier(str(report), both))
    assert (list(comparison.differences), comparison.incomparable) == (["rgb"], ("y",))
    rows = list(summary_rows(replace(now, comparison=comparison)))
    assert [(row["protocol"], row["measured"]) for row in rows] == [
        *(("rgb", measured) for measured in ("input", "restored", "gain", "difference")),
        *(("y", measured) for measured in ("input", "restored", "gain")),
    ]
    assert all(set(row) <= set(SUMMARY_COLUMNS) for row in rows)
    assert rows[1]["psnr_low"] < rows[1]["psnr"] < rows[1]["psnr_high"]
    assert rows[1]["sha256"] == "ab12"


def test_inputs_are_compared_where_nothing_was_restored(run: Evaluation, report: Path) -> None:
    data = json.loads(report.read_text())
    for picture in data["pictures"]:
        del picture["restored"]
    report.write_text(json.dumps(data))
    comparison = compare(run, read_earlier(str(report), run.protocols))
    assert (comparison.stage, comparison.other_stage) == ("restored", "input")
    gain = run.summary["rgb"].gain
    assert gain is not None
    assert comparison.differences["rgb"].psnr == pytest.approx(gain.psnr)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "is no report"),
        (b'{"command": "restore"}', "is no report"),
        (b'{"command": "evaluate", "protocols": {"rgb": "p"}, "restoration": null, "pictures": [{}]}', "is no report"),
        (b'{"command": "evaluate", "protocols": {"rgb": "p"}, "restoration": null, "pictures": 3}', "is no report"),
        (b'{"command": "evaluate", "protocols": {"rgb": "p"}, "restoration": null, "pictures": []}', "no measured"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "old.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"old.json {said}|old.json .*{said}"):
        read_earlier(str(path), {"rgb": "p"})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.json cannot be read: No such file"):
        read_earlier(str(tmp_path / "none.json"), {"rgb": "p"})
