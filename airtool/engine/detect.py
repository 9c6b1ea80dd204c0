"""What is wrong with pictures: the detector over pictures of any size, and over many of them."""

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from airtool.engine.device import pick_device, threads
from airtool.engine.forward import reproducible
from airtool.engine.tiles import Pixels
from airtool.engine.tone import average, copy_size
from airtool.engine.unspoilt import unspoilt
from airtool.errors import reason
from airtool.images.discover import Source
from airtool.images.names import shown
from airtool.images.reader import Reader
from airtool.methods.autodir.clip_detector import ClipDetectorNet
from airtool.methods.autodir.detector import NAME, DetectorNet, load_detector
from airtool.methods.autodir.vocabulary import NOTHING

SIDE = DetectorNet.side
"""Pixels of a crop's side, unless the network says otherwise."""

GRID = (2, 3)
"""Crops along the shorter and along the longer side of a picture; fewer where they would only repeat each other."""

SMALLEST = 32
"""Pixels that a side is continued to, by mirroring, where the picture has fewer."""

LARGE, FAR = 1_000_000, 500_000
"""Pixels of a picture above which it is also looked at from afar, and of the copy that is then looked at: streaks, haze
and blur grow with a picture, crops do not, and single pixels of large photographs are always soft."""

FINE = ("noise", "JPEG")
"""Classes that live in single pixels, and are gone from a reduced copy."""

THRESHOLD = 0.3
"""Probability from which on a class is named. Below one half, because several degradations share the probability."""


CLEAN, UNSURE = "clean", "unsure"
"""Verdicts that are no degradation."""


@dataclass(frozen=True)
class Verdict:
    """What there is to say about a picture."""

    verdict: str
    """The dominant degradation, `CLEAN`, or `UNSURE` when no class reaches the threshold."""
    likeliest: str
    """What is most probable, `CLEAN` included: the verdict itself unless that is `UNSURE`."""
    probability: float
    """Its probability."""
    further: tuple[tuple[str, float], ...]
    """Further degradations with their probabilities, the most probable one first."""


def judge(probabilities: Mapping[str, float], threshold: float = THRESHOLD, top: int | None = None) -> Verdict:
    """What follows from the probabilities of the classes.

    threshold: what a class must reach to be named, 0 to 1. top: name as many degradations, the dominant one included,
    whatever their probabilities; this concerns `further` only. Of equally probable classes the earlier one wins.
    """
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    first, probability = ranked[0]
    further = [(name, share) for name, share in ranked[1:] if name != NOTHING]
    if top is None:
        further = [(name, share) for name, share in further if share >= threshold]
    else:
        further = further[: top if first == NOTHING else top - 1]
    likeliest = CLEAN if first == NOTHING else first
    return Verdict(UNSURE if probability < threshold else likeliest, likeliest, probability, tuple(further))


class Detector:
    """The detector on a device. Keeps nothing of a picture, so their order never matters.

    network: on the CPU; it moves to the device. device: as `airtool.engine.settings.Settings` has it. origin: what
    reports should say of the weights. Raises UsageError for a device that is not there.
    """

    def __init__(
        self, network: DetectorNet | ClipDetectorNet, device: str = "auto", origin: Mapping[str, Any] | None = None
    ) -> None:
        self.device = pick_device(device)
        # PyTorch's stubs lack the overload with a device and a memory format.
        network.eval().to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network
        self.origin = dict(origin or {})
        with torch.inference_mode():
            self._sentences = network.embed_tokens(network.prompts)

    def probabilities(self, rgb: Pixels) -> dict[str, float]:
        """Probability of every class, which add up to 1, for a picture (H, W, 3) float32 sRGB in [0, 1].

        The mean over up to six crops, all of one size. A `LARGE` picture is judged by its reduced copy in everything
        but what is `FINE`. The same picture gives the same numbers, whatever went before.
        """
        return self.probabilities_of(views(rgb, self.network.side))

    def probabilities_of(self, seen: "Views") -> dict[str, float]:
        """The same for the views of one picture."""
        near = unspoilt(self._mean, seen.near)
        return near if seen.far is None else combined(near, unspoilt(self._mean, seen.far))

    def _mean(self, cut: Pixels) -> dict[str, float]:
        """The mean over crops (N, h, w, 3), with the caution of the weights."""
        with torch.inference_mode(), reproducible():
            batch = torch.from_numpy(cut).permute(0, 3, 1, 2).to(self.device)
            logits = self.network.compare(batch.contiguous(memory_format=torch.channels_last), self._sentences)
            mean = logits.softmax(dim=1).mean(dim=0).tolist()
        return cautious(dict(zip(self.network.config.classes, mean, strict=True)), self.network.caution)

    def describe(self) -> dict[str, Any]:
        """Everything that decides the result, for reports."""
        return {**self.origin, "device": str(self.device), "threads": threads(self.device)}


def open_detector(weights: str | Path | None = None, device: str = "auto") -> Detector:
    """Load the detector and make it ready. weights: a file; None takes the embedded ones. Raises as `load_detector`."""
    from airtool.methods.weights import embedded_path, sha256_of

    pick_device(device)  # before time is spent on weights
    path = embedded_path(NAME, "small") if weights is None else Path(weights)
    return Detector(load_detector(path), device, {"weights": path.name, "sha256": sha256_of(path)})


def cautious(probabilities: Mapping[str, float], caution: float) -> dict[str, float]:
    """Probabilities that add up to 1, the odds of "no" `caution` times what they were."""
    weighted = {name: share * (caution if name == NOTHING else 1.0) for name, share in probabilities.items()}
    total = sum(weighted.values())
    return {name: share / total for name, share in weighted.items()} if caution != 1.0 else weighted


@dataclass(frozen=True)
class Views:
    """What the detector sees of a picture."""

    near: Pixels
    """Crops (N, h, w, 3) at its own resolution."""
    far: Pixels | None
    """Crops of its reduced copy, where it is `LARGE`."""


def views(rgb: Pixels, side: int = SIDE) -> Views:
    """Crops of a picture (H, W, 3), and of its copy of `FAR` pixels where it has more than `LARGE`."""
    height, width = rgb.shape[:2]
    if height * width <= LARGE:
        return Views(crops(rgb, side), None)
    return Views(crops(rgb, side), crops(average(rgb, copy_size(rgb, FAR)), side))


def combined(near: Mapping[str, float], far: Mapping[str, float]) -> dict[str, float]:
    """Probabilities from both views, which add up to 1: the far one's, and what is `FINE` from whichever sees more.

    What the near view sees beyond the far one is taken from "no" as from all the others.
    """
    fine = {name: max(near[name], far[name]) for name in FINE if name in far}
    rest, left = 1.0 - sum(far[name] for name in fine), max(0.0, 1.0 - sum(fine.values()))
    found = {name: fine.get(name, share * left / rest if rest > 0 else 0.0) for name, share in far.items()}
    total = sum(found.values())
    return {name: share / total for name, share in found.items()}


def crops(rgb: Pixels, side: int = SIDE) -> Pixels:
    """Crops (N, h, w, 3) that stand for a picture (H, W, 3), at its own resolution, evenly spread from rim to rim.

    Sides are `side`, or the picture's where that is smaller, rounded down to an even number.
    """
    missing = [max(0, SMALLEST - length) for length in rgb.shape[:2]]
    if any(missing):
        rgb = np.pad(rgb, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
    height, width = rgb.shape[:2]
    down, across = GRID if height <= width else GRID[::-1]
    tall, wide = (min(side, length) // 2 * 2 for length in (height, width))
    corners = [(top, left) for top in _starts(height, tall, down) for left in _starts(width, wide, across)]
    return np.stack([rgb[top : top + tall, left : left + wide] for top, left in corners])


def _starts(length: int, side: int, most: int) -> list[int]:
    count = min(most, -(-(length // 2 * 2) // side))
    return [round(start) for start in np.linspace(0, length - side, count)] if count > 1 else [(length - side) // 2]


@dataclass(frozen=True)
class Finding:
    """What was found in one picture."""

    picture: str
    """The input as the user knows it."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Of every class; empty when the picture could not be read."""
    problem: str | None = None
    """Why it could not be read, in one line that names it."""


def detect_files(
    detector: Detector, sources: Sequence[Source], workers: int = 2, reader: Reader | None = None
) -> Iterator[Finding]:
    """What is wrong with each picture, in order; `workers` threads read ahead while the network computes.

    A picture that cannot be read gives a finding that says so. Of those read ahead only the crops are kept.
    reader: what opens the pictures, within its limits.
    """
    reader = reader or Reader()
    waiting = deque(sources)
    reading: deque[tuple[Source, Future[Views]]] = deque()
    pool = ThreadPoolExecutor(workers, "read")
    try:
        while waiting or reading:
            while waiting and len(reading) <= 2 * workers:
                source = waiting.popleft()
                # Standard input is read here: a thread blocked on it could not be stopped by Ctrl-C.
                data = reader.load_stream(sys.stdin.buffer) if source.path is None else None
                reading.append((source, pool.submit(_cut, reader, source, data, detector.network.side)))
            source, cut = reading.popleft()
            yield _finding(detector, _name(source), cut)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _finding(detector: Detector, name: str, cut: Future[Views]) -> Finding:
    try:
        return Finding(name, detector.probabilities_of(cut.result()))
    except Exception as error:
        return Finding(name, problem=reason(error, shown(name)))


def _name(source: Source) -> str:
    return "standard input" if source.path is None else str(source.path)


def _cut(reader: Reader, source: Source, data: bytes | None, side: int) -> Views:
    """Read one picture and keep what the detector sees of it; runs in a thread."""
    picture = reader.read(source.path) if source.path is not None else reader.decode(data or b"", _name(source))
    return views(picture.rgb, side)
