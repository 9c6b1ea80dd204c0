"""Defusion: visual instructions, and a diffusion of the degradation itself."""

from airtool.methods.facts import MethodFacts

FACTS = MethodFacts(
    name="defusion",
    title="Defusion",
    paper="Luo et al., CVPR 2025",
    # The published U-Net halves the resolution four times.
    size_multiple=16,
    channel_order="rgb",
    needs="instruction",
    tiling="approximate",
    overlap=64,
    draws=True,
    explains=("instruction",),
    summary="told by a degraded test chart: predicts what was added to the picture, by a diffusion in four steps",
    implementation="airtool.methods.defusion.method:DefusionMethod",
)
