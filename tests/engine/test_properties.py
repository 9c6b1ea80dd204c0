"""What holds for every picture, method and batch; hypothesis looks for one for which it does not."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from drawn import Drawn, amounts, drawn, formats
from fakes import FakeMethod
from hypothesis import given
from hypothesis import settings as Amount
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from airtool.engine.pipeline import Pipeline
from airtool.engine.records import Record
from airtool.engine.session import Session
from airtool.engine.settings import Settings
from airtool.engine.tasks import Task
from airtool.images.decode import decode
from airtool.images.discover import discover
from airtool.images.encode import encode
from airtool.images.formats import FORMATS, Format
from airtool.images.picture import Picture
from airtool.images.plan import plan
from airtool.methods.base import Request


def nothing(pictures: Tensor, request: Request) -> Tensor:
    return pictures


def negative(pictures: Tensor, request: Request) -> Tensor:
    """Looks at nothing but the pixel itself."""
    return 1 - pictures


def darkest(pictures: Tensor, request: Request) -> Tensor:
    """Looks two pixels far: the darkest of 5 x 5, which is a value of the picture, so that nothing is rounded."""
    return -F.max_pool2d(-pictures, 5, stride=1, padding=2)


def noisy(pictures: Tensor, request: Request) -> Tensor:
    """Draws its noise by the request's seed alone."""
    rng = np.random.default_rng(request.seeds[0])
    return pictures + 0.1 * Tensor(rng.standard_normal(tuple(pictures.shape)).astype(np.float32))


Hook = Callable[[Tensor, Request], Tensor]

METHODS = st.sampled_from([nothing, negative, darkest, noisy])


def name_of(index: int, picture: Drawn) -> str:
    return f"{'deep/' if index % 2 else ''}{index}{FORMATS[picture.format].suffixes[0]}"


def restored(
    files: Mapping[str, bytes],
    hook: Hook = noisy,
    *,
    order: Sequence[int] | None = None,
    workers: int = 1,
    format: str | None = None,
    seed: int = 0,
    single: bool = False,
) -> tuple[dict[str, bytes], list[Record]]:
    """What a pipeline makes of a folder of files, by their names without the format's suffix, and its records."""
    with TemporaryDirectory() as place:
        folder, out = Path(place) / "in", Path(place) / "out"
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        inputs = [str(folder / name) for name in files] if single else [str(folder)]
        tasks = [Task(job) for job in plan(discover(inputs), out, format=format).jobs]
        tasks = tasks if order is None else [tasks[index] for index in order]
        session = Session(FakeMethod(hook=hook), Settings(device="cpu", seed=seed))
        with Pipeline(session, tasks, workers=workers) as pipeline:
            records = list(pipeline)
        assert [record.message for record in records] == [None] * len(tasks)
        made = {path.relative_to(out).with_suffix(""): path for path in out.rglob("*") if path.is_file()}
        return {str(name): path.read_bytes() for name, path in made.items()}, records


def samples_of(picture: Picture) -> np.ndarray:
    return np.rint(picture.rgb * (2**picture.depth - 1)).astype(np.uint16)


def scaled(stored: np.ndarray, depth: int) -> np.ndarray:
    """Stored samples at another depth, rounded to the nearest."""
    return np.rint(stored * ((2**depth - 1) / np.iinfo(stored.dtype).max))


def opaque(photo: Drawn) -> bool:
    """Whether nothing shines through, be it for want of an alpha."""
    return photo.alpha is None or photo.alpha.min() == 2**photo.depth - 1


def changes(photo: Drawn, after: Picture) -> set[str]:
    """What became of a picture on its way, in the words in which its record should tell it."""
    avif = after.format == "avif"
    # AVIF holds 12 of them.
    bits = 12 if photo.format == "avif" and photo.depth == 16 else photo.depth
    happened = {
        "transparency is dropped": not opaque(photo) and after.alpha is None,
        "transparency is compressed with loss": not opaque(photo) and avif,
        f"{bits} bits a sample become 8": photo.depth > after.depth,
        "16 bits a sample become 12": bits == 16 and avif,
        "one grey channel becomes three equal ones": photo.grey and not after.grey,
        "EXIF is dropped": photo.orientation is not None and after.metadata.exif is None,
        "the colour profile is dropped": photo.profile and after.metadata.icc is None,
        "XMP is dropped": photo.packet and after.metadata.xmp is None,
    }
    return {words for words, so in happened.items() if so}


def check_metadata(photo: Drawn, after: Picture, target: Format) -> None:
    """Whatever the format can hold is there, and the orientation and size in the EXIF block are those of the result."""
    own = after.metadata
    kept = {
        "exif": photo.orientation is not None and "exif" in target.metadata,
        # A grey profile suits grey pixels alone.
        "icc": photo.profile and "icc" in target.metadata and after.grey == photo.grey,
        "xmp": photo.packet and "xmp" in target.metadata,
    }
    assert {kind: getattr(own, kind) is not None for kind in kept} == kept
    assert own.icc in (None, photo.metadata.icc)
    assert own.xmp in (None, photo.metadata.xmp)
    if own.exif is not None:
        block = Image.Exif()
        block.load(own.exif)
        details = block.get_ifd(0x8769)
        assert (block.get(0x0112, 1), block[0x010F], details[0x9003]) == (1, "Maker", "2020:01:02 03:04:05")
        assert (details[0xA003], details[0xA002]) == after.rgb.shape[:2]


@amounts(80, 4000)
def test_a_picture_keeps_what_its_file_holds(amount: Amount) -> None:
    @amount
    @given(drawn(), METHODS, st.none() | st.sampled_from(formats()))
    def holds(photo: Drawn, method: Hook, format: str | None) -> None:
        made, (record,) = restored({name_of(0, photo): photo.file()}, method, format=format)
        target, after = FORMATS[format or photo.format], decode(made["0"], "x")
        assert after.format == target.name
        assert after.rgb.shape == photo.upright(photo.samples).shape == (record.height, record.width, 3)
        assert after.depth == (photo.depth if target.sixteen_bit else 8)
        has_alpha = photo.transparency is not None and target.alpha
        # OpenCV writes no grey with alpha.
        assert after.grey == (photo.grey and target.grey and not has_alpha)
        if has_alpha and opaque(photo) and {"webp", "avif"} & {photo.format, target.name}:
            has_alpha = after.alpha is not None  # their encoders may drop an alpha that is full everywhere
        assert (after.alpha is not None) == has_alpha
        if after.alpha is not None and photo.alpha is not None and "avif" not in (photo.format, target.name):
            assert np.array_equal(after.alpha, scaled(photo.upright(photo.alpha), after.depth))
        check_metadata(photo, after, target)
        assert set(record.notes) == changes(photo, after)
        if target.lossy:
            return
        if photo.grey:
            assert np.ptp(after.rgb, axis=2).max() == 0
        if method is nothing and not FORMATS[photo.format].lossy:
            assert np.array_equal(samples_of(after), scaled(photo.upright(photo.samples), after.depth))

    holds()


@amounts(12, 400)
def test_the_picture_alone_decides_its_bytes(amount: Amount) -> None:
    """Neither the other pictures do, nor their order, the number of workers, the folder or the name."""

    @amount
    @given(st.lists(drawn(most=40), min_size=2, max_size=5), st.data())
    def holds(photos: list[Drawn], data: st.DataObject) -> None:
        files = {name_of(index, picture): picture.file() for index, picture in enumerate(photos)}
        made, _ = restored(files)
        assert len(made) == len(files)
        order = data.draw(st.permutations(range(len(files))))
        assert restored(files, order=order, workers=data.draw(st.integers(1, 6)))[0] == made
        some = sorted(data.draw(st.sets(st.sampled_from(sorted(files)), min_size=1)))
        part, _ = restored({name: files[name] for name in some}, workers=2)
        assert part == {stem: made[stem] for stem in part}
        assert len(part) == len(some)
        one = data.draw(st.sampled_from(some))
        stem = str(Path(one).with_suffix(""))
        alone, _ = restored({f"renamed{Path(one).suffix}": files[one]}, single=True)
        assert alone == {"renamed": made[stem]}

    holds()


@amounts(40, 2000)
def test_tiles_leave_no_trace_in_what_a_local_method_makes(amount: Amount) -> None:
    """Exactly none, where the method looks no farther than the tiles overlap and gives whole sample values."""
    lossless = ("png", "tiff", "bmp", "ppm")

    @amount
    @given(
        drawn(most=200, only=lossless),
        st.sampled_from([darkest, negative]),
        st.none() | st.integers(32, 240),
        st.sampled_from([1, 2, 4, 8, 16]),
        st.none() | st.integers(32, 64),
    )
    def holds(photo: Drawn, method: Hook, tile: int | None, multiple: int, memory: int | None) -> None:
        # An edge of a tile counts by a ten thousandth: nothing in 8 bits, some steps in 16.
        method = negative if photo.depth == 16 else method
        before = decode(photo.file(), "x")

        def small(pictures: Tensor, request: Request) -> Tensor:
            if memory is not None and max(pictures.shape[2:]) > max(memory, 2 * multiple):
                raise MemoryError
            return method(pictures, request)

        whole = Session(FakeMethod(hook=method, multiple=multiple), Settings(device="cpu", tile=0))
        tiled = Session(FakeMethod(hook=small, multiple=multiple), Settings(device="cpu", tile=tile))
        assert encode(tiled.restore_picture(before)) == encode(whole.restore_picture(before))

    holds()


@amounts(15, 800)
def test_the_seed_decides_what_is_drawn(amount: Amount) -> None:
    @amount
    @given(drawn(least=8, only=("png", "tiff", "ppm")), st.integers(0, 2**32), st.integers(1, 2**32))
    def holds(photo: Drawn, seed: int, more: int) -> None:
        files = {name_of(0, photo): photo.file()}
        first, _ = restored(files, seed=seed)
        assert restored(files, seed=seed, workers=3)[0] == first
        assert restored(files, seed=seed + more)[0] != first

    holds()
