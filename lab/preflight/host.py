"""What this machine must be and have."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.preflight.finding import Finding

MIB = 1024**2
GIB = 1024**3
MINIMUM_PYTHON = (3, 11)
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def python_version(version: tuple[int, ...] = tuple(sys.version_info)) -> list[Finding]:
    """Refuse a Python that is too old."""
    if version[:2] >= MINIMUM_PYTHON:
        return []
    return [Finding("python", f"Python {version[0]}.{version[1]} is too old: the lab needs {'.'.join(map(str, MINIMUM_PYTHON))} or "
                              "newer (make PYTHON=python3.11)")]


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """Return the operating system's own description; {} where it has none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return {key: "".join(shlex.split(value)) for key, _, value in pairs}


def why_not_install(release: Mapping[str, str], machine: str = platform.machine(), user: int | None = None) -> str | None:
    """Return why packages cannot be installed on this host, None where they can."""
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    if not family & {"debian", "ubuntu"}:
        return f"this is {release.get('PRETTY_NAME', sys.platform)}, not Debian or Ubuntu"
    if machine not in ("x86_64", "amd64"):
        return f"this machine is {machine}, not amd64"
    if (os.geteuid() if user is None else user) != 0:
        return "this user is not root"
    return None


def without(needed: Iterable[str], reason: str, find: Callable[[str], str | None] = shutil.which) -> str | None:
    """Say which of the programs that the lab calls this machine lacks, where nothing installs them for `reason`; None where it has them."""
    missing = [name for name in needed if not find(name)]
    return f"this machine has no {', '.join(missing)}, and {reason}: install it first" if missing else None


def builds(can_install: str | None, to_build: bool) -> list[Finding]:
    """Refuse to build where the packages source cannot install what it builds with."""
    if not to_build or not can_install:
        return []
    return [Finding("host", f"the packages source has something to build and cannot here: {can_install}. "
                            "Run it as root on Debian or Ubuntu, amd64 (sudo make up)")]


def available_memory(meminfo: Path = Path("/proc/meminfo"), limits: tuple[str, ...] = CGROUP_LIMITS) -> int | None:
    """Return the bytes of memory a new workload may use: the system's, or what its own control group leaves."""
    try:
        fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    except OSError:
        return None
    available = [int(fields["MemAvailable"].split()[0]) * 1024]
    for limit in limits:
        try:
            available.append(int(Path(limit).read_text()))
        except (OSError, ValueError):
            continue
    return min(available)


def memory(available: int | None, engine: Mapping[str, Any] | None, nodes: int, first_mib: int, more_mib: int) -> list[Finding]:
    """Refuse too little memory for `nodes` nodes; `engine` is the engine's own description, if it answers."""
    known = [size for size in (available, (engine or {}).get("MemTotal")) if size]
    needed = first_mib + (nodes - 1) * more_mib
    if not known or min(known) >= needed * MIB:
        return []
    return [Finding("memory", f"{min(known) // MIB} MiB of memory are free and {nodes} node(s) need {needed}: end something, give "
                              "Docker more, or ask for less (-e preflight_memory_mib=MIB)")]


def free_bytes(path: Path) -> tuple[int, int]:
    """Return the file system's identity and its free bytes where `path` is, or will be."""
    while not path.exists():
        path = path.parent
    status = os.statvfs(path)
    return path.stat().st_dev, status.f_bavail * status.f_frsize


def no_folder(path: Path) -> list[Finding]:
    """Refuse a cache that cannot be made: what is there of its path is no folder."""
    there = next(item for item in (path, *path.absolute().parents) if item.exists())
    return [] if there.is_dir() else [Finding("cache", f"the cache cannot be {path}: {there} is no folder; name another (LAB_CACHE=FOLDER)")]


def disk(needs: list[tuple[Path, int, str]], free: Callable[[Path], tuple[int, int]] = free_bytes) -> list[Finding]:
    """Refuse too little disk; `needs` are folder, GiB and what for. What lies on one file system is added up."""
    totals: dict[int, list[Any]] = {}
    for path, gib, what in needs:
        device, left = free(path)
        entry = totals.setdefault(device, [left, 0, []])
        entry[1] += gib
        entry[2].append(f"{gib} GiB for {what} in {path}")
    return [Finding("disk", f"{left / GIB:.1f} GiB of disk are free and {gib} are needed ({', '.join(parts)}): free some "
                            "(docker system df shows the engine's), or build elsewhere (LAB_CACHE=FOLDER make up)")
            for left, gib, parts in totals.values() if left < gib * GIB]


def inotify(read: Callable[[str], int | None], nodes: int, needs: Mapping[str, int]) -> list[Finding]:
    """Refuse inotify limits that `nodes` nodes will exceed, warn of those they may; `needs` are what all of them use at most."""
    findings = []
    for name, needed in needs.items():
        limit = read(name)
        if limit is None or limit >= 2 * needed:
            continue
        command = f"sudo sysctl -w fs.inotify.{name}={4 * needed}"
        if limit < needed:
            findings.append(Finding("inotify", f"fs.inotify.{name} is {limit} and {nodes} node(s) need {needed}: {command}"))
        else:
            findings.append(Finding("inotify", f"fs.inotify.{name} is {limit}, which may be too little for {nodes} node(s) beside "
                                               f"other programs: {command}", warning=True))
    return findings


def inotify_limit(name: str) -> int | None:
    """Return a limit of the kernel's; None where it has no such limit."""
    try:
        return int(Path("/proc/sys/fs/inotify", name).read_text())
    except (OSError, ValueError):
        return None


def lacking_capabilities(status: Path, last: Path = Path("/proc/sys/kernel/cap_last_cap")) -> list[str]:
    """Return the numbers of the capabilities which the bounding set in /proc/PID/status lacks, as `capability N`."""
    try:
        mask = int(status.read_text().split("CapBnd:")[1].split()[0], 16)
        return [f"capability {number}" for number in range(int(last.read_text()) + 1) if not mask >> number & 1]
    except (OSError, IndexError, ValueError):
        return []
