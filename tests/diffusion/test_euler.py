"""Euler ancestral against the noise levels of AutoDIR's authors, and against what it must do on its own."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from airtool.diffusion.euler import ancestral, sigmas
from airtool.diffusion.schedule import ScaledLinearSchedule


@pytest.mark.parametrize("count", [5, 10, 20])
def test_noise_levels_are_the_authors(count: int, reference_folder: Path) -> None:
    expected = json.loads((reference_folder / "autodir_sampler_sigmas.json").read_text())[f"sigmas_{count}"]
    levels, times = sigmas(ScaledLinearSchedule(), count)
    assert levels == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert (times[0], times[-1], len(times)) == (999.0, 0.0, count)


def test_a_perfect_denoiser_is_led_to_the_clean_latent() -> None:
    clean = torch.linspace(-1, 1, 48).reshape(1, 3, 4, 4).double()
    schedule = ScaledLinearSchedule()
    levels, times = sigmas(schedule, 12)
    steps: list[int] = []

    def denoise(x: Tensor, t: float) -> Tensor:
        sigma = levels[times.index(t)]
        return (x * (sigma**2 + 1) ** 0.5 - clean) / sigma

    def fresh(step: int) -> Tensor:
        steps.append(step)
        return torch.randn(clean.shape, generator=torch.Generator().manual_seed(step), dtype=torch.float64)

    found = ancestral(denoise, torch.randn(clean.shape, dtype=torch.float64), fresh, schedule, 12)
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-9)
    assert steps == list(range(11)), "fresh noise after every step but the last"
    with pytest.raises(ValueError, match="at least two"):
        sigmas(schedule, 1)
