"""AutoDIR's correction, which was trained longest, as the start of DFPIR's network."""

from dataclasses import replace

import pytest
import torch

from airtool.methods.autodir.corrector import Corrector
from airtool.methods.dfpir.method import PRESETS, DFPIRMethod
from airtool.methods.dfpir.official import PERTURBATIONS
from airtool.methods.weights import embedded_path, read_weights

WORDS = 5
SMALL = {"dim": 8, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 4)}


@pytest.fixture
def correction() -> Corrector:
    generator = torch.Generator().manual_seed(1)
    network = Corrector(8, (1, 2, 1, 1), 1, WORDS, True).requires_grad_(False)
    for name, parameter in network.named_parameters():
        # What it hears stays at nothing, as the borrower does not hear it.
        if not name.startswith("tell."):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network


@torch.no_grad()
def test_dfpir_begins_with_the_corrections_encoder_and_decoder(correction: Corrector) -> None:
    objective = DFPIRMethod.objective(replace(PRESETS["small"], **SMALL), {})
    given = objective.translated("autodir", {f"corrector.{key}": each for key, each in correction.state_dict().items()})
    own = objective.exported(objective.state_dict())
    assert own.keys() - given.keys() == {key for key in own if key.startswith(PERTURBATIONS)}
    assert {key: own[key].shape for key in given} == {key: tensor.shape for key, tensor in given.items()}
    network, x = objective.network, torch.rand(1, 3, 16, 16)
    network.load_state_dict({**own, **given})
    both = x.repeat(1, 2, 1, 1)
    theirs = correction.encoder_level2(correction.down1_2(correction.encoder_level1(correction.entry(both))))
    ours = network.encoder_level2(network.down1_2(network.encoder_level1(network.patch_embed(x))))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    joined, feature = torch.rand(1, 64, 4, 4), torch.rand(1, 16, 16, 16)
    torch.testing.assert_close(network.reduce_chan_level3(joined), correction.reduce_chan_level3(joined))
    torch.testing.assert_close(network.refinement(feature), correction.refinement(feature))
    torch.testing.assert_close(network.output(feature), correction.output(feature))


def test_the_embedded_correction_fits_the_small_preset() -> None:
    objective = DFPIRMethod.objective(PRESETS["small"], {})
    own = objective.exported(objective.state_dict())
    given = objective.translated("autodir", read_weights(embedded_path("autodir", "small")).tensors)
    assert len(given) > 280
    assert {key: own[key].shape for key in given} == {key: tensor.shape for key, tensor in given.items()}
