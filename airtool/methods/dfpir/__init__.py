"""DFPIR: degradation-aware feature perturbation for all-in-one image restoration."""

from airtool.methods.facts import MethodFacts

FACTS = MethodFacts(
    name="dfpir",
    title="DFPIR",
    paper="Tian et al., CVPR 2025, arXiv 2505.12630",
    size_multiple=8,
    channel_order="rgb",
    needs="label",
    tiling="approximate",
    overlap=64,
    summary="told the degradation: reorders and masks the channels of its skip connections accordingly, in one pass",
    implementation="airtool.methods.dfpir.method:DFPIRMethod",
)
