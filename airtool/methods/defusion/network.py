"""Defusion (Luo et al., CVPR 2025): the degradation as the thing that is diffused, told by a visual instruction.

The network predicts y0 = degraded - restored (paper Eq. 5-12) from noise, the degraded picture and the tokens of an
instruction. There is no public code of it; what the paper leaves open is our design and says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from airtool.degradations.compose import Step
from airtool.diffusion.ddim import Evaluation, Limit, result, sample, trailing
from airtool.methods.defusion.adm_unet import ADMUNet, ADMUNetConfig
from airtool.methods.defusion.config import SCHEDULES, DefusionConfig
from airtool.methods.defusion.instruction import Instruction, instruction, null_instruction
from airtool.methods.defusion.local_unet import LocalUNet, LocalUNetConfig
from airtool.methods.defusion.tokens import as_map, centre, residual_tokens, stacked
from airtool.networks.fine_share import FineShare
from airtool.networks.vqgan import VQGAN

Wanted = tuple[Step, ...]
"""Degradations to remove, in the order in which they happened; empty: none."""


class DefusionNet(nn.Module):
    """Tokenizer and U-Net. Pictures are (N, 3, H, W) in [-1, 1], H and W multiples of 16."""

    def __init__(self, config: DefusionConfig) -> None:
        super().__init__()
        self.config = config
        self.schedule = SCHEDULES[config.schedule]()
        self.times = trailing(config.evaluations, self.schedule.steps)
        context = config.tokenizer.code_dim
        self.unet = (
            ADMUNet(config.unet, context) if isinstance(config.unet, ADMUNetConfig) else LocalUNet(config.unet, context)
        )
        self.tokenizer = VQGAN(config.tokenizer) if config.condition == "instruction" else None
        self.labels = nn.Embedding(len(config.names), context) if config.condition == "label" else None
        self.fine: LocalUNet | None = None
        if config.fine_names and isinstance(config.unet, LocalUNetConfig):
            self.fine = LocalUNet(replace(config.unet, refinement_blocks=config.fine_refinement_blocks), context)
            self.fine_share = FineShare(context)

    def instruction(self, wanted: Wanted, seed: int) -> Instruction:
        """The instruction that shows these degradations on the ground of a seed."""
        config = self.config
        if not wanted:
            return null_instruction(seed, config.canvas, config.ground)
        return instruction(wanted, seed, config.canvas, config.ground)

    def tokens(
        self, wanted: Sequence[Wanted], seeds: Sequence[int], corners: Sequence[tuple[int, int]] | None = None
    ) -> Tensor:
        """What the U-Net is told of each sample's degradations, (N, T, context); all zero for none.

        seeds: of the grounds. corners: (top, left) of the part of each canvas that is looked at; its centre by default.
        """
        parameter = next(self.unet.parameters())
        context = self.config.tokenizer.code_dim
        if self.labels is not None:
            # One place for each name, so that the order of the names makes no difference.
            named = [[float(any(step.name == name for step in each)) for name in self.config.names] for each in wanted]
            return torch.tensor(named, device=parameter.device)[..., None] * self.labels.weight
        if self.tokenizer is None:
            return torch.zeros(len(wanted), 1, context, device=parameter.device)
        made = [self.instruction(each, seed) for each, seed in zip(wanted, seeds, strict=True)]
        return self.instructed(made, corners)

    def instructed(
        self, instructions: Sequence[Instruction], corners: Sequence[tuple[int, int]] | None = None
    ) -> Tensor:
        """The same for instructions at hand, (config.canvas, config.canvas, 3) each."""
        assert self.tokenizer is not None
        view = self.config.view
        places = corners or [centre(each, view) for each in instructions]
        device = next(self.unet.parameters()).device
        clean, degraded = (each.to(device) for each in stacked(instructions, view, places))
        return residual_tokens(self.tokenizer, clean, degraded)

    def share_for(self, wanted: Wanted) -> float:
        """The second U-Net's share, 1 or 0, where these degradations are to be removed."""
        names = {step.name for step in wanted}
        return float(bool(names) and names <= set(self.config.fine_names))

    def share_of(self, tokens: Tensor) -> float:
        """The same, 0 to 1, for the tokens (1, T, context) of an example that nobody gave a name."""
        return 0.0 if self.fine is None else float(self.fine_share([as_map(tokens)]))

    def diffused(self, degraded: Tensor, restored: Tensor) -> Tensor:
        """What the diffusion is of: y0 for a degraded and a restored picture."""
        if self.config.space == "image":
            return self.config.gain * restored
        return self.config.gain * (degraded - restored)

    def restored(self, degraded: Tensor, diffused: Tensor) -> Tensor:
        """The inverse of `diffused`."""
        diffused = diffused / self.config.gain
        return diffused if self.config.space == "image" else degraded - diffused

    def limit(self, degraded: Tensor) -> Limit:
        """Keeps y0 where the restored picture lies in [-1, 1], which also keeps it in [-2, 2] times the gain."""
        one, other = (self.diffused(degraded, torch.full_like(degraded, end)) for end in (-1.0, 1.0))
        low, high = torch.minimum(one, other), torch.maximum(one, other)
        return lambda diffused: torch.minimum(torch.maximum(diffused, low), high)

    def forward(
        self,
        noisy: Tensor,
        degraded: Tensor,
        t: Tensor,
        tokens: Tensor,
        features: Sequence[Tensor] | None = None,
        *,
        fine: bool = False,
    ) -> Tensor:
        """The prediction, of the kind that the config names, from y_t, the degraded picture and time steps (N,).

        features: of the bridge for `degraded`, where they are known already. fine: by the second U-Net.
        """
        unet = self._unet(fine)
        return unet(noisy, degraded, t, unet.bridge(degraded) if features is None else features, tokens)

    def _unet(self, fine: bool) -> ADMUNet | LocalUNet:
        unet = self.fine if fine else self.unet
        assert unet is not None
        return unet

    def trajectory(
        self, degraded: Tensor, start: Tensor, tokens: Tensor, *, fine: bool = False
    ) -> Iterator[Evaluation]:
        """Evaluate a U-Net at `times`, from standard normal noise `start` (float32) at the first of them.

        degraded: in the network's dtype; the sampler computes in float32. fine: the second U-Net. The last
        evaluation's `x` is y0.
        """
        features = self._unet(fine).bridge(degraded)

        def network(x: Tensor, t: int) -> Tensor:
            times = torch.full((x.shape[0],), float(t), device=x.device)
            return self(x.to(degraded.dtype), degraded, times, tokens, features, fine=fine).float()

        limit = self.limit(degraded.float())
        return sample(network, start, self.schedule, self.times, self.config.prediction, limit)

    def restore(self, picture: Tensor, start: Tensor, tokens: Tensor, fine_share: float = 0.0) -> Tensor:
        """A picture (1, 3, H, W) in [0, 1] without what the tokens (1, T, context) say, in its dtype.

        start: standard normal noise of its shape, float32. fine_share: how much of the result is the second U-Net's.
        An instruction that says nothing gives the picture itself.
        """
        if self.config.condition != "none" and not tokens.any():
            return picture
        degraded = 2 * picture - 1
        parts = [(fine, weight) for fine, weight in ((False, 1 - fine_share), (True, fine_share)) if weight]
        diffused = [weight * result(self.trajectory(degraded, start, tokens, fine=fine)) for fine, weight in parts]
        restored = self.restored(degraded.float(), torch.stack(diffused).sum(0))
        return ((restored + 1) / 2).to(picture.dtype)
