"""Muon: momentum whose every step is made orthogonal (Jordan et al., 2024, "Muon: an optimizer for hidden layers").

A gradient's few strong directions no longer drown its many weak ones. For networks with normalisation: a step is of one
size however small the gradient, so weights grow on and on, and a network without normalisation comes to a halt.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from airtool.native import native_bf16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: a steep slope at zero, all singular values near 1 after five rounds."""

ROUNDS = 5
"""Iterations a step."""


class Muon(torch.optim.Optimizer):
    """For weights of convolutions, (out, in, kh, kw), each taken as a matrix of `out` rows.

    The momentum is Nesterov's. Wide and tall matrices move equally far in every output (factor sqrt(rows / columns)
    where that is above 1), so that one rate suits all sizes.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move every weight that has a gradient."""
        if closure is not None:
            raise NotImplementedError("Muon takes no closure")
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["average"] = torch.zeros_like(weight)
                average = state["average"].lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(average, group["momentum"])
                matrix = ahead.reshape(ahead.shape[0], -1)
                gain = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                weight.add_(orthogonal(matrix).view(weight.shape), alpha=-group["lr"] * gain)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values near 1 (0.7 to 1.2), (rows, columns) float32.

    In bfloat16 inside, which suffices, where the device has it.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x.bfloat16() if native_bf16(x.device) else x
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).float()
