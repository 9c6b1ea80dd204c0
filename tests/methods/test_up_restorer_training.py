"""The two stages of Up-Restorer's training, and its start from NDR-Restore's weights."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from airtool.diffusion.schedule import antithetic_times
from airtool.errors import UsageError
from airtool.methods.base import Request
from airtool.methods.ndr.network import NDRConfig, RestorationNet
from airtool.methods.objective import Batch
from airtool.methods.up_restorer.method import PRESETS, UpRestorerMethod
from airtool.methods.up_restorer.network import UpRestorerConfig
from airtool.methods.up_restorer.objective import UpRestorerObjective
from airtool.networks.ssim_loss import ms_ssim, ssim

SIZES: dict[str, Any] = {"dim": 8, "blocks": (1, 2, 1, 1), "heads": (1, 2, 2, 4)}
TINY = UpRestorerConfig(**SIZES)
TINY_LOCAL = replace(PRESETS["small-single"], **SIZES)
NDR = NDRConfig(dim=8, blocks=(1, 2, 1, 1), refinement_blocks=1, block="nafnet", residual=True, rank=2)


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def scattered(network: nn.Module, seed: int = 1) -> nn.Module:
    """Every parameter moved off its initial value, which may be zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return network


DEGRADED, CLEAN = pictures(2, 3, 3, 16, 16)
BATCH = Batch(DEGRADED, CLEAN, ("clean", "noise:9", "rain:0.3"))


def objective(config: UpRestorerConfig = TINY_LOCAL, **settings: Any) -> UpRestorerObjective:
    torch.manual_seed(0)
    made = UpRestorerMethod.objective(config, settings)
    scattered(made.network)
    return made


def test_time_steps_come_with_their_mirror_images() -> None:
    t = antithetic_times(7, 1000, torch.Generator().manual_seed(5))
    assert t.shape == (7,)
    assert torch.equal(t[:3], 999 - t[4:])
    many = antithetic_times(4000, 1000, torch.Generator().manual_seed(5))
    assert (many.min(), many.max()) == (0, 999)


@pytest.mark.parametrize("stage", ["noise", "unrolled"])
def test_what_is_random_depends_on_the_step_alone(stage: str) -> None:
    """So a run that was resumed sees what an uninterrupted one sees."""
    first = objective(stage=stage)
    steps = [float(first(BATCH, step)["loss"].detach()) for step in (0, 1, 2)]
    torch.manual_seed(99)
    resumed = objective(stage=stage)
    torch.rand(3)
    assert float(resumed(BATCH, 2)["loss"].detach()) == steps[2]
    assert len(set(steps)) == 3


@pytest.mark.parametrize("config", [TINY, TINY_LOCAL], ids=["published", "local"])
def test_the_noise_stage_is_the_error_of_the_prediction(config: UpRestorerConfig) -> None:
    made = objective(config)
    degraded, clean = 2 * DEGRADED - 1, 2 * CLEAN - 1
    t, noise = torch.tensor([0, 500, 999]), torch.randn(3, 3, 16, 16)
    share = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[t].view(3, 1, 1, 1)
    noisy = (share.sqrt() * clean + (1 - share).sqrt() * noise).float()
    predicted = made.network(degraded, noisy, t)
    wanted = (predicted - (noise if config is TINY else clean)).abs().mean()
    torch.testing.assert_close(made.noise_loss(degraded, clean, t, noise, 0), wanted)


def test_the_unrolled_stage_judges_what_the_sampler_makes() -> None:
    made = objective(stage="unrolled", alpha=0.3)
    noise = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    *_, last = made.network.trajectory(2 * DEGRADED - 1, noise)
    losses = made(BATCH, 4)
    clean = 2 * CLEAN - 1
    torch.testing.assert_close(losses["distance"], (last.x - clean).abs().mean().detach())
    torch.testing.assert_close(losses["similarity"], ssim(last.x, clean, 2.0).detach())
    wanted = 0.3 * (1 - losses["similarity"]) + 0.7 * losses["distance"]
    torch.testing.assert_close(losses["loss"].detach(), wanted)
    multi = objective(stage="unrolled", similarity="ms-ssim", data_range=255.0)(BATCH, 4)
    torch.testing.assert_close(multi["similarity"], ms_ssim(last.x, clean, 255.0).detach())


def test_the_psnr_of_the_result_is_a_loss_too() -> None:
    made = UpRestorerMethod.objective(
        TINY_LOCAL, {"stage": "unrolled", "alpha": 0.0, "loss": "psnr", "floor": [[0, 1e-3]], "identity_start": True}
    )
    # From an identity start the result is the input.
    squared = (2 * DEGRADED - 2 * CLEAN).square().mean((1, 2, 3))
    losses = made(BATCH, 1)
    torch.testing.assert_close(losses["loss"].detach(), torch.log10(squared + 1e-3).mean())
    assert "similarity" not in losses
    torch.testing.assert_close(made.restore(DEGRADED, BATCH.labels), DEGRADED, atol=1e-6, rtol=0)


def test_gradients_go_through_as_many_evaluations_as_asked() -> None:
    made = objective(stage="unrolled")
    network, degraded = made.network, 2 * DEGRADED - 1
    start = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def gradient(with_gradient: int | None) -> Tensor:
        *_, last = network.trajectory(degraded, start, with_gradient)
        return torch.autograd.grad(last.x.square().mean(), network.get_parameter("backbone.output.weight"))[0]

    with torch.no_grad():
        *_, before, _ = network.trajectory(degraded, start)
    last = network(degraded, before.x, torch.zeros(3))
    only_last = torch.autograd.grad(last.square().mean(), network.get_parameter("backbone.output.weight"))[0]
    torch.testing.assert_close(gradient(1), only_last)
    torch.testing.assert_close(gradient(4), gradient(None))
    assert (gradient(None) - only_last).norm() > 1e-4 * only_last.norm()


def test_a_trajectory_may_end_early_with_the_clean_picture_as_predicted_there() -> None:
    network, degraded = objective(stage="unrolled").network, 2 * DEGRADED - 1
    start = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = list(network.trajectory(degraded, start))
        for count in (1, 2, 3):
            ended = list(network.trajectory(degraded, start, evaluations=count))
            assert [evaluation.t for evaluation in ended] == list(network.times[:count])
            torch.testing.assert_close(ended[-1].x, whole[count - 1].x0)
    *_, second = network.trajectory(degraded, start, with_gradient=1, evaluations=2)
    weight = network.get_parameter("backbone.output.weight")
    alone = network(degraded, whole[0].x, torch.full((3,), 666.0))
    gradients = [torch.autograd.grad(x.square().mean(), weight)[0] for x in (second.x, alone)]
    torch.testing.assert_close(*gradients)


def test_the_asked_share_of_steps_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(share: float) -> list[int]:
        made = objective(stage="unrolled", early_share=share)
        seen = []
        monkeypatch.setattr(made, "unrolled_loss", lambda *taken: seen.append(taken[-1]) or {"loss": torch.zeros(())})
        for step in range(400):
            made(BATCH, step)
        return seen

    assert set(ends(0.0)) == {4}
    some = ends(0.75)
    assert set(some) == {1, 2, 3, 4}
    # 300 expected of 400, spread evenly over the three: four standard deviations.
    assert abs(400 - some.count(4) - 300) < 35
    assert all(abs(some.count(count) - 100) < 35 for count in (1, 2, 3))
    assert some == ends(0.75)


@pytest.mark.parametrize(("config", "stage"), [(TINY, "noise"), (TINY_LOCAL, "unrolled")])
def test_everything_learns(config: UpRestorerConfig, stage: str) -> None:
    made = objective(config, stage=stage)
    made(BATCH, 0)["loss"].backward()
    silent = [key for key, each in made.named_parameters() if each.grad is None or not each.grad.abs().max() > 0]
    assert silent == []


def test_validation_restores_as_the_finished_method() -> None:
    made = UpRestorerMethod.objective(TINY_LOCAL, {})
    finished = UpRestorerMethod(TINY_LOCAL)
    finished.network.load_state_dict(made.exported(made.state_dict()), strict=True)
    with torch.no_grad():
        restored = made.restore(DEGRADED, BATCH.labels)
    torch.testing.assert_close(restored, finished.restore(DEGRADED, Request()), atol=1e-5, rtol=1e-4)


def test_ndr_gives_its_backbone() -> None:
    """Without recognition in its skips, and with nothing at the border, every evaluation is NDR-Restore."""
    ndr = RestorationNet(NDR, nn.Parameter(torch.randn(1, NDR.atoms, NDR.atom_dim))).eval()
    scattered(ndr).requires_grad_(False)
    for key, parameter in ndr.named_parameters():
        if ".inject_degradation.f." in key or ".inject_degradation.g." in key:
            parameter.zero_()
    only_centre = torch.zeros(3, 3)
    only_centre[1, 1] = 1
    ndr.extractor.weight.mul_(only_centre)
    # As `airtool.training.start` does.
    made = UpRestorerMethod.objective(TINY_LOCAL, {"identity_start": True})
    own = made.exported(made.state_dict())
    given = made.translated("ndr", ndr.state_dict())
    taken = [key for key, tensor in own.items() if key in given and given[key].shape == tensor.shape]
    for key in taken:
        own[key].copy_(given[key])
    assert set(given) <= set(taken)
    with torch.no_grad():
        for t in (999.0, 0.0):
            ours = made.network(2 * DEGRADED - 1, torch.randn(3, 3, 16, 16), torch.full((3,), t))
            torch.testing.assert_close((ours + 1) / 2, ndr(DEGRADED), atol=1e-4, rtol=1e-4)
        assert (ndr(DEGRADED) - DEGRADED).abs().max() > 0.01
    same = {"x": torch.zeros(1)}
    assert made.translated("up-restorer", same) == same


@pytest.mark.parametrize(
    "settings",
    [
        {"stage": "third"}, {"similarity": "lpips"}, {"alpha": 1.5}, {"data_range": 0.0},
        {"evaluations_with_gradient": 0}, {"early_share": 1.5}, {"loss": "l2"}, {"stranger": 1},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"\[objective\] of the recipe"):
        UpRestorerMethod.objective(TINY, settings)


def test_ssim_is_that_of_scikit_image() -> None:
    """In a frame of zeros, where both see the same beyond the border."""
    framed = torch.zeros(2, 1, 2, 40, 44)
    framed[..., 11:-11, 11:-11] = pictures(2, 1, 2, 18, 22)
    theirs = structural_similarity(
        *framed[:, 0].numpy(), channel_axis=0, data_range=2.0, gaussian_weights=True, sigma=1.5,
        use_sample_covariance=False,
    )  # fmt: skip
    # Theirs leaves out 5 pixels at each side, where ours is 1.
    inner, whole = (40 - 10) * (44 - 10), 40 * 44
    assert float(ssim(framed[0], framed[1], 2.0)) == pytest.approx((theirs * inner + whole - inner) / whole, abs=1e-5)


def test_similarities_at_their_limits() -> None:
    same = pictures(1, 3, 16, 16)
    assert float(ssim(same, same, 1.0)) == pytest.approx(1)
    assert float(ms_ssim(same, same, 1.0)) == pytest.approx(1)
    opposite = (1 - same).requires_grad_()
    similarity = ms_ssim(same, opposite, 1.0)
    similarity.backward()
    assert torch.isfinite(similarity)
    assert opposite.grad is not None
    assert torch.isfinite(opposite.grad).all()
    with pytest.raises(ValueError, match="at least 16 pixels, not 8"):
        ms_ssim(same[..., :8], same[..., :8], 1.0)
