"""Read what the kernel itself accounts to each container, on cgroup v1 and v2; figures are held against it.

Sources: the kernel's Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

CONTAINER = re.compile(r"(?:cri-containerd-)?([0-9a-f]{64})(?:\.scope)?")


@dataclass(frozen=True)
class Memory:
    """Bytes of one container: what it uses, what of that the kernel could take back at once, and its anonymous memory."""

    usage: int
    inactive_file: int
    rss: int

    @property
    def working_set(self) -> int:
        """What it uses and the kernel could not take back at once, as the kubelet counts it."""
        return max(self.usage - self.inactive_file, 0)


def engine_group(identity: str, mount: Path = Path("/sys/fs/cgroup")) -> Path | None:
    """Return the group that Docker made for a container of this machine, by its full id; None where there is none."""
    places = (
        mount / "memory" / "docker" / identity,
        mount / "memory" / "system.slice" / f"docker-{identity}.scope",
        mount / "docker" / identity,
        mount / "system.slice" / f"docker-{identity}.scope",
    )
    return next((place for place in places if place.is_dir()), None)


def containers(root: Path) -> dict[str, Memory]:
    """Return the memory of every container under `root` by its id; what ends meanwhile is left out.

    `root` is a folder of the hierarchy `memory` (v1) or of the one there is (v2).
    """
    found = {}
    for folder in root.rglob("*"):
        match = CONTAINER.fullmatch(folder.name)
        if match and folder.is_dir():
            try:
                found[match[1]] = memory(folder)
            except OSError:
                continue
    return found


def memory(folder: Path) -> Memory:
    """Return the memory of one group. Raises FileNotFoundError where there is none."""
    stat = {name: int(value) for name, value in (line.split() for line in (folder / "memory.stat").read_text().splitlines())}
    current = folder / "memory.current"
    if current.exists():
        return Memory(int(current.read_text()), stat["inactive_file"], stat["anon"])
    # Those with `total_` count what is below, too.
    return Memory(int((folder / "memory.usage_in_bytes").read_text()), stat["total_inactive_file"], stat["total_rss"])
