"""docs/scoreboard.md from the kept figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from measuring.machine import IDLE

from airtool.benches.registry import find_benches
from airtool.methods.weights import WeightsRecord
from airtool.reports.record import Published
from scoring.columns import Column, Margin, Score, inputs, margin, methods, of_other_inputs, rivals, score
from scoring.kept import Kept
from scoring.rivals import CHOSEN, RIVALS, Parameters
from scoring.rows import LINES, Line

HEAD = """# Scoreboard

Each method with its embedded `small` weights, beside classical rivals on the same pictures. PSNR in dB / SSIM under the
protocol `rgb` (8-bit values, whole picture, 11x11 Gaussian window), means over the pictures, and in brackets the gain
over the input in dB. A cell is of the whole set unless it says of how many pictures; samples are the first ones of
their set. **Bold**: the largest PSNR of the methods that were measured on the whole set. The last column says, for each
method, by how much it is ahead of the rival that is hardest for it (minus: behind), over the pictures that both have.

No row was used for training; what was looked at while weights were chosen is in `models/MODEL_CARDS.md`. `ndr` and
`up-restorer` are blind; the others were told the true degradation, as their papers do, except for clean pictures and
for what they have no word for, where they worked it out themselves. Inputs on CBSD68 and Kodak24 come from
`airtool degrade`'s engine at the stated or default amount, seed 0, clipped to [0, 1] and not rounded to 8 bits; those
of Nam, Rain100L and SOTS are the sets' own (of SOTS five pictures only). Noise is clipped with them, so it is not quite
Gaussian in shadows and lights, for anybody.
"""

OTHER = " †"
"""Marks a cell that was measured on other inputs."""


def page(kept: Kept, records: Sequence[WeightsRecord], speed: Path) -> str:
    """The whole page. records: of the manifest. speed: figures of `make bench`."""
    ours, theirs = methods(kept, records), rivals(kept)
    return "\n".join(
        [
            HEAD,
            table(ours, theirs),
            "\n## Methods\n",
            sizes(ours, theirs, records, speed),
            "\n## Rivals\n",
            explained(theirs),
            "\n## Published figures\n",
            published(),
            "\n## How\n",
            how(ours, theirs),
        ]
    )


def table(ours: Sequence[Column], theirs: Sequence[Column]) -> str:
    titles = ["set", "pictures", "input", *(column.title for column in ours), "rivals", "ahead of the hardest rival"]
    rows = [_line(line, ours, theirs) for line in LINES]
    text = "\n".join([f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *(row for row in rows if row)])
    if OTHER in text:
        text += "\n\n†: measured before a degradation changed, so on other inputs; measure it again with `--again`."
    return text


def _line(line: Line, ours: Sequence[Column], theirs: Sequence[Column]) -> str:
    """One line of the table; empty where nothing was measured."""
    now, whole = inputs([*ours, *theirs], line), sum(row.pictures for row in line.rows)
    if not now:
        return ""
    found = {column.name: score(pictures.values()) for column in ours if (pictures := column.pictures(line))}
    complete = {name: each.psnr for name, each in found.items() if each.pictures == whole and each.psnr is not None}
    best = max(complete, key=lambda name: complete[name], default=None)
    cells = []
    for column in ours:
        cell = shown(found[column.name], whole) if column.name in found else ""
        cell = f"**{cell}**" if column.name == best else cell
        cells.append(cell + OTHER * of_other_inputs(column, line, now))
    beside = [
        f"{column.title} {shown(score(pictures.values()), whole)}" + OTHER * of_other_inputs(column, line, now)
        for column in theirs
        if (pictures := column.pictures(line))
    ]
    margins = {column.title: lead for column in ours if (lead := margin(column, theirs, line)) is not None}
    start = shown(score(now.values()), whole)
    return f"| {' | '.join([line.name, str(whole), start, *cells, '<br>'.join(beside), ahead(margins, whole)])} |"


def shown(found: Score, whole: int) -> str:
    """A cell: PSNR / SSIM, the gain, and of how many pictures."""
    text = "identical" if found.psnr is None else f"{found.psnr:.2f} / {found.ssim:.3f}"
    if found.gain is not None:
        text += f" ({found.gain:+.2f})"
    if found.identical and found.psnr is not None:
        text += f", {found.identical} identical"
    return text if found.pictures == whole else f"{text}, {found.pictures} of {whole}"


def ahead(margins: Mapping[str, Margin], whole: int) -> str:
    """Who is ahead of the rivals and by how much, the best first. margins: by the method's title."""
    parts = []
    for title, lead in sorted(margins.items(), key=lambda each: -each[1].psnr):
        count = "" if lead.pictures == whole else f" on {lead.pictures}"
        parts.append(f"{title} {lead.psnr:+.2f} ({lead.rival}{count})")
    in_front = sum(lead.psnr > 0 for lead in margins.values())
    return f"{in_front} of {len(margins)}: {', '.join(parts)}" if parts else ""


def sizes(ours: Sequence[Column], theirs: Sequence[Column], records: Sequence[WeightsRecord], speed: Path) -> str:
    """What each method weighs and takes, and how often it is ahead."""
    lines = [
        "Seconds per megapixel are those of [speed.md](speed.md), as figures of a busy machine would say nothing; there"
        " are none where these weights were not timed. *Ahead*: lines on which the method beats every rival, of those"
        " where both were measured. *Harm*: lines on which the pictures come back worse than they went in, of those"
        " measured whose inputs are not clean.",
        "",
        "| method | parameters | file | s/MP | ahead | harm |",
        "|---" * 6 + "|",
    ]
    by_method = {record.method: record for record in records if record.preset == "small"}
    for column in ours:
        record = by_method[column.name]
        margins = [lead for line in LINES if (lead := margin(column, theirs, line)) is not None]
        scores = [score(found.values()) for line in LINES if (found := column.pictures(line))]
        gains = [each.gain for each in scores if each.gain is not None]
        cells = [
            column.title,
            f"{record.parameters:,}",
            f"`{record.file}`, {record.size / 2**20:.1f} MiB",
            seconds(column.name, record.sha256, speed),
            f"{sum(lead.psnr > 0 for lead in margins)} of {len(margins)}",
            f"{sum(gain < 0 for gain in gains)} of {len(gains)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def seconds(method: str, sha256: str, speed: Path) -> str:
    """Of docs/speed.md for these very weights; says so where the machine did other things, too."""
    found = json.loads(speed.read_text("utf-8"))["networks"] if speed.exists() else {}
    for row in found.values():
        facts = row["facts"]
        if (row["method"], row["preset"], facts["sha256"]) == (method, "small", sha256):
            load = facts["load"]
            busy = f"; load {load:.1f}, not idle" if load is not None and load > IDLE else ""
            threads = f", {facts['threads']} threads" if facts["threads"] else ""
            per = row["contenders"]["airtool"]["seconds_per_megapixel"]
            return f"{per:.1f} ({row['width']}x{row['height']}, {facts['processor']}{threads}{busy})"
    return ""


def explained(theirs: Sequence[Column]) -> str:
    """What each rival is, and with which parameters it ran where."""
    choices = json.loads(CHOSEN.read_text("utf-8")) if CHOSEN.exists() else {}
    lines = [
        "Parameters had the largest mean PSNR of those tried on pictures that no benchmark has: the centres of"
        " validation photographs of BSDS500, degraded alike, and for Rain100L its own training pairs"
        " (`benchmarks/choose_rivals.py`; all that was tried: `benchmarks/scoring/chosen.json`). The noise level is"
        " told where the row states it, else estimated from the finest diagonal details (Donoho and Johnstone, 1994).",
        "",
    ]
    for column in theirs:
        lines.append(f"- **{column.title}**: {RIVALS[column.name].source}")
        if RIVALS[column.name].fixed:
            given = next(iter(RIVALS[column.name].fixed.values()))
            lines.append(f"  - {', '.join(RIVALS[column.name].fixed)}: {_parameters(given)} (nothing to choose)")
        for row, found in choices.get(column.name, {}).items():
            tried = f"of {len(found['tried'])} tried, on {found['on']}"
            lines.append(f"  - {row}: {_parameters(found['chosen'])} ({tried})")
    return "\n".join(lines)


def _parameters(values: Parameters) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def published() -> str:
    """Figures of papers on the rows that they have."""
    lines = [
        "The papers' own, of larger networks (BM3D apart), under the protocol"
        " in brackets, which differs from this page's (`docs/protocols.md`).",
        "",
        "| set | PSNR / SSIM |",
        "|---|---|",
    ]
    for row in (row for line in LINES for row in line.rows if row.bench):
        ((_, bench),) = find_benches(row.bench or "")
        lines.append(f"| {row.name} | {', '.join(map(_figure, bench.published))} |")
    return "\n".join(lines)


def _figure(found: Published) -> str:
    psnr = "?" if found.psnr is None else f"{found.psnr:.2f}"
    ssim = "?" if found.ssim is None else f"{found.ssim:.3f}"
    return f"{found.method} {psnr} / {ssim} ({found.protocol})"


def how(ours: Sequence[Column], theirs: Sequence[Column]) -> str:
    lines = [
        "Written by `make scoreboard` (`benchmarks/scoreboard.py`) from `docs/scoreboard/`, where every picture has its"
        " figures, so rows can be measured in pieces. Figures of earlier weights or parameters are left out.",
        "",
    ]
    for column in (*ours, *theirs):
        made = sorted({_conditions(record.made) for record in column.rows.values()})
        weights = sorted({record.by["sha256"] for record in column.rows.values() if "sha256" in record.by})
        told = f"; weights' sha256 {', '.join(f'`{each}`' for each in weights)}" if weights else ""
        precision = sorted({record.by["precision"] for record in column.rows.values() if "precision" in record.by})
        left = f"; {column.outdated} rows of earlier weights or parameters left out" if column.outdated else ""
        state = "; ".join([*made, *precision]) if made else "not measured"
        lines.append(f"- {column.title}: {state}{told}{left}")
    return "\n".join(lines) + "\n"


def _conditions(made: Mapping[str, Any]) -> str:
    numbers = ", ".join(f"{what} {number}" for what, number in made.items() if what not in ("date", "device"))
    return f"{made['date'][:10]}, {made['device']}, {numbers}"
