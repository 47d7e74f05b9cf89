"""The manifest of a bundle: what made it, for which machine, what it carries."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.bundle import BundleError

# Another number is another format, which this checkout does not read.
FORMAT = 1
# Where the file of a lab's own bundle is kept, in its state folder.
KEPT = "bundle.json"
SHA256 = re.compile(r"[0-9a-f]{64}")
# What may stand in a path: nothing hidden, nothing above, nothing absolute.
PATH = re.compile(r"(?:blobs|artifacts/[A-Za-z0-9-]+)(?:/[A-Za-z0-9_][A-Za-z0-9._+~%!-]*)+")


def machine() -> str:
    """Return what a bundle made here runs on: images and tools are for one system and processor."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"{platform.system().lower()} {names.get(platform.machine(), platform.machine())}"


def python() -> str:
    """Return which Python a bundle made here has wheels for."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def release() -> str:
    """Return which distribution this machine runs, "" for none: packages are for one release of one."""
    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return ""
    return f"{found['ID']} {found.get('VERSION_ID', '')}".strip()


def named(text: bytes) -> str:
    """Return the name of the member that holds the manifest `text`."""
    return f"bundle-{hashlib.sha256(text).hexdigest()}.json"


@dataclass(frozen=True)
class File:
    """What is known of one file."""

    sha256: str
    size: int
    executable: bool

    @property
    def mode(self) -> int:
        """Its permission bits."""
        return 0o755 if self.executable else 0o644


@dataclass(frozen=True)
class Artifact:
    """One folder of the cache: the key it has there, and a digest of its catalog entry (none: it is no component)."""

    key: str
    entry: str | None = None


class Manifest:
    """What stands in a manifest; equal content has equal text."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = dict(data)
        self.source: str = data["source"]
        self.machine: str = data["machine"]
        self.python: str = data["python"]
        # The distribution that its packages are of, and their names; none where it carries no packages.
        self.release: str = data["release"]
        self.packages: list[str] = data["packages"]
        self.boot: str = data["boot"]
        self.files = {name: File(**entry) for name, entry in data["files"].items()}
        self.artifacts = {name: Artifact(**entry) for name, entry in data["artifacts"].items()}

    @cached_property
    def text(self) -> bytes:
        """The manifest as it is written."""
        return (json.dumps(self._data, indent=1, sort_keys=True) + "\n").encode()

    @property
    def digest(self) -> str:
        """The digest that names the bundle's whole content."""
        return hashlib.sha256(self.text).hexdigest()

    @property
    def size(self) -> int:
        """The bytes that its files have together."""
        return sum(entry.size for entry in self.files.values())

    @property
    def components(self) -> dict[str, Artifact]:
        """The artifacts that are components of the catalog."""
        return {name: artifact for name, artifact in self.artifacts.items() if artifact.entry is not None}

    def keep(self, folder: Path) -> bool:
        """Write it into a lab's state folder; say whether that changed anything."""
        if self.is_kept(folder):
            return False
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / KEPT).write_bytes(self.text)
        return True

    def is_kept(self, folder: Path) -> bool:
        """Say whether it is the one in a lab's state folder."""
        return (folder / KEPT).is_file() and (folder / KEPT).read_bytes() == self.text

    @classmethod
    def kept(cls, folder: Path) -> Manifest:
        """Return that of the lab with this state folder; raise BundleError where it has none."""
        try:
            text = (folder / KEPT).read_bytes()
        except FileNotFoundError:
            raise BundleError("lab_source=bundle needs the bundle: make up BUNDLE=FILE, with the file that make bundle wrote") from None
        return cls.read(text, str(folder / KEPT))

    @classmethod
    def read(cls, text: bytes, where: str) -> Manifest:
        """Return the manifest with this text; raise BundleError, naming `where`, for another format or an odd path."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise BundleError(
                    f"{where} has format {data['format']} and this checkout reads {FORMAT}: use the checkout that made it, or make it with this one"
                )
            manifest = cls(data)
            odd = [name for name, entry in manifest.files.items() if not PATH.fullmatch(name) or not SHA256.fullmatch(entry.sha256)]
            odd += [name for name, artifact in manifest.artifacts.items() if not SHA256.fullmatch(artifact.key)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{where} has a manifest that cannot be read ({type(error).__name__}: {error}): make bundle writes one") from None
        if odd or list(manifest.files) != sorted(manifest.files):
            raise BundleError(f"{where} is no bundle that make bundle wrote: its manifest names {min(odd, default='files out of order')}")
        return manifest
