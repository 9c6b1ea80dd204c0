"""Every method and preset keeps its contract: any size, any batch, either precision, forward and backward."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from airtool.engine.session import Session
from airtool.engine.settings import Settings
from airtool.errors import UsageError
from airtool.methods.autodir.published import PublishedConfig
from airtool.methods.base import Method, Request
from airtool.methods.defusion.adm_unet import ADMUNetConfig
from airtool.methods.defusion.config import DefusionConfig
from airtool.methods.objective import Batch
from airtool.methods.registry import METHODS, method_class
from airtool.networks.vqgan import VQGANConfig

SHRUNK = {
    ("autodir", "paper"): PublishedConfig(
        **dict.fromkeys(("text_width", "text_hidden", "vision_width", "vision_hidden", "embedding"), 64),  # type: ignore[arg-type]
        text_layers=1,
        vision_layers=1,
        unet_widths=(32, 64, 64, 64),
        unet_layers=1,
        vae_widths=(32, 32, 32, 32),
        vae_layers=1,
        sampling_steps=2,
        corrector_width=4,
        corrector_encoder=(1, 1),
        corrector_middle=1,
        corrector_decoder=(1, 1),
    ),
    ("defusion", "paper"): DefusionConfig(
        unet=ADMUNetConfig(dim=32, head_channels=16, groups=16), tokenizer=VQGANConfig(width=32), canvas=64, view=48
    ),
}
"""Published sizes of hundreds of millions of parameters, here with the same parts at a fraction of their width."""

PRESETS = [(name, preset) for name in METHODS for preset in method_class(name).presets]
LABEL = "rain"
"""Every method that has to be told knows this."""


def untrained(name: str, preset: str) -> Method:
    """A method whose every parameter is off its initial value, so that no branch is silent."""
    torch.manual_seed(0)
    cls = method_class(name)
    if (name, preset) in SHRUNK and find_spec("diffusers") is None:
        pytest.skip("diffusers is not installed: pip install -c constraints.txt '.[autodir]'")
    method = cls(SHRUNK.get((name, preset), cls.presets[preset]))
    with torch.no_grad():
        for parameter in method.network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return method


def told(name: str) -> tuple[str, ...]:
    return () if METHODS[name].needs == "nothing" else (LABEL,)


def request(name: str, seeds: tuple[int, ...]) -> Request:
    """The same in the way in which this method is told."""
    if METHODS[name].needs == "prompt":
        return Request(seeds, shares=((LABEL, 1.0),))
    return Request(seeds, told(name))


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_any_size_comes_back_as_it_was(name: str, preset: str) -> None:
    sizes = {"small": [(1, 1), (1, 50), (97, 131)], "paper": [(1, 1), (33, 50)]}.get(preset, [(9, 17)])
    method = untrained(name, preset)
    # Bfloat16 is slow where the processor has none.
    for precision, seen in (("fp32", sizes), ("bf16", [(1, 1), (33, 50)] if preset == "small" else [])):
        session = Session(method, Settings(device="cpu", precision=precision, degradation=told(name)))
        for height, width in seen:
            rgb = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
            restored = session.restore_array(rgb)
            assert (restored.shape, restored.dtype) == (rgb.shape, np.float32)
            assert restored.min() >= 0
            assert restored.max() <= 1
            np.testing.assert_array_equal(restored, session.restore_array(rgb))


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_batch_of_two_equals_two_singles(name: str, preset: str) -> None:
    method = untrained(name, preset)
    side = 2 * method.facts.size_multiple
    pictures = torch.rand(2, 3, side, side + method.facts.size_multiple)
    with torch.inference_mode():
        both = method.restore(pictures, request(name, (1, 2)))
        singles = [method.restore(pictures[i : i + 1], request(name, (i + 1,))) for i in range(2)]
    torch.testing.assert_close(both, torch.cat(singles), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_is_trained_and_what_is_exported_restores(name: str) -> None:
    cls = method_class(name)
    config = cls.presets["small"]
    torch.manual_seed(0)
    objective = cls.objective(config, {})
    degraded, clean = torch.rand(2, 2, 3, 32, 32)
    losses = objective(Batch(degraded, clean, (f"{LABEL}:0.5", "clean")), 0)
    losses["loss"].backward()
    silent = [
        key for key, parameter in objective.named_parameters() if parameter.requires_grad and parameter.grad is None
    ]
    assert silent == []
    assert objective.restore(degraded[:1], (f"{LABEL}:0.5",)).shape == (1, 3, 32, 32)
    exported = objective.exported(objective.state_dict())
    method = cls(config)
    method.network.load_state_dict(exported, strict=True)
    with torch.inference_mode():
        ours = method.restore(degraded[:1], request(name, (0,)))
        theirs = objective.eval().restore(degraded[:1], (f"{LABEL}:0.5",))
    if not method.facts.draws:
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_misspelt_settings_of_a_recipe_are_named_with_those_that_there_are(name: str) -> None:
    cls = method_class(name)
    with pytest.raises(
        UsageError, match=r"^\[objective\] of the recipe: unknown key 'los'; known are .*\bloss\b"
    ) as error:
        cls.objective(cls.presets["small"], {"los": "l1"})
    assert "\n" not in str(error.value)
