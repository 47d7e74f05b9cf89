"""A machine without a network, on this one: two network namespaces, an engine in the first, a rule that denies and counts in the second.

    plane   the lab, its engine with everything that is the engine's; one way out, a default route
    world   the other end of it: every packet that arrives is counted and dropped

Nothing of the machine itself is changed: no rule, no address, no engine of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
# Addresses for the way between the two, of a block that no network uses (RFC 2544).
HERE, THERE, WAY = "198.18.0.2", "198.18.0.1", 30
# An address where nobody is (RFC 5737).
NOWHERE = "192.0.2.1"
# Seconds that the engine may take to answer, and to stop.
PATIENCE = 60


def run(*words: str | Path, timeout: float = 60, **options) -> subprocess.CompletedProcess:
    """Run a program; raise CalledProcessError with what it said where it fails."""
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, timeout=timeout, **options)


@dataclass
class Plane:
    """The machine without a network: its namespaces' names, and a folder for all that it writes."""

    folder: Path
    name: str = f"plane-{os.getpid()}"
    world: str = f"world-{os.getpid()}"
    environment: dict[str, str] = field(default_factory=dict)

    def inside(self, *words: str | Path, timeout: float, cwd: Path | None = None) -> subprocess.CompletedProcess:
        """Run a program there; return what it did, output and complaints in one."""
        command = ["nsenter", f"--net=/run/netns/{self.name}", *map(str, words)]
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd,
                              timeout=timeout, check=False, env=self.environment)  # fmt: skip

    def denied(self) -> int:
        """Return how many packets tried to get out: the counter of the rule that denied them."""
        rows = run("ip", "netns", "exec", self.world, "iptables", "-w", "-t", "mangle", "-nvxL", "PREROUTING").stdout
        (count,) = re.findall(r"^\s*(\d+)\s+\d+\s+DROP\s", rows, re.MULTILINE)
        return int(count)


def connect(plane: Plane) -> None:
    """Make the namespaces and the way between them."""
    ends = {plane.name: (HERE, "out"), plane.world: (THERE, "in")}
    for space in ends:
        run("ip", "netns", "add", space)
    run("ip", "link", "add", "out", "netns", plane.name, "type", "veth", "peer", "name", "in", "netns", plane.world)
    for space, (address, link) in ends.items():
        # No neighbour is looked for over IPv6, which would be counted, too.
        run("ip", "netns", "exec", space, "sysctl", "-qw", f"net.ipv6.conf.{link}.disable_ipv6=1")
        run("ip", "-n", space, "address", "add", f"{address}/{WAY}", "dev", link)
        for device in ("lo", link):
            run("ip", "-n", space, "link", "set", device, "up")
    run("ip", "-n", plane.name, "route", "add", "default", "via", THERE)
    # Before it is decided where a packet is to go, so that it counts wherever that is.
    run("ip", "netns", "exec", plane.world, "iptables", "-w", "-t", "mangle", "-A", "PREROUTING", "-i", "in", "-j", "DROP")


def copy_checkout(target: Path) -> None:
    """Have the checkout's files as they are in a repository of their own, as on another machine."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=CHECKOUT).stdout
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target / name)
    run("git", "init", "--quiet", cwd=target)
    run("git", "add", "--all", cwd=target)
    run("git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "--message=as it is here", cwd=target)


def unmount(folder: Path) -> None:
    """Unmount what an engine left mounted below its folder: its own network namespace, layers of a container that it was killed over."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((point for point in mounted if point.startswith(f"{folder}/")), reverse=True):
        run("umount", "--lazy", point)


@contextlib.contextmanager
def engine(plane: Plane) -> Iterator[None]:
    """Run an engine there: folders, socket and containerd of its own, and the runtime for hosts that lack capabilities."""
    folder = plane.folder / "engine"
    folder.mkdir()
    runtime = shutil.copy(CHECKOUT / "roles" / "docker" / "files" / "runc-bounded", folder)
    Path(runtime).chmod(0o755)
    (folder / "daemon.json").write_text(json.dumps({"default-runtime": "bounded", "runtimes": {"bounded": {"path": str(runtime)}}}))
    socket = folder / "docker.sock"
    words = ["nsenter", f"--net=/run/netns/{plane.name}", "dockerd", f"--config-file={folder}/daemon.json", f"--data-root={folder}/data",
             f"--exec-root={folder}/exec", f"--pidfile={folder}/pid", f"--host=unix://{socket}"]  # fmt: skip
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/")
    plane.environment["DOCKER_HOST"] = f"unix://{socket}"
    try:
        end = time.monotonic() + PATIENCE
        while plane.inside("docker", "version", timeout=20).returncode:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no engine answers: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.5)
        yield
    finally:
        containers = plane.inside("docker", "ps", "--all", "--quiet", timeout=20).stdout.split()
        if containers:
            plane.inside("docker", "rm", "--force", "--volumes", *containers, timeout=120)
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)
        unmount(folder)


@contextlib.contextmanager
def plane(folder: Path) -> Iterator[Plane]:
    """Have such a machine, its engine running; nothing is left of it but `folder`."""
    there = Plane(folder)
    outside = ("PIP_", "GO", "LAB_", "DOCKER_", "MAKE", "MFLAGS", "VIRTUAL_ENV", "COVERAGE")
    there.environment = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
    there.environment |= {"LAB_CACHE": str(folder / "cache"), "ANSIBLE_NOCOLOR": "1"}
    try:
        connect(there)
        with engine(there):
            yield there
    finally:
        for space in (there.name, there.world):
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)
