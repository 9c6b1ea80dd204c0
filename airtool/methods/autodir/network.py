"""AutoDIR at a size for a laptop: the same three parts as the published system, with small networks of our own.

An autoencoder, a latent diffusion that hears the words and sees the degraded picture's latent, and the structural
correction. `airtool.methods.autodir.published` is the system of the authors' size behind the same few functions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from airtool.diffusion.ddim import Prediction
from airtool.errors import UsageError
from airtool.methods.autodir.autoencoder import FACTOR, Autoencoder
from airtool.methods.autodir.conditions import SentenceEncoder
from airtool.methods.autodir.corrector import Corrector
from airtool.methods.autodir.denoiser import Denoiser
from airtool.methods.autodir.understanding import LanguageSide
from airtool.methods.autodir.vocabulary import CLASSES, NOTHING

Sampler = Literal["ddim", "euler-a"]
"""ddim: deterministic but for its start. euler-a: Euler ancestral, as the authors sample."""


@dataclass(frozen=True)
class AutoDIRConfig:
    """Sizes of the small system. The defaults are those of the embedded weights."""

    kind: Literal["small"] = "small"
    """Tells the two systems apart in weights files."""
    classes: tuple[str, ...] = CLASSES
    """What the words can say, in order."""
    latent_channels: int = 8
    """Channels of a latent."""
    autoencoder_widths: tuple[int, int] = (64, 96)
    """The autoencoder's channels at a quarter and at an eighth of the resolution."""
    autoencoder_blocks: int = 2
    """Its blocks at each of them, in the encoder and in the decoder."""
    denoiser_widths: tuple[int, int] = (96, 128)
    """The diffusion's channels at the latents' resolution and at half of it."""
    denoiser_blocks: tuple[int, int] = (2, 4)
    """Its blocks there; those of the first come twice."""
    text_buckets: int = 1024
    """Vectors that the pieces of words share."""
    text_width: int = 64
    """Length of a word's vector."""
    corrector_dim: int = 16
    """The correction's channels at its finest level."""
    corrector_blocks: tuple[int, int, int, int] = (1, 2, 3, 4)
    """Its blocks at each level, in the encoder and again in the decoder; the last is the bottleneck."""
    refinement_blocks: int = 1
    """Blocks after the decoder."""
    corrector_pack: int = 1
    """Side of the squares of pixels that the correction gathers into channels before its first block."""
    fine_classes: tuple[str, ...] = ()
    """What a second correction, of its own weights, is for where nothing else is asked for; (): there is none. In one
    network of this size what is to be won in the details (a decibel of JPEG) goes under in what weather, haze and
    darkness ask for (ten decibels)."""
    fine_refinement_blocks: int = 2
    """Its blocks after the decoder; all else is as in the other."""
    prompted_correction: bool = True
    """Whether the correction hears the words too; the paper's does not."""
    prediction: Prediction = "x0"
    """What the diffusion predicts. The paper's predicts the noise; few steps want the clean latent."""
    sampler: Sampler = "ddim"
    """How latents are drawn."""
    sampling_steps: int = 4
    """Evaluations of the diffusion."""
    low_resolution_weight: float = 1.0
    """Weight of the correction where resolution is what is asked for. The paper's 0.1 would leave the details to an
    autoencoder that is too small for them."""

    def __post_init__(self) -> None:
        if NOTHING not in self.classes:
            raise ValueError(f"the classes lack {NOTHING!r}")
        if unknown := set(self.fine_classes) - set(self.classes):
            raise ValueError(f"fine_classes names {sorted(unknown)[0]!r}, which is none of the classes")
        if self.corrector_pack not in (1, 2):
            raise ValueError(f"corrector_pack must be 1 or 2, not {self.corrector_pack}")  # pictures: multiples of 16
        if self.prediction not in ("eps", "x0") or self.sampler not in ("ddim", "euler-a"):
            raise ValueError(f"unknown prediction {self.prediction!r} or sampler {self.sampler!r}")


class AutoDIRNet(nn.Module):
    """The three parts. Pictures are (N, 3, H, W) in [-1, 1], H and W multiples of 16; nothing is clipped."""

    latent_factor = FACTOR

    def __init__(self, config: AutoDIRConfig) -> None:
        super().__init__()
        self.config = config
        self.latent_channels = config.latent_channels
        words = config.text_width
        self.sentences = SentenceEncoder(config.classes, config.text_buckets, words)
        self.language = LanguageSide()
        self.autoencoder = Autoencoder(config.latent_channels, config.autoencoder_widths, config.autoencoder_blocks)
        self.denoiser = Denoiser(config.latent_channels, config.denoiser_widths, config.denoiser_blocks, words)
        self.corrector = self._correction(config.refinement_blocks)
        if config.fine_classes:
            self.fine_corrector = self._correction(config.fine_refinement_blocks)

    def correctors(self) -> list[Corrector]:
        """The correction, and the second one where there is one."""
        return [self.corrector, *([self.fine_corrector] if self.config.fine_classes else [])]

    def _correction(self, refinement_blocks: int) -> Corrector:
        config = self.config
        return Corrector(
            config.corrector_dim,
            config.corrector_blocks,
            refinement_blocks,
            config.text_width,
            config.prompted_correction,
            config.corrector_pack,
        )

    def context(self, shares: Tensor, classes: Sequence[str]) -> Tensor:
        """The words for shares (N, classes) that add up to 1 (Eq. 3): (N, words, width).

        Raises UsageError unless the classes are those of the config, in their order.
        """
        if tuple(classes) != self.config.classes:
            raise UsageError(f"these weights know the classes {', '.join(self.config.classes)} and no others")
        return self.sentences(shares)

    def context_of(self, prompt: str) -> Tensor:
        """These words are the classes' own: any sentence is first understood as shares of them, by `language`."""
        raise UsageError("these weights take sentences by way of their classes")

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents (N, C, H / 8, W / 8)."""
        return self.autoencoder.encode(pictures)

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures for latents."""
        return self.autoencoder.decode(latents)

    def denoise(self, z: Tensor, t: Tensor, image_latent: Tensor, context: Tensor) -> Tensor:
        """What `config.prediction` says, for latents z at the time steps t (N,)."""
        return self.denoiser(z, t, image_latent, context)

    def correct(self, degraded: Tensor, diffused: Tensor, context: Tensor, asked: Collection[str] = ()) -> Tensor:
        """F([I, I_sd]) of Eq. 7: what to add to `diffused` at weight 1. asked: the classes that `context` speaks of."""
        rest = set(asked) - {NOTHING}
        corrector = self.fine_corrector if rest and rest <= set(self.config.fine_classes) else self.corrector
        # The correction counts from 0 to 1, as NDR-Restore does, whose weights it can begin with.
        return 2 * corrector((degraded + 1) / 2, (diffused + 1) / 2, context)
