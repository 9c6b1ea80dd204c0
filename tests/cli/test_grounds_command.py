"""`airtool grounds` as its users run it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commandline import Run
from PIL import Image

from airtool.degradations.compose import parse_steps
from airtool.methods.defusion.instruction import instruction


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_samples_with_their_degraded_sides(airtool: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "grounds"
    code, printed, said = airtool(
        "grounds", out, "--count", 2, "--side", 65, "--seed", 4, "--degradation", "rain:0.4,noise:25"
    )
    assert (code, printed) == (0, "")
    assert said.splitlines()[-1] == f"4 pictures written into {out}"
    assert names(out) == ["ground-000.degraded.png", "ground-000.png", "ground-001.degraded.png", "ground-001.png"]
    for index in range(2):
        expected = instruction(parse_steps("rain:0.4,noise:25"), 4 + index, 65)
        for suffix, rgb in (("", expected.clean), (".degraded", expected.degraded)):
            saved = pixels(out / f"ground-00{index}{suffix}.png")
            np.testing.assert_array_equal(saved, np.rint(rgb * 255).astype(np.uint8))


def test_a_single_sample_is_the_one_of_a_longer_run(airtool: Run, tmp_path: Path) -> None:
    for folder, count, seed in (("many", 3, 10), ("one", 1, 12)):
        args = ["--count", count, "--seed", seed, "--side", 64, "--kind", "simple", "--quiet"]
        assert airtool("grounds", tmp_path / folder, *args) == (0, "", "")
    assert names(tmp_path / "many") == ["ground-000.png", "ground-001.png", "ground-002.png"]
    assert (tmp_path / "one" / "ground-000.png").read_bytes() == (tmp_path / "many" / "ground-002.png").read_bytes()


def test_nothing_is_overwritten_unasked(airtool: Run, tmp_path: Path) -> None:
    sizes = ["--count", 2, "--side", 32]
    mine = tmp_path / "ground-001.png"
    mine.write_text("mine")
    code, _, said = airtool("grounds", tmp_path, *sizes)
    assert code == 2
    assert "ground-001.png" in said
    assert "--overwrite" in said
    assert names(tmp_path) == ["ground-001.png"]

    code, _, said = airtool("grounds", tmp_path, *sizes, "--resume")
    assert code == 0
    assert "1 were there already" in said
    assert mine.read_text() == "mine"
    assert pixels(tmp_path / "ground-000.png").shape == (32, 32, 3)

    assert airtool("grounds", tmp_path, *sizes, "--overwrite")[0] == 0
    assert pixels(mine).shape == (32, 32, 3)


def test_blank_grounds_are_grey(airtool: Run, tmp_path: Path) -> None:
    assert airtool("grounds", tmp_path, "--count", 1, "--side", 40, "--kind", "blank")[0] == 0
    assert np.unique(pixels(tmp_path / "ground-000.png")).tolist() == [128]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["OUT", "--kind", "te43"], "choose te42, simple, blank"),
        (["OUT", "--degradation", "fog"], "unknown degradation 'fog'"),
        (["OUT", "--degradation", "noise:900"], "0 to 100"),
        (["OUT", "--side", "16"], "Invalid value for '--side'"),
        (["OUT", "--count", "0"], "Invalid value for '--count'"),
        (["OUT", "--overwrite", "--resume"], "choose one"),
        (["-"], "grounds are written into a folder"),
        (["OUT/chart.png"], "grounds are written into a folder"),
        (["FILE"], "is not a folder"),
    ],
)
def test_mistakes_cost_one_line_and_write_nothing(airtool: Run, tmp_path: Path, args: list[str], words: str) -> None:
    out, file = tmp_path / "out", tmp_path / "file"
    file.write_text("mine")
    code, printed, said = airtool("grounds", *[a.replace("OUT", str(out)).replace("FILE", str(file)) for a in args])
    assert (code, printed) == (2, "")
    assert words in said
    assert len(said.splitlines()) == 1
    assert not out.exists()


def test_torch_is_never_imported(tmp_path: Path) -> None:
    code = "import sys; from airtool.cli.app import main; sys.exit(main() or 'torch' in sys.modules)"
    args = ["grounds", str(tmp_path), "--count", "1", "--side", "32", "--degradation", "haze,jpeg:30", "--quiet"]
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
