"""A bundle's file: a tar in one zstd frame, its manifest first. Written reproducibly, read with distrust.

    skippable frame   the wheel of zstandard for the Python that the bundle is for (see `lab.bundle.boot`)
    zstd frame        bundle-<sha256 of the manifest>.json, then the manifest's files in its order, regular ones only

`tar` and `zstd` read it like every other .tar.zst: they pass over the skippable frame (RFC 8878, 3.1.2).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from lab.bundle import BundleError
from lab.bundle.boot import HEAD, MAGIC, wheel_length
from lab.bundle.manifest import FORMAT, File, Manifest, named

CHUNK = 1 << 20
# A manifest of a few hundred files has less than a tenth of this.
LARGEST_MANIFEST = 16 << 20
# The bytes depend on the number of threads, so it is fixed. What is large is compressed already.
LEVEL, THREADS = 3, 2


def write(target: Path, header: Mapping[str, Any], sources: Mapping[str, Path], boot: bytes) -> Manifest:
    """Write the bundle `target` of the files `sources` (path in it: where it is now); return its manifest.

    The same content gives the same bytes: order, times, owners and modes are fixed. The file appears when it is complete.
    """
    files = {name: _described(sources[name]) for name in sorted(sources)}
    manifest = Manifest({**header, "format": FORMAT, "boot": hashlib.sha256(boot).hexdigest(), "files": files})
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as file:
        try:
            file.write(HEAD.pack(MAGIC, len(boot)) + boot)
            compressor = zstandard.ZstdCompressor(level=LEVEL, threads=THREADS, write_checksum=True)
            with (
                compressor.stream_writer(file, closefd=False) as packed,
                tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=CHUNK) as tar,
            ):
                _add(tar, named(manifest.text), io.BytesIO(manifest.text), len(manifest.text), 0o644)
                for name, entry in manifest.files.items():
                    with sources[name].open("rb") as source:
                        _add(tar, name, source, entry.size, entry.mode)
            file.flush()
            Path(file.name).chmod(0o644)
            Path(file.name).replace(target)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    return manifest


def _described(path: Path) -> dict[str, Any]:
    """Return what the manifest says of a file; raise BundleError where it is none that a bundle carries."""
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{path} is no regular file, and a bundle carries nothing else")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": sha256, "size": path.stat().st_size, "executable": os.access(path, os.X_OK)}


def _add(tar: tarfile.TarFile, name: str, source: BinaryIO, size: int, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, mode
    tar.addfile(info, source)


class Bundle:
    """A bundle to read. Opening it reads its manifest, and raises BundleError where it is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._content() as (tar, _):
            self.manifest = self._manifest(tar)

    def verify(self) -> None:
        """Read all of it; raise BundleError unless everything is there and is what the manifest says, and nothing else."""
        self.walk(lambda name, entry: contextlib.nullcontext(None))

    def extract(self, folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
        """Write the wanted files below `folder`, which is empty; read and check all of it like `verify`."""

        @contextlib.contextmanager
        def sink(name: str, entry: File) -> Iterator[BinaryIO | None]:
            if not wanted(name):
                yield None
                return
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                yield file
            target.chmod(entry.mode)

        self.walk(sink)

    def walk(self, sink: Callable[[str, File], contextlib.AbstractContextManager[BinaryIO | None]]) -> None:
        """Give each file of the manifest to `sink`, which may return where to write it; raise BundleError as `verify` does."""
        with self._content() as (tar, frame):
            if self._manifest(tar).digest != self.manifest.digest:
                raise BundleError(f"{self.path} changed while it was read: run this again")
            for name, entry in self.manifest.files.items():
                member = tar.next()
                if member is None or member.name != name or not member.isreg() or member.size != entry.size:
                    raise self._damaged(f"{name} is not where its manifest has it")
                with sink(name, entry) as target:
                    if _copy(tar.extractfile(member), target) != entry.sha256:
                        raise self._damaged(f"the checksum of {name} is wrong")
            if tar.next() is not None:
                raise self._damaged("it holds more than its manifest names")
            frame.finish()

    @contextlib.contextmanager
    def _content(self) -> Iterator[tuple[tarfile.TarFile, _Frame]]:
        """Yield the tar and the frame that it is in; whatever goes wrong while it is read says that the file is damaged."""
        try:
            with self.path.open("rb") as file:
                file.seek(wheel_length(file, self.path), os.SEEK_CUR)
                frame = _Frame(file)
                with tarfile.open(fileobj=frame, mode="r|", bufsize=CHUNK) as tar:
                    yield tar, frame
        except FileNotFoundError:
            raise BundleError(f"{self.path} is not there: name the file that make bundle wrote (make up BUNDLE=FILE)") from None
        except OSError as error:
            advice = ": name the file that make bundle wrote" if Path(error.filename or self.path) == self.path else ""
            raise BundleError(f"{error.filename or self.path}: {error.strerror or error}{advice}") from None
        except (zstandard.ZstdError, tarfile.TarError, EOFError, ValueError) as error:
            raise self._damaged(str(error)) from None

    def _manifest(self, tar: tarfile.TarFile) -> Manifest:
        member = tar.next()
        if member is None or not member.isreg() or member.size > LARGEST_MANIFEST or not member.name.startswith("bundle-"):
            raise BundleError(f"{self.path} is no bundle of the lab: make bundle writes one")
        text = tar.extractfile(member).read()  # type: ignore[union-attr]
        if named(text) != member.name:
            raise self._damaged("the checksum of its manifest is wrong")
        return Manifest.read(text, str(self.path))

    def _damaged(self, why: str) -> BundleError:
        return BundleError(f"{self.path} is damaged or cut short ({why}): copy it again from where it was made")


def _copy(source: Any, target: BinaryIO | None) -> str:
    """Copy a stream, or only read it; return its SHA-256."""
    sha256 = hashlib.sha256()
    while data := source.read(CHUNK):
        sha256.update(data)
        if target is not None:
            target.write(data)
    return sha256.hexdigest()


class _Frame(io.RawIOBase):
    """The content of one zstd frame, which has to end with its checksum and be the last thing in the file."""

    # A frame may say to write one byte 32,000 times for each of its own: a small piece at once keeps that in bounds.
    PIECE = 1 << 15

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = zstandard.ZstdDecompressor().decompressobj()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, fewer only at the frame's end."""
        parts, left = [], size
        while left > 0 and (self._ready or self._more()):
            part, self._ready = self._ready[:left], self._ready[left:]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _more(self) -> bool:
        """Decode another piece; say whether there was one. Raises EOFError where the file ends before its frame."""
        while not self._ready:
            if self._decoder.eof:
                return False
            piece = self._file.read(self.PIECE)
            if not piece:
                raise EOFError("it ends too early")
            self._ready = self._decoder.decompress(piece)
        return True

    def finish(self) -> None:
        """Read to the frame's end, which checks its checksum; raise ValueError where something follows."""
        while self.read(CHUNK):
            pass
        if self._decoder.unused_data or self._file.read(1):
            raise ValueError("something follows its end")
