"""AutoDIR's small system: what it is told, what it draws, what is trained when."""

from dataclasses import replace

import pytest
import torch

from airtool.errors import UsageError
from airtool.methods.autodir.method import AutoDIRMethod
from airtool.methods.autodir.network import AutoDIRConfig, AutoDIRNet
from airtool.methods.autodir.objective import (
    TRAINED,
    AutoDIRObjective,
    AutoDIRSettings,
    equal_shares,
    from_ndr,
    training_shares,
)
from airtool.methods.autodir.part_objectives import objective_of
from airtool.methods.autodir.sampling import window_noise
from airtool.methods.autodir.vocabulary import CLASSES
from airtool.methods.base import Request
from airtool.methods.ndr.method import PRESETS as NDR_PRESETS
from airtool.methods.ndr.method import NDRMethod
from airtool.methods.objective import Batch
from airtool.training.recipe import load_recipe, shipped
from airtool.training.subjects import subject_config

TINY = AutoDIRConfig(
    autoencoder_widths=(8, 8),
    autoencoder_blocks=1,
    denoiser_widths=(8, 8),
    denoiser_blocks=(1, 1),
    latent_channels=4,
    text_width=8,
    text_buckets=64,
    corrector_dim=4,
    corrector_blocks=(1, 1, 1, 1),
    sampling_steps=2,
)
RAIN, NOISE = (("rain", 1.0),), (("noise", 1.0),)


def shaken(config: AutoDIRConfig = TINY) -> AutoDIRMethod:
    """A method whose every parameter is off its initial value."""
    torch.manual_seed(0)
    method = AutoDIRMethod(config)
    for parameter in method.network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return method


def picture(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3))


FINE = replace(TINY, fine_classes=("noise", "JPEG"))


@torch.inference_mode()
def test_fine_classes_have_a_correction_of_their_own() -> None:
    method, x = shaken(FINE), picture()
    asked = {
        "noise": NOISE,
        "noise and JPEG": (("noise", 0.6), ("JPEG", 0.3), ("no", 0.1)),
        "rain": RAIN,
        "rain and noise": (("rain", 0.5), ("noise", 0.5)),
    }
    before = {name: method.restore(x, Request((5,), shares=shares)) for name, shares in asked.items()}
    for parameter in method.network.fine_corrector.output.parameters():
        parameter.add_(1.0)
    changed = {
        name
        for name, shares in asked.items()
        if not torch.equal(method.restore(x, Request((5,), shares=shares)), before[name])
    }
    assert changed == {"noise", "noise and JPEG"}


def test_the_fine_correction_begins_as_the_first_and_learns_alone() -> None:
    torch.manual_seed(0)
    first = AutoDIRNet(TINY)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    objective = AutoDIRObjective(FINE, AutoDIRSettings(stage="fine", loss="psnr"))
    given = objective.translated("autodir", first.state_dict())
    own = objective.exported(objective.state_dict())
    objective.network.load_state_dict({**own, **given})
    noisy, clean = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    for label in ("noise:25", "rain:0.5"):
        plain = AutoDIRObjective(TINY, AutoDIRSettings())
        plain.network.load_state_dict(first.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(objective.restore(noisy, (label,) * 2), plain.restore(noisy, (label,) * 2))
    objective(Batch(noisy, clean, ("noise:25", "jpeg:20")), 1)["loss"].backward()
    learned = {name.split(".")[0] for name, each in objective.network.named_parameters() if each.grad is not None}
    assert learned == {"fine_corrector"}


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("autodir-small")])
def test_only_the_fine_stage_has_the_second_correction(name: str) -> None:
    """One that an earlier stage left as it began would answer for noise, and the fine stage would begin with it.

    A later stage of the first correction begins with weights that have learned it.
    """
    recipe = load_recipe(name)
    config = subject_config(recipe.method, recipe.preset)
    assert bool(config.fine_classes) == (recipe.objective["stage"] == "fine" or name == "autodir-small-weather")


def test_a_fine_stage_refuses_samples_of_other_classes() -> None:
    objective = AutoDIRObjective(FINE, AutoDIRSettings(stage="fine"))
    pictures = torch.rand(2, 3, 32, 32)
    with pytest.raises(UsageError, match="'fine' is not for 'rain'"):
        objective(Batch(pictures, pictures, ("noise:25", "noise:25,rain:0.5")), 0)


def test_a_fine_stage_needs_fine_classes() -> None:
    with pytest.raises(UsageError, match="fine_classes"):
        AutoDIRMethod.objective(TINY, {"stage": "fine"})
    with pytest.raises(ValueError, match="'blurr'"):
        replace(TINY, fine_classes=("blurr",))


@torch.inference_mode()
def test_the_correction_is_weighed_and_at_zero_the_diffusion_is_left() -> None:
    method, x = shaken(), picture()
    results = [method.restore(x, Request((5,), shares=RAIN, structure_weight=w)) for w in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(results[1], (results[0] + results[2]) / 2, atol=1e-5, rtol=1e-4)
    drawn = method.explain(x, Request((5,), shares=RAIN))["diffused"]
    torch.testing.assert_close(drawn, results[0].clamp(0, 1))
    assert (results[0] - results[2]).abs().max() > 1e-3
    low = AutoDIRMethod(replace(TINY, low_resolution_weight=0.25))
    low.network.load_state_dict(method.network.state_dict())
    asked = (("low resolution", 0.6), ("no", 0.4))
    torch.testing.assert_close(
        low.restore(x, Request((5,), shares=asked)),
        low.restore(x, Request((5,), shares=asked, structure_weight=0.25)),
    )


@pytest.mark.parametrize("config", [TINY, replace(TINY, sampler="euler-a", prediction="eps", sampling_steps=3)])
@torch.inference_mode()
def test_what_is_asked_and_the_seed_decide_and_nothing_else(config: AutoDIRConfig) -> None:
    method, x = shaken(config), picture()
    first = method.restore(x, Request((5,), shares=RAIN))
    assert not torch.equal(first, method.restore(x, Request((6,), shares=RAIN)))
    assert not torch.equal(first, method.restore(x, Request((5,), shares=NOISE)))
    assert torch.equal(first, method.restore(x, Request((5,), shares=RAIN)))
    for nothing in (Request((5,)), Request((5,), shares=(("no", 1.0),))):
        assert torch.equal(method.restore(x, nothing), x)
        assert torch.equal(method.explain(x, nothing)["diffused"], x)
    with pytest.raises(UsageError, match="know no 'mould'"):
        method.restore(x, Request((5,), shares=(("mould", 1.0),)))


def test_shares_mix_the_words_of_the_classes() -> None:
    network = AutoDIRNet(TINY)
    half = (equal_shares("rain", CLASSES) + equal_shares("noise:5", CLASSES)) / 2
    assert torch.equal(half, equal_shares("noise:25,rain:0.5", CLASSES))
    words = [network.context(shares[None], CLASSES) for shares in (equal_shares("rain", CLASSES), half)]
    other = network.context(equal_shares("camera-noise", CLASSES)[None], CLASSES)
    torch.testing.assert_close(words[1], (words[0] + other) / 2)
    assert equal_shares("clean", CLASSES)[CLASSES.index("no")] == 1


def test_training_shares_add_up_and_name_what_is_wanted() -> None:
    generator = torch.Generator().manual_seed(0)
    for wanted, named in (((), {"no"}), (("rain:0.5", "noise:9"), {"rain", "noise"})):
        for _ in range(20):
            shares = training_shares(wanted, CLASSES, generator)
            assert float(shares.sum()) == pytest.approx(1)
            found = {name for name, share in zip(CLASSES, shares.tolist(), strict=True) if share}
            assert named <= found <= named | {"no"}
    with pytest.raises(UsageError, match="no 'haze'"):
        training_shares(("haze:1",), ("rain", "no"), generator)


def test_tiles_share_the_noise_of_the_picture() -> None:
    whole = window_noise((9,), (0, 0), (128, 192), 4, 8)
    part = window_noise((9,), (64, 128), (64, 64), 4, 8)
    for step in (0, 1):
        torch.testing.assert_close(part(step), whole(step)[:, :, 8:, 16:], rtol=0, atol=0)
    assert not torch.equal(whole(0), whole(1))


@pytest.mark.parametrize("stage", TRAINED)
def test_each_stage_trains_its_own_part_alone(stage: str) -> None:
    torch.manual_seed(0)
    settings = AutoDIRSettings(stage=stage, idle_share=0.2, sentences=8)  # type: ignore[arg-type]
    objective = objective_of(FINE if stage == "fine" else TINY, settings)
    degraded, clean = torch.rand(2, 2, 3, 32, 32)
    batch = Batch(degraded, clean, ("jpeg:20" if stage == "fine" else "rain:0.5", "noise:20"))
    optimiser = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    before = {key: tensor.clone() for key, tensor in objective.state_dict().items()}
    losses = []
    for _ in range(12):
        loss = objective(batch, 0)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    after = objective.state_dict()
    moved = {key.split(".")[1] for key, tensor in after.items() if not torch.equal(tensor, before[key])}
    assert moved == set(TRAINED[stage])
    with torch.inference_mode():
        assert objective.restore(degraded[:1], ("rain:0.5",)).shape == (1, 3, 32, 32)
        assert 0 <= objective.measure(degraded[:1], clean[:1], "rain:0.5") <= 100


@torch.inference_mode()
def test_untrained_it_hands_the_picture_back_and_ndr_is_a_start() -> None:
    objective = AutoDIRObjective(AutoDIRConfig(), AutoDIRSettings()).eval()
    x = picture()
    torch.testing.assert_close(objective.restore(x, ("rain",)), x, atol=1e-5, rtol=0)
    torch.manual_seed(0)
    ndr = NDRMethod(NDR_PRESETS["small-single"]).network.state_dict()
    found = objective.translated("ndr", ndr)
    own = objective.exported(objective.state_dict())
    taken = {key for key, tensor in found.items() if key in own and own[key].shape == tensor.shape}
    assert {key for key in own if key.startswith("corrector.")} - taken == {
        key for key in own if key.startswith("corrector.tell.")
    }
    torch.testing.assert_close(found["corrector.entry.weight"][:, :3], ndr["extractor.weight"])
    assert not found["corrector.entry.weight"][:, 3:].any()
    # The correction then restores what NDR-Restore restores where that recognises nothing.
    generator = torch.Generator().manual_seed(1)
    plain = NDRMethod(NDR_PRESETS["small-single"]).network
    for key, parameter in plain.named_parameters():
        silent = ".inject_degradation.f." in key or ".inject_degradation.g." in key
        parameter.copy_(
            0 * parameter if silent else parameter + 0.03 * torch.randn(parameter.shape, generator=generator)
        )
    own.update(objective.translated("ndr", plain.state_dict()))
    corrector = objective.network.corrector
    corrector.load_state_dict({key.removeprefix("corrector."): own[key] for key in own if key.startswith("corrector.")})
    restored = plain(x)
    assert (restored - x).abs().max() > 0.01
    diffused = torch.rand(x.shape, generator=generator)
    words = torch.rand(1, 3, objective.network.config.text_width, generator=generator)
    torch.testing.assert_close(diffused + corrector(x, diffused, words), restored, atol=1e-4, rtol=1e-4)
    assert from_ndr({}) == {}
