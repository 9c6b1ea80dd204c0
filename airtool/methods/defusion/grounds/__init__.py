"""Visual grounds: procedural, seeded pictures like a camera test chart, in four groups."""

from airtool.methods.defusion.grounds.canvas import GROUPS, KINDS, SMALLEST_SIDE, Kind, ground, parse_kind

__all__ = ["GROUPS", "KINDS", "SMALLEST_SIDE", "Kind", "ground", "parse_kind"]
