"""Where built artifacts live, and the keys they are found by."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def cache_dir(environ: dict[str, str] | None = None) -> Path:
    """Return the lab's cache folder: `LAB_CACHE`, or `cluster-lab` under the user's (XDG Base Directory) cache."""
    environ = dict(os.environ) if environ is None else environ
    if environ.get("LAB_CACHE"):
        return Path(environ["LAB_CACHE"]).absolute()
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cluster-lab"


def digest(*parts: object) -> str:
    """Return the hexadecimal SHA-256 of `parts`, each made unambiguous as JSON."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(*roots: Path) -> str:
    """Return one digest for the files under `roots`: relative names, executable bits and contents.

    What an interpreter or an editor leaves behind does not count.
    """
    rows = []
    for root in roots:
        for path in sorted([root] if root.is_file() else root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and not path.name.endswith("~"):
                name = path.name if root.is_file() else str(path.relative_to(root))
                rows.append((name, os.access(path, os.X_OK), file_digest(path)))
    return digest(rows)


class Store:
    """Finished artifacts, one folder each, named by component and key.

    A folder appears under its final name only when it is complete (a rename), so that an interrupted
    build leaves nothing that looks finished.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.artifacts = root / "artifacts"
        self.blobs = root / "blobs"
        self.artifacts.mkdir(parents=True, exist_ok=True)
        (self.blobs / "sha256").mkdir(parents=True, exist_ok=True)

    def path(self, name: str, key: str) -> Path:
        """Return where the artifact `name` with `key` is, or will be."""
        return self.artifacts / f"{name}-{key[:16]}"

    def has(self, name: str, key: str) -> bool:
        """Say whether the artifact is complete."""
        return self.path(name, key).is_dir()

    def sweep(self) -> None:
        """Remove what interrupted builds left; only for who holds the lock of all builds."""
        for folder, pattern in ((self.artifacts, ".*"), (self.blobs, "tmp*"), (self.root, "tmp*")):
            for path in folder.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextlib.contextmanager
    def make(self, name: str, key: str) -> Iterator[Path]:
        """Yield an empty folder that becomes the artifact when the block ends without an error."""
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self.artifacts))
        try:
            yield scratch
            scratch.chmod(0o755)
            scratch.rename(self.path(name, key))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
