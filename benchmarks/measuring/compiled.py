"""The rival that OpenVINO makes of a network. Needs the package openvino."""

import numpy as np
import openvino
import torch
from plain.rival import Rival
from torch import Tensor, nn

from airtool.engine.padding import round_up
from airtool.engine.tiles import Pixels
from airtool.methods.base import Method


class CompiledNetwork(nn.Module):
    """A network (N, 3, H, W) -> (N, 3, H, W) compiled by OpenVINO for a CPU, float32 and the one shape of `example`."""

    def __init__(self, network: nn.Module, example: Tensor, threads: int) -> None:
        super().__init__()
        with torch.no_grad():
            model = openvino.convert_model(network, example_input=example)
        model.reshape(list(example.shape))
        options = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
        self.request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()

    def forward(self, x: Tensor) -> Tensor:
        """The result lies in memory that the next call overwrites."""
        pixels = np.ascontiguousarray(x.numpy())
        return torch.from_numpy(self.request.infer([pixels], share_inputs=True, share_outputs=True)[0])


def compiled(method: Method, rgb: Pixels, threads: int) -> Rival:
    """The rival for pictures of the size of `rgb`, for a method whose network is called once with the picture alone.

    It is the method's own network, not the plain one, in NCHW memory; the picture is taken whole.
    """
    multiple = method.facts.size_multiple
    height, width = (round_up(side, multiple) for side in rgb.shape[:2])
    network = CompiledNetwork(method.network.eval(), torch.rand(1, 3, height, width), threads)
    return Rival(network, (), multiple, torch.device("cpu"))
