"""One page that is well-formed, safe, bounded and complete without a network."""

import base64
import hashlib
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hostile import HOSTILE

from airtool.images.decode import decode
from airtool.images.names import shown
from airtool.reports import html_pictures
from airtool.reports.gallery import MAX_BYTES, SIDE, Gallery
from airtool.reports.html import page, page_of_several
from airtool.reports.plots import Point, histogram, labelled, scatter, ticks
from airtool.reports.ranking import worst, yardstick
from airtool.reports.record import Evaluation, PictureResult, Score
from airtool.reports.several import differences

VOID = {"meta", "img", "input", "br"}
SELF_CLOSED = {"line", "circle", "rect"}


class Page(HTMLParser):
    """Checks that tags are balanced and collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SELF_CLOSED
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_it_is_balanced_and_every_name_shows_as_it_is(run: Evaluation, gallery: Gallery) -> None:
    parsed = Page(page(run, gallery))
    assert len(parsed.all("script")) == 1
    assert not {tag for tag, _ in parsed.tags} & {"link", "iframe", "object", "embed", "form", "base", "a", "i", "b"}
    headings = parsed.texts["th"]
    for name in HOSTILE:
        assert headings.count(shown(name)) == 1
    assert "broken<br>.png: is | truncated" in parsed.texts["td"]
    assert "A. <Author>, 2024, table 1" in parsed.texts["td"]
    assert parsed.texts["title"][0] == "ndr on dirty|<i>"
    assert not any(key.startswith("on") for _, attributes in parsed.tags for key in attributes)


def test_it_loads_nothing_and_runs_its_own_script_only(run: Evaluation, gallery: Gallery) -> None:
    text = page(run, gallery)
    parsed = Page(text)
    for _, attributes in parsed.tags:
        for key in ("src", "href", "srcset", "action", "poster"):
            assert (attributes.get(key) or "data:image/jpeg;base64,").startswith("data:image/jpeg;base64,")
    style = "".join(parsed.texts["style"])
    assert "url(" not in style
    assert "@import" not in style
    policy = next(m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    script = "".join(parsed.texts["script"])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.findall(r"https?://(?!g\.h)", text)  # the one in a hostile name is text


def test_the_summary_stands_beside_published_figures(run: Evaluation, gallery: Gallery) -> None:
    parsed = Page(page(run, gallery))
    cells = parsed.texts["td"]
    mean = run.summary["rgb"].means["restored"]
    assert mean.psnr_interval is not None
    row = cells.index("ndr (this run)")
    assert cells[row : row + 4] == ["ndr (this run)", "rgb", f"{mean.psnr:.2f}", f"{mean.ssim:.4f}"]
    assert cells[row + 5 : row + 9] == ["Other & Co", "y", "31.25", "-"]
    assert f"[{mean.psnr_interval.low:.2f}, {mean.psnr_interval.high:.2f}]" in cells
    assert "a sample: the first 8 of 9 pictures" in parsed.texts["li"]
    assert "ab12" in parsed.texts["dd"]
    assert "values <of> [0, 1] | rounded" in parsed.texts["dd"]


def test_the_table_sorts_by_exact_numbers_from_the_keyboard(run: Evaluation, gallery: Gallery) -> None:
    parsed = Page(page(run, gallery))
    sortable = [heading for heading in parsed.all("th") if "aria-sort" in heading]
    buttons = [text for text in parsed.texts["button"] if "×" not in text]
    assert len(sortable) == len(buttons) == 9
    assert buttons[:2] == ["picture", "input PSNR rgb"]
    assert buttons[5:] == ["gain PSNR rgb", "seconds", "width", "height"]
    values = [cell["data-v"] for cell in parsed.all("td") if "data-v" in cell]
    assert len(values) == 8 * len(run.results)
    assert values[48:56] == ["Infinity", "1", "50", "0.99", "-Infinity", "0.25", "40", "30"]
    assert values[56:64] == ["20", "NaN", "24", "NaN", "4", "0.25", "40", "30"]


def test_the_worst_are_shown_with_every_view(run: Evaluation, gallery: Gallery) -> None:
    assert [e.result.picture for e in gallery.worst] == [r.picture for r in worst(run, 4)]
    assert [e.result.picture for e in gallery.best] == ["equal", HOSTILE[0]]
    images = Page(page(run, gallery)).all("img")
    assert len(images) == 6 * 3
    assert [image["data-view"] for image in images[:3]] == ["input", "restored", "ground truth"]
    assert images[0]["alt"] == f"{shown(HOSTILE[5])}, input"
    sliders = [control for control in Page(page(run, gallery)).all("input") if control["type"] == "range"]
    assert len(sliders) == 6
    assert all(slider["aria-label"] for slider in sliders)
    pixels = decode(base64.b64decode((images[0]["src"] or "").partition(",")[2]), "preview").rgb
    assert pixels.shape == (30, 40, 3)


def test_the_gallery_keeps_the_same_few_in_any_order(run: Evaluation) -> None:
    pixels = {"restored": np.zeros((30, 40, 3), np.float32)}
    orders = [run.results, run.results[::-1]]
    kept = []
    for order in orders:
        gallery = Gallery("restored", yardstick(["rgb"]), worst_count=3, best_count=2)
        for measured in order:
            gallery.offer(measured, pixels)
        kept.append([e.result.picture for e in (*gallery.worst, *gallery.best)])
    assert kept[0] == kept[1] == [HOSTILE[5], HOSTILE[4], HOSTILE[3], "equal", HOSTILE[0]]
    undefined = replace(run.results[0], scores={"restored": {"rgb": Score(math.nan, math.nan)}})
    empty = Gallery("restored", yardstick(["rgb"]))
    empty.offer(undefined, pixels)
    assert empty.worst == empty.best == ()


def test_previews_are_bounded_and_true_to_colour() -> None:
    gallery = Gallery("input", yardstick(["rgb"]), worst_count=1, best_count=1)
    noise = np.random.default_rng(1).random((900, 1200, 3), np.float32)
    noise[:, :, 0] = 0.9  # red, to tell the order of channels
    gallery.offer(PictureResult("noise", 1200, 900, None, {"input": {"rgb": Score(9.0, 0.1)}}), {"input": noise})
    (exhibit,) = gallery.worst
    assert gallery.best == ()  # no picture is shown twice
    assert (exhibit.width, exhibit.height) == (SIDE, 480)
    assert len(exhibit.views["input"]) <= MAX_BYTES
    preview = decode(exhibit.views["input"], "preview").rgb
    assert preview.shape == (480, SIDE, 3)
    assert preview.mean(axis=(0, 1)) == pytest.approx([0.9, 0.5, 0.5], abs=0.03)


def test_a_large_run_makes_a_bounded_page(run: Evaluation, gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_pictures, "MAX_ROWS", 100)
    many = [replace(run.results[i % 3], picture=f"p{i}") for i in range(3000)]
    text = page(replace(run, results=tuple(many), failures=run.failures * 3000), gallery)
    assert len(text) < 400_000
    parsed = Page(text)
    assert len([text for text in parsed.texts["th"] if re.fullmatch(r"p\d+", text)]) == 100
    assert len(parsed.all("circle")) == 3  # equal spots are one mark
    assert "And 2800 more" in text


@pytest.mark.parametrize("stages", [("input",), ("restored",)])
def test_a_run_with_one_stage(run: Evaluation, stages: tuple[str, ...]) -> None:
    results = [replace(r, scores={stages[0]: r.scores[stages[0]]}) for r in run.results]  # type: ignore[index]
    single = replace(run, stages=stages, results=tuple(results), restoration=None)  # type: ignore[arg-type]
    parsed = Page(page(single, Gallery(stages[0], yardstick(["rgb"]))))  # type: ignore[arg-type]
    assert len(parsed.all("svg")) == 1
    assert "this run" in parsed.texts["td"]
    assert not any("gain" in text for text in parsed.texts["button"])


def test_a_run_without_any_result_is_still_a_page(run: Evaluation) -> None:
    parsed = Page(page(replace(run, results=()), Gallery("restored", yardstick(["rgb"]))))
    assert not parsed.all("svg")
    assert "Failed: 1" in parsed.texts["h2"]


def test_bars_count_every_value_once() -> None:
    values = [-0.4, -0.2, 0.0, 0.1, 0.1, 0.9, 1.0]
    parsed = Page(histogram("<gains>", "dB & more", values))
    told = [text.split(": ") for text in parsed.texts["title"]]
    assert sum(int(count) for _, count in told) == len(values)
    assert parsed.texts["figcaption"] == ["<gains>"]
    losses = [bar for bar in parsed.all("rect") if bar["class"] == "loss"]
    assert len(losses) == 2
    assert "0.0" in parsed.texts["text"]


def test_points_below_the_line_are_losses() -> None:
    points = [Point("up", 20.0, 30.0), Point("down <x>", 30.0, 29.0), Point("equal", 25.0, 25.0)]
    marks = Page(scatter("s", "x", "y", points)).all("circle")
    assert [mark["class"] for mark in marks] == ["dot", "loss", "dot"]
    assert Page(scatter("s", "x", "y", points)).texts["title"][1] == "down <x>: 30.00 to 29.00"


def test_ticks_of_many_digits_stand_clear_of_the_axis_label() -> None:
    drawn = Page(labelled("t", "seconds", "PSNR in dB", [Point("a", 6.0, 33.28), Point("b", 17.1, 33.49)]))
    ticks = [(each, text) for each, text in zip(drawn.all("text"), drawn.texts["text"], strict=True) if "." in text]
    assert {len(text) for each, text in ticks if each["text-anchor"] == "end"} == {5}
    # The label stands upright around 14; digits are about 7 wide.
    assert all(float(each["x"]) - 7 * len(text) > 24 for each, text in ticks if each["text-anchor"] == "end")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 7.9), (30.0, 30.0), (0.0, 0.0), (1e-4, 2e-4), (9.99, 51)])
def test_ticks_are_round_and_enclose_the_values(low: float, high: float) -> None:
    found = ticks(low, high, 6)
    assert found[0] <= low + 1e-9
    assert found[-1] >= high - 1e-9
    assert 2 <= len(found) <= 9
    steps = np.diff(found)
    assert steps == pytest.approx(steps[0])
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert round(mantissa, 6) in (1, 2, 5)


def test_several_evaluations_on_one_page_are_linked_and_escaped(run: Evaluation, gallery: Gallery) -> None:
    other = replace(run, restoration={"method": "<other>"}, published=())
    text = page_of_several([run, other], [gallery, gallery], differences([run, other]), ["<b>lost</b>: no weights"])
    read = Page(text)
    targets = [attributes["href"] for attributes in read.all("a")]
    assert targets == ["#run-1", "#run-2"]
    assert [attributes["id"] for attributes in read.all("article") if "id" in attributes] == ["run-1", "run-2"]
    assert "Not measured: <b>lost</b>: no weights" in read.texts["li"]
    cells = read.texts["td"]
    assert "ndr minus <other>" in cells
    # Once for the set in the overview, whichever methods it has, and once beside the evaluation that is the benchmark.
    assert cells.count("Other & Co, published") == 1
    assert cells.count("Other & Co") == 1
    assert "<other>" in read.texts["text"]  # its point in the plot
