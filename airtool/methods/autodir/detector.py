"""The detector, AutoDIR's SA-BIQA: pictures and sentences as vectors of one space (paper Sec. 3.1, Eq. 1-2).

A small dual encoder of our own in the place of the paper's CLIP.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.errors import AirtoolError
from airtool.methods.autodir import DETECTOR
from airtool.methods.autodir.encoder import ImageEncoder
from airtool.methods.autodir.text import TextEncoder, tokenise
from airtool.methods.autodir.vocabulary import CLASSES, NOTHING, prompt
from airtool.methods.bounded import bounded
from airtool.methods.configs import config_from
from airtool.methods.weights import embedded_path, read_weights

if TYPE_CHECKING:
    from airtool.methods.autodir.clip_detector import ClipDetectorNet

NAME = DETECTOR

FIRST_SCALE, LARGEST_SCALE = 1 / 0.07, 100.0
"""What cosines are multiplied by before training, and at most (Radford et al., ICML 2021, arXiv 2103.00020)."""


@dataclass(frozen=True)
class DetectorConfig:
    """Sizes of the detector. The defaults are those of the embedded weights."""

    classes: tuple[str, ...] = CLASSES
    """What it tells apart, in the order of the logits."""
    widths: tuple[int, ...] = (24, 40, 80, 128)
    """Channels of each stage; the first works at half the resolution, each further one at half of that."""
    blocks: tuple[int, ...] = (1, 1, 2, 2)
    """Blocks of each stage."""
    kernel: int = 5
    """Side of the depthwise convolutions."""
    expansion: int = 2
    """Channels inside a block over those outside."""
    hidden: int = 256
    """Width of the layer between the statistics and the embedding."""
    embedding: int = 128
    """Length of the vectors that are compared."""
    text_width: int = 64
    """Length of a word's vector."""
    text_buckets: int = 4096
    """Vectors that the pieces of words share."""
    caution: float = 1.0
    """What the odds of "no" are multiplied by once the crops of a picture have been averaged: the benefit of the doubt.
    Training does not know of it."""

    def __post_init__(self) -> None:
        if not 0 < self.caution < math.inf:
            raise ValueError(f"caution must be above 0, not {self.caution}")
        if len(self.widths) != len(self.blocks):
            raise ValueError("widths and blocks must name the same stages")
        if NOTHING not in self.classes:
            raise ValueError(f"the classes lack {NOTHING!r}")


PRESETS: Mapping[str, DetectorConfig] = {"small": DetectorConfig(caution=1.5)}
"""With caution: a picture is called degraded only where that is half as probable again as that it is clean."""


class DetectorNet(nn.Module):
    """Compares pictures with the sentence of every class. Holds no state besides its weights."""

    side = 192
    """Pixels of the side of a crop that it should see. Not scaled: noise and blocks are known by single pixels."""
    prompts: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.caution = config.caution
        self.image = ImageEncoder(
            config.widths, config.blocks, config.kernel, config.expansion, config.hidden, config.embedding
        )
        self.text = TextEncoder(config.text_buckets, config.text_width, config.embedding)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(FIRST_SCALE)))
        sentences = [prompt(name) for name in config.classes]
        self.register_buffer("prompts", tokenise(sentences, config.text_buckets), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N, classes) of pictures (N, 3, H, W) in [0, 1], H and W even (Eq. 1): scaled cosines, float32."""
        return self.compare(pictures, self.embed_tokens(self.prompts))

    def compare(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        """Logits (N, sentences) against unit vectors (sentences, embedding)."""
        seen = F.normalize(self.image(pictures).float(), dim=1)
        # Scaled up, the rounding of bfloat16 would be larger than the differences that count.
        with torch.autocast(pictures.device.type, enabled=False):
            return seen @ sentences.float().T * self.logit_scale.clamp(max=math.log(LARGEST_SCALE)).exp()

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (texts, embedding) of sentences of any wording, float32."""
        return self.embed_tokens(tokenise(texts, self.config.text_buckets).to(self.prompts.device))

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Unit vectors (N, embedding) of sentences as `tokenise` gives them, float32."""
        return F.normalize(self.text(tokens).float(), dim=1)


def load_detector(weights: str | Path | None = None) -> "DetectorNet | ClipDetectorNet":
    """The detector with its weights, on the CPU, float32, in evaluation mode.

    weights: a file that `airtool train --recipe detect-small` or `airtool models import --method detect` wrote; None
    takes the embedded ones. Raises UsageError when none are embedded, AirtoolError for a file that is missing, damaged,
    no detector's, or does not fit itself.
    """
    path = embedded_path(NAME, "small") if weights is None else Path(weights)
    found = read_weights(path)
    if found.header.get("method") != NAME:
        raise AirtoolError(
            f"{path} holds weights of {found.header.get('method')!r}, not of the detector: name the right file"
        )
    with bounded(found.tensors, path):
        network = _built(found.header.get("config", {}))
    try:
        network.load_state_dict(found.tensors)
    except RuntimeError as error:
        # The first line of PyTorch's message only says that something is wrong.
        detail = str(error).splitlines()[1].strip().rstrip(".")
        raise AirtoolError(f"{path} does not fit its own config ({detail}): get the file again") from None
    return network.eval().requires_grad_(False)


def _built(values: Mapping[str, Any]) -> "DetectorNet | ClipDetectorNet":
    if values.get("kind") == "clip":
        from airtool.methods.autodir.clip_detector import ClipConfig, ClipDetectorNet

        return ClipDetectorNet(config_from(ClipConfig, values, "detector"))
    return DetectorNet(config_from(DetectorConfig, values, "detector"))
