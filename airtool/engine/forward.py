"""One picture's way through a network: whole or in tiles, again when memory or precision did not suffice."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from typing import cast

import numpy as np
import torch
from torch import Tensor

from airtool.engine import padding, tone
from airtool.engine.look import crops
from airtool.engine.memory import is_out_of_memory
from airtool.engine.settings import SMALLEST_TILE
from airtool.engine.tiles import Pixels, axis, run_tiled
from airtool.engine.unspoilt import unspoilt
from airtool.errors import PictureError
from airtool.heap import return_heap
from airtool.methods.base import Method, Request, SurveyingMethod

FLIPS = ((), (3,), (2,), (2, 3))
"""The versions of a piece (1, 3, H, W) that a self-ensemble restores, each as the axes over which it is flipped."""

SURVEYED = 4
"""Crops along each side by which a method surveys a picture."""


class Forward:
    """Restores one picture with one method. Made anew for each picture, because it learns how large tiles may be.

    method: its network lies on `device` in float32. dtype: bfloat16 computes convolutions and products in it.
    largest: (height, width) in pixels of what may go through the network at once. ensemble: of `FLIPS`, how many
    versions of a piece are restored and averaged (Timofte et al., CVPR 2016, "enhanced prediction"; without its quarter
    turns, since networks know rain as it falls). may_shrink: as `airtool.engine.settings.Settings` has it.
    """

    def __init__(
        self,
        method: Method,
        request: Request,
        device: torch.device,
        dtype: torch.dtype,
        largest: tuple[int, int],
        ensemble: int = 1,
        *,
        may_shrink: bool = True,
    ) -> None:
        self.method = method
        self.request = request
        self.device = device
        self.dtype = dtype
        self.flips = FLIPS[:ensemble]
        self.may_shrink = may_shrink
        self.largest = self._whole_multiples(*largest)
        self.used = (0, 0)
        """(height, width) of the largest piece that went through the network."""
        self.short_of_memory = False
        """Whether pieces had to be made smaller than planned."""

    def restore(self, source: Pixels, target: Pixels) -> None:
        """Restore `source` (H, W, 3), float32 in [0, 1], into `target` of the same shape, type and range.

        `target` may be `source`. Tiles get the tone of the whole, unless they are exact anyway. Raises PictureError
        when memory does not suffice for the smallest tile, or when the network gives no finite result even in float32.
        """
        if self.method.facts.tiling == "exact":
            self._restore(source, target, (0, 0))
            return
        if self._fits(source):
            restored = self._piece(source, 0, 0)
            # Where memory was too short for the whole, it has come out of tiles after all.
            small = None if self._fits(source) else tone.reduced(source, self.largest)
            target[:] = restored
        else:
            small = tone.reduced(source, self.largest)
            self._restore(source, target, (0, 0))
        if small is not None:
            self._match_tone(small, target)

    def _match_tone(self, small: Pixels, target: Pixels) -> None:
        """Bring what came out of tiles to the tone that the network gives the whole picture at a reduced size."""
        if not self._fits(small):  # tiles have become smaller since
            reduced = tone.reduced(small, self.largest)
            if reduced is None:
                return
            small = reduced
        used = self.used
        try:
            wanted = self._attempt(small, replace(self.request, place=(0, 0)))
        except PictureError:
            wanted = None  # the tiles did well
        self.used = used  # reports tell the size of tiles
        if wanted is not None and tone.changes_tone(small, wanted):
            tone.tone_map(tone.average(target, (small.shape[1], small.shape[0])), wanted).apply(target)

    def _restore(self, source: Pixels, target: Pixels, place: tuple[int, int]) -> None:
        """The same for a part of the picture whose first pixel lies at `place` (row, column)."""
        height, width = source.shape[:2]
        if self._fits(source):
            target[:] = self._piece(source, *place)
        else:
            facts = self.method.facts
            if facts.surveys and self.request.survey is None:  # still the whole picture: parts of it find this done
                self.request = replace(self.request, survey=self._survey(source))
            rows = axis(height, self.largest[0], facts.overlap, facts.size_multiple)
            columns = axis(width, self.largest[1], facts.overlap, facts.size_multiple)
            run_tiled(source, target, rows, columns, lambda tile, y, x: self._piece(tile, place[0] + y, place[1] + x))

    def _piece(self, pixels: Pixels, top: int, left: int) -> Pixels:
        """One tile; splits itself further when it does not fit into memory."""
        if self._fits(pixels):
            restored = self._attempt(pixels, replace(self.request, place=(top, left)))
            if restored is not None:
                return restored
            self._shrink(pixels)
        restored = np.empty_like(pixels)
        self._restore(pixels, restored, (top, left))
        return restored

    def _survey(self, source: Pixels) -> float | None:
        """What the method says of a whole picture; None, too, when memory is too short for looking at it."""
        cut = crops(source, self.method.facts.size_multiple, SURVEYED)

        def look() -> float | None:
            with torch.inference_mode(), reproducible():
                batch = torch.from_numpy(cut).permute(0, 3, 1, 2).to(self.device)
                return cast(SurveyingMethod, self.method).survey(batch.contiguous(memory_format=torch.channels_last))

        try:
            return unspoilt(look)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                return None
            raise

    def _attempt(self, pixels: Pixels, request: Request) -> Pixels | None:
        """None when the device ran out of memory."""
        try:
            restored = unspoilt(self._compute, pixels, request, self.dtype)
            if restored is None and self.dtype != torch.float32:
                restored = unspoilt(self._compute, pixels, request, torch.float32)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                return None
            raise
        if restored is None:
            raise PictureError(
                "the network gives no finite numbers for this picture: check the weights with `airtool models verify`"
            )
        self.used = max(self.used, (pixels.shape[0], pixels.shape[1]))
        return restored

    def _compute(self, pixels: Pixels, request: Request, dtype: torch.dtype) -> Pixels | None:
        """One pass of the network; None when the result is not finite."""
        height, width = pixels.shape[:2]
        with (
            torch.inference_mode(),
            reproducible(),
            torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=dtype != torch.float32),
        ):
            # (H, W, 3) seen as (1, 3, H, W) is channels_last already.
            batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(self.device)
            batch = padding.pad(batch, self.method.facts.size_multiple)
            # One after the other: together they would take so many times the memory.
            versions = (self._version(batch, request, flip) for flip in self.flips)
            restored = padding.crop(reduce(torch.add, versions), height, width)
            if len(self.flips) > 1:
                restored = restored / len(self.flips)
            if not torch.isfinite(restored).all():
                return None
            pixels_out: Tensor = restored[0].clamp(0, 1).permute(1, 2, 0)
            return pixels_out.cpu().numpy()

    def _version(self, batch: Tensor, request: Request, flip: tuple[int, ...]) -> Tensor:
        """What the network makes of (1, 3, H, W) flipped over these axes, float32, flipped back."""
        if not flip:
            return self.method.restore(batch, request).float()
        turned = batch.flip(flip).contiguous(memory_format=torch.channels_last)
        # Where the tile lies in the flipped picture, so that overlapping tiles still share what is random.
        (top, left), (height, width) = request.place, batch.shape[2:]
        place = (-top - height if 2 in flip else top, -left - width if 3 in flip else left)
        return self.method.restore(turned, replace(request, place=place)).float().flip(flip)

    def _shrink(self, pixels: Pixels) -> None:
        """Allow only half of `pixels`, across its longer side.

        Raises PictureError below the smallest tile, and where nothing may be made smaller.
        """
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "cpu":
            return_heap()  # oneDNN cannot use what the failed attempt left there: it maps its code elsewhere
        if not self.may_shrink:
            raise PictureError(
                "does not fit into memory in one piece: free some memory, choose another --device, or leave --tile out"
            )
        height, width = (min(side, limit) for side, limit in zip(pixels.shape[:2], self.largest, strict=True))
        smaller = self._whole_multiples(*((height // 2, width) if height >= width else (height, width // 2)))
        if self._fits(pixels, smaller):
            raise PictureError(
                f"{self.device} has not enough memory even for a tile of {height} x {width} pixels: "
                "free some memory, or choose another --device; --tile cannot help any more"
            )
        self.largest = smaller
        self.short_of_memory = True

    def _fits(self, pixels: Pixels, largest: tuple[int, int] | None = None) -> bool:
        limits = largest or self.largest
        return pixels.shape[0] <= limits[0] and pixels.shape[1] <= limits[1]

    def _whole_multiples(self, height: int, width: int) -> tuple[int, int]:
        # Two multiples at least: the least that `axis` can overlap.
        multiple = self.method.facts.size_multiple
        least = max(padding.round_up(SMALLEST_TILE, multiple), 2 * multiple)
        return max(height // multiple * multiple, least), max(width // multiple * multiple, least)


@contextmanager
def reproducible() -> Iterator[None]:
    """Convolutions on a CUDA GPU that give the same bits every time, in full float32 where float32 is asked for."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
