"""XMP packets: the orientation, which some readers take from there, and the videos of motion photos.

Sources: XMP specification part 2; Motion Photo format 1.0 (Android), whose earlier name is MicroVideo.
"""

import re

ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:>|=\s*[\"'])\s*)[2-8](?=\s*[\"'<])")
"""An orientation other than upright, as an element or as an attribute, in UTF-8. Packets in UTF-16, which the
specification allows in some formats and no writer of photographs is known to choose, keep theirs."""

MOTION = re.compile(rb"(:(?:MotionPhoto|MicroVideo)\s*(?:>|=\s*[\"'])\s*)1(?=\s*[\"'<])")
"""That the file is to be treated as a motion photo, likewise."""


def upright(packet: bytes) -> bytes:
    """The packet for a picture whose orientation has been applied: of the same length, so that its padding stays."""
    return ORIENTATION.sub(rb"\g<1>1", packet)


def still(packet: bytes) -> bytes:
    """The packet for a file without the video of a motion photo: of the same length, too.

    0 says so, whatever else the packet still tells of where the video was.
    """
    return MOTION.sub(rb"\g<1>0", packet)
