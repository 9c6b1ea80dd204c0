"""AutoDIR's correction, which was trained longest, as the start of two other methods' networks."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from airtool.methods.autodir.corrector import Corrector
from airtool.methods.dfpir.method import PRESETS as DFPIR
from airtool.methods.dfpir.method import DFPIRMethod
from airtool.methods.dfpir.official import PERTURBATIONS
from airtool.methods.objective import Objective
from airtool.methods.up_restorer.method import PRESETS as UP_RESTORER
from airtool.methods.up_restorer.method import UpRestorerMethod
from airtool.methods.weights import embedded_path, read_weights

WORDS = 5
SMALL = {"dim": 8, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 4)}


@pytest.fixture
def correction() -> Corrector:
    generator = torch.Generator().manual_seed(1)
    network = Corrector(8, (1, 2, 1, 1), 1, WORDS, True).requires_grad_(False)
    for name, parameter in network.named_parameters():
        # What it hears stays at nothing, as the borrowers do not hear it.
        if not name.startswith("tell."):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network


def borrow(objective: Objective, correction: Corrector) -> tuple[Mapping[str, Tensor], set[str]]:
    """What `airtool train --start-from` copies, and what it finds nothing for."""
    given = objective.translated("autodir", {f"corrector.{key}": each for key, each in correction.state_dict().items()})
    own = objective.exported(objective.state_dict())
    assert {key: own[key].shape for key in given} == {key: tensor.shape for key, tensor in given.items()}
    for key, tensor in given.items():
        own[key].copy_(tensor)
    return given, own.keys() - given.keys()


@torch.no_grad()
def test_up_restorer_begins_as_the_correction(correction: Corrector) -> None:
    objective = UpRestorerMethod.objective(replace(UP_RESTORER["small"], **SMALL), {"identity_start": True})
    borrow(objective, correction)
    degraded = 2 * torch.rand(2, 3, 16, 24) - 1
    wanted = correction(degraded, degraded, torch.zeros(2, 3, WORDS)) + degraded
    assert (wanted - degraded).abs().max() > 0.1
    for t in (999.0, 0.0):
        ours = objective.network(degraded, torch.randn(2, 3, 16, 24), torch.full((2,), t))
        torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_dfpir_begins_with_the_corrections_encoder_and_decoder(correction: Corrector) -> None:
    # The correction sees grey beyond the border, and dfpir black.
    centre = torch.zeros(3, 3)
    centre[1, 1] = 1
    correction.entry.weight.mul_(centre)
    objective = DFPIRMethod.objective(replace(DFPIR["small"], **SMALL), {})
    _, missing = borrow(objective, correction)
    assert missing == {key for key in objective.exported(objective.state_dict()) if key.startswith(PERTURBATIONS)}
    network, x = objective.network, torch.rand(1, 3, 16, 16)
    both = (2 * x - 1).repeat(1, 2, 1, 1)
    theirs = correction.encoder_level2(correction.down1_2(correction.encoder_level1(correction.entry(both))))
    ours = network.encoder_level2(network.down1_2(network.encoder_level1(network.patch_embed(x))))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    up, skip, feature = torch.rand(1, 32, 4, 4), torch.rand(1, 32, 4, 4), torch.rand(1, 16, 16, 16)
    joined = torch.cat([up, skip], 1)
    torch.testing.assert_close(network.reduce_chan_level3(joined), correction.reduce_chan_level3(joined))
    torch.testing.assert_close(network.output(feature), correction.output(feature) / 2)


@pytest.mark.parametrize("method", [DFPIRMethod, UpRestorerMethod])
def test_the_embedded_correction_fits_the_small_presets(method: type) -> None:
    objective = method.objective(method.presets["small"], {})
    own = objective.exported(objective.state_dict())
    given = objective.translated("autodir", read_weights(embedded_path("autodir", "small")).tensors)
    assert len(given) > 280
    assert {key: own[key].shape for key in given} == {key: tensor.shape for key, tensor in given.items()}
