"""The autoencoder with a codebook."""

import json
from pathlib import Path

import pytest
import torch

from airtool.networks.vqgan import VQGAN, VQGANConfig
from airtool.networks.vqgan_codebook import Codebook

TINY = VQGANConfig(
    width=4, multipliers=(2, 1, 3), blocks=1, attention_levels=(1,), features=6, codes=5, code_dim=3, groups=2
)


def test_defaults_have_the_published_tensors(reference_folder: Path) -> None:
    published = json.loads((reference_folder / "defusion_state_dict.json").read_text())
    with torch.device("meta"):
        network = VQGAN(VQGANConfig())
    assert {key: list(tensor.shape) for key, tensor in network.state_dict().items()} == published
    assert sum(parameter.numel() for parameter in network.parameters()) == 72_141_699
    assert VQGANConfig().stride == 16


def test_features_become_their_nearest_codes_exactly() -> None:
    torch.manual_seed(0)
    book, features = Codebook(7, 4), torch.randn(2, 4, 3, 5)
    codes = book.embedding.weight.detach()
    # Codes far from zero: adding and taking away the feature again would not give them back.
    codes.normal_(100.0)
    quantised = book(features + 100)
    by_hand = (features[:, :, None] + 100 - codes.T[None, :, :, None, None]).square().sum(1).argmin(1)
    assert torch.equal(quantised.indices, by_hand)
    assert torch.equal(quantised.codes, codes[by_hand].permute(0, 3, 1, 2))


def test_gradients_pass_straight_through_and_each_loss_moves_one_side() -> None:
    torch.manual_seed(0)
    book, features = Codebook(7, 4), torch.randn(1, 4, 2, 2, requires_grad=True)
    quantised, both = book(features), (features, book.embedding.weight)
    incoming = torch.randn_like(features)

    def gradients(value: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return torch.autograd.grad(value, both, retain_graph=True, allow_unused=True)

    through, none = gradients((quantised.codes * incoming).sum())
    assert through is not None
    assert torch.equal(through, incoming)
    assert none is None
    none, pulled = gradients(quantised.codebook_loss)
    assert none is None
    assert pulled is not None
    assert pulled.any(1).sum() == len(quantised.indices.unique())
    committed, none = gradients(quantised.commitment_loss)
    assert none is None
    torch.testing.assert_close(committed, (features - quantised.codes) * 2 / features.numel())
    torch.testing.assert_close(quantised.codebook_loss, quantised.commitment_loss)


def test_pictures_keep_their_size_and_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network, pictures = VQGAN(TINY), torch.rand(2, 3, 8, 12) * 2 - 1
    assert network.encode(pictures).shape == (2, TINY.code_dim, 8 // TINY.stride, 12 // TINY.stride)
    restored, quantised = network(pictures)
    assert restored.shape == pictures.shape
    ((restored - pictures).square().mean() + quantised.codebook_loss + quantised.commitment_loss).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    attending = {name.partition(".attn.")[0] for name in network.state_dict() if ".attn." in name}
    assert attending == {"encoder.down.1", "decoder.up.1"}


def test_sizes_that_cannot_be() -> None:
    for wrong in ({"width": 33}, {"attention_levels": (5,)}, {"multipliers": ()}, {"codes": 0}):
        with pytest.raises(ValueError, match=r"groups|attention_levels|sizes"):
            VQGANConfig(**wrong)  # type: ignore[arg-type]
