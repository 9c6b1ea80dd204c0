"""`airtool evaluate --metric` and `--no-reference` as a user types them."""

import csv
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from skimage import data

from airtool.cli.app import main
from airtool.images.decode import read


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Restored pictures and ground truths: three photographs, two of them the worse for JPEG."""
    lq, gt = tmp_path / "lq", tmp_path / "gt"
    for folder in (lq, gt):
        folder.mkdir()
    crops = {"cat": data.chelsea()[60:188, 160:320], "cup": data.coffee()[150:278, 250:410]}
    for name, crop in crops.items():
        Image.fromarray(crop).save(gt / f"{name}.png")
        Image.fromarray(crop).save(lq / f"{name}.jpg", quality=10)
    for folder in (lq, gt):
        Image.fromarray(data.astronaut()[40:168, 180:340]).save(folder / "same.png")
    return lq, gt


@pytest.fixture
def without_pyiqa(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where the extra was not installed."""
    monkeypatch.setitem(sys.modules, "pyiqa", None)


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments), "-q"])
    out, err = capfd.readouterr()
    return code, out, err


def values(report: dict[str, Any], metric: str, stage: str = "restored") -> dict[str, float]:
    return {picture["picture"]: picture["metrics"][stage][metric] for picture in report["pictures"]}


def test_metrics_stand_beside_psnr(
    folders: tuple[Path, Path], metric_hub: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from airtool.metrics.perceptual import open_metric

    lq, gt = folders
    tables = tmp_path / "r.csv", tmp_path / "s.csv"
    options = ["--metric", "lpips", "--metric", "musiq,psnr", "--metric-weights", metric_hub, "--metric-device", "cpu"]
    command = ["--results", lq, "--gt", gt, *options]
    code, out, err = run(capfd, *command, "--json", "-", "--csv", tables[0], "--csv-summary", tables[1])
    assert (code, err) == (0, "")
    report = json.loads(out)
    lpips, musiq = values(report, "lpips"), values(report, "musiq")
    pixels = {path.stem: read(path).rgb for path in lq.iterdir()}
    clean = {path.stem: read(path).rgb for path in gt.iterdir()}
    ready = open_metric("lpips", metric_hub), open_metric("musiq", metric_hub)
    assert lpips == {name: ready[0].score(pixels[name], clean[name]) for name in lpips}
    assert musiq == {name: ready[1].score(pixels[name]) for name in musiq}
    assert lpips["same"] == pytest.approx(0, abs=1e-6)
    assert min(lpips["cat"], lpips["cup"]) > 1e-5
    said = report["metrics"]
    assert [(name, said[name]["lower_is_better"]) for name in said] == [("lpips", True), ("musiq", False)]
    assert said["lpips"]["restored"]["mean"] == pytest.approx(sum(lpips.values()) / 3)
    assert "lpips of pyiqa" in said["lpips"]["statement"]
    assert set(report["summary"]["rgb"]["restored"]) >= {"psnr", "ssim"}
    assert "pyiqa" in report["versions"]
    rows, means = (list(csv.DictReader(table.read_text().splitlines())) for table in tables)
    assert {row["picture"]: float(row["restored_lpips"]) for row in rows} == lpips
    assert [(row["metric"], row["better"]) for row in means if row["metric"]] == [
        ("lpips", "lower"),
        ("musiq", "higher"),
    ]

    # A picture's value is its own, whatever else is in the folder.
    code, out, _ = run(capfd, "--results", lq / "cup.jpg", "--gt", gt / "cup.png", *options, "--json", "-")
    assert (values(json.loads(out), "lpips"), values(json.loads(out), "musiq")) == (
        {"cup": lpips["cup"]},
        {"cup": musiq["cup"]},
    )


def test_a_missing_file_costs_one_metric(
    folders: tuple[Path, Path], metric_hub: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lq, gt = folders
    (metric_hub / "pyiqa" / "musiq_koniq_ckpt-e95806b9.pth").unlink()
    page, text, table = tmp_path / "r.html", tmp_path / "r.md", tmp_path / "r.csv"
    options = ["--metric", "musiq", "--metric", "lpips", "--metric-weights", metric_hub]
    code, out, err = run(
        capfd, "--results", lq, "--gt", gt, *options, "--json", "-", "--html", page, "--markdown", text, "--csv", table
    )
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith("airtool: musiq: musiq_koniq_ckpt-e95806b9.pth is missing; it is published at http")
    assert err.endswith(f"; put it into {metric_hub / 'pyiqa'}\n")
    report = json.loads(out)
    assert (report["measured"], report["failed"]) == (3, 0)
    assert set(values(report, "musiq").values()) == {None}
    assert report["metrics"]["musiq"]["restored"]["mean"] is None
    assert report["metrics"]["lpips"]["restored"]["finite"] == 3
    assert "<td>musiq</td><td>higher</td><td>restored</td>" in page.read_text()
    assert "| musiq | higher | restored | - |" in text.read_text()
    assert {row["restored_musiq"] for row in csv.DictReader(table.read_text().splitlines())} == {""}


def test_a_picture_too_small_for_a_metric_keeps_its_other_figures(
    folders: tuple[Path, Path], metric_hub: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lq, gt = folders
    for folder in folders:
        Image.fromarray(data.rocket()[:12, :12]).save(folder / "small.png")
    options = ["--metric", "lpips", "--metric-weights", metric_hub, "--json", "-"]
    code, out, err = run(capfd, "--results", lq, "--gt", gt, *options)
    report = json.loads(out)
    assert (code, report["measured"], report["failed"]) == (1, 4, 1)
    assert err.count("\n") == 1
    assert f"{lq / 'small.png'}, restored: lpips cannot be computed: " in err
    assert values(report, "lpips")["small"] is None
    assert report["metrics"]["lpips"]["restored"]["finite"] == 3


def test_several_pictures_at_once_give_the_same_figures_in_the_same_order(
    folders: tuple[Path, Path], metric_hub: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lq, gt = folders
    for folder in folders:  # too small for LPIPS, and of another size than the others
        Image.fromarray(data.rocket()[:12, :12]).save(folder / "a.png")
        Image.fromarray(data.rocket()[:12, :12]).save(folder / "cot.png")
    (lq / "cut.png").write_bytes(b"no picture")
    Image.fromarray(data.rocket()[:128, :160]).save(gt / "cut.png")
    options = ["--metric", "lpips,musiq", "--metric-weights", metric_hub, "--json", "-"]
    reports, said = [], []
    for batch in (1, 3):
        code, out, err = run(capfd, "--results", lq, "--gt", gt, *options, "--metric-batch", batch)
        assert code == 1
        reports.append(json.loads(out))
        said.append(err)
    assert said[0] == said[1]
    assert [each["picture"] for each in reports[1]["pictures"]] == ["a", "cat", "cot", "cup", "same"]
    for metric in ("lpips", "musiq"):
        each, together = (values(report, metric) for report in reports)
        assert {name for name, value in together.items() if value is None} == (
            {"a", "cot"} if metric == "lpips" else set()
        )
        for name, value in each.items():
            assert together[name] == (None if value is None else pytest.approx(value, rel=1e-4, abs=1e-5))
    assert reports[0]["failures"] == reports[1]["failures"]


def test_an_unknown_metric_is_named_and_the_others_finish(
    folders: tuple[Path, Path], metric_hub: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lq, gt = folders
    options = ["--metric", "musik,sfid,lpips", "--metric-weights", metric_hub, "--json", "-"]
    code, out, err = run(capfd, "--results", lq, "--gt", gt, *options)
    assert code == 1
    unknown, unfit = err.splitlines()
    assert unknown.startswith("airtool: unknown metric 'musik': pyiqa has no measure of pictures by that name; did you")
    assert unfit.startswith("airtool: unknown metric 'sfid': ")
    report = json.loads(out)
    assert (report["measured"], report["metrics"]["lpips"]["restored"]["finite"]) == (3, 3)
    assert set(values(report, "musik").values()) == {None}


def test_fid_is_one_figure_for_all_pictures(
    folders: tuple[Path, Path], fid_hub: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lq, gt = folders
    targets = tmp_path / "r.csv", tmp_path / "s.csv", tmp_path / "r.html", tmp_path / "r.md", tmp_path / "r.json"
    command = ["--pairs", lq, gt, "--input-only", "--metric", "fid", "--metric-weights", fid_hub, "--metric-batch", 2]
    options = ["--csv", targets[0], "--csv-summary", targets[1], "--html", targets[2], "--markdown", targets[3]]
    code, out, err = run(capfd, *command, *options, "--json", targets[4])
    assert (code, err) == (0, "")
    report = json.loads(targets[4].read_text())
    said = report["metrics"]["fid"]
    assert (said["of_set"], said["lower_is_better"], said["missing"]) == (True, True, None)
    figure = said["input"]
    assert figure["mean"] > 1e-3
    assert (figure["interval"], figure["finite"]) == (None, 3)
    assert all("metrics" not in picture for picture in report["pictures"])
    assert ["fid", "lower", "input", f"{figure['mean']:.4f}"] in [
        line.replace("│", " ").split() for line in out.splitlines()
    ]
    assert "compare only figures over the same pictures" in out
    rows, means = (list(csv.DictReader(table.read_text().splitlines())) for table in targets[:2])
    assert not any("fid" in column for column in rows[0])
    assert [float(row["mean"]) for row in means if row["metric"] == "fid"] == [figure["mean"]]
    assert f"{figure['mean']:.4f}" in targets[2].read_text()
    assert f"{figure['mean']:.4f}" in targets[3].read_text()
    code, _, err = run(capfd, *command, "--compare-with", targets[4])
    assert (code, err) == (0, "")


def test_pictures_without_ground_truths(
    folders: tuple[Path, Path], metric_hub: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lq, _ = folders
    shutil.copy(lq / "same.png", lq / "cup.png")  # beside cup.jpg
    (lq / "broken.png").write_bytes(b"no picture")
    page, table = tmp_path / "r.html", tmp_path / "r.csv"
    options = ["--metric", "musiq", "--metric", "niqe,piqe", "--metric-weights", metric_hub]
    code, out, err = run(capfd, "--no-reference", lq, *options, "--html", page, "--csv", table)
    assert code == 1
    missing, unreadable = err.splitlines()
    assert missing.startswith("airtool: niqe: niqe_modelparameters.mat is missing")
    assert unreadable.startswith(f"airtool: {lq / 'broken.png'} is not a picture")
    assert "PSNR" not in out
    assert "lowest musiq (given): " in out
    rows = {row["picture"]: row for row in csv.DictReader(table.read_text().splitlines())}
    assert list(rows) == ["cat.jpg", "cup.jpg", "cup.png", "same.png", "broken.png"]
    assert float(rows["cat.jpg"]["given_piqe"]) > float(rows["same.png"]["given_piqe"])  # JPEG at quality 10
    assert rows["cup.png"]["given_musiq"] == rows["same.png"]["given_musiq"] != ""
    assert rows["cat.jpg"]["given_niqe"] == ""
    assert page.read_text().count('src="data:image/jpeg;base64,') == 4
    (lq / "broken.png").unlink()
    code, out, _ = run(capfd, "--no-reference", lq, "--metric", "piqe", "--limit", 2, "--json", "-")
    report = json.loads(out)
    assert (code, report["measured"], report["settings"]["available"], report["summary"]) == (0, 2, 4, {})
    assert values(report, "piqe", "given")["cat.jpg"] == float(rows["cat.jpg"]["given_piqe"])


@pytest.mark.usefixtures("without_pyiqa")
def test_without_pyiqa_everything_else_is_measured(
    folders: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lq, gt = folders
    report = tmp_path / "r.json"
    code, out, err = run(capfd, "--results", lq, "--gt", gt, "--metric", "lpips", "--json", report)
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith("airtool: lpips: ")
    assert "pip install -c constraints.txt '.[iqa]'; mind its non-commercial licence" in err
    rows = [line.replace("│", " ").split() for line in out.splitlines()]
    assert ["lpips", "-", "restored", "-"] in rows
    written = json.loads(report.read_text())
    assert written["summary"]["rgb"]["restored"]["psnr"] > 20
    assert (written["metrics"]["lpips"]["lower_is_better"], set(values(written, "lpips").values())) == (None, {None})

    rain = tmp_path / "sets" / "Rain100L"
    (rain / "rainy").mkdir(parents=True)
    shutil.copy(lq / "same.png", rain / "rainy" / "rain-001.png")
    shutil.copy(gt / "same.png", rain / "norain-001.png")
    command = ["--bench", "rain100l", "--data", rain.parent, "--input-only", "--metric", "musiq", "--json", "-"]
    code, out, err = run(capfd, *command)
    assert (code, err.count("\n")) == (1, 1)
    assert values(json.loads(out), "musiq", "input") == {"rain-001": None}

    code, out, err = run(capfd, "--no-reference", lq, "--metric", "musiq", "--csv", "-", "--html", tmp_path / "r.html")
    assert (code, err.count("\n")) == (1, 1)
    assert [row["given_musiq"] for row in csv.DictReader(out.splitlines())] == ["", "", ""]


def test_a_bench_is_scored_too(
    folders: tuple[Path, Path], metric_hub: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rain = tmp_path / "sets" / "Rain100L"
    (rain / "rainy").mkdir(parents=True)
    Image.open(folders[0] / "cat.jpg").save(rain / "rainy" / "rain-001.png")
    shutil.copy(folders[1] / "cat.png", rain / "norain-001.png")
    command = ["--bench", "rain100l", "--data", rain.parent, "--input-only", "--metric", "lpips"]
    code, out, err = run(capfd, *command, "--metric-weights", metric_hub)
    assert (code, err) == (0, "")
    assert any(line.replace("│", " ").split()[:3] == ["lpips", "lower", "input"] for line in out.splitlines())


PAIRS = ["--results", "LQ", "--gt", "GT"]
ALONE = ["--no-reference", "LQ"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*PAIRS, "--metric", "lpips,"], "name each metric once"),
        ([*PAIRS, "--metric", "lpips", "--metric", "LPIPS"], "name each metric once"),
        ([*PAIRS, "--metric-weights", "LQ"], "--metric-weights has no effect without --metric"),
        ([*PAIRS, "--metric-device", "cpu"], "--metric-device has no effect without --metric"),
        ([*PAIRS, "--metric-batch", "2"], "--metric-batch has no effect without --metric"),
        ([*PAIRS, "--metric", "lpips", "--metric-device", "abacus"], "no device is called 'abacus'"),
        ([*PAIRS, "--metric", "lpips", "--metric-weights", "none"], "--metric-weights none is no folder"),
        ([*PAIRS, "--no-reference", "LQ", "--metric", "musiq"], "--results has no effect with --no-reference"),
        ([*ALONE, "--metric", "musiq", "--bench", "rain100l"], "--bench has no effect with --no-reference"),
        ([*ALONE, "--metric", "musiq", "--protocol", "y"], "--protocol has no effect with --no-reference"),
        ([*ALONE, "--metric", "musiq", "--keep", "kept"], "--keep has no effect with --no-reference"),
        ([*ALONE, "--metric", "musiq,psnr"], "psnr needs ground truths, which --no-reference does without"),
        (ALONE, "--no-reference needs a metric"),
        (["--no-reference", "-", "--metric", "musiq"], "not standard input"),
        (["--no-reference", "none", "--metric", "musiq"], "none does not exist"),
        (["--list", "--metric", "lpips"], "--metric has no effect with --list"),
        (["--check", "LQ", "--no-reference", "LQ", "--metric", "musiq"], "--no-reference has no effect with --check"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    folders: tuple[Path, Path], capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    lq, gt = map(str, folders)
    code, out, err = run(capfd, *({"LQ": lq, "GT": gt}.get(argument, argument) for argument in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*ALONE, "--metric", "fid"], "fid needs ground truths, which --no-reference does without"),
        ([*ALONE, "--metric", "musiq,lpips"], "lpips needs ground truths, which --no-reference does without"),
    ],
)
def test_wrong_metrics_are_found_before_the_work(
    folders: tuple[Path, Path], metric_hub: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    lq, gt = map(str, folders)
    typed = [{"LQ": lq, "GT": gt}.get(argument, argument) for argument in arguments]
    code, out, err = run(capfd, *typed, "--metric-weights", metric_hub)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
