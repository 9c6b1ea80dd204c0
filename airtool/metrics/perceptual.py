"""LPIPS, MUSIQ, FID and the other metrics of pyiqa: the one door to that library.

pyiqa is large, slow to import and licensed for non-commercial use, so it is imported only when one of its metrics is
asked for. Nothing is downloaded: learned metrics need files that are published elsewhere, and whoever lacks one is told
its name, where it is published and where it belongs.
"""

import difflib
import hashlib
import os
import re
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from airtool.errors import AirtoolError, PictureError, UsageError, missing_extra
from airtool.metrics.frechet import InceptionFeatures
from airtool.torchvision import mend_torchvision

Pixels = npt.NDArray[np.float32]

HASHED = re.compile(r"-([0-9a-f]{8,64})\.pth$")
"""Published metric files carry the beginning of their sha256 in their names."""

OF_SETS = ("fid",)
"""Metrics that have one value for all pictures together."""

NOT_OF_PICTURES = ("sfid", "fid_dinov2", "inception_score", "clipscore")
"""Other metrics of pyiqa that need whole folders, or compare a picture with a sentence."""

LONGEST_REASON = 200
"""Characters of another library's message that are passed on."""


class MissingMetricError(AirtoolError):
    """A metric cannot be computed here; the message says what is missing and where to get it."""


class UnknownMetricError(MissingMetricError):
    """pyiqa knows no such metric, or none that measures pictures."""


@dataclass(frozen=True)
class Traits:
    """What is known of a metric before it is made ready."""

    name: str
    """As pyiqa spells it."""
    lower_is_better: bool
    needs_ground_truth: bool
    library: str
    """pyiqa with its version."""
    of_set: bool = False
    """Whether all pictures together have one value, for `airtool.metrics.frechet`, instead of one each."""


class PerceptualMetric:
    """One metric, ready. Keeps nothing of the pictures it has seen."""

    def __init__(self, traits: Traits, network: Any) -> None:
        self.traits = traits
        self._network = network

    def score(self, picture: Pixels, ground_truth: Pixels | None = None) -> float:
        """The value of one picture, computed by itself, so that no other one changes it. Otherwise as `scores`."""
        return self.scores([picture], None if ground_truth is None else [ground_truth])[0]

    def scores(self, pictures: Sequence[Pixels], ground_truths: Sequence[Pixels] | None = None) -> list[float]:
        """The metric's values of several pictures at once, in its own unit; NaN where one is not defined.

        pictures, ground_truths: as many (H, W, 3) float32 RGB, sRGB, all of one size; clipped to [0, 1] and rounded to
        the 8 bits that a file would hold. Values of several at once may differ from those of each by rounding errors.
        Raises UsageError when ground truths are needed and not given, PictureError when a picture has no value (many
        metrics take no small pictures) or the metric takes one picture at a time.
        """
        if self.traits.needs_ground_truth and ground_truths is None:
            raise UsageError(f"{self.traits.name} compares with ground truths: give --gt")
        inputs = [_tensor(pictures)]
        if self.traits.needs_ground_truth and ground_truths is not None:
            inputs.append(_tensor(ground_truths))
        import torch

        try:
            with _silent():
                values = [float(value) for value in torch.as_tensor(self._network(*inputs)).flatten()]
        except Exception as error:
            raise PictureError(f"{self.traits.name} cannot be computed: {_reason(error)}") from error
        if len(values) != len(pictures):
            raise PictureError(f"{self.traits.name} takes one picture at a time")
        return values


def find_metric(name: str) -> Traits:
    """Look up a metric of pyiqa by its name, in capitals or not.

    Raises UnknownMetricError for a name that pyiqa does not know or that is no measure of pictures, MissingMetricError
    when pyiqa cannot be imported.
    """
    pyiqa = _import_pyiqa()
    configs = {key: value for key, value in _configs().items() if key not in NOT_OF_PICTURES}
    spelled = {key.casefold(): key for key in configs}.get(name.casefold())
    if spelled is None:
        close = difflib.get_close_matches(name.casefold(), configs)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise UnknownMetricError(f"unknown metric '{name}': pyiqa has no measure of pictures by that name{hint}")
    config = configs[spelled]
    return Traits(
        name=spelled,
        lower_is_better=bool(config.get("lower_better", False)),
        needs_ground_truth=config.get("metric_mode") == "FR" or spelled in OF_SETS,
        library=f"pyiqa {pyiqa.__version__}",
        of_set=spelled in OF_SETS,
    )


def open_metric(name: str, weights: Path | None = None, device: str = "cpu") -> PerceptualMetric:
    """Make a metric of pyiqa ready that judges single pictures, as `open_inception` does.

    Also raises UsageError for one that has a single value for all pictures.
    """
    traits = find_metric(name)
    if traits.of_set:
        raise UsageError(f"{traits.name} is no measure of a single picture")
    return PerceptualMetric(traits, _ready(traits, weights, device))


def open_inception(name: str, weights: Path | None = None, device: str = "cpu") -> InceptionFeatures:
    """Make the network ready whose features a metric of whole sets compares.

    weights: a folder laid out like PyTorch's hub folder (``checkpoints/``, ``pyiqa/``); None: that folder itself.
    device: as PyTorch calls it. Raises UnknownMetricError as `find_metric` does, MissingMetricError when pyiqa or a
    file is missing or damaged.
    """
    import torch

    return InceptionFeatures(_ready(find_metric(name), weights, device).net.model, torch.device(device))


def _ready(traits: Traits, weights: Path | None, device: str) -> Any:
    """pyiqa's own object for a metric, with its weights."""
    import pyiqa
    import torch

    # Networks draw random values before they load their own.
    with torch.random.fork_rng(devices=[]), _guarded(weights):
        try:
            return pyiqa.create_metric(traits.name, device=torch.device(device))
        except MissingMetricError as error:
            raise MissingMetricError(f"{traits.name}: {error}") from None
        except Exception as error:
            if missing := _missing_file(error):
                raise MissingMetricError(f"{traits.name}: {missing}") from None
            raise MissingMetricError(f"{traits.name} cannot be made ready: {_reason(error)}") from None


def check_file(path: Path) -> None:
    """Raise MissingMetricError when a file is not the one that its name promises."""
    promised = HASHED.search(path.name)
    if promised and path.is_file():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(promised[1]):
            raise MissingMetricError(f"{path} is damaged (its sha256 is not that of its name): get it again")


def _tensor(pictures: Sequence[Pixels]) -> Any:
    import torch

    rounded = np.rint(np.clip(np.stack(pictures), 0.0, 1.0) * np.float32(255)) / np.float32(255)
    return torch.from_numpy(np.ascontiguousarray(rounded.transpose(0, 3, 1, 2), dtype=np.float32))


def _import_pyiqa() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # makes what is missing fail at once
    try:
        mend_torchvision()
        with _silent():
            import pyiqa
    except ImportError as error:
        raise MissingMetricError(
            missing_extra(
                f"metrics beside PSNR and SSIM need pyiqa ({error})", "iqa", "mind its non-commercial licence"
            )
        ) from None
    return pyiqa


def _configs() -> dict[str, dict[str, Any]]:
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    return dict(DEFAULT_CONFIGS)


@contextmanager
def _silent() -> Iterator[None]:
    """Standard output is for results, and what a library warns its own developers of helps nobody here."""
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _guarded(weights: Path | None) -> Iterator[None]:
    """No download, no file that executes code, no damaged file, and no word on standard output, while it lasts."""
    import urllib.request

    import torch
    from pyiqa.utils import download_util

    def refuse(url: str, target: str, *_: Any, **__: Any) -> None:
        raise MissingMetricError(_missing(url, Path(target)))

    def refuse_to_open(*_: Any, **__: Any) -> None:
        raise OSError("no file is fetched from the network")

    def load(file: Any, *arguments: Any, **options: Any) -> Any:
        if isinstance(file, str | Path):
            check_file(Path(file))
        return real_load(file, *arguments, **(options | {"weights_only": True}))

    real_load, real_hub = torch.load, torch.hub.get_dir()
    replaced: list[tuple[Any, str, Any]] = [
        (torch, "load", load),
        (torch.hub, "download_url_to_file", refuse),
        (download_util, "download_url_to_file", refuse),
        (urllib.request, "urlopen", refuse_to_open),
    ]
    if weights is not None:
        replaced.append((download_util, "DEFAULT_CACHE_DIR", str(weights / "pyiqa")))
    kept = [(module, attribute, getattr(module, attribute)) for module, attribute, _ in replaced]
    try:
        for module, attribute, value in replaced:
            setattr(module, attribute, value)
        if weights is not None:
            torch.hub.set_dir(str(weights))
        with _silent():
            yield
    finally:
        if weights is not None:
            torch.hub.set_dir(real_hub)
        for module, attribute, value in kept:
            setattr(module, attribute, value)


def _missing_file(error: BaseException) -> str | None:
    """Which file was being fetched when an error arose, in words; None when it was something else.

    Neither CLIP's loader nor the model hub's say so in their messages, but the frames that the error came through know.
    """
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for each in chain:
        for frame, _ in traceback.walk_tb(each.__traceback__):
            known = frame.f_locals
            if {"url", "download_target"} <= known.keys():
                return _missing(known["url"], Path(known["download_target"]))
            if {"repo_id", "filename"} <= known.keys():
                from huggingface_hub import hf_hub_url

                repository, name = str(known["repo_id"]), str(known["filename"])
                url = hf_hub_url(repository, name)
                return (
                    f"{name} of {repository} is missing; it is published at {url}; get it by: hf download {repository}"
                )
    return None


def _missing(url: str, target: Path) -> str:
    return f"{target.name} is missing; it is published at {url}; put it into {target.parent}"


def _reason(error: BaseException) -> str:
    """What another library said, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:LONGEST_REASON] if lines else type(error).__name__
