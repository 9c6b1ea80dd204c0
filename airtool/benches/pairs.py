"""Which degraded picture belongs to which ground truth, by file name alone.

The two folders mirror each other: pictures pair up inside subfolders of the same name. Extensions never matter, as
mirrors of one benchmark differ in them. Equal stems are tried first; where no stem is equal, the naming rules of
published benchmarks are tried, and `Pairing.rule` says which one was used.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from airtool.errors import UsageError
from airtool.images.discover import Source, by_suffixes, search


@dataclass(frozen=True)
class Rule:
    """One way to name a degraded picture and its ground truth."""

    name: str
    statement: str
    """The rule in one line, for reports."""
    degraded: re.Pattern[str]
    """Matches the whole stem of a degraded picture; group 1 is what it has in common with its ground truth."""
    ground_truth: re.Pattern[str]
    """Matches the whole stem of a ground truth; group 1 as above."""


@dataclass(frozen=True)
class Pair:
    """One degraded picture and its ground truth."""

    name: str
    """Path of the degraded picture below its folder, with `/` and without extension; unique in its pairing."""
    degraded: Source
    ground_truth: Source


@dataclass(frozen=True)
class Pairing:
    """The pictures of two folders, paired."""

    rule: Rule
    pairs: tuple[Pair, ...]
    """In the order in which the degraded pictures were given."""
    degraded_left: tuple[Source, ...] = ()
    """Degraded pictures without ground truth."""
    ground_truth_left: tuple[Source, ...] = ()
    """Ground truths that no degraded picture goes with."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """What `airtool.images.discover.search` has passed over in the two folders."""

    def remainder(self) -> str:
        """The pictures without partner, in words."""
        sides = ((self.degraded_left, "without ground truth"), (self.ground_truth_left, "only in the ground truths"))
        return "; ".join(f"{len(left)} {what}: {_listing(left)}" for left, what in sides if left)


ANY = re.compile("(.+)", re.DOTALL)

EXACT = Rule("stem", "equal stems", ANY, ANY)

FILES = Rule("files", "two single files", ANY, ANY)

KNOWN_RULES = (
    Rule("noise-gt", "N_noise to N_gt (Nam)", re.compile("(.+)_noise"), re.compile("(.+)_gt")),
    Rule("rain-clean", "N_rain to N_clean (RainDrop)", re.compile("(.+)_rain"), re.compile("(.+)_clean")),
    Rule("rain-norain", "rain-N to norain-N (Rain100L, Rain100H)", re.compile("rain-(.+)"), re.compile("norain-(.+)")),
    Rule(
        "sots",
        "NNNN_A_B or NNNN_LEVEL to NNNN, many hazy pictures to one clear (SOTS)",
        re.compile(r"(\d+)(?:_\d+(?:\.\d+)?){1,2}"),
        re.compile(r"(\d+)"),
    ),
)
"""Rules beyond equal stems, in the order in which ties are decided."""

LISTED = 20
"""How many file names messages spell out."""


def pair_paths(degraded: str, ground_truth: str, complete: bool = True) -> Pairing:
    """Pair the pictures of two folders, or two single files with one another whatever their names.

    complete: as for `pair_sources`. Raises UsageError as `airtool.images.discover.search` and `pair_sources` do.
    """
    lq, gt = search([degraded]), search([ground_truth])
    if Path(degraded).is_file() and Path(ground_truth).is_file():
        (one,), (other,) = lq.sources, gt.sources
        return Pairing(FILES, (Pair(pair_name(one), one, other),))
    passed_over = by_suffixes({**lq.others, **gt.others})  # a file of both sides counts once
    return replace(pair_sources(lq.sources, gt.sources, complete), passed_over=passed_over)


def pair_sources(degraded: Sequence[Source], ground_truth: Sequence[Source], complete: bool = True) -> Pairing:
    """Pair two lists of pictures by their relative paths.

    Equal stems decide when at least one pair has them. Otherwise the one of `KNOWN_RULES` decides that leaves the
    fewest pictures over. Raises UsageError when two pictures on one side differ only in their extensions, when no
    picture has a partner and, if they are to be `complete`, when any is left without one (the message lists them).
    """
    _refuse_ambiguous(degraded)
    _refuse_ambiguous(ground_truth)
    match = _match(EXACT, degraded, ground_truth)
    if not match.pairs:
        candidates = [_match(rule, degraded, ground_truth) for rule in KNOWN_RULES]
        match = min((candidate for candidate in candidates if candidate.pairs), key=_left_over, default=match)
    if not match.pairs:
        rules = "; ".join(rule.statement for rule in (EXACT, *KNOWN_RULES))
        raise UsageError(f"no picture has a partner ({match.remainder()}); naming rules tried: {rules}")
    if complete and _left_over(match):
        raise UsageError(f"pairing by {match.rule.statement} leaves {match.remainder()}: complete or remove them")
    return match


def _left_over(match: Pairing) -> int:
    return len(match.degraded_left) + len(match.ground_truth_left)


def _match(rule: Rule, degraded: Sequence[Source], ground_truth: Sequence[Source]) -> Pairing:
    """What one rule makes of two lists of pictures."""
    clear = {key: source for source in ground_truth if (key := _key(rule.ground_truth, source))}
    pairs, degraded_left, used = [], [], set()
    for source in degraded:
        key = _key(rule.degraded, source)
        if key in clear:
            pairs.append(Pair(pair_name(source), source, clear[key]))
            used.add(key)
        else:
            degraded_left.append(source)
    ground_truth_left = [source for source in ground_truth if _key(rule.ground_truth, source) not in used]
    return Pairing(rule, tuple(pairs), tuple(degraded_left), tuple(ground_truth_left))


def pair_name(source: Source) -> str:
    """The path of a picture below its folder, with `/` and without extension."""
    # The same letters may be stored composed or decomposed, depending on the system that wrote the name.
    return unicodedata.normalize("NFC", source.relative.with_suffix("").as_posix())


def _key(pattern: re.Pattern[str], source: Source) -> tuple[str, str] | None:
    folder, _, stem = pair_name(source).rpartition("/")
    found = pattern.fullmatch(stem)
    return (folder, found[1]) if found else None


def _listing(sources: Sequence[Source]) -> str:
    more = f" and {len(sources) - LISTED} more" if len(sources) > LISTED else ""
    return ", ".join(source.relative.as_posix() for source in sources[:LISTED]) + more


def _refuse_ambiguous(sources: Sequence[Source]) -> None:
    seen: dict[str, Source] = {}
    for source in sources:
        other = seen.setdefault(pair_name(source), source)
        if other is not source:
            raise UsageError(
                f"{other.relative.as_posix()} and {source.relative.as_posix()} differ only in their extensions: "
                "keep one of them, as pairing goes by stem"
            )
