"""The benchmark sets as data: each file is complete, and each layout is recognised on a tree of published names."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from airtool.benches.folders import Found, locate, locate_all, recognise
from airtool.benches.registry import BenchSet, Layout, find_benches, find_set, registry, set_from
from airtool.benches.templates import compile_template
from airtool.degradations.compose import parse_steps
from airtool.errors import UsageError
from airtool.metrics.protocols import PROTOCOLS

SETS = registry()

# fmt: off
LITERATURE = {
    "cbsd68", "urban100", "kodak24", "mcmaster", "rain100l", "rain100h", "rain1400", "outdoor-rain", "lhp-rain",
    "sots-outdoor", "sots-indoor", "dense-haze", "nh-haze", "gopro", "hide", "realblur-j", "lol-v1", "raindrop",
    "rainds-rd", "rainds-rs", "rainds-rdrs", "snow100k-s", "snow100k-l", "realsnow", "dpdd", "sidd", "live1",
    "div2k", "realsr", "euvp", "turbid", "toled", "mixed", "mixed-cbsd68",
}
# fmt: on

COMMON = {
    "lq/gt": "lq/a/1.webp gt/a/1.png",
    "input/target": "test/input/2.png test/target/2.jpg",
    "gt": "gt/1.png",
    "flat": "1.png",
}
"""Pictures of the layouts that many sets share; those of a pair follow one another."""

OWN = {
    ("cbsd68", "original_png"): "original_png/0001.png",
    ("kodak24", "kodim"): "PhotoCD/kodim07.png",
    ("urban100", "HR"): "HR/img_001.png",
    ("urban100", "image_SRF_4"): "image_SRF_4/img_001_SRF_4_HR.png",
    ("live1", "refimgs"): "refimgs/bikes.bmp",
    ("div2k", "DIV2K_valid_HR"): "DIV2K_valid_HR/0801.png",
    ("dense-haze", "N_hazy/N_GT, 51 to 55"): "hazy/51_hazy.png GT/51_GT.png",
    ("nh-haze", "N_hazy/N_GT, 51 to 55"): "55_hazy.png 55_GT.png",
    ("dpdd", "test_c/source, test_c/target"): (
        "test_c/source/1P0A0917.png test_c/target/1P0A0916.png test_c/source/1P0A0919.png test_c/target/1P0A0918.png"
    ),
    ("dpdd", "inputC/target"): "test/inputC/1P0A0917.png test/target/1P0A0916.png",
    ("euvp", "test_samples/Inp, test_samples/GTr"): "test_samples/Inp/test_p0_.jpg test_samples/GTr/test_p0_.jpg",
    ("euvp", "A/GTr_A"): "A/1.jpg GTr_A/1.jpg",
    ("gopro", "scene/blur, scene/sharp"): (
        "test/GOPR0384_11_00/blur/000001.png test/GOPR0384_11_00/sharp/000001.png "
        "test/GOPR0385_11_01/blur/000001.png test/GOPR0385_11_01/sharp/000001.png"
    ),
    ("gopro", "blur/sharp"): "test/blurry/1.png test/sharp/1.png",
    ("hide", "test/GT"): "test/test-close-ups/1fromGOPR0950.png GT/1fromGOPR0950.png",
    ("hide", "blur/sharp"): "blur/1.png sharp/1.png",
    ("realblur-j", "scene/blur/blur_N, scene/gt/gt_N"): "scene004/blur/blur_1.png scene004/gt/gt_1.png",
    ("lhp-rain", "rain/gt"): "test/rain/1.png test/clean/1.png",
    ("lol-v1", "eval15/low, eval15/high"): "eval15/low/111.png eval15/high/111.png",
    ("lol-v1", "low/high"): "Test/low/1.png Test/high/1.png",
    ("nam", "lq/gt, N_noise to N_gt"): "lq/01_noise.webp gt/01_gt.webp",
    ("nam", "N_noise/N_gt"): "noisy/01_noise.png gt/01_gt.png",
    ("nam", "N_real/N_mean"): "5dmark3_iso3200_1_real.png 5dmark3_iso3200_1_mean.png",
    ("outdoor-rain", "lq/gt"): "lq/im_0301_s80_a04.png gt/im_0301.png lq/im_0301_s95_a06.png gt/im_0301.png",
    ("outdoor-rain", "input/gt, im_0001_s80_a04 to im_0001"): (
        "input/im_0301_s80_a04.png gt/im_0301.png input/im_0301_s95_a06.png gt/im_0301.png"
    ),
    ("rain1400", "lq/gt"): "lq/901_1.jpg gt/901.jpg lq/901_14.jpg gt/901.jpg",
    ("rain1400", "rainy_image/ground_truth"): (
        "testing/rainy_image/901_1.jpg testing/ground_truth/901.jpg "
        "testing/rainy_image/901_14.jpg testing/ground_truth/901.jpg"
    ),
    ("rain1400", "input/target, many to one"): "input/901_1.jpg target/901.jpg input/901_2.jpg target/901.jpg",
    ("raindrop", "lq/gt, N_rain to N_clean"): "lq/0_rain.webp gt/0_clean.webp",
    ("raindrop", "data/gt, N_rain to N_clean"): "test_a/data/0_rain.png test_a/gt/0_clean.png",
    ("raindrop", "input/gt, N_rain to N_clean"): "test/input/11_rain.png test/gt/11_clean.png",
    ("raindrop", "N_rain/N_clean"): "0_rain.png 0_clean.png",
    ("realsnow", "testing/snow, testing/gt"): "testing/snow/1.png testing/gt/1.png",
    ("realsr", "camera/Test/4, N_LR4 to N_HR"): (
        "Canon/Test/4/Canon_001_LR4.png Canon/Test/4/Canon_001_HR.png "
        "Nikon/Test/4/Nikon_001_LR4.png Nikon/Test/4/Nikon_001_HR.png"
    ),
    ("realsr", "N_LR4/N_HR"): "test_LR/Canon_001_LR4.png test_HR/Canon_001_HR.png",
    ("sidd", "noisy/gt"): "val/input_crops/0-1.png val/gt_crops/0-1.png",
    ("sidd", "noisy/N_NOISY, gt/N_GT"): "val/noisy/0001_NOISY.png val/gt/0001_GT.png",
    ("sidd", "N_NOISY/N_GT"): "0001_001_S6/0001_NOISY_SRGB_010.PNG 0001_001_S6/0001_GT_SRGB_010.PNG",
    ("sots-indoor", "lq/gt, 1400_1 to 1400"): "lq/1400_1.webp gt/1400.webp lq/1400_10.webp gt/1400.webp",
    ("sots-indoor", "hazy/gt"): "hazy/1400_1.png gt/1400.png hazy/1400_10.png gt/1400.png",
    ("sots-indoor", "input/target, N_# to N"): "input/1400_1.png target/1400.png",
    ("sots-outdoor", "lq/gt, 0001_0.8_0.2 to 0001"): "lq/0001_0.8_0.2.jpg gt/0001.webp",
    ("sots-outdoor", "hazy/gt"): "hazy/0001_0.8_0.2.jpg clear/0001.png hazy/0001_1_0.08.jpg clear/0001.png",
    ("sots-outdoor", "input/target, N_* to N"): "input/0001_0.8_0.2.jpg target/0001.png",
    ("toled", "LQ/HQ"): "Toled/LQ/1.png Toled/HQ/1.png",
    (
        "turbid",
        "series/N, series/ref",
    ): ("Milk/1.jpg Milk/ref.jpg Milk/2.jpg Milk/ref.jpg DeepBlue/1.jpg DeepBlue/ref.jpg"),
    ("turbid", "series/N, ref_series"): "DeepBlue/08.jpg ref_DeepBlue.jpg DeepBlue/09.jpg ref_DeepBlue.jpg",
}
for rain in ("rain100l", "rain100h"):
    OWN[rain, "rain-N/norain-N"] = "rainy/rain-001.png norain-001.png rainy/rain-002.png norain-002.png"
    OWN[rain, "norain-Nx2/norain-N"] = "rain/X2/norain-001x2.png norain/norain-001.png"
    OWN[rain, "rain/norain"] = "rain/1.png norain/1.png"
for code, name in (("rd", "raindrop"), ("rs", "rainstreak"), ("rdrs", "rainstreak_raindrop")):
    OWN[f"rainds-{code}", "lq/gt"] = f"lq/{name}/2.png gt/2.png"
    OWN[f"rainds-{code}", f"{name}/gt"] = f"RainDS_real/test_set/{name}/2.png RainDS_real/test_set/gt/2.png"
for size in "sl":
    OWN[f"snow100k-{size}", "synthetic/gt"] = "synthetic/beautiful_smile_00003.jpg gt/beautiful_smile_00003.jpg"

LAYOUTS = [(each, layout) for each in SETS.values() for layout in each.layouts if each.pictures_of is None]


def tree(folder: Path, *names: str) -> Path:
    """Empty files of these names; recognising looks at names alone."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def paired(found: Found) -> list[str]:
    """The files of every pair, the degraded picture first."""
    sources = [source for pair in found.pairs for source in dict.fromkeys((pair.degraded, pair.ground_truth))]
    return [source.path.relative_to(found.folder).as_posix() for source in sources if source.path is not None]


def test_every_set_of_the_literature_is_there() -> None:
    assert set(SETS) >= LITERATURE


@pytest.mark.parametrize("each", SETS.values(), ids=list(SETS))
def test_every_file_is_complete(each: BenchSet) -> None:
    assert len(each.layouts) >= (2 if each.ground_truths else 1)
    assert all(
        each.title and each.task and each.degradation and each.paper and each.where and each.licence for _ in "1"
    )
    assert "://" not in repr(each)
    assert set(each.protocols) <= set(PROTOCOLS)
    assert (
        each.pictures is not None
        or "recorded" in (each.note or "")
        or "agreed" in (each.note or "")
        or not (each.ground_truths)
    )
    for bench in each.benches:
        assert find_benches(bench.name) == ((each, bench),)
        assert (bench.steps is None) == (bench.seed is None)
        for figure in bench.published:
            assert figure.protocol in PROTOCOLS or figure.protocol == "not stated"
            assert 10 < (figure.psnr or 20) < 45
            assert 0.3 < (figure.ssim or 0.9) < 1
            assert figure.source


def test_synthesis_is_said_with_its_steps_and_seed() -> None:
    for mixed, clean in (("mixed", "kodak24"), ("mixed-cbsd68", "cbsd68")):
        orders = {tuple(step.name for step in parse_steps(bench.steps or "")) for bench in SETS[mixed].benches}
        assert orders == set(permutations(("rain", "noise", "snow")))
        assert (SETS[mixed].layouts, SETS[mixed].pictures) == (SETS[clean].layouts, SETS[clean].pictures)
    steps = {
        bench.name: (bench.steps, bench.seed) for name in LITERATURE for bench in SETS[name].benches if bench.steps
    }
    for name in ("cbsd68", "kodak24", "urban100", "mcmaster"):
        for sigma in (15, 25, 50):
            assert steps[f"{name}-{sigma}"] == (f"noise:{sigma}", 0)
    assert steps["live1-q10"] == ("jpeg:10", 0)
    assert steps["div2k-x2"] == ("downsample:2", 0)


def test_published_figures_of_the_issue() -> None:
    figures = {
        (bench.name, figure.method): figure.psnr
        for each in SETS.values()
        for bench in each.benches
        for figure in bench.published
    }
    assert figures["cbsd68-25", "DFPIR"] == 31.47
    assert figures["cbsd68-25", "AirNet"] == 31.26
    assert figures["cbsd68-25", "PromptIR"] == 31.31
    assert figures["cbsd68-25", "CBM3D"] == 30.69
    assert figures["rain100l", "NDR-Restore"] == 35.42
    assert figures["rain100l", "AirNet"] == 34.90
    assert figures["rain100l", "PromptIR"] == 36.37


@pytest.mark.parametrize(("each", "layout"), LAYOUTS, ids=lambda value: value.name)
def test_every_layout_is_recognised(tmp_path: Path, each: BenchSet, layout: Layout) -> None:
    names = OWN.get((each.name, layout.name)) or COMMON[layout.name]
    folder = tree(tmp_path / each.folders[0], *names.split())
    found = locate(str(tmp_path), [each])[each.name]
    assert found.layout == layout
    assert found.folder == folder
    assert (found.degraded_left, found.ground_truth_left, found.others) == ((), (), 0)
    if each.ground_truths:
        assert sorted(paired(found)) == sorted(names.split())
        sides = [(pair.degraded.path, pair.ground_truth.path) for pair in found.pairs]
        assert len({first for first, _ in sides}) == len(sides)
        expected = list(zip(*[iter(names.split())] * (1 if each.synthesised else 2), strict=True))
        got = {tuple(dict.fromkeys(p.relative_to(folder).as_posix() for p in side if p)) for side in sides}
        assert got == set(expected)
    else:
        assert found.count == len(names.split())


def test_what_does_not_belong_is_counted_and_what_lacks_a_partner_named(tmp_path: Path) -> None:
    tree(tmp_path, *(f"rainy/rain-00{i}.png" for i in (1, 2, 3)), *(f"norain-00{i}.png" for i in (1, 3, 4)))
    tree(tmp_path, "rainy/rain-001.jpg", "train/other.png", "lq_nogt/5.png")
    found = recognise(SETS["rain100l"], tmp_path)
    assert paired(found) == ["rainy/rain-001.jpg", "norain-001.png", "rainy/rain-003.png", "norain-003.png"]
    assert found.degraded_left == ("rainy/rain-001.png", "rainy/rain-002.png")
    assert found.ground_truth_left == ("norain-004.png",)
    assert (found.others, found.unpaired, found.state) == (1, 1, "sample")


def test_clean_pictures_of_the_training_part_are_passed_over(tmp_path: Path) -> None:
    tree(tmp_path, "test/test-long-shot/1from.png", "GT/1from.png", "GT/9from.png", "train/9from.png")
    found = recognise(SETS["hide"], tmp_path)
    assert paired(found) == ["test/test-long-shot/1from.png", "GT/1from.png"]
    assert (found.degraded_left, found.ground_truth_left) == ((), ())


@pytest.mark.parametrize("left", ["test_c/target/1P0A0916.png", "test_c/source/1P0A0919.png"])
def test_pictures_that_pair_up_in_order_do_so_only_without_remainder(tmp_path: Path, left: str) -> None:
    names = OWN["dpdd", "test_c/source, test_c/target"].split()
    tree(tmp_path, *(name for name in names if name != left))
    found = recognise(SETS["dpdd"], tmp_path)
    assert found.pairs == ()
    assert len(found.degraded_left) + len(found.ground_truth_left) == 3
    tree(tmp_path, left.replace("0916", "0912").replace("0919", "0923"))  # as many of each, but not the right ones
    assert recognise(SETS["dpdd"], tmp_path).pairs == ()


def test_names_are_below_the_degraded_pictures_so_that_kept_results_pair_again(tmp_path: Path) -> None:
    scenes = ("GOPR0384_11_00", "GOPR0385_11_01")
    tree(tmp_path, *(f"test/{scene}/{side}/000001.png" for scene in scenes for side in ("blur", "sharp")))
    found = recognise(SETS["gopro"], tmp_path)
    assert [pair.name for pair in found.pairs] == [f"{scene}/blur/000001" for scene in scenes]
    assert {pair.degraded.root for pair in found.pairs} == {tmp_path / "test"}


@pytest.mark.parametrize(
    ("pictures", "count", "state"),
    [(2, 2, "complete"), (3, 2, "sample"), (1, 2, "surplus"), (None, 2, "unknown"), (2, 0, "unrecognised")],
)
def test_how_much_is_there(tmp_path: Path, pictures: int | None, count: int, state: str) -> None:
    tree(tmp_path, "notes.png", *(f"{side}/{i}.png" for i in range(count) for side in ("lq", "gt")))
    found = recognise(replace(SETS["rain100l"], pictures=pictures), tmp_path)
    assert found.state == state
    assert (found.problem is None) == bool(count)


def test_sets_are_found_wherever_they_lie(tmp_path: Path) -> None:
    tree(tmp_path / "test/derain/Rain100L", "input/1.png", "target/1.png")
    tree(tmp_path / "test/dehaze", "input/0001_0.8_0.2.jpg", "target/0001.png")
    tree(tmp_path / "test/denoise/bsd68", "1.png", "2.png")
    tree(tmp_path / "train/rain100h", "lq/1.png", "gt/1.png")
    tree(tmp_path / "RainDS_real/test_set", "raindrop/2.png", "gt/2.png")
    found = {each.set.name: each for each in locate_all(str(tmp_path))}
    assert set(found) == {"rain100l", "sots-outdoor", "cbsd68", "rainds-rd"}
    assert all(each.state == "sample" for each in found.values())
    assert found["cbsd68"].count == 2


def test_the_copy_with_the_most_pairs_counts(tmp_path: Path) -> None:
    tree(tmp_path / "a/Rain100L", "lq/1.png", "gt/1.png")
    tree(tmp_path / "b/rain_100l", "lq/1.png", "gt/1.png", "lq/2.png", "gt/2.png")
    tree(tmp_path / "c/Rain100L", "lq/1.png")
    assert locate(str(tmp_path), [SETS["rain100l"]])["rain100l"].folder == tmp_path / "b/rain_100l"


def test_links_that_form_a_loop_are_entered_once(tmp_path: Path) -> None:
    tree(tmp_path / "Rain100L", "lq/1.png", "gt/1.png")
    (tmp_path / "Rain100L/again").symlink_to(tmp_path)
    assert locate(str(tmp_path), [SETS["rain100l"]])["rain100l"].count == 1


def test_the_folder_of_a_single_set_may_have_any_name(tmp_path: Path) -> None:
    tree(tmp_path / "mine", "rain-1.png", "norain-1.png")
    assert locate(str(tmp_path / "mine"), [SETS["rain100l"]])["rain100l"].count == 1
    assert locate(str(tmp_path / "mine"), [SETS["rain100l"], SETS["gopro"]]) == {}


def test_the_shared_data_is_recognised(bench_data: Path) -> None:
    found = {each.set.name: each for each in locate_all(str(bench_data.parent))}
    got = {name: (each.folder.name, each.state, each.count, each.unpaired) for name, each in found.items()}
    assert got == {
        "cbsd68": ("CBSD68", "complete", 68, 0),
        "dicm": ("DICM", "sample", 16, 16),
        "euvp": ("EUVP", "sample", 23, 0),
        "hide": ("HIDE", "no ground truths", 0, 4),
        "kodak24": ("Kodak24", "complete", 24, 0),
        "lol-v1": ("LOL-eval15", "no ground truths", 0, 5),
        "nam": ("Nam", "unknown", 15, 0),
        "rain100l": ("Rain100L", "complete", 100, 0),
        "raindrop": ("RainDrop", "sample", 4, 5),
        "realhaze": ("RealHaze", "unknown", 15, 15),
        "realrain": ("RealRain", "sample", 30, 30),
        "sidd": ("SIDD-val", "no ground truths", 0, 4),
        "sots-indoor": ("SOTS-indoor", "sample", 6, 2),
        "sots-outdoor": ("SOTS-outdoor", "sample", 5, 3),
    }
    assert not any(each.degraded_left or each.ground_truth_left or each.others for each in found.values())


def test_names_of_benches() -> None:
    assert [bench.name for _, bench in find_benches("CBSD68-25, rain100l")] == ["cbsd68-25", "rain100l"]
    assert [bench.name for _, bench in find_benches("bsd68")] == ["cbsd68-15", "cbsd68-25", "cbsd68-50"]
    assert [bench.name for _, bench in find_benches("bsd68-50,sots")] == ["cbsd68-50", "sots-outdoor"]
    assert len(find_benches("mixed")) == 6
    assert find_set("kodak24-15").name == "kodak24"
    for text, said in (
        ("rain100", "unknown benchmark 'rain100'"),
        ("cbsd68,cbsd68-15", "twice"),
        (" , ", "needs a name"),
    ):
        with pytest.raises(UsageError, match=said):
            find_benches(text)
    with pytest.raises(UsageError, match="no ground truths"):
        find_benches("dicm")


def test_templates() -> None:
    template = compile_template("(test/)?{scene}/blur*/{n}")
    assert template.fullmatch("TEST/GOPR.0/Blur_gamma/12")
    assert not template.fullmatch("test/a/b/blur/12")
    assert not template.fullmatch("GOPR/blur/12a")
    assert compile_template("a.b#").fullmatch("a.b7")
    assert not compile_template("a.b#").fullmatch("axb7")
    for wrong in ("{}", "a{", "(a", "{id}/{id}", "{ID}"):
        with pytest.raises(ValueError, match="template"):
            compile_template(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"paper": ""}, "paper must not be empty"),
        ({"folders": []}, "folders must not be empty"),
        ({"protocols": ["psnr"]}, "unknown protocols psnr"),
        ({"colour": "red"}, "colour"),
        ({"layouts": [{"name": "x", "degraded": "lq/{id}", "ground_truth": "gt/{n}"}]}, "same placeholders"),
        ({"layouts": [{"name": "x", "ground_truth": "gt/{n}"}]}, "does not suit"),
        ({"layouts": [{"name": "x"}]}, "must have degraded"),
        ({"layouts": [{"name": "x", "degraded": "lq/{id}", "ground_truth": "gt/{id}", "gap": 1}]}, "pictures in order"),
        ({"benches": []}, "contradict"),
        ({"benches": [{}, {}]}, "same name"),
        ({"benches": [{"steps": "noise:25"}]}, "steps without seed"),
        ({"benches": [{"steps": "fog:1", "seed": 0}]}, "unknown degradation"),
        ({"benches": [{"published": [{"method": "A", "psnr": 30.0}]}]}, "missing"),
        ({"sizes": ["10"]}, "not enough values"),
    ],
)
def test_a_wrong_file_is_refused_by_name(change: dict, said: str) -> None:
    right = {
        **dict.fromkeys(("name", "title", "task", "degradation", "paper", "where", "licence"), "text"),
        "folders": ["F"],
        "protocols": ["rgb"],
        "layouts": [{"name": "x", "degraded": "lq/{id}", "ground_truth": "gt/{id}"}],
        "benches": [{}],
    }
    assert set_from(right).benches[0].name == "text"
    with pytest.raises(ValueError, match=f"benchmark set text: .*{said}"):
        set_from({**right, **change})
