"""The methods, a folder each."""

DEFAULT = "autodir"
"""What restores when nobody names a method. It asks the detector once for the whole picture, so it leaves good pictures
alone and does the same everywhere in a picture; blind methods with small networks decide anew in each corner."""
