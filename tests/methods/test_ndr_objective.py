"""The losses of NDR-Restore say what they should."""

import math
from dataclasses import replace

import pytest
import torch
from test_second_networks import trained_to_choose

from airtool.degradations import lies_in_details
from airtool.errors import UsageError
from airtool.methods.base import Request
from airtool.methods.ndr.method import PRESETS, NDRMethod
from airtool.methods.ndr.network import NDRConfig
from airtool.methods.ndr.objective import NDRObjective, NDRSettings
from airtool.methods.objective import Batch
from airtool.methods.weights import embedded_path, read_weights
from airtool.training.recipe import load_recipe, shipped

SIZES = NDRConfig(dim=8, blocks=(1, 1, 1, 1), refinement_blocks=1, block="nafnet", residual=True, degrad_dim=8, rank=2)
CLEAN = torch.full((2, 3, 16, 16), 0.5)
DEGRADED = CLEAN + torch.tensor([0.1, 0.2]).view(2, 1, 1, 1)
BATCH = Batch(DEGRADED, CLEAN, ("noise:25", "noise:25"))


def loss(step: int = 1, **settings: object) -> float:
    # With an identity start the untrained network returns its input, so the errors are 0.1 and 0.2 exactly.
    objective = NDRObjective(SIZES, NDRSettings(identity_start=True, degradation_every=2, **settings))
    return float(objective(BATCH, step)["restoration"])


def test_each_loss_by_hand() -> None:
    assert loss(loss="l1") == pytest.approx(0.15)
    assert loss(loss="rmse", floor=[[0, 1e-12]]) == pytest.approx(0.15)
    expected = (math.log10(0.01 + 1e-3) + math.log10(0.04 + 1e-3)) / 2
    assert loss(loss="psnr", floor=[[0, 1e-3]]) == pytest.approx(expected, rel=1e-5)


def test_the_floor_falls_geometrically() -> None:
    floor = [[10, 1e-2], [20, 1e-4]]
    for step, value in ((0, 1e-2), (10, 1e-2), (15, 1e-3), (20, 1e-4), (99, 1e-4)):
        assert loss(step, loss="psnr", floor=floor) == pytest.approx(loss(loss="psnr", floor=[[0, value]]), rel=1e-5)


def test_degrading_again_joins_at_its_steps_and_trains_the_dictionary() -> None:
    objective = NDRObjective(SIZES, NDRSettings(degradation_every=2, degradation_weight=1.0))
    without, joined = objective(BATCH, 1), objective(BATCH, 2)
    assert "degradation" not in without
    total = float(joined["restoration"] + joined["degradation"])
    assert joined["loss"].item() == pytest.approx(total)
    joined["degradation_only"] = joined["loss"] - objective(BATCH, 1)["loss"]
    joined["degradation_only"].backward()
    gradient = objective.both.degradation_representations.grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_a_network_that_recognises_nothing_is_the_backbone_alone() -> None:
    plain = NDRObjective(replace(SIZES, recognises=False), NDRSettings(degradation_every=1))
    assert "degradation" not in plain(BATCH, 0)
    full = NDRObjective(SIZES, NDRSettings())
    own, all_keys = (set(each.exported(each.state_dict())) for each in (plain, full))
    assert {key.partition(".")[0] for key in all_keys - own} == {"dr", "res_connect1", "res_connect2", "res_connect3"}
    assert own < all_keys


@pytest.mark.parametrize(
    "settings", [{"loss": "l2"}, {"floor": []}, {"floor": [[0, 0.0]]}, {"degradation_every": 0}, {"stage": "last"}]
)
def test_settings_that_make_no_sense(settings: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        NDRSettings(**settings)


# The second network

FINE = replace(SIZES, fine=True)


@torch.no_grad()
def shaken(objective: NDRObjective) -> NDRObjective:
    for parameter in objective.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.05)
    return objective.eval()


@torch.no_grad()
@pytest.mark.parametrize(("bias", "parts"), [(-50.0, "first"), (50.0, "fine"), (0.0, "both")])
def test_the_share_chooses_between_the_two_networks(bias: float, parts: str) -> None:
    network = shaken(NDRObjective(FINE, NDRSettings())).both.restoration_net
    assert network.fine is not None
    network.fine_share.last.weight.mul_(0.01)
    network.fine_share.last.bias.fill_(bias)
    x = torch.rand(2, 3, 16, 24)
    first = network.restore_and_recognise(x)[0]
    share = network.fine_share(network.encoded(x))
    second = network.fine(x)
    assert (first - second).abs().max() > 0.01
    expected = {"first": first, "fine": second, "both": first + share * (second - first)}[parts]
    assert ((share > 0) & (share < 1)).all() == (parts == "both")
    torch.testing.assert_close(network(x), expected)
    # A picture's result hangs on no other one.
    torch.testing.assert_close(network(x)[:1], network(x[:1]))


def test_the_fine_stage_begins_as_the_first_network_and_trains_the_second_alone() -> None:
    first = shaken(NDRObjective(SIZES, NDRSettings()))
    objective = NDRObjective(FINE, NDRSettings(stage="fine"))
    network = objective.both.restoration_net
    begun = objective.translated("ndr", first.exported(first.state_dict()))
    loaded = network.load_state_dict(begun, strict=False)
    assert not loaded.unexpected_keys
    assert {key.partition(".")[0] for key in loaded.missing_keys} == {"fine", "fine_share"}
    # Its further block changes nothing until it is learned.
    assert all(key.startswith(("fine.refinement.1.", "fine_share.")) for key in loaded.missing_keys)
    torch.testing.assert_close(objective.restore(DEGRADED, BATCH.labels), first.restore(DEGRADED, BATCH.labels))
    objective(BATCH, 0)["loss"].backward()
    assert learned(objective) == {"fine"}
    assert objective.translated("ndr", objective.exported(objective.state_dict())).keys() == network.state_dict().keys()
    for label in ("clean", "rain:0.4", "noise:25,rain:0.4", "my own pairs"):
        with pytest.raises(UsageError, match=f"second network is not for '{label}'"):
            objective(replace(BATCH, labels=("noise:25", label)), 0)


def learned(objective: NDRObjective) -> set[str]:
    names = {name for name, parameter in objective.both.named_parameters() if parameter.grad is not None}
    return {name.removeprefix("restoration_net.").partition(".")[0] for name in names}


def test_the_share_learns_to_tell_details_from_scenes() -> None:
    torch.manual_seed(3)
    objective = shaken(NDRObjective(FINE, NDRSettings(stage="share")))
    noisy, veiled = CLEAN + torch.randn_like(CLEAN) * 0.1, CLEAN * 0.3 + 0.6
    batch = Batch(
        torch.cat([noisy, veiled]), torch.cat([CLEAN, CLEAN]), ("noise:25", "photo-noise:1", "haze:0.6", "clean")
    )
    first = objective(batch, 0)["loss"]
    found = trained_to_choose(objective, batch)
    assert found["loss"] < 0.5 * first
    assert found["right"] == 1
    assert learned(objective) == {"fine_share"}


def test_what_lies_in_the_details() -> None:
    details = ("noise:3", "photo-noise", "jpeg:20", "defocus:2,noise:10", "downsample:2")
    assert all(lies_in_details(each) for each in details)
    assert not any(lies_in_details(each) for each in ("", "clean", "haze:0.2", "rain:0.4,noise:10", "of my own"))


def test_a_survey_decides_for_every_tile() -> None:
    """Means over crops of one picture are those of the picture; what it says overrules what a tile looks like."""
    torch.manual_seed(0)
    method = NDRMethod(replace(SIZES, fine=True))
    network = method.network
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    x = torch.rand(4, 3, 16, 24)
    levels = network.encoded(x)
    strip = [each.permute(1, 2, 0, 3).flatten(2)[None] for each in levels]  # the same values as one wide picture
    assert method.survey(x) == pytest.approx(float(network.fine_share(strip)), abs=1e-6)
    assert 0 < method.survey(x) < 1

    def restored(survey: float | None) -> torch.Tensor:
        return method.restore(x, Request(survey=survey))

    assert torch.equal(restored(1.0), network.fine(x))
    assert torch.equal(restored(0.0), network.restore_and_recognise(x)[0])
    assert torch.allclose(restored(0.25), torch.lerp(restored(0.0), restored(1.0), 0.25), atol=1e-6)
    assert NDRMethod(SIZES).survey(x) is None


def test_the_stages_of_the_second_network_need_one() -> None:
    with pytest.raises(UsageError, match="fine = true"):
        NDRMethod.objective(SIZES, {"stage": "fine"})


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("ndr-")])
def test_only_the_last_stages_have_the_second_network(name: str) -> None:
    """One that an earlier stage left as it began would answer for noise, and the fine stage would begin with it.

    "scene" comes after the stage that trains it.
    """
    recipe = load_recipe(name)
    stage = recipe.objective.get("stage", "first")
    assert PRESETS[recipe.preset].fine == (stage != "first" or name == "ndr-small-scene")
    if stage == "fine":
        assert all(lies_in_details(kind.replace("+", ",")) for kind in recipe.mix)


def test_the_embedded_second_correction_fits_the_fine_stage() -> None:
    objective = NDRMethod.objective(PRESETS["small"], {"stage": "fine"})
    own = objective.exported(objective.state_dict())
    theirs = read_weights(embedded_path("autodir", "small")).tensors
    given = objective.translated("autodir", theirs)
    assert len(given) > 280
    assert {key: own[key].shape for key in given} == {key: tensor.shape for key, tensor in given.items()}
    assert torch.equal(given["fine.bottom.0.conv1.weight"], theirs["fine_corrector.latent.0.conv1.weight"])
