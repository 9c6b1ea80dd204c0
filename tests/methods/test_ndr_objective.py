"""The losses of NDR-Restore say what they should."""

import math
from dataclasses import replace

import pytest
import torch

from airtool.methods.ndr.network import NDRConfig
from airtool.methods.ndr.objective import NDRObjective, NDRSettings
from airtool.methods.objective import Batch

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


@pytest.mark.parametrize("settings", [{"loss": "l2"}, {"floor": []}, {"floor": [[0, 0.0]]}, {"degradation_every": 0}])
def test_settings_that_make_no_sense(settings: dict) -> None:
    with pytest.raises(ValueError, match="must be"):
        NDRSettings(**settings)
