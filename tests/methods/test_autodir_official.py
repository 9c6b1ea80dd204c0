"""The AutoDIR checkpoint of its authors comes in strictly, and its networks do what the method asks of them."""

import copy
import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from published_layout import layout
from safetensors.torch import save_file
from torch import Tensor

from airtool.cli.app import main
from airtool.engine.detect import Detector
from airtool.errors import AirtoolError, UsageError
from airtool.methods.autodir import clip_tokens, packages
from airtool.methods.autodir.clip import MEAN, SPREAD, ClipConfig
from airtool.methods.autodir.clip_detector import ClipDetectorNet
from airtool.methods.autodir.official import config_from_state, convert, key_map, shaped_as, without_tables
from airtool.methods.autodir.published import PublishedConfig, PublishedSystem
from airtool.methods.configs import config_from
from airtool.methods.weights import read_weights
from airtool.networks.nafnet_model import NAFNet

pytestmark = pytest.mark.skipif(
    find_spec("diffusers") is None or find_spec("transformers") is None,
    reason="diffusers or transformers is not installed: pip install -c constraints.txt '.[autodir]'",
)

TINY = PublishedConfig(
    positions=16,
    text_width=64,
    text_hidden=64,
    text_layers=2,
    vision_width=64,
    vision_hidden=32,
    vision_layers=1,
    patch=8,
    side=16,
    embedding=16,
    unet_widths=(32, 64),
    unet_layers=1,
    vae_widths=(32, 64),
    vae_layers=1,
    corrector_width=4,
    corrector_encoder=(1, 2),
    corrector_middle=1,
    corrector_decoder=(1, 1),
)


@pytest.fixture(scope="module")
def official() -> dict[str, Tensor]:
    """A small checkpoint in the authors' layout. Not to be changed."""
    generator = torch.Generator().manual_seed(0)

    def random(key: str, shape: tuple[int, ...]) -> Tensor:
        values = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            return values / math.prod(shape[1:]) ** 0.5
        return 0.2 * values + (1.0 if key.endswith("weight") else 0.0)

    return {key: random(key, shape) for key, shape in layout(TINY).items()}


@pytest.fixture(scope="module")
def system(official: dict[str, Tensor]) -> PublishedSystem:
    config, state = convert(official)
    assert config == TINY
    network = PublishedSystem(config)
    network.load_state_dict(state, strict=True)
    return network.requires_grad_(False)


@pytest.mark.parametrize(
    ("file", "prefix"),
    [
        ("autodir_official_ckpt_state_dict", ""),
        ("autodir_unet_ldm_state_dict", "model.diffusion_model."),
        ("autodir_vae_ldm_state_dict", "first_stage_model."),
        ("autodir_nafnet_scm_state_dict", "NAFNet."),
    ],
)
def test_published_checkpoint_is_the_published_size(reference_folder: Path, file: str, prefix: str) -> None:
    published = json.loads((reference_folder / f"{file}.json").read_text())
    with torch.device("meta"):
        ours = layout(PublishedConfig())
    ours = {key.removeprefix(prefix): list(shape) for key, shape in ours.items() if key.startswith(prefix)}
    assert ours == published


def test_every_tensor_of_the_published_checkpoint_has_its_place(reference_folder: Path) -> None:
    published = json.loads((reference_folder / "autodir_official_ckpt_state_dict.json").read_text())
    assert len(published) == 2202
    with torch.device("meta"):
        state = without_tables({key: torch.empty(shape) for key, shape in published.items()})
        assert config_from_state(state) == PublishedConfig()
        system = PublishedSystem(PublishedConfig())
    expected = system.state_dict()
    found = key_map(system, state)
    assert found.keys() == expected.keys()
    assert set(found.values()) == state.keys()
    assert len(state) == 2202 - 14
    for ours, theirs in found.items():
        assert shaped_as(expected[ours], state[theirs]).shape == state[theirs].shape
    for ours, theirs in SPOTS.items():
        assert found[ours] == theirs
    assert sum(p.numel() for p in system.parameters()) == 1_486_787_503


SPOTS = {
    "unet.down_blocks.1.resnets.0.conv2.weight": "model.diffusion_model.input_blocks.4.0.out_layers.3.weight",
    "unet.up_blocks.1.upsamplers.0.conv.bias": "model.diffusion_model.output_blocks.5.2.conv.bias",
    "vae.decoder.up_blocks.0.resnets.2.norm1.weight": "first_stage_model.decoder.up.3.block.2.norm1.weight",
    "vae.encoder.mid_block.attentions.0.to_k.weight": "first_stage_model.encoder.mid.attn_1.k.weight",
    "clip.visual_projection.weight": "model_assessment.clipmodel.visual_projection.weight",
    "corrector.decoders.3.1.beta": "NAFNet.decoders.3.1.beta",
}


@torch.inference_mode()
def test_a_converted_system_runs(system: PublishedSystem) -> None:
    pictures = torch.rand(2, 3, 64, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = system.encode(pictures)
    assert latents.shape == (2, system.latent_channels, 64 // system.latent_factor, 128 // system.latent_factor)
    assert torch.equal(latents, system.encode(pictures))
    context = system.context(torch.tensor([[0.0, 1.0], [0.25, 0.75]]), ("rain", "haze"))
    assert context.shape == (2, TINY.positions, TINY.text_width)
    noisy = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
    noise = system.denoise(noisy, torch.tensor([3.25, 400.0]), latents, context)
    assert noise.shape == latents.shape
    # The time, its fraction, the picture and the sentence all count, and pictures do not mix.
    for times, image, words in (
        (torch.tensor([3.75, 400.0]), latents, context),
        (torch.tensor([3.25, 400.0]), latents.flip(3), context),
        (torch.tensor([3.25, 400.0]), latents, context.flip(0)),
    ):
        assert (system.denoise(noisy, times, image, words)[0] - noise[0]).abs().max() > 1e-6
    alone = system.denoise(noisy[1:], torch.tensor(400.0), latents[1:], context[1:])
    torch.testing.assert_close(alone, noise[1:], atol=1e-5, rtol=1e-4)
    decoded = system.decode(latents * TINY.scale_factor)
    assert decoded.shape == pictures.shape
    torch.testing.assert_close(decoded, system.vae.decode(latents).sample, atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_half_precision_stays_half(system: PublishedSystem) -> None:
    half = copy.deepcopy(system).to(torch.bfloat16)
    context = half.context(torch.tensor([[0.25, 0.75]]), ("rain", "haze"))
    latents = half.encode(torch.zeros(1, 3, 64, 64, dtype=torch.bfloat16))
    noise = half.denoise(torch.ones_like(latents), torch.tensor([7.5]), latents, context)
    assert context.dtype == noise.dtype == half.decode(noise).dtype == torch.bfloat16


@torch.inference_mode()
def test_correction_is_the_authors_nafnet(system: PublishedSystem, official: dict[str, Tensor]) -> None:
    network = NAFNet(TINY.corrector()).eval()
    network.load_state_dict({k.removeprefix("NAFNet."): v for k, v in official.items() if k.startswith("NAFNet.")})
    degraded, diffused = torch.rand(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 2 - 1
    residual = system.correct(degraded, diffused, torch.zeros(1, TINY.positions, TINY.text_width))
    torch.testing.assert_close(diffused + residual, network(torch.cat([degraded, diffused], 1)), atol=1e-6, rtol=0)


@torch.inference_mode()
def test_sentences_are_mixed_by_their_shares(system: PublishedSystem) -> None:
    one, other = (system.context(torch.ones(1, 1), (name,)) for name in ("rain", "low light"))
    shares = torch.tensor([[0.25, 0.0, 0.75]])
    torch.testing.assert_close(system.context(shares, ("rain", "snow", "low light")), 0.25 * one + 0.75 * other)
    with pytest.raises(UsageError, match="know no 'snow': they know noise, blur, rain, low light"):
        system.context(torch.full((1, 3), 1 / 3), ("rain", "snow", "low light"))
    # What fills up is hidden on one path only, and what was said before it is the same on both.
    spoken = system.context_of("a photo needs  underexposure artifact reduction")
    length = 2 + len(clip_tokens.class_tokens("low light"))
    torch.testing.assert_close(spoken[:, :length], other[:, :length], atol=1e-5, rtol=1e-4)
    assert (spoken[:, length:] - other[:, length:]).abs().max() > 1e-3
    assert system.context_of("").shape == one.shape
    with pytest.raises(UsageError, match=r"without CLIP's vocabulary.*--variant tokenizer="):
        system.context_of("make it brighter")


def test_misfits_name_the_first_key(official: dict[str, Tensor]) -> None:
    def refused(message: str, changes: dict[str, Tensor | None]) -> None:
        state = {k: v for k, v in (official | changes).items() if v is not None}
        with pytest.raises(AirtoolError, match=message) as caught:
            convert(state)
        assert "\n" not in str(caught.value)

    unet, vae = "model.diffusion_model", "first_stage_model"
    refused(
        r"1 missing, first 'unet\.mid_block\.resnets\.1\.norm2\.bias'",
        {f"{unet}.middle_block.2.out_layers.0.bias": None},
    )
    refused(r"op\.bias' is missing|1 missing", {f"{unet}.input_blocks.2.0.op.bias": None})
    refused(r"middle_block\.9", {f"{unet}.middle_block.9.in_layers.0.bias": torch.zeros(3)})
    for stranger in (f"{unet}.label_emb.0.0.weight", f"{vae}.loss.logvar", "cond_stage_model.x", "NAFNet.x", "x"):
        refused(rf"1 unexpected, first '{stranger}'", {stranger: torch.zeros(1)})
    refused(
        r"'first_stage_model\.decoder\.mid\.attn_1\.v\.weight' has shape \(64, 64, 3, 3\), expected \(64, 64, 1, 1\)",
        {f"{vae}.decoder.mid.attn_1.v.weight": torch.zeros(64, 64, 3, 3)},
    )
    refused(
        r"'NAFNet\.ups\.0\.0\.weight' holds values", {"NAFNet.ups.0.0.weight": torch.full((32, 16, 1, 1), torch.nan)}
    )
    refused(r"not one of AutoDIR: 'NAFNet\.intro\.weight' is missing", {"NAFNet.intro.weight": None})
    refused(
        r"not one of AutoDIR: text_width and vision_width",
        {"model_assessment.clipmodel.text_model.embeddings.token_embedding.weight": torch.zeros(49408, 65)},
    )
    with pytest.raises(UsageError, match="unknown variant 'big' of autodir: it has none but tokenizer=FILE"):
        convert(official, "big")


def test_settings_that_make_no_network_are_one_line() -> None:
    with pytest.raises(AirtoolError, match="describes no AutoDIR network: norm_groups must divide"):
        config_from(PublishedConfig, {"kind": "published", "unet_widths": [32, 65]}, "AutoDIR")
    with pytest.raises(AirtoolError, match="unknown class 'fog'"):
        config_from(PublishedConfig, {"classes": ["fog", "no"]}, "AutoDIR")
    with pytest.raises(AirtoolError, match="unknown prediction 'eps' or sampler 'heun'"):
        config_from(PublishedConfig, {"sampler": "heun"}, "AutoDIR")


def test_the_packages_are_asked_for_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(packages, "import_module", missing)
    with pytest.raises(
        AirtoolError, match=r"^the authors' AutoDIR needs .*pip install -c constraints.txt '.\[autodir\]'$"
    ):
        PublishedSystem(TINY)


@pytest.mark.parametrize("prefix", ["model_assessment.clipmodel.", "clipmodel.", ""])
def test_clip_alone_is_a_detector(official: dict[str, Tensor], tmp_path: Path, prefix: str) -> None:
    whole = "model_assessment.clipmodel."
    state = {prefix + k.removeprefix(whole): v for k, v in official.items() if k.startswith(whole)}
    save_file(state, tmp_path / "clip.safetensors")
    out = tmp_path / "detector.safetensors"
    assert main(["models", "import", str(tmp_path / "clip.safetensors"), str(out), "--method", "detect"]) == 0
    found = read_weights(out)
    assert found.header["method"] == "detect"
    config = config_from(ClipConfig, found.header["config"], "detector")
    network = ClipDetectorNet(config)
    network.load_state_dict(found.tensors, strict=True)
    assert (config.side, config.kind, len(config.classes)) == (16, "clip", 8)
    probabilities = Detector(network, "cpu").probabilities(torch.rand(40, 50, 3).numpy())
    assert tuple(probabilities) == clip_tokens.CLASSES
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-5)


@torch.inference_mode()
def test_the_detector_is_the_softmax_of_clip(system: PublishedSystem) -> None:
    network = ClipDetectorNet(TINY).eval()
    network.clip = system.clip
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    mean, spread = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(SPREAD).view(3, 1, 1)
    theirs = system.clip(input_ids=network.prompts, pixel_values=(pictures - mean) / spread).logits_per_image
    torch.testing.assert_close(network(pictures), theirs, atol=1e-4, rtol=1e-4)
    # Larger pictures are looked at in the middle; smaller ones stand on black.
    around = torch.nn.functional.pad(pictures, (3, 4, 2, 2), value=0.7)
    torch.testing.assert_close(network(around), theirs, atol=1e-4, rtol=1e-4)
    small = pictures[..., 2:, 1:-2]
    black = torch.nn.functional.pad(small, (2, 1, 1, 1))
    torch.testing.assert_close(network(small), network(black), atol=1e-4, rtol=1e-4)
    texts = network.embed_texts([clip_tokens.sentence("haze")])
    torch.testing.assert_close(texts, network.embed_tokens(network.prompts[4:5]))


def test_tokens_are_numbered_as_the_vocabulary_builds_them() -> None:
    """Bytes, bytes that end a word, pairs in their order."""
    pairs = ["r a", "i n</w>", "ra in</w>"]
    assert clip_tokens._encoder(pairs)("RAIN  ra! in") == (514, ord("r") - 0x21, 256 + ord("a") - 0x21, 256, 513)


@pytest.fixture(scope="module")
def vocabulary() -> Path:
    """CLIP's vocabulary inside the package that brings it, where one of the metrics' packages installed it."""
    spec = find_spec("clip")
    for folder in spec.submodule_search_locations or () if spec else ():
        if (Path(folder) / clip_tokens.FILE).is_file():
            return Path(folder) / clip_tokens.FILE
    pytest.skip("CLIP's vocabulary is not here: pip install openai-clip")


def test_sentences_known_by_heart_are_those_of_the_vocabulary(vocabulary: Path, system: PublishedSystem) -> None:
    merges = clip_tokens.read_merges(vocabulary)  # which compares all the classes' sentences
    assert clip_tokens.tokenise("make it brighter!", merges) == (1078, 585, 18507, 256)
    with pytest.raises(UsageError, match="has 40 tokens and CLIP takes 14"):
        clip_tokens.around(clip_tokens.tokenise("rain " * 40, merges), TINY.positions)


def test_files_that_are_no_vocabulary_are_one_line(tmp_path: Path) -> None:
    for name, content, message in (
        ("none.txt", None, "cannot be read"),
        ("short.txt", b"#version: 0.2\ni n\nt h\n", "is no vocabulary of CLIP"),
        ("binary.txt", b"\xff\xfe\x00" * 9, "cannot be read"),
        ("broken.txt.gz", b"\x1f\x8b\x08\x00broken", "cannot be read"),
        ("unknown.txt", b"#version: 0.2\n" + b"i n\n" * 50000 + b"no thing\n", "another vocabulary"),
        ("strange.txt", b"#version: 0.2\n" + b"i nn\n" * 50000, "is no vocabulary of CLIP"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(AirtoolError, match=rf"{name} .*{message}.*: name bpe_simple_vocab") as caught:
            clip_tokens.read_merges(tmp_path / name)
        assert "\n" not in str(caught.value)
