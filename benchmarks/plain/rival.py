"""From a method of airtool to its plain rival: the same weights, and the same inputs for the same picture."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.diffusion.field import noise_window
from airtool.engine.session import picture_seed
from airtool.engine.tiles import Pixels
from airtool.methods.autodir.vocabulary import class_of
from airtool.methods.base import Method
from airtool.methods.defusion.requests import wanted_steps
from airtool.methods.dfpir.prompts import asked_labels
from plain.autodir import PlainAutoDIR
from plain.autodir_published import PlainPublishedAutoDIR
from plain.defusion import LocalUNet, PlainDefusion
from plain.defusion_adm import ADMUNet
from plain.dfpir import PlainDFPIR
from plain.ndr import PlainNDR
from plain.up_restorer import PlainUpRestorer

UNUSED = {"autodir": ("language.", "clip."), "defusion": ("tokenizer.", "fine_share.")}
"""What a weights file holds besides the restoring network: how sentences are understood, how charts become tokens and
which U-Net examples without a name ask for; the published AutoDIR's CLIP."""


@dataclass(frozen=True)
class Rival:
    """A plain network and what it gets besides one picture."""

    network: nn.Module
    inputs: tuple[Any, ...]
    multiple: int
    device: torch.device

    @torch.no_grad()
    def restore(self, rgb: Pixels) -> Pixels:
        """(H, W, 3) float32 in [0, 1] to the restored picture, as the test scripts of papers do it.

        Full float32 on GPUs too, whose convolutions PyTorch would round to TF32 unasked: ours does not do that either.
        """
        height, width = rgb.shape[:2]
        x = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None].to(self.device)
        x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple), mode="reflect")
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            out = torch.clamp(self.network(x, *self.inputs), 0, 1)[:, :, :height, :width]
        return np.ascontiguousarray(out[0].cpu().numpy().transpose(1, 2, 0))


def rival_of(method: Method, rgb: Pixels, degradation: tuple[str, ...], seed: int, device: torch.device) -> Rival:
    """The rival with the weights of `method`, ready for the picture `rgb`, whose noise and instruction a run of that
    seed would draw. method: still on the CPU.

    degradation: what a method that has to be told is told. Raises ValueError where there is no rival.
    """
    name, multiple = method.facts.name, method.facts.size_multiple
    if name not in RIVALS:
        raise ValueError(f"{name} has no plain rival")
    size = (rgb.shape[0] + -rgb.shape[0] % multiple, rgb.shape[1] + -rgb.shape[1] % multiple)
    with torch.no_grad():
        network, inputs = RIVALS[name](method, degradation, picture_seed(rgb, seed), size)
    state = {
        key: value for key, value in method.network.state_dict().items() if not key.startswith(UNUSED.get(name, ("-",)))
    }
    network.load_state_dict(state)
    network.eval().requires_grad_(False).to(device)
    moved = tuple(each.to(device) if isinstance(each, Tensor) else each for each in inputs)
    return Rival(network, moved, multiple, device)


Made = tuple[nn.Module, tuple[Any, ...]]


def _ndr(method: Method, degradation: tuple[str, ...], seed: int, size: tuple[int, int]) -> Made:
    return PlainNDR(method.config), ()


def _dfpir(method: Method, degradation: tuple[str, ...], seed: int, size: tuple[int, int]) -> Made:
    labels = method.config.labels
    [label] = asked_labels(degradation, labels)
    return PlainDFPIR(method.config), (labels.index(label),)


def _up_restorer(method: Method, degradation: tuple[str, ...], seed: int, size: tuple[int, int]) -> Made:
    return PlainUpRestorer(method.config), (noise_window(seed, 0, 0, *size)[None],)


def _autodir(method: Method, degradation: tuple[str, ...], seed: int, size: tuple[int, int]) -> Made:
    config, system = method.config, cast(Any, method.network)
    shares = torch.zeros(1, len(config.classes))
    for each in degradation:
        shares[0, config.classes.index(class_of(each))] += 1 / len(degradation)
    latent = (size[0] // system.latent_factor, size[1] // system.latent_factor, config.latent_channels)
    if config.kind == "small":
        start = noise_window(seed, 0, 0, *latent)[None]
        return PlainAutoDIR(config, method.network.get_buffer("sentences.tokens")), (shares, start)
    noise = [noise_window(seed + step, 0, 0, *latent)[None] for step in range(config.sampling_steps)]
    unet, vae = (copy.deepcopy(each) for each in (system.unet, system.vae))
    return PlainPublishedAutoDIR(config, unet, vae), (system.context(shares, config.classes), noise)


def _defusion(method: Method, degradation: tuple[str, ...], seed: int, size: tuple[int, int]) -> Made:
    config, system = method.config, cast(Any, method.network)
    kind = LocalUNet if config.unet.kind == "local" else ADMUNet
    wanted = wanted_steps(degradation, config.names)
    tokens, start = system.tokens([wanted], [seed]), noise_window(seed, 0, 0, *size)[None]
    sizes = [config.unet]
    if config.fine_names:
        sizes.append(replace(config.unet, refinement_blocks=config.fine_refinement_blocks))
    unets = [kind(each, config.tokenizer.code_dim) for each in sizes]
    return PlainDefusion(config, *unets), (tokens, start, {step.name for step in wanted} <= set(config.fine_names))


RIVALS: dict[str, Callable[[Method, tuple[str, ...], int, tuple[int, int]], Made]] = {
    "ndr": _ndr,
    "dfpir": _dfpir,
    "up-restorer": _up_restorer,
    "autodir": _autodir,
    "defusion": _defusion,
}
