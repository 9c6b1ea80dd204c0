"""docs/speed.md from the figures."""

from collections.abc import Mapping, Sequence
from typing import Any

Figures = Mapping[str, Any]

DRAWING = "speed-scaling.svg"
"""Beside the page, where scaling was measured."""

HEAD = """# Speed

How quick airtool's networks are against a plain PyTorch implementation of the same networks, how much of the command's
time is the network's, how soon the first picture is there, and whether time grows as the pixels do and memory does not.
Written by `make bench` (`benchmarks/speed.py`) from `speed-measured.json`.

**plain** is what a paper's repository would run (`benchmarks/plain/`): eager, float32, NCHW memory, the whole picture
at once under `torch.no_grad`, with NDR-Restore's cubes, DFPIR's reordered channels and all attention maps in memory. It
loads the same weights and gets the same noise, labels and instruction tokens; making those takes it no time, while ours
makes them anew for each picture. The published AutoDIR's diffusion and autoencoder are those of a package on both
sides. **airtool** runs through the engine in float32, as the command does. On CPUs it has the C library keep memory
that is freed, so that the system need not clear it again for the next layer; **airtool, heap not kept** is the same
without that. **airtool, bf16** is `--precision bf16` on a processor that has bfloat16 itself: convolutions and products
of numbers with 8 bits of precision, so other results, by the stated difference. **openvino** is airtool's own network
converted by OpenVINO and compiled for a CPU, float32, the one picture size and as many threads; as long as it is no
quicker, airtool has no such backend.

Every contender lives in a process of its own with its own allocator and threads; they take turns, in another order each
round. **Ratios are from one run**: each is the median over the rounds of the plain network's seconds over the
contender's, with the smallest and the largest round in brackets; seconds of different runs, and so of different rows,
say less than that. Times are medians and reach from an array of pixels to an array of pixels. *Peak* is the share of
the machine's own float32 matrix product rate (`torch.mm`, the best of several, same threads) that the plain network's
convolutions and products make in a contender's time; the same count stands for every contender. *Memory* is what the
process takes at most while it restores its first picture, over what it held with libraries, weights and picture loaded;
ours overwrites the picture, as the command does. *Difference* is the largest to the plain network's result, of 1.
"""


def page(found: Mapping[str, Mapping[str, Figures]]) -> str:
    """The whole page. found: figures by section, "networks", "command", "first" and "scaling", and there by name."""
    parts = [HEAD]
    for section, title, table in (
        ("networks", "Networks", networks),
        ("command", "The whole command", command),
        ("first", "The first picture", first),
        ("scaling", "Time over pixels", scaling),
    ):
        if rows := list(found.get(section, {}).values()):
            parts.append(f"\n## {title}\n\n{table(rows)}\n\n{conditions(rows)}\n")
    return "".join(parts)


def networks(rows: Sequence[Figures]) -> str:
    lines = [
        "| network | picture | on | contender | s/MP | plain / it | peak | memory | of plain's | difference |",
        "|---" * 10 + "|",
    ]
    for row in rows:
        plain = row["contenders"]["plain"]["added_mib"]
        for name, each in row["contenders"].items():
            memory = each["added_mib"]
            cells = [
                f"{row['method']} {row['preset']}",
                f"{row['width']}x{row['height']}",
                place(row),
                name,
                f"{each['seconds_per_megapixel']:.2f}",
                "1" if name == "plain" else spread(each["faster"]),
                f"{100 * each['share_of_peak']:.0f} %",
                f"{memory:.0f} MiB",
                f"{100 * memory / plain:.0f} %" if plain else "",
                "" if name == "plain" else difference(each["difference"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines += [f"| {row['method']} {row['preset']} | | | {name} | {why} | | | | | |" for name, why in left_out(row)]
    if kept := [f"{row['method']} {row['preset']} {spread(row['heap'])}" for row in rows if row["heap"]]:
        lines += ["", f"Of the speed-up, this factor comes from the kept heap alone: {'; '.join(kept)}."]
    return "\n".join(lines)


def spread(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['from']:.2f} to {ratio['to']:.2f})"


def left_out(row: Figures) -> list[tuple[str, str]]:
    return [(name, f"not here: {why.replace('|', '/')}") for name, why in row["left_out"].items()]


def difference(found: Mapping[str, float]) -> str:
    """With tiles, the whole picture's in brackets."""
    if found["as_run"] == found["whole"]:
        return f"{found['whole']:.1e}"
    return f"{found['as_run']:.1e} in tiles ({found['whole']:.1e} whole)"


def command(rows: Sequence[Figures]) -> str:
    lines = [
        "`airtool restore` over a folder of real pictures. *Command*: decoding, network and encoding, as it reports it;"
        " *start to end* adds the program's start and the weights. *Network inside*: the sum of the network's own"
        " seconds in the report. *Network alone*: over the same pictures in memory, with no reading and writing beside"
        " it; its share is what the command reaches of the network's own rate.",
        "",
        "| method | pictures | MP | start to end | command | network inside | share | network alone | share |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        seconds = [row[f"{name}_seconds"] for name in ("wall", "command", "network", "alone")]
        wall, whole, inside, alone = (f"{each:.1f} s" for each in seconds)
        shares = [f"{100 * row[f'share_of_{name}']:.1f} %" for name in ("report", "alone")]
        pictures = f"{row['pictures']} of {row['folder']}"
        cells = [f"{row['method']} {row['preset']}", pictures, f"{row['megapixels']:.1f}", wall, whole, inside]
        lines.append(f"| {' | '.join([*cells, shares[0], alone, shares[1]])} |")
    return "\n".join(lines)


def first(rows: Sequence[Figures]) -> str:
    lines = [
        f"`airtool restore one.png out.png`, {rows[0]['side']} pixels square, from start to end of the program.",
        "",
        "| method | median | from | to | runs |",
        "|---" * 5 + "|",
    ]
    for row in rows:
        seconds = row["seconds"]
        times = " | ".join(f"{each:.2f} s" for each in (row["median"], min(seconds), max(seconds)))
        lines.append(f"| {row['method']} {row['preset']} | {times} | {len(seconds)} |")
    return "\n".join(lines)


def scaling(rows: Sequence[Figures]) -> str:
    lines = [
        "One picture of each size in a process of its own, tiled as by default. *Memory* is beyond the decoded picture;"
        " *process* is all that it held. The exponent is the least-squares slope of the logarithms: 1 is linear; the"
        " last picture, of an extreme shape, does not count for it.",
        "",
        f"![seconds and memory over megapixels]({DRAWING})",
        "",
        "| network | picture | MP | seconds | s/MP | memory | process | exponent |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        power = "" if row["exponent"] is None else f"{row['exponent']:.3f}"
        for each, exponent in [*((each, power) for each in row["rows"]), *((each, "") for each in row["shapes"])]:
            cells = [
                f"{row['method']} {row['preset']}",
                f"{each['width']}x{each['height']}",
                f"{each['megapixels']:.2f}",
                f"{each['seconds']:.2f}",
                f"{each['seconds'] / each['megapixels']:.2f}",
                f"{each['added_mib']:.0f} MiB",
                f"{each['total_mib']:.0f} MiB",
                exponent,
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def conditions(rows: Sequence[Figures]) -> str:
    """Where and when each row was measured, rows of the same conditions together."""
    by_condition: dict[str, list[str]] = {}
    for row in rows:
        facts = row["facts"]
        numbers = ", ".join(f"{what} {number}" for what, number in facts["versions"].items())
        load = "unknown" if facts["load"] is None else f"{facts['load']:.1f}"
        text = f"{facts['date']}, {place(row)}; load average before the run {load}; {numbers}"
        weights = f"{row['method']} {row['preset']} `{facts['sha256']}`"
        named = by_condition.setdefault(text, [])
        if weights not in named:
            named.append(weights)
    return "\n".join(f"- {text}. Weights' sha256: {', '.join(names)}." for text, names in by_condition.items())


def place(row: Figures) -> str:
    facts = row["facts"]
    threads = f", {facts['threads']} threads" if facts["threads"] else ""
    return f"{facts['processor']}{threads}"
