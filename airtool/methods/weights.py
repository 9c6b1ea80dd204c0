"""Weights files: safetensors whose header says which network they belong to, and the record of the embedded ones."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airtool
from airtool.errors import AirtoolError, UsageError
from airtool.images.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

HEADER = "airtool"
"""Key of the JSON header among a safetensors file's metadata."""


@dataclass(frozen=True)
class WeightsRecord:
    """One embedded weights file, as `models/manifest.json` describes it."""

    method: str
    preset: str
    file: str
    sha256: str
    parameters: int
    size: int
    """Bytes."""
    licence: str
    trained_on: str
    """Data, in one line."""
    recipe: str
    """Name of the recipe."""
    steps: int
    date: str
    """ISO 8601."""


@dataclass(frozen=True)
class Weights:
    """The content of a weights file."""

    header: dict[str, Any]
    """``method``, ``config`` and where the weights come from."""
    tensors: "dict[str, Tensor]"
    """Network state, float32."""


def models_folder() -> Path:
    """Where the embedded weights lie: inside the installed package, or beside it in a checkout."""
    package = Path(airtool.__file__).parent
    installed = package / "models"
    return installed if installed.is_dir() else package.parent / "models"


def embedded() -> list[WeightsRecord]:
    """All embedded weights. Raises AirtoolError when the installation has lost its manifest."""
    manifest = models_folder() / "manifest.json"
    try:
        return [WeightsRecord(**row) for row in json.loads(manifest.read_text("utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise AirtoolError(f"{manifest} cannot be read ({error}): install airtool again") from None


def embedded_path(method: str, preset: str) -> Path:
    """File of the embedded weights, checked against its sha256.

    Raises UsageError when none are embedded for this preset, AirtoolError when the file is missing or damaged.
    """
    for record in embedded():
        if (record.method, record.preset) == (method, preset):
            problem = damage(record)
            if problem:
                raise AirtoolError(problem)
            return models_folder() / record.file
    raise UsageError(f"no weights are embedded for {method} {preset}: give a file with --weights")


def damage(record: WeightsRecord) -> str | None:
    """What is wrong with an embedded file, in one line; None when it is whole."""
    path = models_folder() / record.file
    if not path.is_file():
        return f"{path} is missing: install airtool again"
    return (
        None if sha256_of(path) == record.sha256 else f"{path} is damaged (its sha256 differs): install airtool again"
    )


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path) -> Weights:
    """Read a weights file; nothing in it is ever executed.

    Raises UsageError when the file is missing, AirtoolError when it is no safetensors file with airtool's header, or
    holds something other than finite floating-point numbers.
    """
    import torch

    with _opened(path, "pt") as (file, header):
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    for key, tensor in stored.items():
        if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise AirtoolError(f"{path} is damaged: {key!r} holds {tensor.dtype}, not weights; get it again")
    tensors = {key: tensor.float() for key, tensor in stored.items()}
    for key, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise AirtoolError(f"{path} is damaged: {key!r} holds values that are not finite numbers; get it again")
    return Weights(header, tensors)


def method_of(path: Path) -> str:
    """Name of the method that a weights file is for; imports no torch. Raises AirtoolError as `read_weights`."""
    with _opened(path, "np") as (_, header):
        return str(header.get("method"))


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A weights file and its header, with one-line errors for whatever is wrong with it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "null"))
            if not isinstance(header, dict):
                raise AirtoolError(f"{path} was not written by airtool: bring it in with `airtool models import`")
            yield file, header
    except FileNotFoundError:
        raise UsageError(f"weights file {path} does not exist: check the spelling") from None
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AirtoolError(f"{path} is not a readable weights file ({detail}): get it again") from None


def write_weights(
    path: Path, method: str, config: Any, tensors: "Mapping[str, Tensor]", origin: Mapping[str, Any], *, half: bool
) -> None:
    """Write a weights file atomically, replacing an older one.

    config: the frozen dataclass of the network. origin: where the weights come from (recipe, steps, source file).
    half: store float16. Raises AirtoolError when it cannot be written.
    """
    import torch
    from safetensors.torch import save

    header = {
        "method": method,
        "config": asdict(config),
        "origin": dict(origin),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "airtool": airtool.__version__,
    }
    dtype = torch.float16 if half else torch.float32
    stored = {key: tensor.detach().to("cpu", dtype).contiguous() for key, tensor in tensors.items()}
    write_atomic(path, save(stored, {HEADER: json.dumps(header)}), overwrite=True)
