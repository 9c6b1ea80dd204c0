"""The detector: words, labels, encoders, weights files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from airtool.degradations import DEGRADATIONS
from airtool.errors import AirtoolError, UsageError
from airtool.methods.autodir.detector import NAME, PRESETS, DetectorConfig, DetectorNet, load_detector
from airtool.methods.autodir.text import tokenise
from airtool.methods.autodir.vocabulary import CLASSES, NOTHING, SCALES, prompt, shares
from airtool.methods.weights import write_weights

TINY = DetectorConfig(widths=(8, 8), blocks=(1, 1), hidden=16, embedding=8, text_width=8, text_buckets=256)


def network(config: DetectorConfig = TINY) -> DetectorNet:
    torch.manual_seed(0)
    return DetectorNet(config).eval()


def test_every_degradation_has_the_class_that_it_carries_as_a_label() -> None:
    assert {name: scale.name for name, scale in SCALES.items()} == {
        name: found.label for name, found in DEGRADATIONS.items()
    }
    assert {scale.name for scale in SCALES.values()} | {NOTHING} == set(CLASSES)


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_default_amounts_are_seen_and_grow_worse_towards_the_strong_end(name: str) -> None:
    found, scale = DEGRADATIONS[name], SCALES[name]
    assert scale.severity(found.default) > 0.3
    assert scale.severity(scale.strong) == 1.0
    weak, strong = sorted(found.training, key=scale.severity)
    assert scale.severity(weak) < scale.severity(found.default) <= scale.severity(strong)
    assert found.low <= min(scale.invisible, scale.strong) <= max(scale.invisible, scale.strong) <= found.high


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("clean", {"no": 1.0}),
        ("noise:25", {"noise": 1.0}),
        ("rain", {"rain": 1.0}),
        ("noise:2.9", {"no": 1.0}),
        ("jpeg:90", {"no": 1.0}),
        ("noise:2,jpeg:86", {"no": 1.0}),
        ("haze:2.2,jpeg:90", {"haze": 1.0}),
        ("noise:50,camera-noise:0.8", {"noise": 1.0}),
        ("rain:0.45,noise:26.5", {"rain": 0.5, "noise": 0.5}),
        ("defocus:4,jpeg:34", {"blur": 2 / 3, "JPEG": 1 / 3}),
        ("defocus:4,motion-blur:9.5,noise:26.5", {"blur": 0.75, "noise": 0.25}),
    ],
)
def test_shares_of_a_label(label: str, expected: dict) -> None:
    assert shares(label) == pytest.approx(expected)


def test_a_label_that_says_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"give the recipe's \[pairs\] a label"):
        shares("")


def test_words_are_known_by_their_letters_wherever_they_stand() -> None:
    encoder = network()
    vectors = encoder.embed_texts(["remove the rain", "the rain REMOVE!", "remove the raindrop", "", "???"])
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-5, rtol=1e-5)
    assert (vectors[0] - vectors[2]).abs().max() > 1e-3
    torch.testing.assert_close(vectors[3], vectors[4])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(5))
    # A sentence does not depend on the longer ones that it is filled up to.
    alone = encoder.embed_texts(["remove the rain"])
    torch.testing.assert_close(alone[0], vectors[0], atol=1e-6, rtol=1e-5)


def test_hashes_never_change() -> None:
    """Weights would mean other words."""
    assert tokenise(["snow"], 4096).flatten().tolist() == EXPECTED


EXPECTED = [909, 1261, 2102, 734, 3280, 428, 1942, 1532, 1460, 950]


def test_prompts_of_all_classes_differ() -> None:
    tokens = tokenise([prompt(name) for name in CLASSES], PRESETS["small"].text_buckets)
    assert prompt("haze") == "A photo needs haze artifact reduction"
    assert len({tuple(row.flatten().tolist()) for row in tokens}) == len(CLASSES)


def test_logits_are_scaled_cosines_and_pictures_do_not_mix() -> None:
    net = network()
    pictures = torch.rand(3, 3, 34, 50)
    logits = net(pictures)
    assert logits.shape == (3, len(CLASSES))
    assert logits.abs().max() <= net.logit_scale.exp() + 1e-4
    torch.testing.assert_close(net(pictures[1:2])[0], logits[1], atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        net.logit_scale.fill_(99.0)
    assert net(pictures).abs().max() <= 100.001


def test_bfloat16_changes_little() -> None:
    net, pictures = network().requires_grad_(False), torch.rand(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(pictures)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, net(pictures), atol=0.02 * float(net.logit_scale.exp()), rtol=0)


def test_amplitude_is_seen() -> None:
    """A normalisation too many, and weak noise would look like strong noise."""
    net = network()
    noise = torch.randn(1, 3, 64, 64)
    seen = [net.image(0.5 + sigma / 255 * noise) for sigma in (2.0, 10.0, 50.0)]
    assert (seen[0] - seen[1]).norm() > 0.05 * seen[1].norm()
    assert (seen[1] - seen[2]).norm() > 0.05 * seen[2].norm()


def test_the_small_preset_is_small() -> None:
    parameters = sum(tensor.numel() for tensor in DetectorNet(PRESETS["small"]).state_dict().values())
    assert parameters < 1_000_000


def test_weights_come_back(tmp_path: Path) -> None:
    config = replace(TINY, classes=("noise", "no"))
    net, path = network(config), tmp_path / "w.safetensors"
    write_weights(path, NAME, config, net.state_dict(), {}, half=False)
    again = load_detector(path)
    assert again.config == config
    assert not again.training
    pictures = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(again(pictures), net(pictures))


def test_weights_that_do_not_fit_are_one_line(tmp_path: Path) -> None:
    path, state = tmp_path / "w.safetensors", network().state_dict()
    without = {key: tensor for key, tensor in state.items() if key != "logit_scale"}
    for config, tensors, message in (
        (TINY, without, r"does not fit its own config \(Missing key\(s\) in state_dict: \"logit_scale\"\)"),
        (TINY, state | {"x": torch.zeros(1)}, "Unexpected key"),
        (replace(TINY, embedding=4), state, "size mismatch"),
    ):
        write_weights(path, NAME, config, tensors, {}, half=False)
        with pytest.raises(AirtoolError, match=message) as caught:
            load_detector(path)
        assert "\n" not in str(caught.value)
    write_weights(path, "ndr", TINY, state, {}, half=False)
    with pytest.raises(AirtoolError, match="holds weights of 'ndr', not of the detector"):
        load_detector(path)
    bad = replace(TINY)
    object.__setattr__(bad, "blocks", (1,))
    write_weights(path, NAME, bad, state, {}, half=False)
    with pytest.raises(AirtoolError, match="describes no detector network: widths and blocks"):
        load_detector(path)
