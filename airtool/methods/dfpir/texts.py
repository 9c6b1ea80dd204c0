"""The text vectors behind the authors' prompts. Needed once, when a checkpoint of theirs is imported."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from airtool.errors import AirtoolError, UsageError
from airtool.methods.dfpir.prompts import LABELS, PAPER_LABELS, UNKNOWN
from airtool.methods.official import read_checkpoint

CLIP = "openai/clip-vit-base-patch32"
"""The text encoder of the authors, in the layout of transformers."""

_DETAILED = dict(
    zip(
        PAPER_LABELS,
        (
            "Gaussian noise with a standard deviation of 15",
            "Gaussian noise with a standard deviation of 25",
            "Gaussian noise with a standard deviation of 50",
            "Rain degradation with rain lines",
            "Hazy degradation with normal haze",
            "Blur degradation with motion blur",
            "Lowlight degradation",
        ),
        strict=True,
    )
)

VARIANTS: dict[str, dict[str, str]] = {
    "detailed": _DETAILED,
    "detailed-3": {label: _DETAILED[label] for label in PAPER_LABELS[:5]},
    "simple": {"noise": "Noise", "rain": "Rain", "haze": "Haze"},
}
"""Prompts by label for each of the authors' checkpoints: five tasks, three tasks, three tasks with one-word prompts.
The checkpoints' keys are the same, so the user has to say which it is."""

FROM_FILE = "text="

NAMES = ("noise", *(label for label in LABELS if label != UNKNOWN))
"""What a file of text vectors may hold. Not "unknown": no such prompt was trained."""


@dataclass(frozen=True)
class Texts:
    """Prompts of a checkpoint."""

    labels: tuple[str, ...]
    """In the order in which the network will number them."""
    vectors: Callable[[], Tensor]
    """(labels, width) float32, not normalised."""
    origin: str
    """Where the vectors come from, for messages."""


def find_texts(variant: str | None) -> Texts:
    """The prompts for a variant: a name in `VARIANTS`, or "text=FILE".

    FILE is a safetensors file with one vector (width,) a label, as the authors' encoder gave them. Without it the
    vectors come from CLIP through transformers when they are asked for. Raises UsageError for none, an unknown variant
    or label, AirtoolError for a file that cannot be read or does not hold vectors of one width.
    """
    if variant is not None and variant.startswith(FROM_FILE):
        return _from_file(Path(variant.removeprefix(FROM_FILE)))
    known = ", ".join((*VARIANTS, f"{FROM_FILE}FILE"))
    if variant is None:
        raise UsageError(
            "the authors' three checkpoints of dfpir look alike: say by --variant which prompts this one was trained "
            f"with, {known} (detailed: five tasks, detailed-3: three, simple: three named by one word)"
        )
    if variant not in VARIANTS:
        raise UsageError(f"unknown variant {variant!r} of dfpir: choose from {known}")
    texts = VARIANTS[variant]
    return Texts(tuple(texts), lambda: clip_vectors(list(texts.values())), CLIP)


def _from_file(path: Path) -> Texts:
    vectors: Mapping[str, Tensor] = read_checkpoint(path)
    strange = [label for label in vectors if label not in NAMES]
    if strange:
        raise UsageError(f"{path}: {strange[0]!r} is no label of dfpir; labels are {', '.join(NAMES)}")
    labels = tuple(label for label in NAMES if label in vectors)
    shapes = {tuple(vectors[label].shape) for label in labels}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise AirtoolError(f"{path} must hold one vector a label, all of one length, not {sorted(shapes)}")
    stacked = torch.stack([vectors[label].float() for label in labels])
    if not torch.isfinite(stacked).all():
        raise AirtoolError(f"{path} is damaged: it holds values that are not finite numbers")
    return Texts(labels, lambda: stacked, str(path))


def clip_vectors(texts: Sequence[str]) -> Tensor:
    """Embeddings (texts, 512) of CLIP's text encoder, float32, not normalised.

    In float32 throughout. The authors' package computes in float16 on a GPU, whose rounding moves the vectors a
    little; nearly equal scores may then change places, so a few channels of the widest level can be ordered
    differently from the training. Vectors from their own program (``text=FILE``) avoid that.

    Raises AirtoolError when transformers is not installed, or CLIP is neither stored here nor downloadable.
    """
    remedy = f"or give the prompts' vectors in a safetensors file with --variant {FROM_FILE}FILE"
    try:
        transformers = import_module("transformers")
    except ImportError:
        raise AirtoolError(f"the prompts of dfpir come from CLIP: pip install transformers, {remedy}") from None
    try:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(CLIP)
        encoder = transformers.CLIPTextModelWithProjection.from_pretrained(CLIP).eval().float()
    except OSError:
        raise AirtoolError(f"{CLIP} is not stored here and cannot be downloaded: go online once, {remedy}") from None
    with torch.no_grad():
        return encoder(**tokenizer(list(texts), padding=True, return_tensors="pt")).text_embeds.float()
