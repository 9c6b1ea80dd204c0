"""Options that several commands share word for word."""

from typing import Annotated

import typer

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
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, mps, cuda or cuda:N.", rich_help_panel=HOW)]
Precision = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="auto, bf16 or fp32; auto: bf16 on GPUs built for it, fp32 elsewhere.",
        rich_help_panel=HOW,
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of every random draw.", rich_help_panel=HOW)]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs that are there already.", rich_help_panel=FILES)
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Keep and skip outputs that are there already.", rich_help_panel=FILES)
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
