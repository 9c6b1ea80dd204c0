"""PatchGAN's discriminator (Isola et al., CVPR 2017, arXiv 1611.07004) and the hinge losses of VQGAN."""

import torch.nn.functional as F
from torch import Tensor, nn


class PatchDiscriminator(nn.Module):
    """(N, 3, H, W) in [-1, 1] to scores (N, 1, about H / 2^layers, W / 2^layers): above 0 for real."""

    def __init__(self, width: int = 64, layers: int = 3) -> None:
        """width: channels behind the first convolution. layers: convolutions of stride 2."""
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        channels = width
        for layer in range(1, layers + 1):
            out = width * min(2**layer, 8)
            stride = 2 if layer < layers else 1
            parts.append(nn.Conv2d(channels, out, 4, stride=stride, padding=1, bias=False))
            parts += [nn.BatchNorm2d(out), nn.LeakyReLU(0.2)]
            channels = out
        self.net = nn.Sequential(*parts, nn.Conv2d(channels, 1, 4, padding=1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.net(pictures)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What scores of real and of made pictures cost the discriminator."""
    return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean())


def generator_loss(fake: Tensor) -> Tensor:
    """What scores of made pictures cost their maker."""
    return -fake.mean()
