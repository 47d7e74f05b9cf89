"""Images that need a Docker engine: built from a Dockerfile, carried in and out as archives."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.build.oci import Layouts
from lab.build.tools import ToolError, output, run

# How long a build waits for an engine that is still being installed, in seconds.
TIMEOUT = 600
KEY_LABEL = "cluster-lab.key"


def wait(log: Path, timeout: float = TIMEOUT, clock: Any = time) -> None:
    """Return once an engine answers: a build may begin before there is one. Raises ToolError after `timeout` seconds."""
    end = clock.monotonic() + timeout
    while True:
        try:
            run(["docker", "version"], log)
            return
        except (ToolError, FileNotFoundError) as error:
            if clock.monotonic() >= end:
                raise ToolError(f"no Docker engine answers after {timeout:.0f} s: {error}") from None
        clock.sleep(1)


def has(reference: str, key: str) -> bool:
    """Say whether the engine has `reference` made from `key`."""
    try:
        text = output(["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", reference])
    except ToolError:
        return False
    return (json.loads(text) or {}).get(KEY_LABEL) == key


def proxy_args() -> list[str]:
    """Return the proxy settings to pass into a build.

    Docker predefines these arguments and keeps them out of an image's history, so a password in one stays out too.
    A proxy that only apt knows is handed on as well.
    """
    values = {name: os.environ[name] for name in ("http_proxy", "https_proxy", "no_proxy") if name in os.environ}
    for scheme in ("http", "https") if shutil.which("apt-config") else ():
        text = output(["apt-config", "dump", f"Acquire::{scheme}::Proxy", "--format", "%v"]).strip()
        if text and text != "DIRECT":
            values.setdefault(f"{scheme}_proxy", text)
    words = []
    for name, value in values.items():
        words += ["--build-arg", f"{name}={value}"]
    return words


def build(
    context: Path,
    reference: str,
    key: str,
    args: Mapping[str, str],
    log: Path,
    *,
    target: str = "",
    dockerfile: Path | None = None,
) -> None:
    """Build `reference` from the Dockerfile in `context`, with the classic builder.

    `LAB_NO_LAYERS` in the environment keeps Docker from reusing layers of an earlier build, for a benchmark that is to
    start from nothing.

    The host's network, because a proxy on the host's loopback is reached from there only.
    """
    command: list[str | Path] = [
        "docker",
        "build",
        # A step that fails leaves its container otherwise, which nothing of the lab would remove.
        "--force-rm",
        "--network",
        "host",
        "--tag",
        reference,
        "--label",
        f"{KEY_LABEL}={key}",
    ]
    if os.environ.get("LAB_NO_LAYERS"):
        command.append("--no-cache")
    if target:
        command += ["--target", target]
    if dockerfile:
        command += ["--file", dockerfile]
    for name, value in args.items():
        command += ["--build-arg", f"{name}={value}"]
    run([*command, *proxy_args(), context], log, env={"DOCKER_BUILDKIT": "0"})


def save(reference: str, layouts: Layouts, target: Path, log: Path) -> None:
    """Keep the engine's image `reference` as an OCI layout."""
    with tempfile.TemporaryDirectory(dir=layouts.blobs) as scratch:
        archive = Path(scratch) / "image.tar"
        run(["docker", "save", "--output", archive, reference], log)
        layouts.image_from_archive(target, archive)


def load(layouts: Layouts, layout: Path, reference: str, log: Path) -> None:
    """Bring the image of an OCI layout into the engine as `reference`."""
    with tempfile.TemporaryDirectory(dir=layouts.blobs) as scratch:
        archive = Path(scratch) / "image.tar"
        layouts.archive(layout, reference, archive)
        run(["docker", "load", "--quiet", "--input", archive], log)


def remove_all() -> tuple[list[str], list[str]]:
    """Remove every image that carries the lab's label, if an engine answers; return the identifiers of those removed, and of those kept.

    One that others were built on goes after them, in whatever order the engine lists them; one that a container runs is kept.
    """
    removed: list[str] = []
    while found := labelled():
        gone = [image for image in found if remove(image)]
        removed += gone
        if not gone:
            break
    return removed, found


def labelled() -> list[str]:
    """Return the identifiers of all images that carry the lab's label; none where no engine answers."""
    try:
        found = output(["docker", "image", "ls", "--quiet", "--filter", f"label={KEY_LABEL}"]).split()
    except (ToolError, FileNotFoundError):
        return []
    return list(dict.fromkeys(found))


def remove(image: str) -> bool:
    """Remove an image with all its names; return whether nothing rested on it."""
    try:
        output(["docker", "image", "rm", "--force", image])
    except ToolError:
        return False
    return True


def copy_context(source: Path, target: Path) -> None:
    """Copy a build context, so that a build never sees a file that changes under it."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
