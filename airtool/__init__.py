"""airtool: restore folders of degraded photographs with published all-in-one methods."""

__version__ = "0.1.0"
