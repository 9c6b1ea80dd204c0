"""The two published conventions of what a synthesised noisy picture is."""

from dataclasses import dataclass

import numpy as np

from airtool.errors import UsageError
from airtool.metrics.protocols import Pixels
from airtool.reports.record import FLOAT_INPUTS


@dataclass(frozen=True)
class NoiseProtocol:
    """How a picture with Gaussian noise, clipped to [0, 1], reaches the method."""

    name: str
    """What is typed after ``--noise-protocol``."""
    statement: str
    """The same in words, for reports."""
    truncate: bool
    """Whether values become 8 bits by cutting off the fraction."""

    def stored(self, noisy: Pixels) -> Pixels:
        """(H, W, 3) float32 in [0, 1], as the method will see it: the same type and range."""
        if not self.truncate:
            return noisy
        return np.floor(noisy * np.float32(255.0)) / np.float32(255.0)


NOISE_PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        NoiseProtocol("ndr", FLOAT_INPUTS, truncate=False),
        NoiseProtocol(
            "promptir",
            "clipped to 0..255 and cut off to whole numbers, not rounded, as PromptIR's and DFPIR's scripts do, which "
            "darkens by half a level",
            truncate=True,
        ),
    )
}
"""Both conventions by name. The noise itself depends on the seed and the picture alone in both."""


def parse_noise_protocol(text: str) -> NoiseProtocol:
    """The convention of a name. Raises UsageError for an unknown one."""
    if text not in NOISE_PROTOCOLS:
        raise UsageError(f"unknown noise protocol '{text}': choose from {', '.join(NOISE_PROTOCOLS)}")
    return NOISE_PROTOCOLS[text]
