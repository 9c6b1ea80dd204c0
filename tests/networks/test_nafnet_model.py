"""The whole NAFNet."""

import json
from pathlib import Path

import pytest
import torch

from airtool.networks.nafnet_model import NAFNet, NAFNetConfig

TINY = NAFNetConfig(in_channels=4, out_channels=3, width=4, encoder_blocks=(1, 1), decoder_blocks=(1, 1))


def moved(config: NAFNetConfig) -> NAFNet:
    """Every parameter off its initial value, so that no block is the identity."""
    torch.manual_seed(0)
    network = NAFNet(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    return network


def test_autodirs_correction_has_the_published_tensors(reference_folder: Path) -> None:
    published = json.loads((reference_folder / "autodir_nafnet_scm_state_dict.json").read_text())
    with torch.device("meta"):
        network = NAFNet(NAFNetConfig())
    assert {key: list(tensor.shape) for key, tensor in network.state_dict().items()} == published
    assert sum(parameter.numel() for parameter in network.parameters()) == 115_984_643


def test_any_size_is_filled_up_with_zeros_and_cut_back() -> None:
    network, x = moved(TINY), torch.rand(2, 4, 5, 7)
    filled = torch.zeros(2, 4, 8, 8)
    filled[..., :5, :7] = x
    assert torch.equal(network(x), network(filled)[..., :5, :7])


def test_weight_scales_what_is_added_to_the_last_channels() -> None:
    network, x = moved(TINY), torch.rand(1, 4, 8, 8)
    assert torch.equal(network(x, weight=0.0), x[:, 1:])
    assert network.correction(x).abs().max() > 0.01
    torch.testing.assert_close(network(x, weight=0.1), x[:, 1:] + 0.1 * network.correction(x))


def test_without_channel_attention_far_pixels_do_not_matter() -> None:
    x = torch.rand(1, 4, 4, 128)
    other = x.clone()
    other[..., -1] = 0
    for channel_attention in (False, True):
        config = NAFNetConfig(4, 3, 4, (1, 1), 1, (1, 1), channel_attention)
        network = moved(config)
        assert torch.equal(network(x)[..., :32], network(other)[..., :32]) != channel_attention


def test_sizes_that_cannot_be() -> None:
    for wrong in ({"decoder_blocks": (1, 1)}, {"out_channels": 7}, {"width": 0}, {"middle_blocks": -1}):
        with pytest.raises(ValueError, match="must"):
            NAFNetConfig(**wrong)  # type: ignore[arg-type]
