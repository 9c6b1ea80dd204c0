"""What of a picture goes through the network, one after the other: reduced copies, and the picture itself."""

from airtool.engine.settings import Settings
from airtool.engine.tiles import Pixels
from airtool.engine.tone import LONGEST, average, copy_size
from airtool.engine.wanted import Wanted
from airtool.errors import PictureError

WEATHER_SIZES = (400_000, 1_600_000)
"""Pixels of the copies from which weather is removed first, each if a picture has at least twice as many."""

Size = tuple[int, int]
"""Width and height."""


def passes(rgb: Pixels, settings: Settings, wanted: Wanted) -> list[tuple[Size, Wanted]]:
    """The size of everything that is restored of a picture (H, W, 3), smallest first, and what is asked of each.

    Work sizes decide where there are any. Else weather is first removed from copies, in which it is as large as in
    training, since a streak in a large photograph may be longer than a tile; then follows the picture. Not with tiles
    off, where people want the network's own answer, and not from copies of strips that are longer than `LONGEST`, which
    are a help only. Raises PictureError where a work size asks for such a copy.
    """
    if settings.work_size:
        return [(size, wanted) for size in _sizes(rgb, settings)]
    height, width = rgb.shape[:2]
    whole = (width, height), wanted
    weather = wanted.weather() if settings.tile != 0 else None
    if weather is None:
        return [whole]
    copies = [copy_size(rgb, each) for each in WEATHER_SIZES if 2 * each <= height * width]
    return [*((size, weather) for size in copies if max(size) <= LONGEST), whole]


def seen(rgb: Pixels, settings: Settings) -> Pixels:
    """By what to judge what is wrong with a picture: itself, or the smallest copy that is restored in its place.

    Raises as `passes`.
    """
    width, height = _sizes(rgb, settings)[0]
    return rgb if (height, width) == rgb.shape[:2] else average(rgb, (width, height))


def _sizes(rgb: Pixels, settings: Settings) -> list[Size]:
    """Of the copies for the work sizes, and of the picture unless all of them are below it. Raises as `passes`."""
    height, width = rgb.shape[:2]
    pixels = [size * 1e6 for size in settings.work_size]
    smaller = [copy_size(rgb, each) for each in pixels if each < height * width]
    for (w, h), size in zip(smaller, settings.work_size, strict=False):
        if max(w, h) > LONGEST:
            raise PictureError(
                f"at a work size of {size:g} megapixels it has {w} x {h} pixels, and {LONGEST} a side are possible: "
                "choose a smaller --work-size, or leave it out"
            )
    return smaller if len(pixels) == len(smaller) > 0 else [*smaller, (width, height)]
