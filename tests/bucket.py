"""An object store for tests under the name of s3: objects whole or not at all, listed in pages, with faults on demand.

Objects lie in files below the folder that BUCKETS names, a folder a bucket, so that other processes see them too.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from fsspec import AbstractFileSystem, register_implementation

PAGE = 10
"""Objects that one answer lists."""

Fault = Callable[[str, str, int], None]
"""Called with what is asked, the path and how often that was asked before; may raise."""


class Bucket(AbstractFileSystem):
    """The store. What was asked of it is in `asked`."""

    protocol = "s3"
    cachable = False
    asked: ClassVar[list[tuple[str, str]]] = []
    before: ClassVar[Fault | None] = None
    after: ClassVar[Fault | None] = None

    def _note(self, what: str, path: str) -> Callable[[], None]:
        times = self.asked.count((what, path))
        self.asked.append((what, path))
        if Bucket.before is not None:
            Bucket.before(what, path, times)
        return lambda: Bucket.after(what, path, times) if Bucket.after is not None else None

    def _folder(self, path: str) -> tuple[Path, str]:
        name, _, key = path.partition("/")
        folder = Path(os.environ["BUCKETS"]) / name
        if not folder.is_dir():
            raise FileNotFoundError("The specified bucket does not exist")
        return folder, key

    def _file(self, path: str) -> Path:
        folder, key = self._folder(path)
        return folder / quote(key, safe="")

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        folder, below = self._folder(self._strip_protocol(path))
        below = f"{below}/" if below else ""
        names = sorted(unquote(file.name) for file in folder.iterdir())
        keys = [key for key in names if key.startswith(below)]
        if maxdepth is not None:
            keys = [key for key in keys if key[len(below) :].count("/") < maxdepth]
        for _page in range(max(1, -(-len(keys) // PAGE))):
            self._note("list", path)()
        found = {f"{folder.name}/{key}": self._facts(f"{folder.name}/{key}") for key in keys}
        return found if detail else list(found)

    def _facts(self, path: str) -> dict[str, Any]:
        return {"name": path, "size": self._file(path).stat().st_size, "type": "file"}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        self._note("look", path)()
        folder, key = self._folder(path)
        if key and self._file(path).exists():
            return self._facts(path)
        if not key or any(unquote(file.name).startswith(f"{key}/") for file in folder.iterdir()):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        done = self._note("get", path)
        data = self._file(path).read_bytes()[start:end]
        done()
        return data

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        done = self._note("put", path)
        file = self._file(path)
        if mode == "create" and file.exists():
            raise OSError(22, "At least one of the pre-conditions you specified did not hold")
        temporary = file.parent.parent / secrets.token_hex(8)
        temporary.write_bytes(value)
        os.replace(temporary, file)
        done()

    def count(self, what: str) -> int:
        """How often something was asked for."""
        return sum(asked == what for asked, _ in self.asked)


@contextmanager
def mounted(folder: Path) -> Iterator[Bucket]:
    """The store under s3:// in this process and in its children, with the buckets "in" and "out" below a folder."""
    from airtool.images import stores

    for name in ("in", "out"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    before = os.environ.get("BUCKETS")
    os.environ["BUCKETS"] = str(folder)
    register_implementation("s3", Bucket, clobber=True)
    stores._connect.cache_clear()
    Bucket.asked.clear()
    Bucket.before = Bucket.after = None
    try:
        yield Bucket()
    finally:
        stores._connect.cache_clear()
        register_implementation("s3", "s3fs.S3FileSystem", clobber=True, errtxt="Install s3fs to access S3")
        Bucket.before = Bucket.after = None
        if before is None:
            del os.environ["BUCKETS"]
        else:
            os.environ["BUCKETS"] = before


def installed(folder: Path) -> dict[str, str]:
    """The environment of a child process that has the store installed; `folder` gets what an installation leaves."""
    package = folder / "bucket-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: bucket\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[fsspec.specs]\ns3 = bucket:Bucket\n")
    paths = [str(folder), str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
