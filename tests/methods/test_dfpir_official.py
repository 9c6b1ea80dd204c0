"""The authors' DFPIR checkpoints come in strictly, and their prompts become orders of channels."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from airtool.errors import AirtoolError, UsageError
from airtool.methods.dfpir import texts
from airtool.methods.dfpir.method import DFPIRMethod
from airtool.methods.dfpir.network import DFPIRConfig
from airtool.methods.dfpir.official import PERTURBATIONS, layout
from airtool.methods.dfpir.prompts import PAPER_LABELS

OFFICIAL = DFPIRConfig(dim=8, blocks=(1, 2, 1, 1), refinement_blocks=1)
WIDTH = 24


@pytest.fixture
def official() -> dict[str, Tensor]:
    """A small checkpoint in the authors' layout."""
    generator = torch.Generator().manual_seed(0)
    expected = layout(OFFICIAL, WIDTH)
    return {key: torch.randn(tensor.shape, generator=generator) * 0.2 for key, tensor in expected.items()}


def test_import_takes_text_vectors_from_a_file(official: dict[str, Tensor], tmp_path: Path) -> None:
    vectors = {label: torch.randn(WIDTH) for label in ("haze", "noise-50", "rain")}
    save_file(vectors, tmp_path / "texts.safetensors")
    config, state = DFPIRMethod.from_official(official, f"text={tmp_path / 'texts.safetensors'}")
    assert (config.blocks, config.heads, config.gamma) == (OFFICIAL.blocks, OFFICIAL.heads, 0.9)
    assert config.labels == ("noise-50", "rain", "haze")
    method = DFPIRMethod(config)
    method.network.load_state_dict(state, strict=True)
    assert not any("linear_layer" in key for key in state)
    # The authors' way with one prompt, in numbers: two layers, then the order of the results from the largest down.
    block = PERTURBATIONS[2]
    hidden = official[f"{block}.linear_layer1.weight"] @ vectors["rain"] + official[f"{block}.linear_layer1.bias"]
    scores = official[f"{block}.linear_layer3.weight"] @ hidden + official[f"{block}.linear_layer3.bias"]
    order = method.network.get_submodule(block).order[1]
    assert torch.equal(order, scores.topk(64).indices)
    method.check(("noise:12",))


def test_import_takes_text_vectors_from_clip(
    official: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def encode(prompts: list[str]) -> Tensor:
        asked.extend(prompts)
        return torch.stack([torch.full((WIDTH,), float(len(prompt))).cos() for prompt in prompts])

    monkeypatch.setattr(texts, "clip_vectors", encode)
    assert DFPIRMethod.from_official(official, "detailed")[0].labels == PAPER_LABELS
    assert asked[2:5] == [
        "Gaussian noise with a standard deviation of 50",
        "Rain degradation with rain lines",
        "Hazy degradation with normal haze",
    ]
    assert DFPIRMethod.from_official(official, "detailed-3")[0].labels == PAPER_LABELS[:5]
    simple = DFPIRMethod.from_official(official, "simple")[0]
    assert simple.labels == ("noise", "rain", "haze")
    DFPIRMethod(simple).check(("noise:33",))


def test_clip_is_asked_for_plain_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = torch.tensor([[3.0, 4.0]])

    class Encoder(torch.nn.Module):
        def forward(self, **tokens: object) -> SimpleNamespace:
            assert tokens == {"input_ids": ["Noise"]}
            return SimpleNamespace(text_embeds=embeddings)

    def tokenize(prompts: list[str], padding: bool, return_tensors: str) -> dict[str, object]:
        return {"input_ids": prompts}

    stored = SimpleNamespace(
        CLIPTokenizer=SimpleNamespace(from_pretrained=lambda name: tokenize),
        CLIPTextModelWithProjection=SimpleNamespace(from_pretrained=lambda name: Encoder()),
    )
    monkeypatch.setitem(sys.modules, "transformers", stored)
    assert torch.equal(texts.clip_vectors(["Noise"]), embeddings)  # not normalised

    def offline(name: str) -> None:
        raise OSError("many\nlines")

    stored.CLIPTokenizer.from_pretrained = offline
    with pytest.raises(AirtoolError, match=r"cannot be downloaded.*--variant text=FILE$") as caught:
        texts.clip_vectors(["Noise"])
    assert "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(AirtoolError, match=r"pip install transformers.*text=FILE"):
        texts.clip_vectors(["Noise"])


def test_imports_that_do_not_fit_say_why(official: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / "texts.safetensors"

    def refused(message: str, tensors: dict[str, Tensor], vectors: dict[str, Tensor] | None = None) -> None:
        save_file(vectors or {"rain": torch.randn(WIDTH)}, file)
        with pytest.raises(AirtoolError, match=message) as caught:
            DFPIRMethod.from_official(tensors, f"text={file}")
        assert "\n" not in str(caught.value)

    changed = dict(official) | {"stranger": torch.zeros(1)}
    del changed["down2_3.body.0.weight"]
    refused(r"1 missing, first 'down2_3\.body\.0\.weight'; 1 unexpected, first 'stranger'", changed)
    refused(r"not one of DFPIR: 'patch_embed\.proj\.weight' is missing", {"x": torch.zeros(1)})
    without = {key: tensor for key, tensor in official.items() if "linear_layer" not in key}
    refused(r"not one of DFPIR: 'encoder_shuffle_channel1\.linear_layer1\.weight' is missing", without)
    refused("takes text vectors of 24 numbers, not 5", official, {"rain": torch.randn(5)})
    refused("'fog' is no label of dfpir; labels are noise, noise-15", official, {"fog": torch.randn(WIDTH)})
    refused("one vector a label", official, {"rain": torch.randn(WIDTH), "haze": torch.randn(3)})
    refused("not finite", official, {"rain": torch.full((WIDTH,), torch.nan)})
    with pytest.raises(UsageError, match="unknown variant 'long' of dfpir: choose from detailed"):
        DFPIRMethod.from_official(official, "long")
    with pytest.raises(UsageError, match="look alike: say by --variant"):
        DFPIRMethod.from_official(official)
    with pytest.raises(AirtoolError, match=r"none\.safetensors does not exist"):
        DFPIRMethod.from_official(official, f"text={tmp_path / 'none.safetensors'}")
