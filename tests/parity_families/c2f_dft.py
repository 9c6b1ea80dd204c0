"""C2F-DFT cases: predicted noise, features on the way, DDIM trajectories, both training losses with their gradients.

Quantities whose size the case decides (trajectories, losses, gradients, features) are compared relative to the largest
value of the reference.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from airtool.diffusion.ddim import sample, strided
from airtool.diffusion.schedule import LinearSchedule
from airtool.networks.c2f_dft import DFTConfig, DiffusionTransformer
from airtool.networks.ssim_loss import ms_ssim

GIVEN = re.compile(r".+\.(degraded|x_t|x_T|batch_degraded|batch_t|batch_x_t)|loss\.(eps|gt|lq|t)")
"""Inputs among the vectors."""
EPS = re.compile(r"(?P<size>\d+x\d+)\.eps_t(?P<t>\d+)")
TRAJECTORY = re.compile(r"(?P<size>\d+x\d+)\.ddim_s(?P<count>\d+)\.")
SIMILARITY = re.compile(r"ms_ssim_maxval(?P<peak>[\d.]+)_gt_vs_lq_\[(?P<low>-1|0),1\]")
ALPHA, REFERENCE_RANGE = 0.84, 255.0
"""Share of the similarity in the fine loss, and what the reference takes for its data range."""

SCHEDULE = LinearSchedule()
Found = dict[str, Tensor]


def config_of(case: Mapping[str, Any]) -> DFTConfig:
    """The config that the authors' constructor arguments stand for."""
    arguments = case["constructor"]["DFT"]
    if (arguments["inp_channels"], arguments["out_channels"]) != (6, 3):
        raise ValueError("the network takes two pictures of three channels and returns one")
    return DFTConfig(
        dim=arguments["dim"],
        blocks=tuple(arguments["num_blocks"]),
        heads=tuple(arguments["heads"]),
        expansion=arguments["ffn_factor"],
        bias=arguments["bias"],
        norm=arguments["LayerNorm_type"],
        dual_pixel_task=arguments["dual_pixel_task"],
    )


def compare(
    case: Mapping[str, Any], weights: Mapping[str, Tensor], vectors: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    # Tensors made in inference mode can never be part of a gradient.
    with torch.inference_mode(False):
        vectors = {name: tensor.clone() for name, tensor in vectors.items()}
        network = DiffusionTransformer(config_of(case)).eval()
        network.load_state_dict({name: tensor.clone() for name, tensor in weights.items()}, strict=True)
        losses, loss_vectors = _losses(network, vectors, case) if "loss.gt" in vectors else ({}, {})
    ours = {"schedule.betas": SCHEDULE.betas, "schedule.alphas_cumprod": SCHEDULE.alpha_bar}
    ours |= _evaluations(network, vectors) | _trajectories(network, vectors) | loss_vectors
    for name, theirs in vectors.items():
        if name.endswith(".final"):
            # Clamping does not make the error smaller.
            scale = ours[name.replace(".final", ".x")].abs().max().clamp_min(1)
            yield f"{name}, relative", ours[name] / scale, theirs / scale
        elif not GIVEN.fullmatch(name):
            yield _pair(name, ours[name], theirs, relative=not name.endswith(".batch_eps") and not EPS.fullmatch(name))
    for name, value in _flat(case.get("losses", {})):
        ours_value = _similarity(name, vectors) if SIMILARITY.fullmatch(name) else losses[name]
        yield _pair(name, ours_value, torch.tensor(value))
    yield "parameters", torch.tensor(sum(p.numel() for p in network.parameters())), torch.tensor(case["params"])
    yield from _features(case, network, vectors)


def _pair(name: str, ours: Tensor, theirs: Tensor, relative: bool = True) -> tuple[str, Tensor, Tensor]:
    if not relative:
        return name, ours, theirs
    scale = theirs.abs().max().clamp_min(1e-30)
    return f"{name}, relative", ours.detach() / scale, theirs / scale


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def _inputs(vectors: Mapping[str, Tensor], size: str, prefix: str = "") -> Tensor:
    return torch.cat([2 * vectors[f"{size}.{prefix}degraded"] - 1, vectors[f"{size}.{prefix}x_t"]], 1)


def _evaluations(network: DiffusionTransformer, vectors: Mapping[str, Tensor]) -> Found:
    found: Found = {}
    for name in vectors:
        if match := EPS.fullmatch(name):
            found[name] = network(_inputs(vectors, match["size"]), torch.tensor([float(match["t"])]))
        elif name.endswith(".batch_eps"):
            size = name.partition(".")[0]
            found[name] = network(_inputs(vectors, size, "batch_"), vectors[f"{size}.batch_t"])
    return found


def _trajectory(
    network: DiffusionTransformer, degraded: Tensor, start: Tensor, count: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """(x0, x) after each evaluation for a degraded picture in [-1, 1]."""

    def noise(x: Tensor, t: int) -> Tensor:
        return network(torch.cat([degraded, x], 1), torch.full((len(x),), float(t)))

    for evaluation in sample(noise, start, SCHEDULE, strided(count, SCHEDULE.steps)):
        yield evaluation.x0, evaluation.x


def _trajectories(network: DiffusionTransformer, vectors: Mapping[str, Tensor]) -> Found:
    found: Found = {}
    for prefix, match in {match[0]: match for match in map(TRAJECTORY.match, vectors) if match}.items():
        count = int(match["count"])
        found[f"{prefix}seq"] = torch.tensor(strided(count, SCHEDULE.steps)[::-1])
        degraded = 2 * vectors[f"{match['size']}.degraded"] - 1
        steps = _trajectory(network, degraded, vectors[f"{prefix}x_T"], count)
        for index, (clean, x) in enumerate(steps, 1):
            found[f"{prefix}x0_pred{index}"], found[f"{prefix}x_after{index}"] = clean, x
        found[f"{prefix}x"], found[f"{prefix}final"] = x, ((x + 1) / 2).clamp(0, 1)
    return found


def _losses(
    network: DiffusionTransformer, vectors: Mapping[str, Tensor], case: Mapping[str, Any]
) -> tuple[Found, Found]:
    """Values and gradient norms of the coarse and the fine loss; what they were taken of."""
    found: Found = {}
    clean, degraded = 2 * vectors["loss.gt"] - 1, 2 * vectors["loss.lq"] - 1
    noise, t = vectors["loss.eps"], vectors["loss.t"]
    with torch.enable_grad():
        noisy = SCHEDULE.diffuse(clean, noise, t)
        found["coarse_l1"] = F.l1_loss(network(torch.cat([degraded, noisy], 1), t), noise)
        found |= _gradient_norms(network, found["coarse_l1"], case, "coarse_grad_norm")
        *_, (_, out) = _trajectory(network, degraded, noise, 3)
        found["fine_ms_ssim"] = ms_ssim(out, clean, REFERENCE_RANGE)
        found["fine_l1_w016"] = (1 - ALPHA) * F.l1_loss(out, clean)
        found["fine_total"] = ALPHA * (1 - found["fine_ms_ssim"]) + found["fine_l1_w016"]
        found |= _gradient_norms(network, found["fine_total"], case, "fine_grad_norm")
    return found, {"loss.coarse_x_t": noisy, "loss.fine_out": out}


def _gradient_norms(network: DiffusionTransformer, loss: Tensor, case: Mapping[str, Any], kind: str) -> Found:
    """Norms for the parameters that the case names."""
    names = list(case["losses"].get(kind, {}))
    gradients = torch.autograd.grad(loss, [network.get_parameter(name) for name in names]) if names else ()
    return {f"{kind}/{name}": gradient.norm() for name, gradient in zip(names, gradients, strict=True)}


def _similarity(name: str, vectors: Mapping[str, Tensor]) -> Tensor:
    match = SIMILARITY.fullmatch(name)
    assert match is not None
    pictures = vectors["loss.gt"], vectors["loss.lq"]
    if match["low"] == "-1":
        pictures = 2 * pictures[0] - 1, 2 * pictures[1] - 1
    return ms_ssim(*pictures, float(match["peak"]))


def _features(
    case: Mapping[str, Any], network: DiffusionTransformer, vectors: Mapping[str, Tensor]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Statistics of every stage at the first evaluation that the case lists for pictures of their size."""
    if "activations" not in case:
        return
    height, width = case["activations"]["patch_embed"]["shape"][2:]
    size = f"{height}x{width}"
    t = min(int(match["t"]) for match in map(EPS.fullmatch, vectors) if match and match["size"] == size)
    found: Found = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: found.update({name: out}))
        for name, module in network.named_children()
    ]
    found["eps"] = network(_inputs(vectors, size), torch.tensor([float(t)]))
    for hook in hooks:
        hook.remove()
    for name, theirs in case["activations"].items():
        ours = found[name]
        scale = theirs["std"]
        yield f"{name} shape", torch.tensor(ours.shape), torch.tensor(theirs["shape"])
        for statistic, value in (("mean", ours.mean()), ("std", ours.std()), ("first5", ours.flatten()[:5])):
            yield f"{name} {statistic}, relative", value / scale, torch.tensor(theirs[statistic]) / scale
    for name, ours in (("output_std", found["eps"]), ("residual_std", found["output"])):
        if name in case:
            yield _pair(name, ours.std(), torch.tensor(case[name]))
