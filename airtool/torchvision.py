"""Lets torchvision, which some packages import, load beside a CPU build of PyTorch."""

from typing import Any

_LIBRARIES: list[Any] = []
"""Keeps the registration alive: it ends with the object."""


def mend_torchvision() -> None:
    """Import torchvision, whatever build of PyTorch it was made for.

    Where its compiled part does not fit, its import fails on operators that it only wants to describe. Registering
    them by name is enough; nothing here calls them. Raises ImportError when torchvision is not installed.
    """
    import torch

    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)
        import torchvision  # noqa: F401
