"""Up-Restorer behind the contract of a method."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.diffusion.field import noise_window
from airtool.errors import UsageError
from airtool.methods.base import Request
from airtool.methods.configs import config_from
from airtool.methods.objective import objective_from
from airtool.methods.up_restorer import FACTS
from airtool.methods.up_restorer.network import UpRestorerConfig, UpRestorerNet
from airtool.methods.up_restorer.objective import UpRestorerObjective, UpRestorerSettings
from airtool.methods.up_restorer.official import convert
from airtool.networks.c2f_dft import STAGES

SMALL_SINGLE = UpRestorerConfig(
    dim=16,
    blocks=(1, 2, 3, 4),
    bias=True,
    mix_level1=True,
    refinement_blocks=1,
    local_stages=STAGES,
    closing_attention=("latent", "decoder_level3"),
    prediction="x0",
)

PRESETS = {
    "small": replace(SMALL_SINGLE, fine=True),
    "small-single": SMALL_SINGLE,
    "paper": UpRestorerConfig(),
    "small-no-queries": replace(SMALL_SINGLE, queries=False),
    "small-no-prompts": replace(SMALL_SINGLE, prompts=False),
}
"""small: with a second network for the details. The last two are there to measure what the paper's modules bring."""

SPREAD = 3.0
"""Standard deviations of the noise map on each side of mid-grey."""


class UpRestorerMethod:
    """Up-Restorer, blind."""

    facts = FACTS
    presets: Mapping[str, UpRestorerConfig] = PRESETS

    def __init__(self, config: UpRestorerConfig) -> None:
        self.config = config
        self.network: nn.Module = UpRestorerNet(config).eval().requires_grad_(False)

    @property
    def _net(self) -> UpRestorerNet:
        return cast("UpRestorerNet", self.network)

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        # One by one: a picture must not change by a rounding with the company it keeps.
        rows = self._started(pictures, request)
        return torch.cat([self._restore(picture, start, request.survey) for picture, start in rows])

    def _restore(self, picture: Tensor, start: Tensor, fine_share: float | None) -> Tensor:
        return ((self._net.restored(2 * picture - 1, start, fine_share) + 1) / 2).to(picture.dtype)

    def survey(self, pictures: Tensor) -> float | None:
        """How far what a picture, seen in crops (N, 3, H, W), suffers from lies in its details, 0 to 1.

        None where there is no second network for that.
        """
        return self._net.survey(2 * pictures - 1)

    def explain(self, pictures: Tensor, request: Request) -> dict[str, Tensor]:
        """What the finest Prompt Block estimates at the last evaluation, (N, 1, H, W) each, to be looked at; of the
        network that has the larger part in the picture.

        "transmission": t of Eq. 14 as it is, in (0, 1). "noise": N of Eq. 14, mid-grey where it is the picture's mean
        and black or white three standard deviations from it: features have no unit. Raises UsageError for weights
        without Prompt Blocks.
        """
        rows = self._started(pictures, request)
        maps = [self._explain(picture, start, request.survey) for picture, start in rows]
        return {name: torch.cat([each[name] for each in maps]) for name in FACTS.explains}

    def _explain(self, picture: Tensor, start: Tensor, fine_share: float | None) -> dict[str, Tensor]:
        degraded, x = 2 * picture - 1, start
        network, _ = max(self._net.asked(degraded, fine_share), key=lambda asked: asked[1])
        for evaluation in islice(network.trajectory(degraded, start), len(network.times) - 1):
            x = evaluation.x
        _, upgrade = network.predict(degraded, x.to(degraded.dtype), x.new_full((1,), network.times[-1]))
        if upgrade is None:
            raise UsageError("these weights of up-restorer have no Prompt Blocks: there is nothing to show")
        t, noise = (
            F.interpolate(each.float(), picture.shape[-2:], mode="bilinear", align_corners=False)
            for each in (upgrade.t, upgrade.N)
        )
        deviation = (noise - noise.mean()) / (noise.std(correction=0) + 1e-12)
        return {"transmission": t.clamp(0, 1), "noise": (0.5 + deviation / (2 * SPREAD)).clamp(0, 1)}

    def _started(self, pictures: Tensor, request: Request) -> list[tuple[Tensor, Tensor]]:
        """Each picture (1, 3, H, W) with its own noise, float32, of the whole picture that the batch is a part of."""
        seeds = request.seeds or (0,) * len(pictures)
        height, width = pictures.shape[-2:]
        starts = [noise_window(seed, *request.place, height, width)[None] for seed in seeds]
        return [
            (picture, start.to(pictures.device, memory_format=torch.channels_last))
            for picture, start in zip(pictures.split(1), starts, strict=True)
        ]

    def bytes_per_pixel(self, strips: bool) -> int:
        # The peak is at full resolution in the decoder, on 2 * dim channels: measured 13 such tensors with local
        # blocks and 19 with the published ones, whose query, key, value and feed-forward are three and four wide; in
        # strips 5 of either, and the C library's heap keeps more.
        whole = 14 if "decoder_level1" in self.config.local_stages else 20
        return 4 * 2 * self.config.dim * (9 if strips else whole)

    @classmethod
    def config_from(cls, values: Mapping[str, Any]) -> UpRestorerConfig:
        return config_from(UpRestorerConfig, values, FACTS.title)

    @classmethod
    def objective(cls, config: UpRestorerConfig, settings: Mapping[str, Any]) -> UpRestorerObjective:
        return objective_from(UpRestorerObjective, config, UpRestorerSettings, settings)

    from_official = staticmethod(convert)
