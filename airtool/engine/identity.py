"""What a run makes its pictures with: by this, `--resume` tells its own finished pictures from those of other runs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airtool import __version__
from airtool.engine.asked import asks_detector
from airtool.engine.settings import Settings

if TYPE_CHECKING:
    from airtool.images.reader import Reader


@dataclass(frozen=True)
class Identity:
    """Everything that decides the bytes of an output, apart from its input and from its name, which gives its format.

    In it: version of airtool, command, method; sha256 of its weights, of those of the detector and of the referee where
    they have a say; precision and tiles as asked for, seed, degradation, prompt, structure weight, work size,
    self-ensemble, quality, the rules of the loop; sha256 of the files of an example pair.

    Not in it, so that another machine can go on where one stopped: device, backend, threads, workers, and the versions
    of the libraries. They change the last bits of floating-point numbers (and "auto" may choose bf16 on a GPU), so only
    a run that is resumed with the same ones ends with the very bytes of an undisturbed run.
    """

    facts: Mapping[str, Any]
    """Plain values by names that can be shown to the user."""

    @property
    def key(self) -> str:
        """The same for equal facts: a sha256 in hexadecimal."""
        return hashlib.sha256(json.dumps(self.facts, sort_keys=True).encode()).hexdigest()

    def differing(self, other: Mapping[str, Any]) -> list[str]:
        """Names of the facts in which other ones differ."""
        return [name for name in dict.fromkeys([*self.facts, *other]) if self.facts.get(name) != other.get(name)]


def identify(
    settings: Settings,
    method: str,
    weights: str | Path | None = None,
    preset: str = "small",
    quality: int | None = None,
    *,
    loop: Mapping[str, Any] | None = None,
    reader: "Reader | None" = None,
) -> Identity:
    """The identity of a run, from what `airtool.engine.session.open_with` takes, without loading any network.

    quality: of lossy formats, None for the default. loop: the rules of `airtool iterate`, by name; None for `airtool
    restore`. reader: what loads an example pair, within its limits. Raises as `open_with` does for weights that are
    missing, and PictureError for an example that cannot be read.
    """
    from airtool.images.encode import QUALITY
    from airtool.images.reader import Reader
    from airtool.methods.registry import check_method
    from airtool.methods.weights import embedded_path, sha256_of

    method_facts = check_method(method)
    asks = asks_detector(method_facts, settings)
    facts: dict[str, Any] = {
        "version of airtool": __version__,
        "command": "restore" if loop is None else "iterate",
        "method": method,
        "weights": sha256_of(embedded_path(method, preset) if weights is None else Path(weights)),
        "precision": settings.precision,
        "tile": settings.tile,
        "seed": settings.seed,
        "degradation": list(settings.degradation),
        "prompt": settings.prompt,
        "example": [_content(path, reader or Reader()) for path in settings.instruction or ()],
        "structure weight": settings.structure_weight,
        "work size": list(settings.work_size),
        "quality": QUALITY if quality is None else quality,
    }
    if settings.self_ensemble != 1:  # folders begun before there was a choice stay as they are
        facts["self-ensemble"] = settings.self_ensemble
    if loop is not None or asks:
        from airtool.methods.autodir import DETECTOR

        file = settings.detector_weights
        facts["detector weights"] = sha256_of(embedded_path(DETECTOR, "small") if file is None else Path(file))
    if asks and method_facts.needs == "label":
        from airtool.engine.guess import REFEREE

        facts["referee weights"] = sha256_of(embedded_path(REFEREE, "small"))
    return Identity({**facts, **(loop or {})})


def _content(path: str, reader: "Reader") -> str:
    """sha256 of a file of the example."""
    return hashlib.sha256(reader.load(Path(path))).hexdigest()
