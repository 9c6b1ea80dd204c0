"""Local layers on one strip of a picture after the other: the same numbers, from less memory and from nearer to it.

A block of a network widens its input and narrows it again. Over a whole picture what lies in between is many times
larger than a processor's cache, goes out to the memory and comes back; over a few rows it stays where it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

STRIP_BYTES = 2 << 20
"""Of a block's input in one strip: with what it is widened to, a few MiB."""

LEAST_ROWS = 16
"""Rows of a strip at least: each costs a row or two more than it gives."""

LEAST_NORM = 1e-12
"""What a channel's norm counts for at least, as in `torch.nn.functional.normalize`."""


@dataclass(frozen=True)
class Strip:
    """Rows `top` to `bottom` of a picture, and what layers have to see for them: rows `first` to `last`."""

    first: int
    top: int
    bottom: int
    last: int

    def seen(self, x: Tensor) -> Tensor:
        """The rows of the whole x (N, C, H, W) that layers have to see."""
        return x[:, :, self.first : self.last]

    def own(self, made: Tensor) -> Tensor:
        """The strip's rows of what layers made of those."""
        return made[:, :, self.top - self.first : self.bottom - self.first]


def strips_of(x: Tensor, halo: int) -> list[Strip]:
    """Strips of x (N, C, H, W) where they pay: on a CPU, without gradients, for a single picture. Else x is one strip.

    halo: rows that layers have to see on each side. A compiler that traces the network sees one strip.
    """
    height, width = x.shape[2:]
    rows = max(LEAST_ROWS, STRIP_BYTES // (width * x.shape[1] * x.element_size()))
    if x.device.type != "cpu" or torch.is_grad_enabled() or torch.jit.is_tracing() or len(x) > 1:
        rows = height
    ends = ((top, min(top + rows, height)) for top in range(0, height, rows))
    return [Strip(max(top - halo, 0), top, bottom, min(bottom + halo, height)) for top, bottom in ends]


def in_strips(layers: Callable[..., Tensor], x: Tensor, *beside: Tensor, halo: int = 1, spend: bool = False) -> Tensor:
    """layers(x, *beside), computed strip by strip where that pays.

    layers: from tensors (N, C, H, W) of any H to one (N, C', H, W); every row of its result depends on the same row and
    on at most `halo` rows on each side, of all its tensors, and on whether these are the last ones. beside: maps of the
    same H and W. spend: nobody needs x afterwards, so the result may take its place.
    """
    strips = strips_of(x, halo)
    if len(strips) == 1:
        return layers(x, *beside)
    whole: Tensor | None = None
    above = x[:, :, :0]  # rows of x that the result has overwritten already
    for strip in strips:
        part = torch.cat([above, x[:, :, strip.top : strip.last]], 2) if above.shape[2] else strip.seen(x)
        made = strip.own(layers(part, *map(strip.seen, beside)))
        if spend and whole is None and made.shape[1] == x.shape[1] and made.dtype == x.dtype:
            whole = x
        if whole is x and halo:
            above = x[:, :, max(strip.bottom - halo, 0) : strip.bottom].clone()
        whole = _put(whole, made, strip, x.shape[2])
    assert whole is not None
    return whole


def joined(layer: Callable[[Tensor], Tensor], *maps: Tensor) -> Tensor:
    """layer(torch.cat(maps, 1)) for a layer that takes each pixel by itself; the whole of the maps is never copied."""
    return in_strips(lambda *parts: layer(torch.cat(parts, 1)), *maps, halo=0)


def attend_in_strips(
    project: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], x: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """What attention between channels needs of a picture: the cosines between queries and keys, and the values.

    project: from x (N, C, H, W) of any H to queries, keys and values of that shape, each row from the same row and its
    neighbours. Returns cosines (N, heads, C / heads, C / heads), at least in float32, and values (N, C, H, W). Products
    and norms are sums over the pixels, so queries and keys are never there for the whole picture at once.
    """
    strips = strips_of(x, halo=1)
    products: list[Tensor] = []
    norms: list[tuple[Tensor, Tensor]] = []
    values: Tensor | None = None
    for strip in strips:
        q, k, v = map(strip.own, project(strip.seen(x)))
        # At least in float32, also under autocast: with 8 bits many cosines would be equal.
        precise = torch.promote_types(q.dtype, torch.float32)
        q, k = (each.to(precise).unflatten(1, (heads, -1)).flatten(3) for each in (q, k))
        with torch.autocast(x.device.type, enabled=False):
            products.append(q @ k.transpose(-2, -1))
            norms.append((torch.linalg.vector_norm(q, dim=-1), torch.linalg.vector_norm(k, dim=-1)))
        values = v if len(strips) == 1 else _put(values, v, strip, x.shape[2])
    assert values is not None
    left, right = (
        torch.linalg.vector_norm(torch.stack(each), dim=0).clamp_min(LEAST_NORM) for each in zip(*norms, strict=True)
    )
    return torch.stack(products).sum(0) / left[..., None] / right[..., None, :], values


def _put(whole: Tensor | None, made: Tensor, strip: Strip, height: int) -> Tensor:
    """The whole map with a strip's rows in it; made when there is none yet."""
    if whole is None:
        shape = (len(made), made.shape[1], height, made.shape[3])
        whole = torch.empty(shape, dtype=made.dtype, memory_format=torch.channels_last)
    whole[:, :, strip.top : strip.bottom] = made
    return whole
