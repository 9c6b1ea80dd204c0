"""CLIP as AutoDIR's authors have it: sizes, the network of the package transformers, what goes in and out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.methods.autodir.clip_tokens import CLASSES, END, SIZE, START, around, class_tokens
from airtool.methods.autodir.packages import package
from airtool.methods.autodir.vocabulary import NOTHING

HEAD = 64
"""Channels of an attention head in every published CLIP."""

MEAN, SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of each channel of RGB in [0, 1], by which pictures are normalised."""


@dataclass(frozen=True)
class ClipConfig:
    """Sizes of CLIP. The defaults are ViT-L/14, the authors' choice: 427,616,513 parameters."""

    kind: str = "clip"
    """Tells weights files of these networks from those of our own."""
    classes: tuple[str, ...] = CLASSES
    """What the weights tell apart, in the order of the logits."""
    merges: str = ""
    """CLIP's vocabulary, see `clip_tokens.read_merges`; empty: only the classes' sentences are known."""
    vocabulary: int = SIZE
    """Tokens."""
    positions: int = 77
    """Tokens of a sentence that is filled up."""
    text_width: int = 768
    """Channels of the text side, the context of the diffusion."""
    text_hidden: int = 3072
    """Channels inside its MLPs."""
    text_layers: int = 12
    """Its layers."""
    vision_width: int = 1024
    """Channels of the picture side."""
    vision_hidden: int = 4096
    """Channels inside its MLPs."""
    vision_layers: int = 24
    """Its layers."""
    patch: int = 14
    """Side of a patch in pixels."""
    side: int = 224
    """Side of the picture in pixels."""
    embedding: int = 768
    """Length of the vectors that are compared."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.classes if name not in CLASSES]
        if unknown or NOTHING not in self.classes:
            raise ValueError(f"unknown class {unknown[0]!r}" if unknown else f"the classes lack {NOTHING!r}")
        for name, value in vars(self).items():
            if isinstance(value, int) and value < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.text_width % HEAD or self.vision_width % HEAD:
            raise ValueError(f"text_width and vision_width must be multiples of {HEAD}")
        if self.vocabulary <= END:
            raise ValueError(f"vocabulary must be at least {SIZE}")
        if self.side % self.patch:
            raise ValueError("side must be a multiple of patch")


def build_clip(config: ClipConfig) -> Any:
    """transformers' CLIPModel, untrained, built without any download. Raises AirtoolError when it is not installed."""
    transformers = package("transformers")
    tokens = {"bos_token_id": START, "eos_token_id": END, "pad_token_id": END}
    text = {
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.positions,
        "hidden_size": config.text_width,
        "intermediate_size": config.text_hidden,
        "num_hidden_layers": config.text_layers,
        "num_attention_heads": config.text_width // HEAD,
        "projection_dim": config.embedding,
        **tokens,
    }
    vision = {
        "image_size": config.side,
        "patch_size": config.patch,
        "hidden_size": config.vision_width,
        "intermediate_size": config.vision_hidden,
        "num_hidden_layers": config.vision_layers,
        "num_attention_heads": config.vision_width // HEAD,
        "projection_dim": config.embedding,
    }
    whole = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=config.embedding)
    return transformers.CLIPModel(whole).eval()


def clip_sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Read the sizes of a `ClipConfig` off the state of a CLIPModel.

    Raises KeyError when a tensor that tells a size is missing, IndexError for one of too few dimensions.
    """
    token = state["text_model.embeddings.token_embedding.weight"].shape
    patch = state["vision_model.embeddings.patch_embedding.weight"].shape
    patches = state["vision_model.embeddings.position_embedding.weight"].shape[0] - 1
    return {
        "vocabulary": token[0],
        "positions": state["text_model.embeddings.position_embedding.weight"].shape[0],
        "text_width": token[1],
        "text_hidden": state["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "text_layers": count(state, "text_model.encoder.layers."),
        "vision_width": patch[0],
        "vision_hidden": state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0],
        "vision_layers": count(state, "vision_model.encoder.layers."),
        "patch": patch[3],
        "side": math.isqrt(patches) * patch[3],
        "embedding": state["text_projection.weight"].shape[0],
    }


def count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many different names follow `prefix` in the keys, up to the next dot."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})


def class_sentences(config: ClipConfig) -> Tensor:
    """Tokens (classes, positions) int64 of every class's sentence."""
    return torch.tensor([around(class_tokens(name), config.positions) for name in config.classes])


def normalised(pictures: Tensor, side: int) -> Tensor:
    """Pictures (N, 3, H, W) in [0, 1] as CLIP takes them, (N, 3, side, side): the middle, at its own resolution.

    What is missing is filled with black, as the authors' preprocessing does.
    """
    height, width = pictures.shape[-2:]
    missing = [max(0, side - length) for length in (height, width)]
    before = [-(-each // 2) for each in missing]
    pictures = F.pad(pictures, (before[1], missing[1] - before[1], before[0], missing[0] - before[0]))
    top, left = ((length - side) // 2 for length in pictures.shape[-2:])
    pictures = pictures[..., top : top + side, left : left + side]
    mean, spread = (pictures.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, SPREAD))
    return (pictures - mean) / spread
