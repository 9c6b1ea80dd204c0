"""Defusion cases: its tokenizer, the adapter's cross-attention and DDIM over an arithmetic stand-in for the network.

Where two codes are nearly as near, rounding decides: there the reference's choice is taken over, so that what follows
from it can be compared. Quantities of DDIM are compared relative to the largest value of the reference.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.diffusion.ddim import sample, strided, trailing
from airtool.diffusion.schedule import CosineSchedule, LinearSchedule, ScaledLinearSchedule, Schedule
from airtool.networks.cross_attention import DecoupledCrossAttention
from airtool.networks.vqgan import VQGAN, VQGANConfig

GIVEN = re.compile(r"tok\.\w+\.input|via\.(x|text)|ddim\.(lq|y_T)")
"""Inputs among the vectors."""
DOUBT = 1e-3
"""Below this difference of the distances to two codes, the choice between them is a matter of rounding."""
COMMITMENT = 0.25
SCHEDULES: dict[str, Schedule] = {
    "linear": LinearSchedule(),
    "scaled_linear": ScaledLinearSchedule(),
    "squaredcos": CosineSchedule(),
}

Found = dict[str, Tensor]


def config_of(case: Mapping[str, Any]) -> VQGANConfig:
    """The config that the authors' constructor arguments stand for."""
    arguments = case["constructor"]["tok"]
    sizes = arguments["ddconfig"]
    if sizes["double_z"] or (sizes["in_channels"], sizes["out_ch"]) != (3, 3):
        raise ValueError("the tokenizer maps three channels to one feature and back to three channels")
    return VQGANConfig(
        width=sizes["ch"],
        multipliers=tuple(sizes["ch_mult"]),
        blocks=sizes["num_res_blocks"],
        # The authors count pixels of a nominal picture; we count levels.
        attention_levels=tuple(
            level
            for level in range(len(sizes["ch_mult"]))
            if sizes["resolution"] // 2**level in sizes["attn_resolutions"]
        ),
        features=sizes["z_channels"],
        codes=arguments["n_embed"],
        code_dim=arguments["embed_dim"],
    )


def compare(
    case: Mapping[str, Any], weights: Mapping[str, Tensor], vectors: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    tokens, facts = _tokenizer(case, weights, vectors)
    steps, times = _diffusion(case, vectors)
    ours = tokens | _adapter(case, weights, vectors, tokens["tok.residual_quantised"]) | steps
    for name, theirs in vectors.items():
        if GIVEN.fullmatch(name):
            continue
        scale = theirs.abs().max() if name.startswith("ddim.") else 1.0
        yield name, ours[name] / scale, theirs / scale
    for name, value in case.get("info", {}).items():
        yield name, facts[name].float(), torch.tensor(float(value))
    for name, value in case.get("ddim_timesteps", {}).items():
        yield f"{name} time steps", torch.tensor(times[name]), torch.tensor(value)


def _part(tensors: Mapping[str, Tensor], *prefixes: str) -> Found:
    return {name.removeprefix(p): each for name, each in tensors.items() for p in prefixes if name.startswith(p)}


def _tokenizer(
    case: Mapping[str, Any], weights: Mapping[str, Tensor], vectors: Mapping[str, Tensor]
) -> tuple[Found, Found]:
    """Tensors of the tokenizer under their names among the vectors; facts under their names in the case."""
    network = VQGAN(config_of(case)).eval()
    network.load_state_dict(_part(weights, "tok."), strict=True)
    found: Found = {}
    facts: Found = {}
    for picture in ("ground", "instruction"):
        here = f"tok.{picture}"
        features = network.encode(vectors[f"{here}.input"])
        quantised = network.quantize(features)
        indices, lead = _settled(network, features, quantised.indices, vectors[f"{here}.indices"])
        codes = network.quantize.lookup(indices)
        found |= {f"{here}.enc": features, f"{here}.indices": indices.flatten(), f"{here}.zq": codes}
        found[f"{here}.recon"] = network.decode(codes)
        # Both published orders of weighting the terms have the same value; only their gradients differ.
        loss = quantised.codebook_loss + COMMITMENT * quantised.commitment_loss
        facts |= {f"{picture}.vq_loss_legacy": loss, f"{picture}.vq_loss_nonlegacy": loss}
        facts[f"{picture}.min_margin_to_second_code"] = lead.min()
        facts[f"{picture}.unique_codes"] = torch.tensor(len(indices.unique()))
    for name, tensor in (("quantised", "zq"), ("prequant", "enc")):
        found[f"tok.residual_{name}"] = found[f"tok.instruction.{tensor}"] - found[f"tok.ground.{tensor}"]
    changed = found["tok.instruction.indices"] != found["tok.ground.indices"]
    return found, facts | {"positions_where_code_changed": changed.sum(), "positions": torch.tensor(len(changed))}


def _settled(network: VQGAN, features: Tensor, ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Our indices, but theirs where the two lead to equally near codes; the lead of the nearest code everywhere."""
    theirs = theirs.view_as(ours)
    book = network.quantize.embedding.weight
    distances = torch.cdist(features.permute(0, 2, 3, 1).double(), book.double())
    nearest, second = distances.topk(2, largest=False).values.unbind(-1)
    both = distances.gather(-1, torch.stack([ours, theirs], -1))
    return torch.where(both.amax(-1) - nearest < DOUBT, theirs, ours), second - nearest


def _adapter(
    case: Mapping[str, Any], weights: Mapping[str, Tensor], vectors: Mapping[str, Tensor], residual: Tensor
) -> Found:
    sizes = case["constructor"]["via"]
    network = DecoupledCrossAttention(sizes["C"], sizes["heads"], sizes["ctx"], text_channels=sizes["ctx"]).eval()
    network.load_state_dict(_part(weights, "via.attn.", "via.ip."), strict=True)
    projection = _part(weights, "via.proj.")
    tokens = F.linear(residual.flatten(2).transpose(1, 2), projection["weight"], projection["bias"])
    x, text = vectors["via.x"], vectors["via.text"]
    return {
        "via.tokens": tokens,
        "via.out": network(x, tokens, text),
        "via.out_scale0": network(x, tokens, text, scale=0.0),
        "via.out_null_tokens": network(x, torch.zeros_like(tokens), text),
    }


def _diffusion(case: Mapping[str, Any], vectors: Mapping[str, Tensor]) -> tuple[Found, dict[str, tuple[int, ...]]]:
    """Tensors of every schedule and spacing; the time steps under "schedule.spacing"."""
    count, degraded = case["ddim_steps"], vectors["ddim.lq"]

    def noise(y: Tensor, t: int) -> Tensor:
        return torch.tanh(0.8 * y + 0.5 * degraded * (1 + t / 1000))

    found: Found = {}
    times: dict[str, tuple[int, ...]] = {}
    for name, schedule in SCHEDULES.items():
        found[f"ddim.{name}.alphas_cumprod"] = schedule.alpha_bar
        spacings = {
            "leading": strided(count, schedule.steps)[-count:],
            "trailing": trailing(count, schedule.steps),
            "linspace": tuple(torch.linspace(schedule.steps - 1, 0, count, dtype=torch.float64).round().int().tolist()),
        }
        for spacing, steps in spacings.items():
            times[f"{name}.{spacing}"] = steps
            here, y = f"ddim.{name}.{spacing}", vectors["ddim.y_T"]
            for index, t in enumerate(steps, 1):
                # The reference always goes down by the same stride, whether or not it evaluates there next.
                following = t - schedule.steps // count
                y = next(sample(noise, y, schedule, (t, following) if following >= 0 else (t,))).x
                found[f"{here}.y_after{index}"] = y
            found[f"{here}.restored"] = degraded - y
    return found, times
