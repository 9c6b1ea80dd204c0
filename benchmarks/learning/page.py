"""docs/training.md from the curves."""

import math
from collections.abc import Sequence

from learning.doubling import FLAT, Doubling, doubling
from learning.events import Curve

CLEAN = "clean"

HEAD = """# Training curves

How the embedded weights learned, what the last doubling of each training brought, and what the next would need. Written
by `python benchmarks/curves.py RUN...` from the logs of `airtool train`; the figures are in `docs/curves/`.

Figures are of a run's own validation pictures, held out, at default amounts (see the cards in `models/MODEL_CARDS.md`),
of averaged weights: RGB PSNR in dB, or % of what is named or understood right. *Half* is the figure at half of the
steps, on a straight line over the logarithm of the steps where it falls between two validations; *brought* is what the
second half added to it. The learning rate falls towards its end there, so *brought* is of both. Most runs are stages
that start from the weights of another, so a doubling is one of the stage, not of all training before it. What changes
by less than {dB:g} dB, or {percent:g} %, counts as flat.
"""


def page(curves: Sequence[Curve]) -> str:
    """The whole page, runs in the order in which they started."""
    ordered = sorted(curves, key=lambda curve: curve.started)
    parts = [HEAD.format(dB=FLAT["dB"], percent=FLAT["%"]), overview(ordered)]
    return "\n".join([*parts, *brought(ordered), *(section(curve) for curve in ordered)])


def overview(curves: Sequence[Curve]) -> str:
    lines = [
        "| run | steps | time | brought, mean | best | still rising | flat | falling | the next doubling |",
        "|---" * 9 + "|",
    ]
    for curve in curves:
        found = doublings(curve)
        damaged = {kind: each for kind, each in found.items() if kind != CLEAN}
        cells = [
            f"[{curve.run}](#{curve.run})" + (", see its note" if curve.note else ""),
            f"{curve.steps:,}",
            duration(curve.seconds),
            _mean([each.brought for each in damaged.values()], curve.unit),
            _best(damaged, curve.unit),
            *(_named(damaged, curve.unit, verdict) for verdict in ("rising", "flat", "falling")),
            f"{curve.steps:,} steps more, {duration(curve.seconds)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "The next doubling costs as many steps again as a run has had, here at the run's own pace and on its machine;"
        " to expect of it more than *brought* would be rash. What stood still over a whole doubling is not waiting for"
        " steps: what is left to try there is a larger or another network, more of that degradation in the mix, or more"
        " photographs.",
        "",
    ]
    return "\n".join(lines)


def brought(curves: Sequence[Curve]) -> list[str]:
    """What the last doubling brought, a column for each single degradation and one for all mixtures."""
    found = {curve.run: doublings(curve) for curve in curves}
    kinds = list(dict.fromkeys(kind for each in found.values() for kind in each if "+" not in kind))
    lines = ["## What the last doubling brought", "", f"| run | {' | '.join(kinds)} | mixtures, mean |"]
    lines.append("|---" * (len(kinds) + 2) + "|")
    for curve in curves:
        each = {kind: doubled.brought for kind, doubled in found[curve.run].items()}
        mixtures = [value for kind, value in each.items() if "+" in kind]
        cells = [f"{each[kind]:+.2f}" if kind in each else "" for kind in kinds]
        cells.append(f"{math.fsum(mixtures) / len(mixtures):+.2f}" if mixtures else "")
        if each:
            lines.append(f"| {curve.run}, {curve.unit} | {' | '.join(cells)} |")
    return [*lines, ""]


def section(curve: Curve) -> str:
    """One run: its picture, and a table with a column for each kind."""
    lines = [
        f"## {curve.run}",
        "",
        f"{curve.steps:,} steps in {duration(curve.seconds)}, {curve.pictures_a_second:g} pictures a second in the"
        f" median; started {curve.started[:10]}.",
        "",
        *([curve.note, ""] if curve.note else []),
        f"![curves of {curve.run}](curves/{curve.run}.svg)",
        "",
    ]
    if not curve.validation:
        return "\n".join([*lines, "No validation was run.", ""])
    found, kinds = doublings(curve), list(curve.validation)
    rows = {
        "half": [f"{found[kind].half:.2f}" if kind in found else "" for kind in kinds],
        "last": [f"{curve.validation[kind][-1][1]:.2f}" for kind in kinds],
        "brought": [f"{found[kind].brought:+.2f}" if kind in found else "" for kind in kinds],
    }
    lines += [f"| {curve.unit} | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items() if any(cells)]
    if not found:
        lines += ["", "The first validation came after half of the steps: what the last doubling brought is not known."]
    return "\n".join([*lines, ""])


def doublings(curve: Curve) -> dict[str, Doubling]:
    """By kind, where it is known."""
    each = {kind: doubling(points) for kind, points in curve.validation.items()}
    return {kind: found for kind, found in each.items() if found is not None}


def duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.0f} min"


def _mean(values: Sequence[float], unit: str) -> str:
    return f"{math.fsum(values) / len(values):+.2f} {unit}" if values else "not known"


def _best(found: dict[str, Doubling], unit: str) -> str:
    if not found:
        return ""
    kind = max(found, key=lambda each: found[each].brought)
    return f"{kind} {found[kind].brought:+.2f} {unit}"


def _named(found: dict[str, Doubling], unit: str, verdict: str) -> str:
    """How many kinds rise, stand still or fall; their names are in the run's own table."""
    count = sum(each.verdict(unit) == verdict for each in found.values())
    return str(count) if found else ""
