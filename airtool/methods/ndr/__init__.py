"""NDR-Restore: neural degradation representation learning for all-in-one image restoration."""

from airtool.methods.facts import MethodFacts

FACTS = MethodFacts(
    name="ndr",
    title="NDR-Restore",
    paper="Yao et al., IEEE Transactions on Image Processing 2024, arXiv 2310.12848",
    size_multiple=8,
    channel_order="bgr",
    needs="nothing",
    tiling="approximate",
    overlap=128,
    surveys=True,
    summary="blind: recognises the degradation in a learned dictionary and undoes it in one pass",
    implementation="airtool.methods.ndr.method:NDRMethod",
)
