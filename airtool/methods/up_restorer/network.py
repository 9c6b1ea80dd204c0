"""Up-Restorer (Liu et al., AAAI 2025): C2F-DFT with learnable queries and upgraded prompts.

The paper gives its backbone to the parameter. There is no public code of it; see `prompts` and `queries` for what the
paper says of the rest and what is our design.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from airtool.diffusion.ddim import Evaluation, Prediction, result, sample, strided
from airtool.diffusion.schedule import LinearSchedule
from airtool.methods.up_restorer.prompts import PromptBlock, Upgrade
from airtool.methods.up_restorer.queries import QueriedAttention
from airtool.networks.c2f_dft import STAGES, DFTConfig, DiffusionTransformer, DiffusionTransformerBlock
from airtool.networks.fine_share import FineShare
from airtool.networks.nafnet import NAFBlock
from airtool.networks.restormer import TransposedAttention
from airtool.networks.strips import in_strips


@dataclass(frozen=True)
class UpRestorerConfig(DFTConfig):
    """Sizes of Up-Restorer. The defaults are the ``paper`` preset: 28,012,779 parameters; 28,012,272 are published."""

    local_stages: tuple[str, ...] = ()
    """Stages of `STAGES` whose blocks are cheap local NAFNet blocks; the others keep the published blocks with
    learnable queries. Not published."""
    closing_attention: tuple[str, ...] = ()
    """Local stages that end with one further published block with learnable queries, the identity at first. Not
    published."""
    components: int = 5
    """Components of a prompt."""
    component_side: int = 8
    """Side of the latent level's components and maps, twice that at each finer level: half of a 128-pixel crop's
    feature. The paper does not give it."""
    prediction: Prediction = "eps"
    """What the network predicts: "eps", the noise, as published, or "x0", the clean picture as the degraded one plus a
    correction, from which the noise follows. Both go through the same sampler; the latter, not published, spares a
    small network the division by 0.006 at the first step and lets it start as the identity."""
    queries: bool = True
    """Whether attention has learnable queries (paper Eq. 17-18); without them what they bring is measured."""
    prompts: bool = True
    """Whether there are Prompt Blocks; the same."""
    sampling_timesteps: int = 3
    """1000 divided by this is the sampler's stride: 3 gives the four evaluations at 999, 666, 333 and 0."""
    fine: bool = False
    """Whether a second network restores the pictures in which the first one's encoder finds noise, blur, low resolution
    or JPEG alone: see `NDRConfig.fine`. Not published."""
    fine_refinement_blocks: int = 2
    """Its blocks after the decoder; all else is as in the first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = sorted({*self.local_stages, *self.closing_attention} - set(STAGES))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is none of the stages {', '.join(STAGES)}")
        if not set(self.closing_attention) <= set(self.local_stages):
            raise ValueError("closing_attention may name local stages only")
        if self.prediction not in ("eps", "x0"):
            raise ValueError(f"prediction must be 'eps' or 'x0', not {self.prediction!r}")
        if min(self.components, self.component_side) < 1 or not 1 <= self.sampling_timesteps <= 1000:
            raise ValueError("components, component_side and sampling_timesteps must be at least 1")


class TimedNAFBlock(NAFBlock):
    """A local NAFNet block that sees the time step: a linear map of the level's time vector is added to its input.

    The map is zero at first, so that the block starts as one without time.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channel_attention=False)
        self.time = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.time.weight)
        nn.init.zeros_(self.time.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, time: Tensor | None = None, *, spend: bool = False) -> Tensor:
        if time is None:
            return super().forward(x, spend=spend)
        shift = self.time(time)
        return in_strips(lambda part: self._layers(part + shift), x, spend=spend)


class UpRestorerNet(nn.Module):
    """Predicts, at one time step, the noise or the clean picture; `trajectory` restores with it.

    Pictures are (N, 3, H, W), H and W multiples of 8, in the range [-1, 1] of the diffusion.
    """

    def __init__(self, config: UpRestorerConfig) -> None:
        super().__init__()
        self.config = config
        self.schedule = LinearSchedule()
        self.times = strided(config.sampling_timesteps, self.schedule.steps)
        self.backbone = DiffusionTransformer(config, self._stage)
        if config.prompts:
            c, side = config.dim, config.component_side
            self.prompt_level4 = PromptBlock(8 * c, config.components, side)
            self.prompt_level3 = PromptBlock(4 * c, config.components, 2 * side)
            self.prompt_level2 = PromptBlock(2 * c, config.components, 4 * side)
        self.fine: UpRestorerNet | None = None
        if config.fine:
            second = replace(config, fine=False, refinement_blocks=config.fine_refinement_blocks)
            self.fine = UpRestorerNet(second)
            self.fine_share = FineShare((1 + 2 + 4) * config.dim)

    def _stage(self, name: str, count: int, channels: int, heads: int) -> list[nn.Module]:
        def published() -> DiffusionTransformerBlock:
            kind = QueriedAttention if self.config.queries else TransposedAttention
            attention = kind(channels, heads, self.config.bias)
            return DiffusionTransformerBlock(channels, attention, self.config)

        if name not in self.config.local_stages:
            return [published() for _ in range(count)]
        blocks: list[nn.Module] = [TimedNAFBlock(channels) for _ in range(count)]
        if name in self.config.closing_attention:
            # As all blocks of a local stage it starts as the identity.
            block = published()
            for key, parameter in block.named_parameters():
                if ".project_out." in key:
                    nn.init.zeros_(parameter)
            blocks.append(block)
        return blocks

    def forward(self, degraded: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
        """The prediction, of the kind that the config names, from the degraded picture, x_t and time steps (N,)."""
        return self.predict(degraded, noisy, t)[0]

    def predict(self, degraded: Tensor, noisy: Tensor, t: Tensor) -> tuple[Tensor, Upgrade | None]:
        """The same with the quantities of the finest Prompt Block, at half of the picture's size; None without any."""
        # The decoder goes from coarse to fine, so the last one to arrive is the finest; the others are let go.
        finest: list[Upgrade | None] = [None]

        def prompt(level: int, decoded: Tensor, encoded: Tensor) -> Tensor:
            if not self.config.prompts:
                return decoded
            decoded, upgrade = getattr(self, f"prompt_level{level}")(decoded, encoded)
            finest[:] = [upgrade]
            return decoded

        out = self.backbone.decode(torch.cat([degraded, noisy], 1), t, prompt)
        if self.config.prediction == "x0":
            out = out + degraded
        elif self.backbone.skip_conv is None:
            out = out + noisy
        return out, finest[0]

    def encoded(self, degraded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The encoder's features of degraded pictures at the first evaluation, with zeros, its mean, for the noise."""
        embedded = self.backbone.patch_embed(torch.cat([degraded, torch.zeros_like(degraded)], 1))
        return self.backbone.encoded(embedded, torch.full((len(degraded),), float(self.times[0])).to(degraded.device))

    def survey(self, degraded: Tensor) -> float | None:
        """The second network's share in a picture of which these are crops (N, 3, H, W); None where there is none."""
        return None if self.fine is None else float(self.fine_share(self.encoded(degraded), together=True).detach())

    def asked(self, degraded: Tensor, fine_share: float | None = None) -> "list[tuple[UpRestorerNet, float]]":
        """The networks that restore a picture (1, 3, H, W), and their weights, which add up to 1.

        fine_share: what `survey` found of the picture of which `degraded` is a tile; None has it looked at by itself.
        """
        if self.fine is None:
            return [(self, 1.0)]
        share = self.survey(degraded) if fine_share is None else fine_share
        assert share is not None
        return [(network, weight) for network, weight in ((self, 1 - share), (self.fine, share)) if weight]

    def restored(self, degraded: Tensor, start: Tensor, fine_share: float | None = None) -> Tensor:
        """What `asked` make of a picture (1, 3, H, W) from the noise `start`, float32."""
        asked = self.asked(degraded, fine_share)
        return torch.stack([weight * result(net.trajectory(degraded, start)) for net, weight in asked]).sum(0)

    def trajectory(
        self, degraded: Tensor, start: Tensor, with_gradient: int | None = None, evaluations: int | None = None
    ) -> Iterator[Evaluation]:
        """Restore by evaluating the network at `times`, from standard normal noise `start` at the first of them.

        degraded: in the network's dtype; the sampler computes in float32, as `start` is. with_gradient: only so many
        of the last evaluations are part of the autograd graph; None: all. evaluations: end after so many, with the
        clean picture as predicted there; None: after the last. The last evaluation's `x` is the result.
        """
        visited = self.times[:evaluations]
        learning = visited if with_gradient is None else visited[-with_gradient:]

        def network(x: Tensor, t: int) -> Tensor:
            times = torch.full((x.shape[0],), float(t), device=x.device)
            with torch.set_grad_enabled(torch.is_grad_enabled() and t in learning):
                return self(degraded, x.to(degraded.dtype), times).float()

        return sample(network, start, self.schedule, visited, self.config.prediction)
