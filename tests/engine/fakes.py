"""Methods small enough to be checked by hand."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from airtool.errors import UsageError
from airtool.methods.base import MethodFacts, Request


class LocalNet(nn.Module):
    """Three 5x5 convolutions at half resolution: purely local, but blind to odd shifts as real networks are."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, 16, 5, padding=2),
            nn.GELU(),
            nn.Conv2d(16, 16, 5, padding=2),
            nn.GELU(),
            nn.Conv2d(16, 12, 5, padding=2),
            nn.PixelShuffle(2),
        )
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.15, 0.15, generator=generator)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * torch.tanh(self.layers(x))


class GlobalNet(LocalNet):
    """The same, brightened by what the whole picture lacks."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0.2 * (0.5 - x.mean(dim=(1, 2, 3), keepdim=True))


class FakeMethod:
    """A method around a fake network. `hook` sees every batch, and may raise or return the answer."""

    config: Any = None

    def __init__(
        self,
        network: nn.Module | None = None,
        *,
        tiling: Any = "exact",
        multiple: int = 8,
        overlap: int = 64,
        hook: Callable[[Tensor, Request], Tensor | None] | None = None,
        needs: Any = "nothing",
        explains: tuple[str, ...] = (),
        survey: Callable[[Tensor], float | None] | None = None,
    ) -> None:
        self.network = network or LocalNet()
        self.facts = MethodFacts(
            name="fake",
            title="Fake",
            paper="none",
            size_multiple=multiple,
            channel_order="rgb",
            needs=needs,
            tiling=tiling,
            overlap=overlap,
            explains=explains,
            surveys=survey is not None,
        )
        self.hook = hook
        self._survey = survey
        self.shapes: list[tuple[int, int]] = []

    def restore(self, pictures: Tensor, request: Request) -> Tensor:
        self.shapes.append((pictures.shape[2], pictures.shape[3]))
        answer = self.hook(pictures, request) if self.hook else None
        return self.network(pictures) if answer is None else answer

    def survey(self, pictures: Tensor) -> float | None:
        assert self._survey is not None
        return self._survey(pictures)

    def bytes_per_pixel(self, strips: bool) -> int:
        return 1000

    def check(self, degradation: tuple[str, ...]) -> None:
        if degradation != ("rain",):
            raise UsageError(f"knows rain, not {degradation}")

    def candidates(self) -> tuple[str, ...]:
        return ("haze", "low-light")

    def explain(self, pictures: Tensor, request: Request) -> dict[str, Tensor]:
        return {"negative": 1 - pictures, "grey": pictures.mean(1, keepdim=True)}
