"""`airtool evaluate` as a user types it. Only one test restores; measuring existing files needs no torch."""

import csv
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from airtool.cli.app import main


def test_results_are_measured_without_torch(folders: tuple[Path, Path]) -> None:
    lq, gt = folders
    command = ["evaluate", "--results", str(lq), "--gt", str(gt), "--protocol", "rgb,y,promptir,ndr", "--json", "-"]
    script = (
        "import sys; from airtool.cli.app import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)  # standard output holds the JSON and nothing else
    assert report["measured"] == 3
    assert list(report["protocols"]) == ["rgb", "y", "promptir", "ndr"]
    assert report["summary"]["rgb"]["restored"]["psnr"] == pytest.approx(20.5, abs=0.6)
    assert report["restoration"] is None
    assert report["settings"]["results"] == str(lq)
    assert "torch" not in report["versions"]
    assert "measured: 3/3" in done.stderr


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A weights file of the small network with values from a seed: it restores nothing, but changes every picture."""
    import torch

    from airtool.methods.ndr.method import PRESETS, NDRMethod
    from airtool.methods.weights import write_weights

    generator = torch.Generator().manual_seed(5)
    state = NDRMethod(PRESETS["small"]).network.state_dict()
    noisy = {key: torch.randn(value.shape, generator=generator) * 0.05 for key, value in state.items()}
    path = tmp_path / "weights.safetensors"
    write_weights(path, "ndr", PRESETS["small"], noisy, {}, half=False)
    return path


def test_what_is_reported_is_what_is_kept(folders: tuple[Path, Path], weights: Path, tmp_path: Path, capfd) -> None:
    lq, gt, kept = *folders, tmp_path / "kept"
    command = ["evaluate", "--pairs", str(lq), str(gt), "--weights", str(weights), "--device", "cpu", "--seed", "7"]
    assert main([*command, "--keep", str(kept), "--json", "-"]) == 0
    report = json.loads(capfd.readouterr().out)
    said = report["restoration"]
    assert (said["method"], said["device"], said["seed"], said["precision"]) == ("ndr", "cpu", 7, "fp32")
    assert said["weights"] == weights.name
    assert said["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "torch" in report["versions"]
    for picture in report["pictures"]:
        clean, restored, degraded = (
            np.asarray(Image.open(folder / f"{picture['picture']}.{suffix}"))
            for folder, suffix in ((gt, "png"), (kept, "png"), (lq, "webp"))
        )
        assert (restored != degraded).any()
        expected = peak_signal_noise_ratio(clean, restored, data_range=255)
        assert picture["restored"]["rgb"]["psnr"] == pytest.approx(expected, abs=1e-6)


def test_an_interrupted_run_over_two_folders_goes_on(
    folders: tuple[Path, Path], weights: Path, tmp_path: Path, capfd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airtool.engine.session import Session

    lq, gt, kept = *folders, tmp_path / "kept"
    command = ["evaluate", "--pairs", str(lq), str(gt), "--weights", str(weights), "--device", "cpu", "-q"]
    command += ["--protocol", "ndr", "--keep", str(kept)]
    assert main([*command, "--limit", "2", "--json", "-"]) == 0
    first = json.loads(capfd.readouterr().out)
    restored, restore = [], Session.restore
    monkeypatch.setattr(Session, "restore", lambda self, picture: restored.append(1) or restore(self, picture))
    assert main([*command, "--json", "-"]) == 0
    second = json.loads(capfd.readouterr().out)
    assert len(restored) == 1  # the two that were kept are not restored again
    assert second["pictures"][:2] == first["pictures"]
    assert "as their kept PNG files hold them" in str(first["notes"])
    assert "2 of them were restored, and timed, in an earlier run" in str(second["notes"])

    # Pictures of the same names from another folder are refused, not replaced.
    files = {path: path.read_bytes() for path in kept.rglob("*.*")}
    other = shutil.copytree(lq, tmp_path / "other")
    command[2] = str(other)
    assert main(command) == 2
    assert "holds pictures of another run (other inputs): name another folder" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in files} == files


def test_table_json_and_csv_tell_the_same(folders: tuple[Path, Path], tmp_path: Path, capfd) -> None:
    lq, gt = map(str, folders)
    reports = str(tmp_path / "r.json"), str(tmp_path / "r.csv")
    assert main(["evaluate", "--pairs", lq, gt, "--input-only", "--json", reports[0], "--csv", reports[1], "-q"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    mean = json.loads(Path(reports[0]).read_text())["summary"]["rgb"]["input"]
    with Path(reports[1]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row["input_rgb_psnr"]) for row in rows) / 3 == pytest.approx(mean["psnr"])
    assert f"{mean['psnr']:.2f}" in out
    assert f"{mean['ssim']:.4f}" in out
    assert "protocol rgb: all three channels jointly" in out


def test_all_reports_of_one_run_and_a_second_run_compared_with_it(
    folders: tuple[Path, Path], tmp_path: Path, capfd
) -> None:
    lq, gt = folders
    report = str(tmp_path / "old.json")
    targets = [str(tmp_path / name) for name in ("r.html", "r.md", "s.csv")]
    options = ["--html", targets[0], "--markdown", targets[1], "--csv-summary", targets[2], "--json", report, "-q"]
    assert main(["evaluate", "--results", str(lq), "--gt", str(gt), *options]) == 0
    mean = json.loads(Path(report).read_text())["summary"]["rgb"]["restored"]["psnr"]
    page, text, rows = (Path(target).read_text("utf-8") for target in targets)
    assert page.count('src="data:image/jpeg;base64,') == 3 * 2  # three pictures, each with its ground truth
    for written in (page, text):
        assert f"{mean:.2f}" in written
        assert "animals/chelsea" in written
    assert float(next(csv.DictReader(rows.splitlines()))["psnr"]) == pytest.approx(mean)
    capfd.readouterr()

    (lq / "coffee.webp").unlink()
    (gt / "coffee.png").unlink()
    Image.open(gt / "astronaut.png").save(lq / "astronaut.webp", lossless=True)
    again = ["evaluate", "--results", str(lq), "--gt", str(gt), "--compare-with", report, "-q"]
    assert main([*again, "--json", str(tmp_path / "new.json")]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert f"compared: rgb: restored minus restored of {report}: PSNR +0.00 dB" in out
    assert f"compared: 1 picture only in {report}: coffee" in out
    comparison = json.loads((tmp_path / "new.json").read_text())["comparison"]
    assert comparison["only_there"] == ["coffee"]
    assert comparison["differences"]["rgb"]["pictures"] == 1  # nothing can be gained on an infinite PSNR
    assert main([*again, "--json", report]) == 2
    assert "which --compare-with reads" in capfd.readouterr().err
    assert main([*again, "--protocol", "y"]) == 2
    assert "was measured under rgb" in capfd.readouterr().err


def test_equal_pictures_are_infinite_in_every_report(folders: tuple[Path, Path], tmp_path: Path, capfd) -> None:
    gt = str(folders[1])
    target = tmp_path / "r.csv"
    assert main(["evaluate", "--results", gt, "--gt", gt, "--csv", str(target)]) == 0
    assert " inf " in capfd.readouterr().out
    with target.open(newline="") as file:
        assert {row["restored_rgb_psnr"] for row in csv.DictReader(file)} == {"inf"}
    assert main(["evaluate", "--results", gt, "--gt", gt, "--json", "-"]) == 0
    assert json.loads(capfd.readouterr().out)["summary"]["rgb"]["restored"]["psnr"] == "inf"


def test_synthesis_is_the_same_every_time(folders: tuple[Path, Path], capfd) -> None:
    command = ["evaluate", "--gt", str(folders[1]), "--degrade", "noise:25", "--input-only", "--csv", "-", "-q"]
    outputs = []
    for seed in ([], ["--seed", "0"], ["--seed", "1"]):
        assert main([*command, *seed]) == 0
        outputs.append(capfd.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]


def test_one_bad_picture_is_reported_and_the_exit_code_is_1(folders: tuple[Path, Path], capfd) -> None:
    lq, gt = folders
    (lq / "coffee.webp").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(lq / "astronaut.webp")
    assert main(["evaluate", "--pairs", str(lq), str(gt), "--input-only", "--json", "-"]) == 1
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert (report["measured"], report["failed"]) == (1, 2)
    for name in ("coffee.webp", "astronaut.webp"):
        assert sum(name in line for line in err.splitlines()) == 1


@pytest.mark.parametrize("question", ["--pairs", "--results"])
def test_unmatched_files_are_named_and_counted_and_the_rest_is_measured(
    folders: tuple[Path, Path], capfd, question: str
) -> None:
    lq, gt = folders
    (gt / "coffee.png").rename(gt / "tea.png")
    asked = ["--pairs", lq, gt, "--input-only"] if question == "--pairs" else ["--results", lq, "--gt", gt]
    assert main(["evaluate", *map(str, asked), "--json", "-", "-q"]) == 1
    out, err = capfd.readouterr()
    assert err.splitlines() == [
        f"airtool: {lq / 'coffee.webp'}: no ground truth goes with it by equal stems; complete or remove it",
        f"airtool: {gt / 'tea.png'}: no picture goes with it by equal stems; complete or remove it",
    ]
    report = json.loads(out)
    assert (report["measured"], report["failed"]) == (2, 2)
    assert [failure["picture"] for failure in report["failures"]] == ["coffee.webp", "tea.png"]


def test_nothing_that_pairs_up_is_exit_code_2(folders: tuple[Path, Path], capfd) -> None:
    lq, gt = folders
    for path in list(gt.rglob("*.png")):
        path.rename(path.with_stem(f"{path.stem}-clean"))
    assert main(["evaluate", "--pairs", str(lq), str(gt)]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "no picture has a partner" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of them is needed"),
        (["--gt", "GT"], "one of them is needed"),
        (["--results", "LQ"], "add --gt GT"),
        (["--degrade", "noise:25"], "add --gt GT"),
        (["--pairs", "LQ", "GT", "--results", "LQ"], "not --pairs and --results together"),
        (["--pairs", "LQ", "GT", "--gt", "GT"], "--gt has no effect"),
        (["--results", "LQ", "--gt", "GT", "--method", "ndr"], "--method has no effect"),
        (["--results", "LQ", "--gt", "GT", "--input-only"], "--input-only has no effect"),
        (["--results", "LQ", "--gt", "GT", "--seed", "0"], "--seed has no effect"),
        (["--pairs", "LQ", "GT", "--input-only", "--tile", "64"], "--tile has no effect"),
        (["--pairs", "LQ", "GT", "--protocol", "psnr"], "unknown protocol 'psnr'"),
        (["--pairs", "LQ", "GT", "--json", "-", "--csv", "-"], "name two targets"),
        (["--pairs", "LQ", "GT", "--json", "LQ/none/r.json"], "does not exist"),
        (["--pairs", "LQ", "GT", "--json", "GT/coffee.png"], "is a picture"),
        (["--pairs", "LQ", "GT", "--keep", "LQ"], "lies inside"),
        (["--pairs", "LQ", "GT", "--keep", "LQ/..", "--json", "GT/../kept.jsonl"], "also the name of an output"),
        (["--pairs", "LQ", "GT", "--keep", "LQ/..", "--csv", "GT/../coffee.png"], "also the name of an output"),
        (["--pairs", "LQ", "none"], "none"),
        (["--pairs", "LQ", "GT", "--method", "magic"], "magic"),
        (["--pairs", "LQ", "GT", "--device", "abacus"], "abacus"),
        (["--pairs", "LQ", "GT", "--precision", "fp7"], "fp7"),
        (["--pairs", "LQ", "GT", "--tile", "few"], "few"),
        (["--pairs", "LQ", "GT", "--preset", "small", "--weights", "w"], "--preset has no effect"),
        (["--pairs", "LQ", "GT", "--limit", "0"], "--limit"),
        (["--gt", "GT", "--degrade", "fog"], "unknown degradation 'fog'"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    folders: tuple[Path, Path], capfd, arguments: list[str], said: str
) -> None:
    lq, gt = map(str, folders)
    typed = [argument.replace("LQ", lq).replace("GT", gt) for argument in arguments]
    assert main(["evaluate", *typed]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said.replace("GT", gt) in err or said in err


def test_whole_pictures_or_none_with_tile_off(
    folders: tuple[Path, Path], weights: Path, tmp_path: Path, capfd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airtool.methods.ndr.method import NDRMethod

    lq, gt, kept = *folders, tmp_path / "kept"
    with Image.open(lq / "coffee.webp") as small, Image.open(gt / "coffee.png") as clean:
        small.resize((240, 192)).save(lq / "coffee.webp", lossless=True)
        clean.resize((240, 192)).save(gt / "coffee.png")
    restore = NDRMethod.restore

    def short(self, pictures, request):
        if pictures.shape[2] * pictures.shape[3] > 200 * 150:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return restore(self, pictures, request)

    monkeypatch.setattr(NDRMethod, "restore", short)
    command = ["evaluate", "--pairs", str(lq), str(gt), "--weights", str(weights), "--device", "cpu", "-q"]
    assert main([*command, "--tile", "off", "--keep", str(kept), "--json", "-"]) == 1
    out, err = capfd.readouterr()
    report = json.loads(out)
    assert f"airtool: {lq / 'coffee.webp'}: does not fit into memory in one piece: " in err
    assert [each["picture"] for each in report["failures"]] == ["coffee"]
    assert {each["picture"]: each["tile"] for each in report["pictures"]} == {
        "astronaut": [64, 80],
        "animals/chelsea": [64, 80],
    }
    assert not (kept / "coffee.png").exists()
    assert '"coffee"' not in (kept / "kept.jsonl").read_text()
    assert main([*command, "--json", "-"]) == 0
    report = json.loads(capfd.readouterr().out)
    notes = {each["picture"]: each["notes"] for each in report["pictures"]}
    assert "memory was short, tiles were cut down" in notes["coffee"][0]
    assert not notes["astronaut"]
    assert f"1 of 3: {notes['coffee'][0]}" in report["notes"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_reports_what_it_has_and_says_how_to_go_on(
    number: int, code: int, folders: tuple[Path, Path], weights: Path, tmp_path: Path, capfd, monkeypatch
) -> None:
    from airtool.engine.session import Session

    lq, gt = folders
    command = ["evaluate", "--pairs", str(lq), str(gt), "--weights", str(weights), "--device", "cpu", "-q"]
    restore, seen = Session.restore, []

    def interrupted(self, picture):
        seen.append(1)
        if len(seen) == 3:
            signal.raise_signal(number)
        return restore(self, picture)

    monkeypatch.setattr(Session, "restore", interrupted)
    assert main([*command, "--json", str(tmp_path / "figures.json")]) == code
    out, err = capfd.readouterr()
    assert err == "airtool: interrupted after 2 of 3; with --keep the same command goes on\n"
    report = json.loads((tmp_path / "figures.json").read_text())
    assert (report["interrupted"], report["measured"], report["failed"]) == (True, 2, 0)
    assert report["settings"]["sample"] == "a sample: interrupted after 2 of 3 pictures"
    assert report["settings"]["sample"] in out
    seen.clear()
    kept = ["--keep", str(tmp_path / "kept"), "--json", "-"]
    assert main([*command, *kept]) == code
    assert capfd.readouterr().err == "airtool: interrupted after 2 of 3; the same command goes on\n"
    assert main([*command, *kept]) == 0
    report = json.loads(capfd.readouterr().out)
    assert (report["interrupted"], report["measured"], len(seen)) == (False, 3, 4)


def test_an_interrupted_measurement_reports_what_it_has(folders: tuple[Path, Path], capfd, monkeypatch) -> None:
    from airtool.benches import evaluate

    measure, seen = evaluate._measure, []

    def interrupted(*arguments):
        seen.append(1)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        return measure(*arguments)

    monkeypatch.setattr(evaluate, "_measure", interrupted)
    lq, gt = map(str, folders)
    assert main(["evaluate", "--results", lq, "--gt", gt, "--csv", "-", "-q"]) == 130
    out, err = capfd.readouterr()
    assert err == "airtool: interrupted after 1 of 3\n"
    assert out.count("\n") == 2


def test_pictures_larger_than_allowed_are_refused_by_an_option_that_is_there(
    folders: tuple[Path, Path], weights: Path, tmp_path: Path, capfd
) -> None:
    lq, gt = map(str, folders)
    question = ["evaluate", "--pairs", lq, gt, "--weights", str(weights), "--device", "cpu", "-q"]
    question += ["--keep", str(tmp_path / "kept"), "--limit", "1"]
    for command in (question, ["evaluate", "--results", lq, "--gt", gt, "-q", "--limit", "1"]):
        assert main([*command, "--max-pixels", "5119"]) == 1
        assert "has 80x64 pixels, and 5119 pixels are allowed: scale it down, or raise --max-pixels" in (
            capfd.readouterr().err
        )
        assert main([*command, "--max-pixels", "5120"]) == 0
    shutil.copytree(gt, tmp_path / "Rain100L/rainy")
    for index, path in enumerate(sorted(Path(gt).glob("*.png"))):
        shutil.copy(path, tmp_path / f"Rain100L/norain-{index:03}.png")
        shutil.copy(path, tmp_path / f"Rain100L/rainy/rain-{index:03}.png")
    check = ["evaluate", "--check", str(tmp_path / "Rain100L"), "--bench", "rain100l", "-q"]
    bench = ["evaluate", "--bench", "rain100l", "--data", str(tmp_path), "--input-only", "-q"]
    for command in (check, bench):
        main([*command, "--max-pixels", "5119"])
        done = capfd.readouterr()
        assert "raise --max-pixels" in done.out + done.err
        main([*command, "--max-pixels", "5120"])
        done = capfd.readouterr()
        assert "raise --max-pixels" not in done.out + done.err
    assert main(["evaluate", "--list", "--max-pixels", "5120"]) == 2
