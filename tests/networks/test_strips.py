"""Strips of a picture give the numbers of the whole, and are taken only where that pays."""

import pytest
import torch
from torch import Tensor, nn

from airtool.methods.defusion.bridge import Modulation
from airtool.methods.defusion.local_unet import Crossing, ModulatedBlock
from airtool.networks import strips
from airtool.networks.c2f_dft import DFTConfig, DiffusionTransformerBlock
from airtool.networks.nafnet import NAFBlock
from airtool.networks.restormer import TransformerBlock, TransposedAttention
from airtool.networks.stages import stage

CHANNELS, HEIGHT, WIDTH = 8, 75, 24


def shaken(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module.eval()


def feature() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, CHANNELS, HEIGHT, WIDTH, generator=generator).contiguous(memory_format=torch.channels_last)


def blocks() -> list[tuple[nn.Module, tuple[object, ...]]]:
    dft = DFTConfig(dim=CHANNELS, heads=(1, 1, 1, 1))
    timed = DiffusionTransformerBlock(CHANNELS, TransposedAttention(CHANNELS, 1), dft)
    maps = nn.Conv2d(3, 3 * CHANNELS, 1)
    crossing = Crossing(torch.randn(1, 3, *feature().shape[2:]), lambda part: Modulation(*maps(part).chunk(3, dim=1)))
    return [
        (NAFBlock(CHANNELS, channel_attention=False), ()),
        (TransformerBlock(CHANNELS, 2), ()),
        (timed, (torch.randn(1, CHANNELS, 1, 1),)),
        (ModulatedBlock(CHANNELS, 6), (torch.randn(1, 6),)),
        (ModulatedBlock(CHANNELS, 6), (torch.randn(1, 6), crossing)),
    ]


@pytest.mark.parametrize("number", range(5))
def test_every_block_gives_the_same_in_strips(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    block, beside = blocks()[number]
    shaken(block)
    with torch.inference_mode():
        whole = block(feature(), *beside)
        monkeypatch.setattr(strips, "STRIP_BYTES", 1)
        monkeypatch.setattr(strips, "LEAST_ROWS", 7)
        cut = block(feature(), *beside)
        x = feature()
        spent = block(x, *beside, spend=True)
    assert cut.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(cut, whole, rtol=0, atol=2e-6)
    assert torch.equal(spent, cut)
    assert spent.data_ptr() == x.data_ptr()


def test_what_a_strip_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", 1)
    heights: list[int] = []

    def layers(x: Tensor) -> Tensor:
        heights.append(x.shape[2])
        return x

    x = feature()
    with torch.inference_mode():
        assert torch.equal(strips.in_strips(layers, x), x)
        assert heights == [17, 18, 18, 18, 12]
        # Pieces of several pictures would not lie in one piece of memory, and small pictures fit into a cache anyway.
        for whole in (torch.cat([x, x]), x[:, :, :16]):
            heights.clear()
            strips.in_strips(layers, whole)
            assert heights == [whole.shape[2]]
    heights.clear()
    strips.in_strips(layers, x)  # with gradients, cut pieces would cost what they save
    assert heights == [HEIGHT]


def test_attention_gathered_from_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the formula over the whole picture; every row of the values in its place."""
    attention = shaken(TransposedAttention(CHANNELS, 2))
    x = 3 * feature()
    q, k, v = attention.qkv_dwconv(attention.qkv(x)).reshape(1, 3, 2, CHANNELS // 2, -1).unbind(1)
    expected = nn.functional.normalize(q, dim=-1) @ nn.functional.normalize(k, dim=-1).transpose(-2, -1)
    handed = attention.project_out(((expected * attention.temperature).softmax(-1) @ v).reshape(x.shape))
    monkeypatch.setattr(strips, "STRIP_BYTES", 1)
    with torch.inference_mode():
        assert len(strips.strips_of(x, 1)) == 5
        cosines, values = strips.attend_in_strips(attention.project, x, heads=2)
        torch.testing.assert_close(attention(x), handed, rtol=0, atol=2e-6)
    torch.testing.assert_close(cosines, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(values.reshape(v.shape), v, rtol=0, atol=2e-6)


def test_channels_without_any_value_have_no_direction() -> None:
    def project(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return 0 * x, x, x

    x = feature().requires_grad_()
    cosines, _ = strips.attend_in_strips(project, x, heads=2)
    cosines.sum().backward()
    assert not cosines.any()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_what_is_spent_is_the_first_input_of_no_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", 1)
    run = shaken(stage("nafnet", 3, CHANNELS, 1, 1.0, False, "WithBias"))
    x = feature()
    with torch.inference_mode():
        once, again = run(x), run(x)
    assert torch.equal(once, again)
    assert torch.equal(x, feature())


def test_too_small_a_halo_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "STRIP_BYTES", 1)
    wide = shaken(nn.Conv2d(CHANNELS, CHANNELS, 5, padding=2))
    with torch.inference_mode():
        whole = wide(feature())
        assert (strips.in_strips(wide, feature(), halo=1) - whole).abs().max() > 1e-3
        torch.testing.assert_close(strips.in_strips(wide, feature(), halo=2), whole, rtol=0, atol=2e-6)
