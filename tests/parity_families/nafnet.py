"""NAFNet cases, which name no method: the network as published and as AutoDIR's structural correction."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from airtool.networks.nafnet_model import NAFNet, NAFNetConfig

SIZES = {"img_channel", "width", "enc_blk_nums", "middle_blk_num", "dec_blk_nums"}
"""The authors' constructor arguments."""
OUTPUT = re.compile(r"output(?:_w(?P<weight>[\d.]+))?")


def recognises(case: Mapping[str, Any]) -> bool:
    return "method" not in case and set(case.get("args", {})) >= SIZES


def config_of(case: Mapping[str, Any]) -> NAFNetConfig:
    """The config that the authors' constructor arguments stand for."""
    arguments = case["args"]
    return NAFNetConfig(
        in_channels=arguments["img_channel"],
        out_channels=case["out_channels"],
        width=arguments["width"],
        encoder_blocks=tuple(arguments["enc_blk_nums"]),
        middle_blocks=arguments["middle_blk_num"],
        decoder_blocks=tuple(arguments["dec_blk_nums"]),
    )


def compare(
    case: Mapping[str, Any], weights: Mapping[str, Tensor], vectors: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    network = NAFNet(config_of(case)).eval()
    network.load_state_dict(weights, strict=True)
    for name, theirs in vectors.items():
        if match := OUTPUT.fullmatch(name):
            yield name, network(vectors["input"], float(match["weight"] or 1)), theirs
        elif name == "residual":
            yield name, network.correction(vectors["input"]), theirs
        elif name != "input":
            raise KeyError(f"{name} is no output of NAFNet")
    yield "parameters", torch.tensor(sum(p.numel() for p in network.parameters())), torch.tensor(case["params"])
