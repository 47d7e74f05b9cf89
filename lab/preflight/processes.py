"""What the kernel tells about processes, by way of /proc (elsewhere: by way of ps)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"


def command(pid: int, proc: Path = PROC) -> str:
    """Return a living process' command line, "" where there is none."""
    if not proc.is_dir():
        return _ps(pid, "command=")
    try:
        status = (proc / str(pid) / "status").read_text(errors="replace")
        words = (proc / str(pid) / "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return ""
    return "" if re.search(r"^State:\s+[ZX]", status, re.MULTILINE) else " ".join(words).strip()


def started(pid: int, proc: Path = PROC) -> str:
    """Return when a process started, in whatever unit the system tells it; with the pid it names one process for good."""
    if not proc.is_dir():
        return _ps(pid, "lstart=")
    try:
        # The second field is the name, in parentheses, and may hold anything; starttime is the 20th after it.
        return (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def parents(pid: int, proc: Path = PROC) -> Iterator[int]:
    """Yield a process and its ancestors, nearest first."""
    while pid > 1:
        yield pid
        if not proc.is_dir():
            pid = int(_ps(pid, "ppid=") or 0)
            continue
        try:
            pid = int((proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            return


def listener(port: int, proc: Path = PROC) -> str | None:
    """Return "NAME (pid PID)" of the process that listens on a TCP port; None where that cannot be seen."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, rows):
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    for folder in proc.glob("[0-9]*/fd"):
        try:
            held = {str(link.readlink()) for link in folder.iterdir()}
        except OSError:
            continue
        if held & inodes:
            name = (folder.parent / "comm").read_text(errors="replace").strip()
            return f"{name} (pid {folder.parent.name})"
    return None


def _ps(pid: int, column: str) -> str:
    """Ask ps for one column of one process."""
    return subprocess.run(["ps", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
