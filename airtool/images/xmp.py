"""XMP packets: the orientation, which some readers take from there. Source: XMP specification part 2."""

import re

ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:>|=\s*[\"'])\s*)[2-8](?=\s*[\"'<])")
"""An orientation other than upright, as an element or as an attribute, in UTF-8. Packets in UTF-16, which the
specification allows in some formats and no writer of photographs is known to choose, keep theirs."""


def upright(packet: bytes) -> bytes:
    """The packet for a picture whose orientation has been applied: of the same length, so that its padding stays."""
    return ORIENTATION.sub(rb"\g<1>1", packet)
