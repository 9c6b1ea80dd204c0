"""`airtool models` from the outside."""

import json
from pathlib import Path

import pytest
import torch
from commandline import Run

from airtool.methods import weights as weights_module
from airtool.methods.ndr.network import NDRConfig, RestorationNet
from airtool.methods.weights import WeightsRecord, sha256_of
from airtool.training.recipe import shipped


@pytest.fixture
def embedded(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder with one weights file and its record."""
    folder = tmp_path / "models"
    folder.mkdir()
    file = folder / "ndr-small.safetensors"
    file.write_bytes(Path(weights).read_bytes())
    record = WeightsRecord(
        method="ndr",
        preset="small",
        file=file.name,
        sha256=sha256_of(file),
        parameters=12345,
        size=file.stat().st_size,
        licence="Apache-2.0",
        trained_on="nothing at all",
        recipe="none",
        steps=0,
        date="2026-01-01",
    )
    (folder / "manifest.json").write_text(json.dumps([record.__dict__]))
    monkeypatch.setattr(weights_module, "models_folder", lambda: folder)
    return file


def test_recipes_are_listed_with_what_they_are_for(airtool: Run) -> None:
    code, out, err = airtool("models", "recipes")
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines()[1:] if line.strip()]
    assert [line.split()[0] for line in lines] == shipped()
    assert all(len(line.split()) > 6 for line in lines), "each says what it is for"
    _, out, _ = airtool("models", "recipes", "--method", "dfpir", "--json")
    found = json.loads(out)
    assert {each["method"] for each in found} == {"dfpir"}
    assert {each["name"] for each in found} == {name for name in shipped() if name.startswith("dfpir-")}
    assert all(each["about"] and each["steps"] > 0 and each["mix"] for each in found)
    code, _, err = airtool("models", "recipes", "--method", "dfpri")
    assert (code, err.count("\n")) == (2, 1)


def test_list(airtool: Run, embedded: Path) -> None:
    code, out, err = airtool("models", "list")
    assert (code, err) == (0, "")
    row = next(line for line in out.splitlines() if "ndr-small.safetensors" in line)
    for cell in ("ndr", "small", "0.01 M", sha256_of(embedded)[:12], "Apache-2.0", "nothing at all"):
        assert cell in row
    code, out, _ = airtool("models", "list", "--json")
    assert json.loads(out)[0]["sha256"] == sha256_of(embedded)


def test_verify_finds_damage(airtool: Run, embedded: Path) -> None:
    code, out, err = airtool("models", "verify")
    assert (code, err) == (0, "")
    assert out == f"ok ndr-small.safetensors {sha256_of(embedded)}\n"
    content = bytearray(embedded.read_bytes())
    content[-1] ^= 1
    embedded.write_bytes(content)
    code, out, err = airtool("models", "verify")
    assert (code, out) == (1, "")
    assert "damaged" in err
    embedded.unlink()
    code, _, err = airtool("models", "verify")
    assert code == 1
    assert "missing" in err


def test_damaged_embedded_weights_restore_nothing(airtool: Run, embedded: Path, folder: Path, tmp_path: Path) -> None:
    whole = embedded.read_bytes()
    # One bit, in the numbers and in the header.
    for at in (len(whole) // 2, len(whole) - 1, 20):
        embedded.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        code, out, err = airtool("restore", folder, tmp_path / "out", "-q", "--method", "ndr")
        assert (code, out) == (1, "")
        assert err.count("\n") == 1
        assert "ndr-small.safetensors is damaged (its sha256 differs): install airtool again" in err
    embedded.write_bytes(whole)
    (embedded.parent / "manifest.json").write_text("[{]")
    code, _, err = airtool("restore", folder, tmp_path / "out", "-q", "--method", "ndr")
    assert code == 1
    assert "manifest.json cannot be read" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_embedded_weights_restore(airtool: Run, embedded: Path, folder: Path, tmp_path: Path) -> None:
    code, out, _ = airtool("restore", folder, tmp_path / "out", "--method", "ndr", "--report", "-", "-q")
    assert code == 0
    assert json.loads(out)["restoration"]["preset"] == "small"
    assert json.loads(out)["restoration"]["weights"] == embedded.name
    code, _, err = airtool("restore", folder, tmp_path / "two", "--preset", "paper")
    assert code == 2
    assert "--weights" in err


def test_import_an_official_checkpoint_and_use_it(airtool: Run, folder: Path, tmp_path: Path) -> None:
    config = NDRConfig(dim=8, blocks=(1, 1, 1, 1), refinement_blocks=1, heads=(1, 1, 1, 1), feature_dim=8, rank=2)
    network = RestorationNet(config, torch.nn.Parameter(torch.randn(1, config.atoms, config.atom_dim)))
    state = {f"module.restoration_net.{key}": tensor for key, tensor in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "official.pth")
    imported = tmp_path / "ndr.safetensors"
    args = ("models", "import", tmp_path / "official.pth", imported, "--variant", "published")
    code, out, err = airtool(*args)
    assert (code, out) == (0, ""), err
    assert "ndr.safetensors" in err
    code, _, err = airtool(*args)
    assert code == 2
    assert "--overwrite" in err
    assert airtool(*args, "--overwrite")[0] == 0
    code, _, err = airtool("restore", folder, tmp_path / "out", "--weights", imported, "-q")
    assert code == 0, err
    written = imported.read_bytes()
    code, _, err = airtool("models", "import", imported, imported, "--variant", "published", "--overwrite")
    assert (code, imported.read_bytes()) == (2, written)
    assert "is the checkpoint itself" in err
    del state["module.restoration_net.extractor.bias"]
    torch.save(state, tmp_path / "official.pth")
    code, _, err = airtool(*args, "--overwrite")
    assert code == 1
    assert "extractor.bias" in err


def test_import_refuses_code(airtool: Run, tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    torch.save({"state_dict": Harmful()}, tmp_path / "official.pth")
    code, _, err = airtool("models", "import", tmp_path / "official.pth", tmp_path / "out.safetensors")
    assert code == 1
    assert "refused" in err
    assert not (tmp_path / "executed").exists()


def test_import_names_the_file_that_is_not_the_authors(airtool: Run, weights: str, tmp_path: Path) -> None:
    torch.save({"some.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    code, out, err = airtool("models", "import", tmp_path / "other.pth", tmp_path / "new.safetensors")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"{tmp_path / 'other.pth'}: the checkpoint is not one of NDR-Restore" in err
    code, out, err = airtool("models", "import", weights, tmp_path / "new.safetensors")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{weights} is a weights file of airtool already: use it with --weights" in err
    assert not (tmp_path / "new.safetensors").exists()
