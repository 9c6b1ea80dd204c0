"""Grounds: clean canvases on which a degradation can show itself."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from airtool.errors import UsageError
from airtool.methods.defusion.grounds.colours import COLOURS
from airtool.methods.defusion.grounds.drawing import Texture, grid, inside, lch, mix
from airtool.methods.defusion.grounds.natural import NATURAL
from airtool.methods.defusion.grounds.regular import REGULAR
from airtool.methods.defusion.grounds.stochastic import STOCHASTIC
from airtool.metrics.protocols import Pixels

Kind = Literal["te42", "simple", "blank"]
"""A chart of four textures; a gradient with a few shapes; nothing but grey (the last two for the paper's ablation)."""

KINDS: tuple[Kind, ...] = get_args(Kind)

GROUPS: dict[str, tuple[Texture, ...]] = {
    "regular": REGULAR,
    "stochastic": STOCHASTIC,
    "natural": NATURAL,
    "colours": COLOURS,
}
"""The pool: every canvas of kind "te42" has one texture of each group."""

SMALLEST_SIDE = 32
"""Pixels. Below this a quarter has no room for its texture."""

MIDDLE_GREY = np.float32(0.5)


def ground(seed: int, side: int, kind: Kind = "te42") -> Pixels:
    """The clean canvas of a seed: float32 (side, side, 3), sRGB-encoded RGB in [0, 1].

    seed: 0 or above. The same seed shows the same textures in the same places at every side, drawn for that side: their
    finest detail is always as fine as the pixels allow. Raises UsageError for an unknown kind and a side below
    `SMALLEST_SIDE`.
    """
    kind = parse_kind(kind)
    if side < SMALLEST_SIDE:
        raise UsageError(f"a ground of {side} pixels is too small: choose at least {SMALLEST_SIDE}")
    if kind == "blank":
        return np.full((side, side, 3), MIDDLE_GREY, np.float32)
    rng = np.random.default_rng(seed)
    return _simple(rng, side) if kind == "simple" else _chart(rng, side)


def parse_kind(text: str) -> Kind:
    """A kind of ground by its name. Raises UsageError for any other."""
    for kind in KINDS:
        if text == kind:
            return kind
    raise UsageError(f"no ground is called {text!r}: choose {', '.join(KINDS)}")


def chosen_textures(rng: np.random.Generator) -> list[tuple[str, Texture, int]]:
    """One texture of each group in random order: its group, itself, and how many quarters it is turned."""
    chosen = [(name, textures[rng.integers(len(textures))], int(rng.integers(4))) for name, textures in GROUPS.items()]
    return [chosen[index] for index in rng.permutation(len(chosen))]


def quartered(quarters: Sequence[Pixels], side: int) -> Pixels:
    """Four patches as a canvas (side, side, 3): top left, top right, bottom left, bottom right.

    Each is (h, h, 3), h = `half(side)`. Where `side` is odd, the right and the lower patches lose a column or row.
    """
    top, bottom = np.concatenate(quarters[:2], axis=1), np.concatenate(quarters[2:], axis=1)
    return np.ascontiguousarray(np.concatenate([top, bottom])[:side, :side])


def half(side: int) -> int:
    """Side of the patches that `quartered` takes, in pixels."""
    return -(-side // 2)


def _chart(rng: np.random.Generator, side: int) -> Pixels:
    """Four textures, parted by a line of grey as on a printed chart."""
    chosen = chosen_textures(rng)
    # Each texture has its own stream, so how much one draws (which depends on the side) does not change the next.
    quarters = [
        np.rot90(texture(own, half(side)), turns)
        for (_, texture, turns), own in zip(chosen, rng.spawn(len(chosen)), strict=True)
    ]
    canvas = quartered(quarters, side)
    line = max(1, round(side / 128))
    middle = half(side)
    canvas[middle - line : middle + line] = MIDDLE_GREY
    canvas[:, middle - line : middle + line] = MIDDLE_GREY
    return np.clip(canvas, 0.0, 1.0, out=canvas)


def _simple(rng: np.random.Generator, side: int) -> Pixels:
    """A gradient between two shades of one colour, with a bar, a square and a disc on it."""
    hue, chroma = rng.uniform(0.0, 360.0), rng.uniform(10.0, 45.0)
    x, y = grid(side)
    across = x / np.float32(side) + np.float32(0.5)
    canvas = mix(lch(35.0, chroma, hue), lch(85.0, chroma, hue), across)
    size = np.float32(side)
    places = rng.uniform(-0.3, 0.3, (3, 2)).astype(np.float32) * size
    shapes = (
        np.float32(0.05) * size - np.abs(y - places[0, 1]),
        np.float32(0.13) * size - np.maximum(np.abs(x - places[1, 0]), np.abs(y - places[1, 1])),
        np.float32(0.15) * size - np.hypot(x - places[2, 0], y - places[2, 1]),
    )
    for distance, lightness in zip(shapes, (8.0, 96.0, 50.0), strict=True):
        canvas = mix(canvas, lch(lightness, chroma / 2, hue + 180.0), inside(distance))
    return np.clip(canvas, 0.0, 1.0).astype(np.float32)
