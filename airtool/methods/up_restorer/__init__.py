"""Up-Restorer: prompts that follow an unrolled physical model, inside a diffusion Transformer."""

from airtool.methods.facts import MethodFacts

FACTS = MethodFacts(
    name="up-restorer",
    title="Up-Restorer",
    paper="Liu et al., AAAI 2025",
    size_multiple=8,
    channel_order="rgb",
    needs="nothing",
    tiling="approximate",
    surveys=True,
    overlap=64,
    draws=True,
    explains=("transmission", "noise"),
    summary="blind: a diffusion in four steps, guided by estimates of transmission and noise",
    implementation="airtool.methods.up_restorer.method:UpRestorerMethod",
)
