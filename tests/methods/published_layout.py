"""The layout of the AutoDIR checkpoint of its authors, written down from their networks and not from any converter."""

from airtool.methods.autodir.clip import build_clip
from airtool.methods.autodir.published import PublishedConfig
from airtool.networks.nafnet_model import NAFNet

Shapes = dict[str, tuple[int, ...]]


def layout(config: PublishedConfig) -> Shapes:
    """Every tensor of a checkpoint with its shape."""
    found = dict.fromkeys(SCHEDULE, (1000,))
    found |= _under("model.diffusion_model.", unet(config)) | _under("first_stage_model.", autoencoder(config))
    clip = {key: tuple(tensor.shape) for key, tensor in build_clip(config).state_dict().items()}
    clip["text_model.embeddings.position_ids"] = (1, config.positions)
    clip["vision_model.embeddings.position_ids"] = (1, (config.side // config.patch) ** 2 + 1)
    corrector = {key: tuple(tensor.shape) for key, tensor in NAFNet(config.corrector()).state_dict().items()}
    return found | _under("model_assessment.clipmodel.", clip) | _under("NAFNet.", corrector)


SCHEDULE = (
    *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
    *("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod"),
    *("posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"),
)


def unet(config: PublishedConfig) -> Shapes:
    """Stable Diffusion's network with twice the latents as its input."""
    base, layers, levels = config.unet_widths[0], config.unet_layers, len(config.unet_widths)
    time = 4 * base

    def residual(before: int, after: int) -> Shapes:
        found = _norm("in_layers.0", before) | _layer("in_layers.2", after, before, 3, 3)
        found |= _layer("emb_layers.1", after, time)
        found |= _norm("out_layers.0", after) | _layer("out_layers.3", after, after, 3, 3)
        return found | (_layer("skip_connection", after, before, 1, 1) if before != after else {})

    def attention(width: int) -> Shapes:
        found = _norm("norm", width) | _layer("proj_in", width, width, 1, 1) | _layer("proj_out", width, width, 1, 1)
        block = _layer("ff.net.0.proj", 8 * width, width) | _layer("ff.net.2", width, 4 * width)
        for name, seen in (("attn1", width), ("attn2", config.text_width)):
            block |= {f"{name}.to_q.weight": (width, width)}
            block |= {f"{name}.to_{each}.weight": (width, seen) for each in "kv"}
            block |= _layer(f"{name}.to_out.0", width, width)
        for number in (1, 2, 3):
            block |= _norm(f"norm{number}", width)
        return found | _under("transformer_blocks.0.", block)

    found = _layer("time_embed.0", time, base) | _layer("time_embed.2", time, time)
    found |= _layer("input_blocks.0.0", base, 2 * config.latent_channels, 3, 3)
    skips, at, width = [base], 1, base
    for level, wanted in enumerate(config.unet_widths):
        for _ in range(layers):
            found |= _under(f"input_blocks.{at}.0.", residual(width, wanted))
            width = wanted
            if level < levels - 1:
                found |= _under(f"input_blocks.{at}.1.", attention(width))
            skips, at = [*skips, width], at + 1
        if level < levels - 1:
            found |= _layer(f"input_blocks.{at}.0.op", width, width, 3, 3)
            skips, at = [*skips, width], at + 1
    found |= _under("middle_block.0.", residual(width, width)) | _under("middle_block.1.", attention(width))
    found |= _under("middle_block.2.", residual(width, width))
    at = 0
    for level in reversed(range(levels)):
        for layer in range(layers + 1):
            found |= _under(f"output_blocks.{at}.0.", residual(width + skips.pop(), config.unet_widths[level]))
            width, attended = config.unet_widths[level], level < levels - 1
            if attended:
                found |= _under(f"output_blocks.{at}.1.", attention(width))
            if level and layer == layers:
                found |= _layer(f"output_blocks.{at}.{1 + attended}.conv", width, width, 3, 3)
            at += 1
    return found | _norm("out.0", base) | _layer("out.2", config.latent_channels, base, 3, 3)


def autoencoder(config: PublishedConfig) -> Shapes:
    """Stable Diffusion's autoencoder."""
    latents, widths = config.latent_channels, config.vae_widths

    def residual(before: int, after: int) -> Shapes:
        found = _norm("norm1", before) | _layer("conv1", after, before, 3, 3)
        found |= _norm("norm2", after) | _layer("conv2", after, after, 3, 3)
        return found | (_layer("nin_shortcut", after, before, 1, 1) if before != after else {})

    def middle(width: int) -> Shapes:
        found = _under("block_1.", residual(width, width)) | _under("block_2.", residual(width, width))
        found |= _norm("attn_1.norm", width)
        for name in ("q", "k", "v", "proj_out"):
            found |= _layer(f"attn_1.{name}", width, width, 1, 1)
        return _under("mid.", found)

    encoder, width = _layer("conv_in", widths[0], 3, 3, 3), widths[0]
    for level, wanted in enumerate(widths):
        for layer in range(config.vae_layers):
            encoder |= _under(f"down.{level}.block.{layer}.", residual(width, wanted))
            width = wanted
        if level < len(widths) - 1:
            encoder |= _layer(f"down.{level}.downsample.conv", width, width, 3, 3)
    encoder |= middle(width) | _norm("norm_out", width) | _layer("conv_out", 2 * latents, width, 3, 3)
    decoder = _layer("conv_in", width, latents, 3, 3) | middle(width)
    for level in reversed(range(len(widths))):
        for layer in range(config.vae_layers + 1):
            decoder |= _under(f"up.{level}.block.{layer}.", residual(width, widths[level]))
            width = widths[level]
        if level:
            decoder |= _layer(f"up.{level}.upsample.conv", width, width, 3, 3)
    decoder |= _norm("norm_out", width) | _layer("conv_out", 3, width, 3, 3)
    found = _layer("quant_conv", 2 * latents, 2 * latents, 1, 1) | _layer("post_quant_conv", latents, latents, 1, 1)
    return found | _under("encoder.", encoder) | _under("decoder.", decoder)


def _under(prefix: str, shapes: Shapes) -> Shapes:
    return {f"{prefix}{key}": shape for key, shape in shapes.items()}


def _layer(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _norm(name: str, width: int) -> Shapes:
    return _layer(name, width)
