"""DFPIR: Degradation-Aware Feature Perturbation for All-in-One Image Restoration (Tian et al., CVPR 2025).

Restormer's encoder-decoder, told the degradation by a prompt that perturbs the features handed from encoder to decoder
(`airtool.methods.dfpir.perturbation`). Key names are those of the authors' checkpoints. Their prompts pass a CLIP text
encoder and an MLP, of which only the order of the results is used, so the MLP receives no gradient and stays as it was
initialised: each prompt stands for one fixed order of channels a level. This network keeps those orders alone.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from airtool.methods.dfpir.perturbation import Perturbation, PerturbationBlock
from airtool.methods.dfpir.prompts import PAPER_LABELS
from airtool.networks.restormer import Downsample, NormKind, Upsample
from airtool.networks.stages import BlockKind, Blocks, stage
from airtool.networks.strips import joined

LARGEST_DIM = 128
"""Up to here the orders' indices are below 2048 and so survive a float16 weights file exactly."""


@dataclass(frozen=True)
class DFPIRConfig:
    """Sizes of DFPIR. The defaults are the published network (``paper`` preset)."""

    dim: int = 48
    """Channels at full resolution; doubled at each of three further levels. At most 128."""
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    """Blocks at each level, in the encoder and again in the decoder; the last is the bottleneck."""
    refinement_blocks: int = 4
    """Blocks after the decoder, on 2 * dim channels."""
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    """Attention heads at each level, in the perturbation blocks and in Restormer's."""
    expansion: float = 2.66
    """Width of the feed-forward part over the block's width (``block='restormer'`` only)."""
    bias: bool = False
    """Whether the backbone's convolutions carry a bias (``block='restormer'`` only)."""
    norm: NormKind = "WithBias"
    """Kind of the backbone's layer normalisation (``block='restormer'`` only)."""
    block: BlockKind = "restormer"
    """Backbone block: the published one, or the cheaper local one of the ``small`` preset. With the latter the
    backbone is that of NDR-Restore's ``small`` preset, whose weights it can start from: biases in the first and last
    convolution, and a 1x1 convolution before the full-resolution decoder."""
    perturbation: Perturbation = "shuffle"
    """shuffle: as published. attention: learned weights of the expanded channels in place of their order (the paper's
    Table 3 compares with channel attention; that it is one vector a label is our reading)."""
    selective: bool = True
    """Whether the attention perturbation (CAAPM) is there."""
    gamma: float = 0.9
    """Share of the keys that CAAPM keeps for each query, above 0 and at most 1, where nothing is masked."""
    labels: tuple[str, ...] = PAPER_LABELS
    """What the prompts stand for, in order: see `airtool.methods.dfpir.prompts`."""
    fine_labels: tuple[str, ...] = ()
    """Those of the labels that a second network, with weights of its own, restores; (): there is
    none. In one network of the ``small`` size what is to be won in the details (a decibel of JPEG) goes under in what
    weather, haze and darkness ask for (ten decibels)."""
    fine_refinement_blocks: int = 2
    """Its blocks after the decoder; all else is as in the first."""

    def __post_init__(self) -> None:
        if self.block not in ("restormer", "nafnet") or self.perturbation not in ("shuffle", "attention"):
            raise ValueError(f"unknown block {self.block!r} or perturbation {self.perturbation!r}")
        if not 1 <= self.dim <= LARGEST_DIM:
            raise ValueError(f"dim must be 1 to {LARGEST_DIM}, not {self.dim}")
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma must be above 0 and at most 1, not {self.gamma}")
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError("labels must be there, each once")
        if unknown := [label for label in self.fine_labels if label not in self.labels]:
            raise ValueError(f"fine_labels names {unknown[0]!r}, which is none of the labels")


class PatchEmbedding(nn.Module):
    """The first convolution, one level down as published."""

    def __init__(self, channels: int, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class DFPIRNet(nn.Module):
    """DFPIR. Maps (N, 3, H, W), H and W multiples of 8, and N prompts to the restored (N, 3, H, W), unclipped."""

    def __init__(self, config: DFPIRConfig) -> None:
        super().__init__()
        c, (b1, b2, b3, b4), (h1, h2, h3, h4) = config.dim, config.blocks, config.heads
        ndr_like = config.block == "nafnet"
        bias = config.bias and not ndr_like

        def blocks(count: int, channels: int, heads: int) -> Blocks:
            return stage(config.block, count, channels, heads, config.expansion, config.bias, config.norm)

        def perturb(channels: int, heads: int) -> PerturbationBlock:
            gamma = config.gamma if config.selective else None
            return PerturbationBlock(channels, heads, len(config.labels), config.perturbation, gamma)

        self.patch_embed = PatchEmbedding(c, bias=ndr_like)
        self.encoder_level1 = blocks(b1, c, h1)
        self.encoder_shuffle_channel1 = perturb(c, h1)
        self.down1_2 = Downsample(c)
        self.encoder_level2 = blocks(b2, 2 * c, h2)
        self.encoder_shuffle_channel2 = perturb(2 * c, h2)
        self.down2_3 = Downsample(2 * c)
        self.encoder_level3 = blocks(b3, 4 * c, h3)
        self.encoder_shuffle_channel3 = perturb(4 * c, h3)
        self.down3_4 = Downsample(4 * c)
        self.latent = blocks(b4, 8 * c, h4)
        self.latent_shuffle_channel = perturb(8 * c, h4)
        self.up4_3 = Upsample(8 * c)
        self.reduce_chan_level3 = nn.Conv2d(8 * c, 4 * c, 1, bias=bias)
        self.decoder_level3 = blocks(b3, 4 * c, h3)
        self.up3_2 = Upsample(4 * c)
        self.reduce_chan_level2 = nn.Conv2d(4 * c, 2 * c, 1, bias=bias)
        self.decoder_level2 = blocks(b2, 2 * c, h2)
        self.up2_1 = Upsample(2 * c)
        self.reduce_chan_level1 = nn.Conv2d(2 * c, 2 * c, 1, bias=False) if ndr_like else nn.Identity()
        self.decoder_level1 = blocks(b1, 2 * c, h1)
        self.refinement = blocks(config.refinement_blocks, 2 * c, h1)
        self.output = nn.Conv2d(2 * c, 3, 3, padding=1, bias=bias or ndr_like)
        self.fine: DFPIRNet | None = None
        if config.fine_labels:
            self.fine = DFPIRNet(replace(config, fine_labels=(), refinement_blocks=config.fine_refinement_blocks))
            self.fine_prompts = frozenset(config.labels.index(label) for label in config.fine_labels)

    def forward(self, x: Tensor, prompts: Tensor) -> Tensor:
        """x: (N, 3, H, W) RGB in [0, 1]. prompts: (N,) int64, indices into the config's labels."""
        if self.fine is None:
            return self.alone(x, prompts)
        chosen = [self.fine if number in self.fine_prompts else self for number in prompts.tolist()]
        if len(set(chosen)) == 1:
            return chosen[0].alone(x, prompts)
        return torch.cat([net.alone(x[[row]], prompts[[row]]) for row, net in enumerate(chosen)])

    def alone(self, x: Tensor, prompts: Tensor) -> Tensor:
        """As `forward`, but by the first network whatever the prompts."""
        # The encoder goes on from the unperturbed features: only what the decoder receives is perturbed.
        e1 = self.encoder_level1(self.patch_embed(x))
        e2 = self.encoder_level2(self.down1_2(e1))
        e3 = self.encoder_level3(self.down2_3(e2))
        y = self.latent_shuffle_channel(self.latent(self.down3_4(e3)), prompts)
        y = self.decoder_level3(
            joined(self.reduce_chan_level3, self.up4_3(y), self.encoder_shuffle_channel3(e3, prompts))
        )
        y = self.decoder_level2(
            joined(self.reduce_chan_level2, self.up3_2(y), self.encoder_shuffle_channel2(e2, prompts))
        )
        y = self.decoder_level1(
            joined(self.reduce_chan_level1, self.up2_1(y), self.encoder_shuffle_channel1(e1, prompts)), spend=True
        )
        return x + self.output(self.refinement(y, spend=True))
