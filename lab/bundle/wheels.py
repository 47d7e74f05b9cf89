"""Wheels: for the lab's own Python on this machine, and for the service's image."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.build.tools import run
from lab.bundle.manifest import machine, python
from lab.cache import Store, digest, file_digest

# The artifacts that hold them: for this machine, and for the image.
HOST, APP = "wheels", "wheels-app"
# The wheels that run on the glibc of Debian 12 (2.36); of two that fit, pip takes the one with the newer name.
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (36, 35, 34, 28, 24, 17, 12, 5)] + ["manylinux2014_x86_64", "manylinux1_x86_64"]


def host_requirements(checkout: Path) -> Path:
    """Return what is installed into .venv, tests and tools included: `make verify` is for whoever has the bundle, too."""
    return checkout / "requirements-dev.txt"


def host_key(checkout: Path) -> str:
    """Return the key of the wheels for this machine."""
    return digest(file_digest(host_requirements(checkout)), python(), machine())


def app_key(checkout: Path, version: str) -> str:
    """Return the key of the wheels for an image with Python `version`."""
    return digest(file_digest(checkout / "app" / "requirements.txt"), version, PLATFORMS)


def have_host(store: Store, checkout: Path, log: Path) -> tuple[str, str]:
    """Have the wheels for this machine in the cache; return name and key."""
    return _have(store, HOST, host_key(checkout), host_requirements(checkout), [], log)


def have_app(store: Store, checkout: Path, version: str, log: Path) -> tuple[str, str]:
    """Have the wheels for an image with Python `version` in the cache; return name and key."""
    options = [f"--python-version={version}", "--implementation=cp", *(f"--platform={name}" for name in PLATFORMS)]
    return _have(store, APP, app_key(checkout, version), checkout / "app" / "requirements.txt", options, log)


def _have(store: Store, name: str, key: str, requirements: Path, options: list[str], log: Path) -> tuple[str, str]:
    if not store.has(name, key):
        with store.make(name, key) as folder:
            words = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}"]
            run([sys.executable, "-m", "pip", "download", *words, *options, f"--requirement={requirements}"], log)
    return name, key
