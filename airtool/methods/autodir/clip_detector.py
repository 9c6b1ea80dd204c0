"""CLIP as the detector: the authors' SA-CLIP, alone, as they trained it (paper Sec. 3.1, Eq. 1-2)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airtool.errors import AirtoolError
from airtool.methods.autodir.clip import ClipConfig, build_clip, class_sentences, clip_sizes, normalised
from airtool.methods.autodir.clip_tokens import around, tokenise
from airtool.methods.autodir.official import CLIP, COUNTERS, merges_of
from airtool.methods.official import fit

PREFIXES = (CLIP, "clipmodel.", "")
"""How CLIP's keys begin in a checkpoint of the whole system, in one of the assessment, and in CLIP's own."""

FOREIGN = "the checkpoint is not one of CLIP in the layout of transformers"


class ClipDetectorNet(nn.Module):
    """Compares pictures with the sentence of every class. Holds no state besides its weights.

    To be used as `airtool.methods.autodir.detector.DetectorNet`, on crops of `side` pixels.
    """

    prompts: Tensor
    clip: Any
    caution = 1.0
    """As `DetectorConfig` has it; the published weights bring none."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.side = config.side
        self.clip = build_clip(config)
        self.register_buffer("prompts", class_sentences(config), persistent=False)

    @property
    def logit_scale(self) -> Tensor:
        """Logarithm of what cosines are multiplied by."""
        return self.clip.logit_scale

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N, classes) of pictures (N, 3, H, W) in [0, 1] (Eq. 1): scaled cosines, float32."""
        return self.compare(pictures, self.embed_tokens(self.prompts))

    def compare(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        """Logits (N, sentences) against unit vectors (sentences, embedding).

        Of pictures larger than `config.side` the middle is looked at, smaller ones are put on black.
        """
        seen = self.clip.get_image_features(normalised(pictures, self.config.side)).pooler_output
        with torch.autocast(pictures.device.type, enabled=False):
            return F.normalize(seen.float(), dim=1) @ sentences.float().T * self.logit_scale.float().exp()

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (texts, embedding) of sentences, float32.

        Raises UsageError for one that is too long or, without a vocabulary, unknown.
        """
        tokens = [around(tokenise(text, self.config.merges), self.config.positions) for text in texts]
        return self.embed_tokens(torch.tensor(tokens, device=self.prompts.device))

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Unit vectors (N, embedding) of sentences (N, positions) of tokens, float32."""
        # Each token looks back only, and the end's vector is taken: tokens that fill up behind it change nothing.
        return F.normalize(self.clip.get_text_features(tokens).pooler_output.float(), dim=1)


def convert(tensors: Mapping[str, Tensor], variant: str | None = None) -> tuple[ClipConfig, dict[str, Tensor]]:
    """Config and `ClipDetectorNet` state from a checkpoint of the authors: the whole system, or CLIP alone.

    CLIP in the layout of transformers, of any published size. variant: as `airtool.methods.autodir.official.convert`
    has it. Raises UsageError for another one, AirtoolError when names or shapes do not fit.
    """
    merges = merges_of(variant)
    prefix = next(prefix for prefix in PREFIXES if prefix == "" or any(key.startswith(prefix) for key in tensors))
    state = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    state = {key: tensor for key, tensor in state.items() if key not in COUNTERS}
    try:
        config = ClipConfig(merges=merges, **clip_sizes(state))
    except (KeyError, IndexError) as error:
        raise AirtoolError(f"{FOREIGN}: {error} is missing") from None
    except ValueError as error:
        raise AirtoolError(f"{FOREIGN}: {error}") from None
    with torch.device("meta"):
        expected = build_clip(config).state_dict()
    return config, {f"clip.{key}": tensor for key, tensor in fit(state, expected, "CLIP").items()}
