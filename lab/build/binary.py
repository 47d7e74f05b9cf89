"""A command line tool as upstream releases it for this platform."""

from __future__ import annotations

import platform
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from lab.build import fetch
from lab.catalog import CatalogError, Component
from lab.mirrors import Mirrors

MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def here() -> tuple[str, str]:
    """Return this machine's operating system and architecture, as Go's releases call them."""
    return sys.platform, MACHINES.get(platform.machine().lower(), platform.machine())


def sha256(component: Component) -> str:
    """Return the digest of the release for this platform; raise CatalogError where there is none."""
    name = "-".join(here())
    try:
        return component.build["sha256"][name]
    except KeyError:
        known = ", ".join(component.build["sha256"])
        raise CatalogError(
            f"catalog: {component.name} {component.version} is not released for {name}, only for {known}"
        ) from None


def address(component: Component) -> str:
    """Return where the release for this platform is; raise CatalogError where there is none."""
    sha256(component)
    return _filled(component, "url")


def _filled(component: Component, key: str) -> str:
    system, machine = here()
    value = component.build.get(key, "").replace("{version}", component.version)
    return value.replace("{os}", system).replace("{arch}", machine)


def make(component: Component, folder: Path, log: Path, mirrors: Mirrors) -> None:
    """Have the tool as an executable in `folder`."""
    member = _filled(component, "member")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        file = Path(scratch) / "download"
        fetch.checked(address(component), sha256(component), file, mirrors, log)
        if member:
            with tarfile.open(file) as tar, (folder / component.name).open("wb") as target:
                shutil.copyfileobj(tar.extractfile(member), target)
        else:
            shutil.move(file, folder / component.name)
    (folder / component.name).chmod(0o755)
