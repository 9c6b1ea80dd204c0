"""AutoDIR at its published size: latent diffusion as in Stable Diffusion, steered by CLIP, and a NAFNet behind it.

The networks of the packages diffusers and transformers hold the authors' weights; nothing is ever downloaded.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from airtool.diffusion.ddim import Prediction
from airtool.errors import UsageError
from airtool.methods.autodir.clip import ClipConfig, build_clip
from airtool.methods.autodir.clip_tokens import around, class_tokens, tokenise
from airtool.methods.autodir.packages import package
from airtool.networks.nafnet_model import NAFNet, NAFNetConfig


@dataclass(frozen=True)
class PublishedConfig(ClipConfig):
    """Sizes of the whole system. The defaults are the published ones: 1,486,787,503 parameters."""

    kind: str = "published"
    unet_widths: tuple[int, ...] = (320, 640, 1280, 1280)
    """Channels of the diffusion's levels, finest first. All but the last one look at the context."""
    unet_layers: int = 2
    """Residual blocks a level on the way down; one more on the way up."""
    unet_heads: int = 8
    """Attention heads at every level."""
    vae_widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels of the autoencoder's levels, finest first."""
    vae_layers: int = 2
    """Residual blocks a level of its encoder; one more in its decoder."""
    norm_groups: int = 32
    """Groups of every normalisation of both."""
    latent_channels: int = 4
    """Channels of a latent."""
    scale_factor: float = 0.18215
    """What latents are multiplied by before they are diffused."""
    prediction: Prediction = "eps"
    """What the diffusion predicts: the noise."""
    sampler: Literal["ddim", "euler-a"] = "euler-a"
    """How latents are drawn: Euler ancestral, as the authors do, or DDIM."""
    sampling_steps: int = 100
    """Evaluations of the diffusion."""
    low_resolution_weight: float = 0.1
    """Weight of the correction where resolution is what is asked for."""
    corrector_width: int = 64
    """Channels of the structural correction at full resolution."""
    corrector_encoder: tuple[int, ...] = (2, 2, 4, 8)
    """Its blocks, see `NAFNetConfig`."""
    corrector_middle: int = 12
    corrector_decoder: tuple[int, ...] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.unet_widths or not self.vae_widths:
            raise ValueError("unet_widths and vae_widths must name a level at least")
        if any(width < 1 or width % self.norm_groups for width in (*self.unet_widths, *self.vae_widths)):
            raise ValueError("norm_groups must divide every one of unet_widths and vae_widths")
        if any(width % self.unet_heads for width in self.unet_widths):
            raise ValueError("unet_heads must divide every one of unet_widths")
        if self.scale_factor <= 0.0:
            raise ValueError("scale_factor must be above 0")
        if self.prediction != "eps" or self.sampler not in ("ddim", "euler-a"):
            raise ValueError(f"unknown prediction {self.prediction!r} or sampler {self.sampler!r}")
        self.corrector()

    def corrector(self) -> NAFNetConfig:
        """Sizes of the structural correction. Raises ValueError for impossible ones."""
        return NAFNetConfig(
            width=self.corrector_width,
            encoder_blocks=self.corrector_encoder,
            middle_blocks=self.corrector_middle,
            decoder_blocks=self.corrector_decoder,
        )


class PublishedSystem(nn.Module):
    """Every network of AutoDIR. Holds no state besides its weights.

    Pictures are RGB in [-1, 1], (N, 3, H, W), H and W multiples of 64 at the published size (of `latent_factor`
    times the diffusion's own factor at others). Raises AirtoolError when the packages are not installed.
    """

    unet: Any
    vae: Any
    clip: Any

    def __init__(self, config: PublishedConfig) -> None:
        super().__init__()
        diffusers = package("diffusers")
        self.config = config
        self.latent_channels = config.latent_channels
        self.latent_factor = 2 ** (len(config.vae_widths) - 1)
        levels, latents = len(config.unet_widths), config.latent_channels
        self.unet = diffusers.UNet2DConditionModel(
            in_channels=2 * latents,
            out_channels=latents,
            down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
            block_out_channels=config.unet_widths,
            layers_per_block=config.unet_layers,
            attention_head_dim=config.unet_heads,  # in diffusers' configs the number of heads goes by this name
            cross_attention_dim=config.text_width,
            norm_num_groups=config.norm_groups,
        )
        self.vae = diffusers.AutoencoderKL(
            latent_channels=latents,
            down_block_types=("DownEncoderBlock2D",) * len(config.vae_widths),
            up_block_types=("UpDecoderBlock2D",) * len(config.vae_widths),
            block_out_channels=config.vae_widths,
            layers_per_block=config.vae_layers,
            norm_num_groups=config.norm_groups,
            scaling_factor=config.scale_factor,
        )
        self.clip = build_clip(config)
        self.corrector = NAFNet(config.corrector())
        self.eval()

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents (N, latent_channels, H / latent_factor, W / latent_factor) of pictures, not scaled.

        The most probable ones: nothing is drawn.
        """
        return self.vae.encode(pictures).latent_dist.mode()

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures of latents as the diffusion has them, that is scaled; not clipped."""
        return self.vae.decode(latents / self.config.scale_factor).sample

    def context(self, shares: Tensor, classes: Sequence[str]) -> Tensor:
        """What steers the diffusion, (N, positions, text_width), for the classes' shares (N, K), which add up to 1.

        The sentences' token vectors, mixed by the shares (Eq. 3). Tokens that fill up are not looked at, as in the
        authors' path for detected classes. Raises UsageError for a share of a class that these weights do not know.
        """
        mixed = None
        for column, name in enumerate(classes):
            share = shares[:, column, None, None]
            if not bool(share.any()):
                continue
            if name not in self.config.classes:
                known = ", ".join(self.config.classes)
                raise UsageError(f"these weights know no {name!r}: they know {known}")
            # One sentence at a time, so that what else is in the batch cannot change a bit.
            part = share * self._token_vectors(class_tokens(name), masked=True).float()
            mixed = part if mixed is None else mixed + part
        if mixed is None:
            raise UsageError("none of the classes has a share")
        return mixed.to(self.clip.dtype)

    def context_of(self, prompt: str) -> Tensor:
        """The same, (1, positions, text_width), for one sentence of the user's, or "" for none at all.

        Here the tokens that fill up are looked at, as in the authors' path for such sentences, so that a class's own
        sentence steers a little differently. Raises UsageError for a sentence that is too long or, without a
        vocabulary, unknown.
        """
        return self._token_vectors(tokenise(prompt, self.config.merges), masked=False)

    def _token_vectors(self, tokens: tuple[int, ...], masked: bool) -> Tensor:
        """(1, positions, text_width) after the last normalisation."""
        device = self.clip.logit_scale.device
        filled = torch.tensor([around(tokens, self.config.positions)], device=device)
        mask = None
        if masked:
            mask = (torch.arange(self.config.positions, device=device) < len(tokens) + 2).long()[None]
        return self.clip.text_model(input_ids=filled, attention_mask=mask).last_hidden_state

    def denoise(self, noisy: Tensor, times: Tensor, image: Tensor, context: Tensor) -> Tensor:
        """The noise in latents, all (N, latent_channels, h, w).

        noisy: scaled and noised, of unit variance. times: () or (N,), 0 to 999, fractions allowed. image: of the
        degraded picture, as `encode` gives it. context: (N, positions, text_width).
        """
        return self.unet(torch.cat([noisy, image], dim=1), times, encoder_hidden_states=context).sample

    def correct(self, degraded: Tensor, diffused: Tensor, context: Tensor, asked: Collection[str] = ()) -> Tensor:
        """What to add to the diffusion's pictures, times the weight of the correction (Eq. 7).

        `context` and `asked` are not used.

        The network takes the degraded picture first, as in the authors' code; the paper has it second.
        """
        return self.corrector.correction(torch.cat([degraded, diffused], dim=1))
