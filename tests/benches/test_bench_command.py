"""`airtool evaluate --list, --check and --bench` as a user types them, on small sets made of real photographs."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from airtool.cli.app import main

CLEAN = data.astronaut()[40:104, 180:260]


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def rainy(pixels: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 12, pixels.shape)
    return np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder with all 15 pairs of LOL-v1 as far as names go, 3 of Rain100L, and 2 pictures of CBSD68."""
    root = tmp_path / "sets"
    for index in range(1, 16):
        clean = np.roll(CLEAN, index, axis=1)
        save(root / f"LOLdataset/eval15/high/{index}.png", clean)
        save(root / f"LOLdataset/eval15/low/{index}.png", (clean * 0.3).astype(np.uint8))
    for index in range(1, 4):
        clean = np.roll(CLEAN, 7 * index, axis=0)
        save(root / f"Rain100L/norain-{index:03}.png", clean)
        save(root / f"Rain100L/rainy/rain-{index:03}.png", rainy(clean, index))
    save(root / "CBSD68/101085.png", CLEAN)
    save(root / "CBSD68/101087.png", data.coffee()[150:214, 250:330])
    return root


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRTOOL_DATA", raising=False)


def run(capfd: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
    code = main(["evaluate", *map(str, arguments)])
    out, err = capfd.readouterr()
    return code, out, err


def test_the_list_needs_no_torch(capfd: pytest.CaptureFixture) -> None:
    code, out, _ = run(capfd, "--list")
    assert code == 0
    assert "cbsd68-15, cbsd68-25, cbsd68-50" in out
    code, out, _ = run(capfd, "--list", "--json", "-")
    sets = {each["name"]: each for each in json.loads(out)}
    assert code == 0
    assert sets["rain100l"]["pictures"] == 100
    assert sets["rain100l"]["benches"][0]["published"][0]["method"] == "AirNet"
    assert len(sets["sots-outdoor"]["layouts"]) >= 4
    script = (
        "import sys; from airtool.cli.app import main; main(['evaluate', '--list']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_sample_is_never_called_the_benchmark(sets: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    files = tmp_path / "r.json", tmp_path / "r.csv", tmp_path / "s.csv", tmp_path / "r.md"
    code, out, err = run(
        capfd, "--bench", "rain100l", "--data", sets, "--input-only", "--json", files[0], "--csv", files[1],
        "--csv-summary", files[2], "--markdown", files[3],
    )  # fmt: skip
    assert code == 0
    assert "rain100l: 3 pictures" in err
    said = "a sample, not the benchmark Rain100L: 3 pictures were measured, the official set has 100"
    assert out.startswith("Rain100L: A SAMPLE, NOT THE BENCHMARK\n")
    assert said in out
    assert "DFPIR" not in out  # figures of the whole set do not stand beside those of a sample
    report = json.loads(files[0].read_text())
    assert any(note.startswith(said) for note in report["notes"])
    assert report["settings"]["sample"].startswith(said)
    assert report["settings"]["bench"] == "Rain100L"
    assert report["published"] == []
    assert list(report["protocols"]) == ["promptir", "y"]
    for file in files[1:3]:
        with file.open(newline="") as rows:
            assert all(row["bench"] == "Rain100L" and row["sample"].startswith(said) for row in csv.DictReader(rows))
    assert "a sample, not the benchmark Rain100L" in files[3].read_text()


def test_a_complete_set_is_the_benchmark_and_published_figures_stand_beside_it(
    sets: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (sets / "LOLdataset").rglob("*.png"):
        Image.open(path).resize((600, 400)).save(path)
    monkeypatch.setenv("AIRTOOL_DATA", str(sets))
    code, out, _ = run(capfd, "--bench", "lol", "--input-only", "--protocol", "rgb", "-q")
    assert code == 0
    assert out.startswith("LOL-v1\n")
    assert "a sample" not in out.casefold()
    assert ["DFPIR", "promptir", "23.82", "0.843"] in [line.replace("│", " ").split()[:4] for line in out.splitlines()]
    code, out, _ = run(capfd, "--bench", "lol-v1", "--input-only", "--protocol", "rgb", "-q", "--limit", "2")
    assert code == 0
    assert "a sample, not the benchmark LOL-v1: 2 pictures were measured, the official set has 15" in out


def test_the_right_number_of_pictures_of_another_size_is_a_sample(sets: Path, capfd: pytest.CaptureFixture) -> None:
    code, out, _ = run(capfd, "--bench", "lol-v1", "--data", sets, "--input-only", "--json", "-", "-q")
    report = json.loads(out)
    assert (code, report["measured"]) == (0, 15)
    assert report["settings"]["sample"].endswith("pictures of sizes that the official set does not have: 80x64 (15)")


def test_a_missing_set_is_named_and_the_others_run(sets: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    (sets / "HIDE").mkdir()
    save(sets / "HIDE/lq_nogt/1.png", CLEAN)
    save(sets / "DPDD/what/1.png", CLEAN)
    names = "gopro,rain100l,hide,cbsd68-25,dpdd"
    table = tmp_path / "r.csv"
    code, out, err = run(
        capfd, "--bench", names, "--data", sets, "--input-only", "--json", "-", "--csv", table, "-q"
    )  # fmt: skip
    assert code == 1
    lines = err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"airtool: gopro: no folder GoPro or GOPRO_Large or GOPRO_Large/test below {sets}")
    assert "hide: HIDE" in lines[1]
    assert "have no ground truths" in lines[1]
    assert "dpdd: DPDD" in lines[2]
    assert "test_c/source, test_c/target" in lines[2]
    report = json.loads(out)
    assert [each["settings"]["bench"] for each in report["benches"]] == ["Rain100L", "CBSD68, noise 25"]
    assert [each["bench"] for each in report["missing"]] == ["gopro", "hide", "dpdd"]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["bench"] for row in rows] == ["Rain100L"] * 3 + ["CBSD68, noise 25"] * 2 + ["gopro", "hide", "dpdd"]
    assert "no ground truths" in rows[-2]["error"]


def test_pictures_without_partner_are_named_and_the_rest_is_measured(sets: Path, capfd: pytest.CaptureFixture) -> None:
    (sets / "Rain100L/norain-002.png").unlink()
    save(sets / "Rain100L/norain-009.png", CLEAN)
    (sets / "Rain100L/rainy/rain-003.png").write_bytes(b"no picture")
    code, out, err = run(capfd, "--bench", "rain100l", "--data", sets, "--input-only", "--json", "-", "-q")
    report = json.loads(out)
    assert (code, report["measured"], report["failed"]) == (1, 1, 3)
    assert [failure["picture"] for failure in report["failures"]] == [
        "rain-003",
        "rainy/rain-002.png",
        "norain-009.png",
    ]
    assert len(err.splitlines()) == 3
    assert f"{sets}/Rain100L/rainy/rain-002.png: no ground truth goes with it" in err


def test_noise_protocols_store_the_same_noise_differently(sets: Path, capfd: pytest.CaptureFixture) -> None:
    command = ["--bench", "cbsd68-25", "--data", sets, "--input-only", "--protocol", "ndr", "--json", "-", "-q"]
    reports = {}
    for protocol in (None, "ndr", "promptir"):
        code, out, _ = run(capfd, *command, *(["--noise-protocol", protocol] if protocol else []))
        assert code == 0
        reports[protocol] = json.loads(out)
    by_name = {
        key: {picture["picture"]: picture["input"]["ndr"]["psnr"] for picture in report["pictures"]}
        for key, report in reports.items()
    }
    assert by_name[None] == by_name["ndr"] != by_name["promptir"]
    for name, psnr in by_name["ndr"].items():
        assert psnr == pytest.approx(20.4, abs=0.7)
        assert by_name["promptir"][name] == pytest.approx(psnr, abs=0.1)
    assert any("not quantised" in note for note in reports["ndr"]["notes"])
    assert any("cut off to whole numbers" in note for note in reports["promptir"]["notes"])
    # A picture's noise is its own, whatever else is in the folder.
    (sets / "CBSD68/101085.png").unlink()
    _, out, _ = run(capfd, *command)
    assert json.loads(out)["pictures"][0]["input"]["ndr"]["psnr"] == by_name["ndr"]["101087"]


def test_truncated_noise_is_whole_numbers_half_a_level_darker(tmp_path: Path) -> None:
    from airtool.benches.noise import NOISE_PROTOCOLS

    noisy = np.random.default_rng(0).random((40, 50, 3), np.float32)
    stored = NOISE_PROTOCOLS["promptir"].stored(noisy)
    assert stored.dtype == np.float32
    np.testing.assert_allclose(stored * 255, np.rint(stored * 255), atol=1e-4)
    assert (noisy - stored).mean() * 255 == pytest.approx(0.5, abs=0.02)
    assert (stored <= noisy).all()
    np.testing.assert_array_equal(NOISE_PROTOCOLS["ndr"].stored(noisy), noisy)
    ends = np.array([[[0.0, 1.0, 0.0]]], np.float32)
    np.testing.assert_array_equal(NOISE_PROTOCOLS["promptir"].stored(ends), ends)


def test_unequal_sizes_are_failures_until_they_may_be_cropped(sets: Path, capfd: pytest.CaptureFixture) -> None:
    clean = np.asarray(Image.open(sets / "Rain100L/norain-001.png"))
    save(sets / "Rain100L/norain-001.png", np.pad(clean, ((4, 4), (10, 10), (0, 0)), mode="edge"))
    command = ["--bench", "rain100l", "--data", sets, "--input-only", "--protocol", "rgb", "--json", "-", "-q"]
    code, out, err = run(capfd, *command)
    assert (code, json.loads(out)["measured"]) == (1, 2)
    assert "sizes of picture and ground truth differ (80x64 and 100x72)" in err
    assert "--align crop" in err
    code, out, _ = run(capfd, *command, "--align", "crop")
    report = json.loads(out)
    assert (code, report["measured"]) == (0, 3)
    assert "pictures of unequal size were cut to the middle that they share" in report["notes"]
    # The ground truth was padded evenly, so its middle is the old one.
    degraded = np.asarray(Image.open(sets / "Rain100L/rainy/rain-001.png")).astype(float)
    expected = 10 * np.log10(255**2 / np.mean((degraded - clean) ** 2))
    assert report["pictures"][0]["input"]["rgb"]["psnr"] == pytest.approx(expected, abs=1e-6)


def test_a_method_restores_a_bench_and_its_pictures_are_kept(
    sets: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    from airtool.methods.ndr.method import NDRMethod
    from airtool.methods.ndr.network import NDRConfig
    from airtool.methods.weights import write_weights

    config = NDRConfig(dim=8, atom_dim=8, feature_dim=8, rank=2, blocks=(1,) * 4, refinement_blocks=1, block="nafnet")
    weights = tmp_path / "w.safetensors"
    write_weights(weights, "ndr", config, NDRMethod(config).network.state_dict(), {}, half=False)
    kept, page = tmp_path / "kept", tmp_path / "r.html"
    code, out, _ = run(
        capfd, "--bench", "rain100l", "--data", sets, "--weights", weights, "--device", "cpu", "--limit", "1",
        "--keep", kept, "--html", page, "-q",
    )  # fmt: skip
    assert code == 0
    assert "restored" in out
    assert [path.relative_to(kept).as_posix() for path in kept.rglob("*.png")] == ["rain100l/rain-001.png"]
    assert "not the benchmark" in page.read_text()


def test_check_tells_what_is_wrong(sets: Path, capfd: pytest.CaptureFixture) -> None:
    folder = sets / "Rain100L"
    save(folder / "rainy/rain-007.png", CLEAN)  # no ground truth
    save(folder / "norain-008.png", CLEAN)  # no input
    save(folder / "norain-004.png", CLEAN)
    save(folder / "rainy/rain-004.png", CLEAN[:, :70])  # another size
    Image.open(folder / "norain-001.png").save(folder / "norain-005.webp", lossless=True)  # the same pixels once more
    save(folder / "rainy/rain-005.png", CLEAN)
    (folder / "rainy/rain-002.png").write_bytes(b"no picture")
    save(folder / "notes/figure.png", CLEAN)
    save(sets / "SOTS/outdoor/hazy/0001_0.8_0.2.png", rainy(CLEAN, 1))
    save(sets / "SOTS/outdoor/hazy/0001_1_0.08.png", rainy(CLEAN, 2))
    save(sets / "SOTS/outdoor/gt/0001.png", CLEAN)

    code, out, _ = run(capfd, "--check", sets, "--json", "-", "-q")
    assert code == 1
    checked = {each["set"]: each for each in json.loads(out)}
    assert set(checked) == {"cbsd68", "lol-v1", "rain100l", "sots-outdoor"}
    rain = checked["rain100l"]
    assert (rain["layout"], rain["state"], rain["pictures"], rain["official"]) == ("rain-N/norain-N", "sample", 5, 100)
    assert rain["degraded_without_partner"] == ["rainy/rain-007.png"]
    assert rain["ground_truths_without_partner"] == ["norain-008.png"]
    assert rain["unequal_sizes"] == ["rain-004 (70x64 and 80x64)"]
    assert rain["repeated_ground_truths"] == [["norain-001.png", "norain-005.webp"]]
    assert len(rain["unreadable"]) == 1
    assert "rain-002.png" in rain["unreadable"][0]
    assert rain["sizes_not_official"] == "80x64 (5)"
    assert rain["others"] == 1
    sots = checked["sots-outdoor"]
    assert (sots["pictures"], sots["repeated_ground_truths"], sots["state"]) == (2, [], "sample")
    assert checked["lol-v1"]["state"] == "complete"

    code, out, err = run(capfd, "--check", sets)
    assert code == 1
    assert "checked: " in err
    for line in (
        "rain100l: 1 inputs without ground truth: rainy/rain-007.png",
        "rain100l: 1 ground truths without input: norain-008.png",
        "rain100l: 1 pairs of unequal size: rain-004 (70x64 and 80x64)",
        "rain100l: 1 ground truths that are there more than once: norain-001.png=norain-005.webp",
        "rain100l: 1 picture beside this layout",
    ):
        assert line in out.splitlines()


def test_check_is_content_with_a_sound_sample(sets: Path, capfd: pytest.CaptureFixture) -> None:
    code, out, err = run(capfd, "--check", sets / "Rain100L", "-q")
    assert (code, err) == (0, "")
    assert "3 of 100" in out
    code, out, err = run(capfd, "--check", sets, "--bench", "rain100l,gopro", "-q")
    assert code == 1
    assert "gopro: no folder" in err
    (sets / "Rain100L").rename(sets / "mine")
    code, out, _ = run(capfd, "--check", sets / "mine", "--bench", "rain100l", "-q")
    assert code == 0
    assert "3 of 100" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bench", "rain100l"], "add --data DIR, or set AIRTOOL_DATA"),
        (["--bench", "rain", "--data", "DIR"], "unknown benchmark 'rain'"),
        (["--bench", "rain100l", "--data", "DIR/none"], "is not a folder"),
        (["--bench", "dicm", "--data", "DIR"], "no ground truths"),
        (["--bench", "rain100l", "--data", "DIR", "--noise-protocol", "ndr"], "no effect on these benchmarks"),
        (["--bench", "cbsd68-25", "--data", "DIR", "--noise-protocol", "float"], "unknown noise protocol 'float'"),
        (["--bench", "cbsd68-25", "--data", "DIR", "--gt", "DIR"], "--gt has no effect with --bench"),
        (["--bench", "cbsd68-25", "--data", "DIR", "--pairs", "DIR", "DIR"], "--pairs has no effect with --bench"),
        (["--bench", "cbsd68-25", "--data", "DIR", "--align", "fit"], "--align 'fit'"),
        (["--bench", "cbsd68-25", "--data", "DIR", "--input-only", "--seed", "3"], "--seed has no effect"),
        (["--pairs", "DIR", "DIR", "--data", "DIR"], "--data has no effect without --bench"),
        (["--pairs", "DIR", "DIR", "--noise-protocol", "ndr"], "--noise-protocol has no effect here"),
        (["--gt", "DIR/CBSD68", "--degrade", "rain", "--noise-protocol", "ndr"], "which is not noise alone"),
        (["--check", "DIR/LOLdataset/eval15/low"], "no benchmark set recognised"),
        (["--check", "DIR", "--list"], "--list has no effect with --check"),
        (["--check", "DIR", "--csv", "-"], "leave the other reports out"),
        (["--list", "--bench", "rain100l"], "--bench has no effect with --list"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    sets: Path, capfd: pytest.CaptureFixture, arguments: list[str], said: str
) -> None:
    code, out, err = run(capfd, *(argument.replace("DIR", str(sets)) for argument in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_an_empty_variable_is_no_data_folder(
    sets: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("AIRTOOL_DATA", "")
    monkeypatch.chdir(sets)
    code, out, err = run(capfd, "--bench", "rain100l", "--input-only")
    assert (code, out) == (2, "")
    assert "add --data DIR, or set AIRTOOL_DATA" in err


def test_the_shared_samples_run_as_samples(bench_data: Path, capfd: pytest.CaptureFixture) -> None:
    names = "raindrop,sots-indoor,sots-outdoor,nam"
    code, out, _ = run(
        capfd, "--bench", names, "--data", bench_data.parent, "--input-only", "--protocol", "rgb", "--json", "-", "-q",
        "--limit", "4",
    )  # fmt: skip
    assert code == 0
    report = json.loads(out)
    assert [each["measured"] for each in report["benches"]] == [4, 4, 4, 4]
    assert all("not the benchmark" in each["settings"]["sample"] for each in report["benches"])


def test_check_finds_the_repeated_ground_truths_of_rain100l(bench_data: Path, capfd: pytest.CaptureFixture) -> None:
    code, out, _ = run(capfd, "--check", bench_data, "--bench", "rain100l", "--json", "-", "-q")
    checked = json.loads(out)[0]
    assert (code, checked["state"], len(checked["repeated_ground_truths"])) == (0, "complete", 9)
    assert (checked["unequal_sizes"], checked["unreadable"], checked["sizes_not_official"]) == ([], [], "")


def test_rain100l_is_the_benchmark_and_its_inputs_measure_as_published(
    bench_data: Path, capfd: pytest.CaptureFixture
) -> None:
    """26.90 dB on luma is what the literature prints for the inputs of Rain100L."""
    code, out, _ = run(
        capfd, "--bench", "rain100l", "--data", bench_data, "--input-only", "--protocol", "y", "--json", "-", "-q"
    )  # fmt: skip
    report = json.loads(out)
    assert (code, report["measured"], report["settings"]["sample"]) == (0, 100, None)
    assert report["summary"]["y"]["input"]["psnr"] == pytest.approx(26.90, abs=0.01)
    assert {figure["method"]: figure["psnr"] for figure in report["published"]}["NDR-Restore"] == 35.42
