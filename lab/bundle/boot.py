"""Take the wheels for `.venv` out of a bundle: `python -m lab.bundle.boot FILE FOLDER`, with nothing but the standard library.

A Python of before 3.14 cannot read zstd by itself. The wheel that can stands, as it is, in the frame at the bundle's beginning;
it is used only if it is one that requirements.txt names.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import re
import shutil
import struct
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO

from lab.bundle import BundleError
from lab.bundle.manifest import python

CHECKOUT = Path(__file__).parents[2]
REQUIREMENTS = CHECKOUT / "requirements.txt"
# The head of a skippable frame (RFC 8878, 3.1.2): its magic number and the length of what follows.
HEAD, MAGIC = struct.Struct("<II"), 0x184D2A50


def wheel_length(file: BinaryIO, path: Path) -> int:
    """Read the head of the first frame; return how long its content is. Raises BundleError where it is another's."""
    head = file.read(HEAD.size)
    magic, length = HEAD.unpack(head) if len(head) == HEAD.size else (0, 0)
    if magic != MAGIC:
        raise BundleError(f"{path} is no bundle of the lab: make bundle writes one")
    return length


def content(path: Path) -> bytes:
    """Return the wheel at the beginning of a bundle; raise BundleError where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(wheel_length(file, path))
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}: name the file that make bundle wrote") from None


def python_of(wheel: zipfile.ZipFile) -> str:
    """Return which Python a wheel is for."""
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/WHEEL"))
    tag = re.search(r"^Tag: cp(\d)(\d+)-", wheel.read(name).decode(), re.MULTILINE)
    return f"{tag[1]}.{tag[2]}" if tag else "?"


def refuse_other_python(path: Path, wanted: str) -> None:
    """Raise BundleError where the bundle `path` is for another Python than this one, with what to type."""
    if wanted != (here := python()):
        raise BundleError(f"{path} is for Python {wanted} and this is {here}: make up BUNDLE={path} PYTHON=python{wanted}")


def have_zstandard(path: Path, folder: Path, requirements: Path = REQUIREMENTS) -> None:
    """Make `import zstandard` work, from the bundle `path` unpacked in `folder` where this Python has none."""
    if importlib.util.find_spec("zstandard"):
        return
    data = content(path)
    if hashlib.sha256(data).hexdigest() not in requirements.read_text():
        raise BundleError(f"{path} is damaged, or was made with other requirements than this checkout's: copy it again, or make it with this one")
    with zipfile.ZipFile(io.BytesIO(data)) as wheel:
        refuse_other_python(path, python_of(wheel))
        wheel.extractall(folder)
    sys.path.insert(0, str(folder))


def wheels(path: Path, target: Path) -> None:
    """Put the bundle's wheels into the folder `target`, and what was there away; all of the bundle is checked before."""
    with tempfile.TemporaryDirectory() as scratch:
        have_zstandard(path, Path(scratch))
        from lab.bundle.archive import Bundle

        bundle = Bundle(path)
        refuse_other_python(path, bundle.manifest.python)
        prefix = "artifacts/wheels/"
        target.parent.mkdir(parents=True, exist_ok=True)
        unpacked = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
        try:
            bundle.extract(unpacked, lambda name: name.startswith(prefix))
            shutil.rmtree(target, ignore_errors=True)
            (unpacked / prefix).rename(target)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
            with contextlib.suppress(OSError):  # there was no .venv, and is none now
                target.parent.rmdir()


def main(argv: list[str]) -> int:
    """Run it; return 0, or 1 after one line that says why not."""
    try:
        wheels(Path(argv[0]), Path(argv[1]))
    except BundleError as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"bundle: {error.filename or argv[1]}: {error.strerror or error}: make room or way for it, then run this again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
