"""Which input belongs to which ground truth."""

from collections import Counter
from pathlib import Path

import pytest

from airtool.benches.pairs import LISTED, Pairing, pair_paths, pair_sources
from airtool.errors import UsageError
from airtool.images.discover import Source


def sources(*names: str) -> list[Source]:
    return [Source(Path("folder", name), Path(name)) for name in names]


def names(pairing: Pairing) -> list[tuple[str, str]]:
    return [(pair.degraded.relative.as_posix(), pair.ground_truth.relative.as_posix()) for pair in pairing.pairs]


def test_equal_stems_pair_whatever_the_extension_and_the_order() -> None:
    pairing = pair_sources(sources("b.webp", "a.v2.jpg"), sources("a.v2.png", "b.png"))
    assert names(pairing) == [("b.webp", "b.png"), ("a.v2.jpg", "a.v2.png")]
    assert [pair.name for pair in pairing.pairs] == ["b", "a.v2"]
    assert pairing.rule.name == "stem"


def test_subfolders_keep_equal_names_apart() -> None:
    pairing = pair_sources(sources("day/1.png", "night/1.png"), sources("night/1.jpg", "day/1.jpg"))
    assert names(pairing) == [("day/1.png", "day/1.jpg"), ("night/1.png", "night/1.jpg")]


def test_composed_and_decomposed_letters_are_the_same_name() -> None:
    assert len(pair_sources(sources("cafe\u0301.png"), sources("caf\u00e9.png")).pairs) == 1


@pytest.mark.parametrize(
    ("rule", "degraded", "clean"),
    [
        ("noise-gt", ("01_noise.png", "02_noise.png"), ("01_gt.png", "02_gt.png")),
        ("rain-clean", ("0_rain.png", "11_rain.png"), ("0_clean.png", "11_clean.png")),
        ("rain-norain", ("rain-001.png", "rain-002.png"), ("norain-001.png", "norain-002.png")),
        ("sots", ("0001_0.8_0.2.jpg", "0002_1_0.08.jpg"), ("0001.png", "0002.png")),
    ],
)
def test_naming_rules_of_benchmarks(rule: str, degraded: tuple[str, ...], clean: tuple[str, ...]) -> None:
    pairing = pair_sources(sources(*degraded), sources(*reversed(clean)))
    assert pairing.rule.name == rule
    assert names(pairing) == list(zip(degraded, clean, strict=True))


def test_many_hazy_pictures_share_one_clear_one() -> None:
    pairing = pair_sources(sources("1400_1.png", "1400_10.png", "1410_1.png"), sources("1400.png", "1410.png"))
    assert [clean for _, clean in names(pairing)] == ["1400.png", "1400.png", "1410.png"]


def test_pictures_left_over_on_both_sides_are_listed() -> None:
    with pytest.raises(UsageError) as error:
        pair_sources(sources("a.png", "b.png", "deep/c.jpg"), sources("a.png", "d.png"))
    message = str(error.value)
    assert "2 without ground truth: b.png, deep/c.jpg" in message
    assert "1 only in the ground truths: d.png" in message
    assert "\n" not in message


def test_what_is_left_over_may_be_told_instead_of_refused() -> None:
    pairing = pair_sources(sources("a.png", "b.png"), sources("a.png", "d.png"), complete=False)
    assert [pair.name for pair in pairing.pairs] == ["a"]
    left = pairing.degraded_left, pairing.ground_truth_left
    assert [[source.relative.as_posix() for source in side] for side in left] == [["b.png"], ["d.png"]]
    with pytest.raises(UsageError, match="no picture has a partner"):
        pair_sources(sources("x.png"), sources("y.png"), complete=False)


def test_a_long_list_is_cut_and_counted() -> None:
    many = [f"{number}.png" for number in range(LISTED + 5)]
    with pytest.raises(UsageError, match=r"and 5 more"):
        pair_sources(sources(*many, "a.png"), sources("a.png"))


def test_nothing_in_common_names_the_rules() -> None:
    with pytest.raises(UsageError, match=r"no picture has a partner.*x\.png.*y\.png.*N_noise to N_gt"):
        pair_sources(sources("x.png"), sources("y.png"))


def test_equal_stems_on_one_side_cannot_be_told_apart() -> None:
    for lq, gt in ((("a.png", "a.jpg"), ("a.png",)), (("a.png",), ("a.png", "a.jpg"))):
        with pytest.raises(UsageError, match=r"a\.png and a\.jpg differ only in their extensions"):
            pair_sources(sources(*lq), sources(*gt))


def test_two_files_pair_whatever_their_names(folders: tuple[Path, Path]) -> None:
    lq, gt = folders
    pairing = pair_paths(str(lq / "coffee.webp"), str(gt / "astronaut.png"))
    assert [(p.degraded.path, p.ground_truth.path) for p in pairing.pairs] == [
        (lq / "coffee.webp", gt / "astronaut.png")
    ]


def test_folders_pair_with_their_trees(folders: tuple[Path, Path]) -> None:
    pairing = pair_paths(*map(str, folders))
    assert sorted(pair.name for pair in pairing.pairs) == ["animals/chelsea", "astronaut", "coffee"]


@pytest.mark.parametrize(
    ("benchmark", "rule", "count"),
    [
        ("Rain100L", "stem", 100),
        ("EUVP", "stem", 23),
        ("Nam", "noise-gt", 15),
        ("RainDrop", "rain-clean", 4),
        ("SOTS-outdoor", "sots", 5),
        ("SOTS-indoor", "sots", 6),
    ],
)
def test_real_benchmarks_pair_completely(bench_data: Path, benchmark: str, rule: str, count: int) -> None:
    pairing = pair_paths(str(bench_data / benchmark / "lq"), str(bench_data / benchmark / "gt"))
    assert (pairing.rule.name, len(pairing.pairs)) == (rule, count)
    for pair in pairing.pairs:
        # No two numbers of a benchmark may get mixed up: both names begin with the same one.
        first = [p.relative.stem.split("_")[0] for p in (pair.degraded, pair.ground_truth)]
        assert first[0] == first[1]
    if benchmark == "SOTS-indoor":
        assert Counter(pair.ground_truth.relative.stem for pair in pairing.pairs) == {"1400": 6}
