"""AutoDIR: detect what is wrong, restore by prompt, iterate until clean (Jiang et al., ECCV 2024, arXiv 2310.10123)."""

from airtool.methods.facts import MethodFacts

DETECTOR = "detect"
"""What weights files call the detector."""

FACTS = MethodFacts(
    name="autodir",
    title="AutoDIR",
    paper="Jiang et al., ECCV 2024",
    size_multiple=64,
    channel_order="rgb",
    needs="prompt",
    tiling="approximate",
    overlap=128,
    draws=True,
    explains=("diffused",),
    summary="told in words, or by the detector: a latent diffusion with a structural correction behind it",
    implementation="airtool.methods.autodir.method:AutoDIRMethod",
)
