"""AutoDIR's restoration behind the contract of a method: one step, told what to remove.

`airtool.engine.iterate` makes the loop of it.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from airtool.degradations import DETAILS
from airtool.errors import UsageError
from airtool.methods.autodir import FACTS
from airtool.methods.autodir.network import AutoDIRConfig, AutoDIRNet
from airtool.methods.autodir.objective import AutoDIRObjective, AutoDIRSettings
from airtool.methods.autodir.official import convert
from airtool.methods.autodir.part_objectives import objective_of
from airtool.methods.autodir.published import PublishedConfig, PublishedSystem
from airtool.methods.autodir.sampling import System, diffuse, window_noise
from airtool.methods.autodir.understanding import shares_of
from airtool.methods.autodir.vocabulary import NOTHING
from airtool.methods.base import Request
from airtool.methods.configs import config_from
from airtool.methods.objective import objective_from

Config = AutoDIRConfig | PublishedConfig

PRESETS: Mapping[str, Config] = {
    "small": AutoDIRConfig(fine_classes=DETAILS),
    "small-single": AutoDIRConfig(),  # before the stage that adds the second correction
    "small-packed": AutoDIRConfig(corrector_dim=36, corrector_pack=2),
    "paper": PublishedConfig(),
}

LOW_RESOLUTION = "low resolution"
"""The class for which the paper takes the correction back."""


class AutoDIRMethod:
    """AutoDIR, prompted."""

    facts = FACTS
    presets = PRESETS

    def __init__(self, config: Config) -> None:
        self.config = config
        system = AutoDIRNet(config) if isinstance(config, AutoDIRConfig) else PublishedSystem(config)
        self.network: nn.Module = system.eval().requires_grad_(False)

    @property
    def _system(self) -> System:
        return cast("System", self.network)

    def classes(self) -> tuple[str, ...]:
        return self.config.classes

    def understand(self, prompt: str) -> tuple[tuple[str, float], ...]:
        if isinstance(self.network, AutoDIRNet):
            return shares_of(self.network.language.understand(prompt))
        self._system.context_of(prompt)  # raises for a sentence that it cannot read
        return ()

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        """Eq. 7, in the authors' order: the correction looks at what the diffusion drew.

        Asked for nothing, gives the pictures back, as the authors stop at "no". Raises UsageError for a class that
        these weights do not know.
        """
        words = self._words(request, pictures.device)
        if _asks_for_nothing(request):
            return pictures
        return torch.cat([self._restore(each, drawn, words, request) for each, drawn in self._drawn(pictures, request)])

    def _restore(self, picture: Tensor, diffused: Tensor, words: Tensor, request: Request) -> Tensor:
        asked = [name for name, _ in request.shares]
        correction = self._system.correct(2 * picture - 1, diffused.to(picture.dtype), words, asked)
        return ((diffused + self._weight(request) * correction + 1) / 2).to(picture.dtype)

    def explain(self, pictures: Tensor, request: Request) -> dict[str, Tensor]:
        """ "diffused": I_sd of Eq. 7, what the latent diffusion draws before the correction, (N, 3, H, W) in [0, 1];
        the pictures themselves where nothing was asked for."""
        if _asks_for_nothing(request):
            return {"diffused": pictures.float()}
        drawn = [diffused for _, diffused in self._drawn(pictures, request)]
        return {"diffused": ((torch.cat(drawn).float() + 1) / 2).clamp(0, 1)}

    def _drawn(self, pictures: Tensor, request: Request) -> list[tuple[Tensor, Tensor]]:
        """Each picture (1, 3, H, W) with I_sd in [-1, 1].

        One by one: a picture must not change by a rounding with the company it keeps.
        """
        words, size = self._words(request, pictures.device), (pictures.shape[2], pictures.shape[3])
        seeds, system = request.seeds or (0,) * len(pictures), self._system
        drawn = []
        for picture, seed in zip(pictures.split(1), seeds, strict=True):
            noise = window_noise((seed,), request.place, size, system.latent_channels, system.latent_factor)
            drawn.append((picture, diffuse(system, 2 * picture - 1, words, noise)))
        return drawn

    def _words(self, request: Request, device: torch.device) -> Tensor:
        if request.prompt and not request.shares:
            return self._system.context_of(request.prompt)
        shares, classes = torch.zeros(1, len(self.config.classes)), self.config.classes
        for name, share in request.shares or ((NOTHING, 1.0),):
            if name not in classes:
                raise UsageError(f"these weights of autodir know no {name!r}: they know {', '.join(classes)}")
            shares[0, classes.index(name)] += share
        return self._system.context(shares.to(device), classes)

    def _weight(self, request: Request) -> float:
        """w of Eq. 7."""
        if request.structure_weight is not None:
            return request.structure_weight
        dominant = max(request.shares, key=lambda item: item[1], default=("", 0.0))[0]
        return self.config.low_resolution_weight if dominant == LOW_RESOLUTION else 1.0

    def bytes_per_pixel(self, strips: bool) -> int:
        if isinstance(self.config, AutoDIRConfig):
            # The peak is in the correction's finest decoder, as in NDR-Restore's, with two pictures more; measured in
            # strips: 3.6 tensors of 2 * dim channels.
            tensors = 5 if strips else 9
            return 4 * (2 * self.config.corrector_dim * tensors // self.config.corrector_pack**2 + 6)
        # The autoencoder's finest level: its convolutions unfold nine times as much as they hold.
        return 4 * self.config.vae_widths[0] * 12

    @classmethod
    def config_from(cls, values: Mapping[str, Any]) -> Config:
        if values.get("kind") == "small":
            return config_from(AutoDIRConfig, values, FACTS.title)
        return config_from(PublishedConfig, values, FACTS.title)

    @classmethod
    def objective(cls, config: Config, settings: Mapping[str, Any]) -> AutoDIRObjective:
        """Raises UsageError for settings that are unknown or make no sense, and for the published size."""
        if not isinstance(config, AutoDIRConfig):
            raise UsageError("the published size of autodir cannot be trained here: choose preset small")
        return objective_from(objective_of, config, AutoDIRSettings, settings)

    from_official = staticmethod(convert)


def _asks_for_nothing(request: Request) -> bool:
    return not request.prompt and all(name == NOTHING for name, _ in request.shares)
