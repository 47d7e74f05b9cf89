"""Refuse ports that somebody else holds, and say who."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping

from lab.preflight.docker import Engine
from lab.preflight.finding import Finding
from lab.preflight.processes import listener


def is_taken(port: int, address: str = "127.0.0.1") -> bool:
    """Say whether the port cannot be listened on because somebody does."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def taken_ports(ports: Mapping[str, int], engine: Engine, state_dir: str, taken: Callable[[int], bool] = is_taken,
                holder: Callable[[int], str | None] = listener) -> list[Finding]:
    """Refuse each port that is taken by anything but this lab's own containers."""
    findings = []
    for variable, port in ports.items():
        if not taken(port):
            continue
        container = engine.publisher(port)
        if container and engine.own(container, state_dir):
            continue
        by = f"container {container['Names']}" if container else holder(port) or "a process of another user"
        stop = f"stop it (docker stop {container['Names']})" if container else "end it"
        findings.append(Finding("ports", f"port {port} is taken by {by}: {stop}, or choose another port (-e {variable}=PORT)"))
    return findings
