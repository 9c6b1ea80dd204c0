"""NDR-Degrad: puts the recognised degradation back onto a clean picture. Training only (paper Sec. III-D)."""

import torch
from torch import Tensor, nn

from airtool.methods.ndr.network import DegradationInjection, NDRConfig, Recognised, RestorationNet
from airtool.networks.restormer import Downsample, Upsample


class ResidualBlock(nn.Module):
    """x + [3x3, ReLU, 3x3, ReLU](x); the second ReLU is inside the branch, as published."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class ChannelAttention(nn.Module):
    """RCAN's channel attention (Zhang et al., ECCV 2018)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        squeezed = channels // reduction
        self.conv_du = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, channels, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv_du(x.mean((2, 3), keepdim=True))


class AttentionBlock(nn.Module):
    """RCAN's residual channel attention block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            ChannelAttention(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualGroup(nn.Module):
    """One attention block and a convolution under a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(AttentionBlock(channels), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class DegradationNet(nn.Module):
    """Maps a clean picture (N, 3, H, W) and U1..U3 of its degraded partner to the degraded picture."""

    def __init__(self, config: NDRConfig) -> None:
        super().__init__()
        c = config.degrad_dim

        def inject(channels: int) -> DegradationInjection:
            return DegradationInjection(config.feature_dim, channels, config.rank, config.residual)

        self.extractor = nn.Conv2d(3, c, 3, padding=1)
        self.block1 = ResidualBlock(c)
        self.pool1 = Downsample(c)
        self.block2 = ResidualBlock(2 * c)
        self.pool2 = Downsample(2 * c)
        self.block3 = ResidualBlock(4 * c)
        self.pool3 = Downsample(4 * c)
        self.bottom = ResidualBlock(8 * c)
        self.inject_degradation1 = inject(c)
        self.inject_degradation2 = inject(2 * c)
        self.inject_degradation3 = inject(4 * c)
        self.up3 = Upsample(8 * c)
        self.block_up3 = nn.Sequential(nn.Conv2d(8 * c, 4 * c, 1, bias=False), ResidualBlock(4 * c))
        self.up2 = Upsample(4 * c)
        self.block_up2 = nn.Sequential(nn.Conv2d(4 * c, 2 * c, 1, bias=False), ResidualBlock(2 * c))
        self.up1 = Upsample(2 * c)
        self.block_up1 = nn.Sequential(nn.Conv2d(2 * c, 2 * c, 1, bias=False), ResidualBlock(2 * c))
        self.refinement = ResidualGroup(2 * c)
        self.reconstruction = nn.Conv2d(2 * c, 3, 3, padding=1)

    def forward(self, clean: Tensor, recognised: Recognised) -> Tensor:
        u1, u2, u3 = recognised
        e1 = self.block1(self.extractor(clean))
        e2 = self.block2(self.pool1(e1))
        e3 = self.block3(self.pool2(e2))
        y = self.up3(self.bottom(self.pool3(e3)))
        y = self.up2(self.block_up3(torch.cat([self.inject_degradation3(e3, u3), y], 1)))
        y = self.up1(self.block_up2(torch.cat([self.inject_degradation2(e2, u2), y], 1)))
        y = self.block_up1(torch.cat([self.inject_degradation1(e1, u1), y], 1))
        return clean + self.reconstruction(self.refinement(y))


class NDR(nn.Module):
    """Both directions with one shared dictionary; the layout of the authors' checkpoints (class ``NDRN``).

    A network that recognises nothing has the one direction alone.
    """

    def __init__(self, config: NDRConfig) -> None:
        super().__init__()
        dictionary = nn.Parameter(torch.randn(1, config.atoms, config.atom_dim))
        if config.recognises:
            self.degradation_representations = dictionary
            self.degradation_net = DegradationNet(config)
        self.restoration_net = RestorationNet(config, dictionary)

    def forward(self, degraded: Tensor, clean: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns (restored, degraded again), each (N, 3, H, W); None where nothing is recognised."""
        restored, recognised = self.restoration_net.restore_and_recognise(degraded)
        return restored, None if recognised is None else self.degradation_net(clean, recognised)
