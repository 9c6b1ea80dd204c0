"""AutoDIR's correction, which was trained longest, as the start of other methods' networks."""

from dataclasses import replace

import pytest
import torch

from airtool.methods.autodir.corrector import Corrector
from airtool.methods.defusion.local_unet import LocalUNetConfig
from airtool.methods.defusion.method import PRESETS as DEFUSION_PRESETS
from airtool.methods.defusion.method import DefusionMethod
from airtool.methods.defusion.objective import DegradationObjective
from airtool.methods.dfpir.method import PRESETS, DFPIRMethod
from airtool.methods.dfpir.official import PERTURBATIONS
from airtool.methods.ndr.method import PRESETS as NDR_PRESETS
from airtool.methods.ndr.method import NDRMethod
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
    objective = DFPIRMethod.objective(replace(PRESETS["small-single"], **SMALL), {})
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


@torch.no_grad()
def test_ndr_begins_as_the_correction(correction: Corrector) -> None:
    """Told nothing, and with skips that recognise nothing."""
    small = replace(NDR_PRESETS["small-single"], dim=8, blocks=(1, 2, 1, 1))
    objective = NDRMethod.objective(small, {})
    given = objective.translated("autodir", {f"corrector.{key}": each for key, each in correction.state_dict().items()})
    own = objective.exported(objective.state_dict())
    assert {key.partition(".")[0] for key in own.keys() - given.keys()} == {
        "dr", "res_connect1", "res_connect2", "res_connect3",
    }  # fmt: skip
    network = objective.both.restoration_net
    network.load_state_dict({**own, **given})
    for skip in (network.res_connect1, network.res_connect2, network.res_connect3):
        for part in (skip.inject_degradation.f, skip.inject_degradation.g):
            part.weight.zero_()
            part.bias.zero_()
    x = torch.rand(1, 3, 16, 16)
    learned = correction(x, x, torch.zeros(1, 1, WORDS))
    torch.testing.assert_close(network(x), x + learned)
    assert learned.abs().mean() > 0.01


def test_the_embedded_correction_fits_the_small_preset() -> None:
    theirs = read_weights(embedded_path("autodir", "small")).tensors
    for settings, start, source in (({}, "", "corrector"), ({"stage": "fine"}, "fine.", "fine_corrector")):
        objective = DFPIRMethod.objective(PRESETS["small"], settings)
        own, given = objective.exported(objective.state_dict()), objective.translated("autodir", theirs)
        assert len(given) > 280
        assert all(key.startswith(start) for key in given)
        assert {key: own[key].shape for key in given} == {key: tensor.shape for key, tensor in given.items()}
        assert torch.equal(given[f"{start}latent.0.conv1.weight"], theirs[f"{source}.latent.0.conv1.weight"])


@torch.no_grad()
def test_every_evaluation_of_defusion_begins_as_the_correction(correction: Corrector) -> None:
    """Told nothing, with nothing at the border, and with the blocks that it has beyond it at rest."""
    only_centre = torch.zeros(3, 3)
    only_centre[1, 1] = 1
    correction.entry.weight.mul_(only_centre)
    small = replace(DEFUSION_PRESETS["small"], unet=LocalUNetConfig(dim=8, blocks=(1, 3, 2, 2)))
    objective = DefusionMethod.objective(small, {})
    assert isinstance(objective, DegradationObjective)
    network = objective.network
    network.unet.encoder_level2[2].beta.fill_(1)
    network.unet.decoder_level3[1].gamma.fill_(1)
    given = objective.translated("autodir", {f"corrector.{key}": each for key, each in correction.state_dict().items()})
    own = network.state_dict()
    assert {key: own[key].shape for key in given} == {key: tensor.shape for key, tensor in given.items()}
    network.load_state_dict({**own, **given})
    degraded, noise = torch.rand(2, 3, 16, 16), torch.randn(2, 3, 16, 16)
    learned = correction(degraded, degraded, torch.zeros(2, 1, WORDS))
    tokens = torch.randn(2, 5, small.tokenizer.code_dim)
    predicted = network(noise, 2 * degraded - 1, torch.full((2,), 999.0), tokens)
    torch.testing.assert_close(network.restored(2 * degraded - 1, predicted), 2 * (degraded + learned) - 1)
    assert learned.abs().mean() > 0.01


def test_other_sizes_of_autodir_give_defusion_nothing() -> None:
    objective = DefusionMethod.objective(DEFUSION_PRESETS["small"], {})
    assert not objective.translated("autodir", {"corrector.intro.weight": torch.zeros(3)})
