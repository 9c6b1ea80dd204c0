"""A method made ready to restore pictures of any size on one device."""

import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from airtool.engine import tone
from airtool.engine.asked import asks_detector, check_asked
from airtool.engine.detect import Detector, open_detector
from airtool.engine.device import pick_device, pick_precision, threads
from airtool.engine.forward import Forward, reproducible
from airtool.engine.guess import REFEREE, guess
from airtool.engine.memory import activation_budget, tile_shape
from airtool.engine.padding import pad, round_up
from airtool.engine.passes import passes, seen
from airtool.engine.settings import Settings, parse_precision
from airtool.engine.tiles import Pixels
from airtool.engine.unspoilt import unspoilt
from airtool.engine.wanted import NOTHING_SAID, Wanted, wanted_from
from airtool.errors import UsageError
from airtool.heap import keep_heap, return_heap
from airtool.images.opencv import cv2
from airtool.images.picture import Picture
from airtool.images.reader import Reader
from airtool.methods.autodir.vocabulary import class_of
from airtool.methods.base import ExplainingMethod, LabelledMethod, Method, PromptedMethod, Request
from airtool.methods.defusion.instruction import read_pair
from airtool.reports.record import Treatment

LARGE = 4_000_000
"""Pixels from which on memory is handed back after each picture, before it is encoded: that costs little beside it, and
next to so large a picture what the network's tiles took must not stay occupied."""

EXPLAINED_PIXELS = 1_000_000
"""Explanations are looked at on a screen, and have to come from one pass over the whole picture."""


@dataclass(frozen=True)
class Restored:
    """A restored picture and what it took."""

    picture: Picture
    tile: tuple[int, int]
    """(height, width) in pixels of the largest piece that went through the network at once."""
    seconds: float
    notes: tuple[str, ...]
    """What did not go as planned, in words."""
    wanted: Wanted = NOTHING_SAID
    """What the method was asked to remove; empty for blind methods."""
    guessed: bool = False
    """Whether that was worked out from the picture, because nobody had said it."""

    @property
    def treatment(self) -> Treatment:
        """The same, but for the pixels and the seconds, for reports."""
        asked = self.wanted
        return Treatment(self.tile, asked.degradation, dict(asked.shares), self.guessed, self.notes)


class Session:
    """A method on a device. Keeps nothing of a picture once it is restored, so order never matters.

    method: on the CPU, float32; its network moves to the device. origin: what reports should say of the weights
    ("preset", "weights", "sha256"). detector: says what is wrong with a picture where `method` has to be told and the
    settings do not. referee: a blind method, by which `airtool.engine.guess` chooses where the detector leaves a choice
    or is missing. reader: what opens an example pair, within its limits. Raises UsageError when the settings ask for a
    device that is not there, or do not suit the method, PictureError for an example that cannot be read.
    """

    def __init__(
        self,
        method: Method,
        settings: Settings | None = None,
        origin: Mapping[str, Any] | None = None,
        referee: Method | None = None,
        detector: Detector | None = None,
        reader: Reader | None = None,
    ) -> None:
        self.method = method
        self.settings = settings or Settings()
        self.origin = dict(origin or {})
        self.asked = _asked(method, self.settings, reader)
        """What the settings say to remove; None where it is to be found out."""
        if self.asked is None and referee is None and detector is None:
            raise UsageError(f"{method.facts.name} has to be told what to remove: name the degradation")
        self.device = pick_device(self.settings.device)
        self.dtype = pick_precision(self.settings.precision, self.device)
        self.referee, self.detector = referee, detector
        if self.device.type == "cpu":
            keep_heap()
        if referee is not None:
            referee.network.eval().to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # PyTorch's stubs lack the overload with a device and a memory format.
        method.network.eval().to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Once: what earlier pictures leave in caches must not make the tiles of later ones smaller, and so other bytes.
        self._budget = activation_budget(self.device)

    def restore_array(self, rgb: Pixels, wanted: Wanted | None = None) -> Pixels:
        """Restore (H, W, 3) float32 sRGB in [0, 1]; the result has the same shape, type and range.

        wanted: what to remove from this one picture, whatever the settings say. Raises PictureError when the device has
        too little memory for even the smallest tile, or when the network gives no finite result. The message does not
        name the picture: only the caller knows it.
        """
        target = np.empty_like(rgb)
        self._restore(rgb, target, self._wanted(seen(rgb, self.settings), wanted))
        return target

    def restore_picture(self, picture: Picture) -> Picture:
        """`picture` with restored colours; alpha, depth and metadata as they were.

        A picture stored in grey stays grey: its restored colours are averaged. Raises as `restore_array`.
        """
        return self.restore(picture).picture

    def restore(self, picture: Picture, *, in_place: bool = False, wanted: Wanted | None = None) -> Restored:
        """As `restore_picture`, with what it took.

        in_place: overwrite `picture.rgb`, which saves 12 bytes a pixel; what was given is then of no more use.
        wanted: as `restore_array` has it.
        """
        start = time.perf_counter()
        asked = self._wanted(seen(picture.rgb, self.settings), wanted)
        rgb = picture.rgb if in_place else np.empty_like(picture.rgb)
        forward = self._restore(picture.rgb, rgb, asked)
        if self.device.type == "cpu" and rgb.size >= 3 * LARGE:
            return_heap()
        if picture.grey:
            rgb[:] = rgb.mean(axis=2, keepdims=True)
        notes: tuple[str, ...] = ()
        if forward.short_of_memory:
            height, width = forward.used
            notes = (f"memory was short, tiles were cut down to at most {width} x {height} pixels",)
        return Restored(
            picture.with_rgb(rgb),
            forward.used,
            time.perf_counter() - start,
            notes,
            asked,
            guessed=wanted is None and self.asked is None,
        )

    def _restore(self, source: Pixels, target: Pixels, wanted: Wanted) -> Forward:
        """Restore `source` into `target`, which may be the same array; returns what did the last part of it."""
        parts = passes(source, self.settings, wanted)
        seed = picture_seed(source, self.settings.seed)  # one for all passes, as for what `explain` shows
        if len(parts) > 1 and target is not source:
            target[:] = source
            source = target
        for (width, height), asked in parts:
            whole = (height, width) == source.shape[:2]
            before = source if whole else tone.average(source, (width, height))
            after = target if whole else np.empty_like(before)
            forward = self._forward(before, asked, seed)
            forward.restore(before, after)
            if not whole:
                target[:] = source
                tone.change_map(before, after).apply(target)
        return forward

    def explain(self, rgb: Pixels) -> dict[str, Pixels]:
        """What the method saw in a picture (H, W, 3): maps by name, (H, W, 3) float32 in [0, 1].

        Computed from the picture reduced to at most EXPLAINED_PIXELS, in float32, and enlarged again; what is no map of
        the picture keeps its own size. Empty for a method that explains nothing.
        """
        facts = self.method.facts
        if not facts.explains:
            return {}
        height, width = rgb.shape[:2]
        scale = min(1.0, math.sqrt(EXPLAINED_PIXELS / (height * width)))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32, copy=False) if scale < 1 else rgb
        wanted = self._wanted(seen(rgb, self.settings), None)
        request = self._request(wanted, picture_seed(rgb, self.settings.seed))
        maps, whole = unspoilt(self._maps, small, request)
        return {
            name: _enlarged(each[0], small.shape, rgb.shape) if each.shape[2:] == whole else _pixels(each[0])
            for name, each in maps.items()
        }

    @torch.inference_mode()
    def _maps(self, rgb: Pixels, request: Request) -> tuple[Mapping[str, torch.Tensor], torch.Size]:
        """What the method explains of a picture (H, W, 3), and the size to which that was filled up."""
        with reproducible():
            batch = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].to(self.device)
            batch = pad(batch, self.method.facts.size_multiple).contiguous(memory_format=torch.channels_last)
            return cast(ExplainingMethod, self.method).explain(batch, request), batch.shape[2:]

    def describe(self) -> dict[str, Any]:
        """Everything that decides the result, for reports."""
        tile = self.settings.tile
        return {
            "method": self.method.facts.name,
            **self.origin,
            "device": str(self.device),
            "precision": "bf16" if self.dtype == torch.bfloat16 else "fp32",
            "tile": "auto" if tile is None else tile or "off",
            "seed": self.settings.seed,
            "degradation": list(self.settings.degradation),
            "prompt": self.settings.prompt,
            "instruction": self.settings.instruction,
            "structure_weight": self.settings.structure_weight,
            "work_size": list(self.settings.work_size),
            "self_ensemble": self.settings.self_ensemble,
            "detector": None if self.detector is None else self.detector.describe(),
            "threads": threads(self.device),
        }

    def _wanted(self, rgb: Pixels, wanted: Wanted | None) -> Wanted:
        """What to ask the method to remove from a picture: what somebody said, or what the picture looks like."""
        found = wanted or self.asked
        if found is None:
            labelled = self.method.facts.needs == "label"
            if self.detector is not None:
                found = wanted_from(self.method, self.detector.probabilities(rgb))
            else:
                found = Wanted(among=cast(LabelledMethod, self.method).candidates() if labelled else ())
        if not found.among:
            return found
        if self.referee is None:
            return Wanted(degradation=found.among[:1])
        with reproducible():
            labelling = cast(LabelledMethod, self.method)
            best = unspoilt(guess, labelling, self.referee, rgb, self.device, found.among)
        return Wanted(degradation=(best,))

    def _forward(self, rgb: Pixels, wanted: Wanted, seed: int) -> Forward:
        height, width = rgb.shape[:2]
        multiple = self.method.facts.size_multiple
        if self.settings.tile is None:
            pixels = self._budget // self.method.bytes_per_pixel(strips=self.device.type == "cpu")
            largest = tile_shape(height, width, pixels, multiple)
        elif self.settings.tile == 0:
            largest = round_up(height, multiple), round_up(width, multiple)
        else:
            largest = self.settings.tile, self.settings.tile
        request, ensemble = self._request(wanted, seed), self.settings.self_ensemble
        may_shrink = self.settings.may_shrink
        return Forward(self.method, request, self.device, self.dtype, largest, ensemble, may_shrink=may_shrink)

    def _request(self, wanted: Wanted, seed: int) -> Request:
        return Request(
            (seed,),
            wanted.degradation,
            shares=wanted.shares,
            prompt=wanted.prompt,
            instruction=wanted.example,
            structure_weight=self.settings.structure_weight,
        )


def _asked(method: Method, settings: Settings, reader: Reader | None) -> Wanted | None:
    """What the settings tell the method; None when it has to be told and they do not. Raises as Session."""
    facts = method.facts
    check_asked(facts, settings)
    if facts.needs == "nothing":
        return Wanted()
    if settings.prompt:
        return Wanted(shares=cast(PromptedMethod, method).understand(settings.prompt), prompt=settings.prompt)
    if settings.instruction:
        clean, degraded = map(Path, settings.instruction)
        return Wanted(example=read_pair(clean, degraded, reader))
    if not settings.degradation:
        return None
    if facts.needs == "prompt":
        names = dict.fromkeys(class_of(each) for each in settings.degradation)
        known = cast(PromptedMethod, method).classes()
        for name in names:
            if name not in known:
                raise UsageError(f"these weights of {facts.name} cannot remove {name}: they know {', '.join(known)}")
        return Wanted(shares=tuple((name, 1.0 / len(names)) for name in names))
    cast(LabelledMethod, method).check(settings.degradation)
    return Wanted(degradation=settings.degradation)


def _enlarged(shown: torch.Tensor, small: tuple[int, ...], full: tuple[int, ...]) -> Pixels:
    """A map (1 or 3, h, w), padded, as (H, W, 3) of the whole picture."""
    pixels = _pixels(shown)[: small[0], : small[1]]
    pixels = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    if pixels.shape[:2] == full[:2]:
        return pixels
    return np.clip(cv2.resize(pixels, (full[1], full[0]), interpolation=cv2.INTER_LINEAR), 0.0, 1.0)


def _pixels(shown: torch.Tensor) -> Pixels:
    return shown.float().clamp(0, 1).permute(1, 2, 0).cpu().numpy()


def picture_seed(rgb: Pixels, seed: int) -> int:
    """The seed of one picture, 63 bits, from the run's seed and the pixels, whatever its name or place in the run.

    BLAKE2b over both. rgb: (H, W, 3) float32.
    """
    digest = hashlib.blake2b(f"{seed} {rgb.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(rgb).data)
    return int.from_bytes(digest.digest(), "little") >> 1


def open_session(
    method: str | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    seed: int = 0,
    degradation: tuple[str, ...] = (),
    preset: str = "small",
    prompt: str = "",
) -> Session:
    """Load a method and make it ready.

    method: None takes the one that `weights` are for, or the default. weights: a weights file; None takes the embedded
    weights of `preset`. tile: side of a tile in pixels, None for what memory allows, 0 for the whole picture at once.
    The other arguments are those of `Settings`.
    Raises UsageError for an unknown method, preset, device or precision, and AirtoolError for a weights file that is
    missing, damaged or of another method.
    """
    settings = Settings(device, parse_precision(precision), tile, seed, degradation, prompt)
    return open_with(settings, method, weights, preset)


def open_with(
    settings: Settings,
    method: str | None = None,
    weights: str | Path | None = None,
    preset: str = "small",
    detector: Detector | None = None,
    reader: Reader | None = None,
) -> Session:
    """As `open_session`, from settings. detector: the one to ask, made ready; None opens that of the settings.

    reader: what opens an example pair, within its limits; PictureError is raised for one that cannot be read.
    """
    from airtool.methods.registry import check_method, load_method, which_method
    from airtool.methods.weights import embedded_path, sha256_of

    method = which_method(method, weights)
    facts = check_method(method)
    pick_device(settings.device)  # before seconds are spent on weights
    path = embedded_path(method, preset) if weights is None else Path(weights)
    loaded = load_method(method, path)
    origin = {"preset": preset if weights is None else None, "weights": path.name, "sha256": sha256_of(path)}
    if not asks_detector(facts, settings):
        return Session(loaded, settings, origin, reader=reader)
    referee = load_method(REFEREE) if facts.needs == "label" else None
    asked = detector or open_detector(settings.detector_weights, settings.device)
    return Session(loaded, settings, origin, referee, asked)
