"""Options that several commands share word for word."""

from typing import Annotated

import typer

USELESS_PRESET = "--preset has no effect with --weights, whose file says what it is: leave it out"

HOW, FILES = "How to restore", "Files"
"""Panels of the help in which they stand."""

Tile = Annotated[
    str,
    typer.Option(
        metavar="auto|N|off",
        help="Side of a tile in pixels; auto: as large as memory allows; off: whole pictures.",
        rich_help_panel=HOW,
    ),
]
DetectorWeights = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Weights file of the detector, which says what to remove where you do not (default: the embedded ones).",
        rich_help_panel=HOW,
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, mps, cuda or cuda:N.", rich_help_panel=HOW)]
Precision = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="auto, bf16 or fp32; auto: bf16 on GPUs built for it, fp32 elsewhere. "
        "On a CPU bf16 is quicker with avx512_bf16 and many times slower without.",
        rich_help_panel=HOW,
    ),
]
Ensemble = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Restore 2 or 4 mirrored versions of everything and average them: slower so many times, a little better.",
        rich_help_panel=HOW,
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of every random draw.", rich_help_panel=HOW)]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs that are there already.", rich_help_panel=FILES)
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on where an earlier run stopped: keep what it finished, and all else that is there; "
        "with --overwrite, replace all else.",
        rich_help_panel=FILES,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do only the I-th of N parts of the pictures, so that N runs share them.",
        rich_help_panel=FILES,
    ),
]
MaxPixels = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Refuse pictures of more pixels, before memory is taken for them, such as 100M (default: 268M).",
        rich_help_panel=FILES,
    ),
]
Isolate = Annotated[
    bool,
    typer.Option(
        "--isolate",
        help="For files from strangers: decode each in a process that may crash, hang or run out of memory.",
        rich_help_panel=FILES,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="png, jpeg, webp, tiff, avif, ... (default: the input's).", rich_help_panel=FILES
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, max=100, help="Quality of lossy formats.", rich_help_panel=FILES),
]
