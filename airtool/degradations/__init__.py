"""The physics of what goes wrong in photographs: seeded, float32, documented by equation."""

from airtool.degradations.base import Degradation
from airtool.degradations.defocus import DEFOCUS
from airtool.degradations.downsample import DOWNSAMPLE
from airtool.degradations.haze import HAZE
from airtool.degradations.jpeg import JPEG
from airtool.degradations.lowlight import LOW_LIGHT
from airtool.degradations.motion_blur import MOTION_BLUR
from airtool.degradations.noise import CAMERA_NOISE, NOISE, PHOTO_NOISE
from airtool.degradations.rain import RAIN
from airtool.degradations.raindrop import RAINDROP
from airtool.degradations.snow import SNOW

DEGRADATIONS: dict[str, Degradation] = {
    "noise": NOISE,
    "camera-noise": CAMERA_NOISE,
    "photo-noise": PHOTO_NOISE,
    "rain": RAIN,
    "haze": HAZE,
    "motion-blur": MOTION_BLUR,
    "defocus": DEFOCUS,
    "low-light": LOW_LIGHT,
    "snow": SNOW,
    "raindrop": RAINDROP,
    "jpeg": JPEG,
    "downsample": DOWNSAMPLE,
}
"""Every degradation by the name that the user types."""

DETAILS = ("noise", "blur", "low resolution", "JPEG")
"""Labels of what lies in a picture's details, not in its scene: what our small networks have a second network for."""


def lies_in_details(degraded: str) -> bool:
    """Whether all that a picture suffers from, "noise:25" or "defocus:2,noise:10", lies in its details.

    Not so for what is clean, nor for what no degradation here is called.
    """
    found = [DEGRADATIONS.get(each.partition(":")[0]) for each in degraded.split(",")]
    return all(each is not None and each.label in DETAILS for each in found)


__all__ = ["DEGRADATIONS", "DETAILS", "Degradation", "lies_in_details"]
