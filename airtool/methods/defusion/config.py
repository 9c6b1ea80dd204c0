"""Sizes and choices of Defusion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from airtool.degradations import DEGRADATIONS
from airtool.diffusion.ddim import Prediction
from airtool.diffusion.schedule import CosineSchedule, LinearSchedule, Schedule
from airtool.errors import AirtoolError
from airtool.methods.configs import config_from
from airtool.methods.defusion import FACTS
from airtool.methods.defusion.adm_unet import ADMUNetConfig
from airtool.methods.defusion.grounds import KINDS, SMALLEST_SIDE, Kind
from airtool.methods.defusion.local_unet import LocalUNetConfig
from airtool.networks.vqgan import VQGANConfig

Condition = Literal["instruction", "label", "none"]
Space = Literal["degradation", "image"]
UNetConfig = ADMUNetConfig | LocalUNetConfig

UNETS: Mapping[str, type[UNetConfig]] = {"adm": ADMUNetConfig, "local": LocalUNetConfig}
"""Configs of U-Nets by their `kind`."""

NAMES = tuple(DEGRADATIONS)
"""What our training teaches, by the names that the user types."""


@dataclass(frozen=True)
class DefusionConfig:
    """Sizes of Defusion. The defaults are the ``paper`` preset: the tokenizer is the published one; of the U-Net the
    paper gives the kind only."""

    unet: UNetConfig = field(default_factory=ADMUNetConfig)
    """The network that predicts the degradation."""
    tokenizer: VQGANConfig = field(default_factory=VQGANConfig)
    """The network that turns an instruction into tokens."""
    canvas: int = 256
    """Side in pixels of a ground. The paper gives the crop alone."""
    view: int = 224
    """Side in pixels of the part of it that is looked at: its centre, or any part in training; a multiple of the
    tokenizer's stride."""
    ground: Kind = "te42"
    """What instructions are shown on; the paper's ablation has other grounds."""
    condition: Condition = "instruction"
    """How the network is told what to remove. For the ablation: "label", a learned vector for each name in place of
    the paper's text, or "none", not at all."""
    space: Space = "degradation"
    """What is diffused: the degradation, degraded minus restored, or for the ablation the restored picture itself."""
    prediction: Prediction = "eps"
    """What the network predicts: the noise as published, the clean quantity, or the velocity."""
    schedule: Literal["linear", "cosine"] = "linear"
    """How the noise grows with the time step. The paper does not give it."""
    gain: float = 1.0
    """Factor on what is diffused, from [-2, 2]. Degradations are small beside noise of variance 1: a gain above 1 lets
    later evaluations see what earlier ones predicted. The paper has none."""
    evaluations: int = 4
    """Evaluations of the network for a picture."""
    names: tuple[str, ...] = NAMES
    """Degradations that the weights know."""
    fine_names: tuple[str, ...] = ()
    """What a second U-Net, of its own weights, removes where nothing else is asked for; (): there is none. Told by an
    example alone, the tokens say how far it is for that. See `NDRConfig.fine`; not published."""
    fine_refinement_blocks: int = 2
    """Its further blocks in the decoder; all else is as in the first (local U-Nets only)."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.names if name not in DEGRADATIONS]:
            raise ValueError(f"names has {unknown[0]!r}, which is none of {', '.join(DEGRADATIONS)}")
        if not self.names or len(set(self.names)) < len(self.names):
            raise ValueError("names must be there, each once")
        if set(self.fine_names) - set(self.names):
            raise ValueError("fine_names must be among the names")
        if self.fine_names and (not isinstance(self.unet, LocalUNetConfig) or self.condition == "none"):
            raise ValueError("fine_names must be empty for U-Nets that are not local, and where nothing is told")
        for what, value, allowed in (
            ("ground", self.ground, KINDS),
            ("condition", self.condition, ("instruction", "label", "none")),
            ("space", self.space, ("degradation", "image")),
            ("prediction", self.prediction, ("eps", "x0", "v")),
            ("schedule", self.schedule, tuple(SCHEDULES)),
        ):
            if value not in allowed:
                raise ValueError(f"{what} must be one of {', '.join(allowed)}, not {value!r}")
        if not SMALLEST_SIDE <= self.view <= self.canvas or self.view % self.tokenizer.stride:
            raise ValueError(
                f"view must be a multiple of {self.tokenizer.stride} from {SMALLEST_SIDE} to canvas, not {self.view}"
            )
        if self.gain <= 0 or self.evaluations < 1:
            raise ValueError("gain must be above 0 and evaluations at least 1")


SCHEDULES: Mapping[str, type[Schedule]] = {"linear": LinearSchedule, "cosine": CosineSchedule}


def read_config(values: Mapping[str, Any]) -> DefusionConfig:
    """The config from the plain values of a weights file. Raises AirtoolError when they do not fit."""
    unet, tokenizer = values.get("unet"), values.get("tokenizer")
    if not isinstance(unet, Mapping) or not isinstance(tokenizer, Mapping) or unet.get("kind") not in UNETS:
        raise AirtoolError(f"the weights file describes no {FACTS.title} network: its U-Net or tokenizer is unknown")
    kind: type[UNetConfig] = UNETS[unet["kind"]]
    parts = {
        "unet": config_from(kind, unet, FACTS.title),
        "tokenizer": config_from(VQGANConfig, tokenizer, FACTS.title),
    }
    return config_from(DefusionConfig, {**values, **parts}, FACTS.title)
