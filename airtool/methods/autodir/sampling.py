"""From a degraded picture to I_sd: the latent diffusion as both sizes of AutoDIR run it."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from airtool.diffusion.ddim import result, sample, trailing
from airtool.diffusion.euler import ancestral
from airtool.diffusion.field import noise_window
from airtool.diffusion.schedule import ScaledLinearSchedule

SCHEDULE = ScaledLinearSchedule()

Noise = Callable[[int], Tensor]
"""Standard normal noise for step number i, of the latents' shape; number 0 is the start."""


class System(Protocol):
    """The networks of AutoDIR, of whatever size. Pictures are (N, 3, H, W) in [-1, 1]."""

    config: Any
    latent_channels: int
    latent_factor: int

    def context(self, shares: Tensor, classes: Sequence[str]) -> Tensor: ...
    def context_of(self, prompt: str) -> Tensor: ...
    def encode(self, pictures: Tensor) -> Tensor: ...
    def decode(self, latents: Tensor) -> Tensor: ...
    def denoise(self, z: Tensor, t: Tensor, image_latent: Tensor, context: Tensor) -> Tensor: ...
    def correct(self, degraded: Tensor, diffused: Tensor, context: Tensor, asked: Collection[str] = ()) -> Tensor: ...


def diffuse(system: System, degraded: Tensor, context: Tensor, noise: Noise) -> Tensor:
    """I_sd for pictures (N, 3, H, W) in [-1, 1], as the sampler of the system's config draws it.

    No branch without text or without picture is computed: at a guidance of 1 they cancel out.
    """
    config = system.config
    image_latent = system.encode(degraded)

    def predict(z: Tensor, t: float) -> Tensor:
        return system.denoise(z.to(degraded.dtype), z.new_full((len(z),), t), image_latent, context)

    start = noise(0).to(degraded.device)
    if config.sampler == "euler-a":
        latent = ancestral(
            predict, start, lambda step: noise(step + 1).to(degraded.device), SCHEDULE, config.sampling_steps
        )
    else:
        times = trailing(config.sampling_steps, SCHEDULE.steps)
        latent = result(sample(predict, start, SCHEDULE, times, config.prediction))
    return system.decode(latent.to(degraded.dtype))


def window_noise(
    seeds: tuple[int, ...], place: tuple[int, int], size: tuple[int, int], channels: int, factor: int
) -> Noise:
    """Each picture's own noise: windows of fields without end, so that tiles share what they overlap in.

    place, size: (top, left) and (height, width) in pixels of the picture. A field for each step.
    """
    top, left, height, width = (each // factor for each in (*place, *size))

    def step_noise(step: int) -> Tensor:
        windows = [noise_window(seed + step, top, left, height, width, channels) for seed in seeds]
        return torch.stack(windows)

    return step_noise
