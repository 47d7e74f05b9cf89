"""What runs on the Docker engine, and whom it belongs to."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.gitops.state import named
from lab.preflight.finding import Finding

OWNER = "cluster-lab.state-dir"
CLUSTER = "io.x-k8s.kind.cluster"
TIMEOUT = 10
# The oldest kernel that kube-proxy takes for nftables. Source: Kubernetes, "Virtual IPs and Service Proxies", mode nftables.
NFTABLES_SINCE = (5, 13)


def labels(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a row of `docker ps` or `docker network ls`, which writes them as one text."""
    return dict(pair.partition("=")[::2] for pair in row.get("Labels", "").split(",") if pair)


@dataclass
class Engine:
    """An engine's answers: its own description, its containers and its networks. No description: it does not answer."""

    info: dict[str, Any] | None = None
    containers: list[dict[str, Any]] = field(default_factory=list)
    networks: list[dict[str, Any]] = field(default_factory=list)

    def owners(self, row: Mapping[str, Any]) -> list[str]:
        """Return the state folders of the labs that a container belongs to, by its label and its networks'; none where no lab made it."""
        attached = row.get("Networks", "").split(",")
        rows = [row, *(network for network in self.networks if network["Name"] in attached)]
        return [owner for found in rows if (owner := labels(found).get(OWNER))]

    def own(self, row: Mapping[str, Any], state_dir: str) -> bool:
        """Say whether a container is the lab's with this state folder: labelled so, or on its network."""
        return state_dir in self.owners(row)

    def publisher(self, port: int) -> dict[str, Any] | None:
        """Return the container that publishes a port of the host."""
        return next((row for row in self.containers if f":{port}->" in row.get("Ports", "")), None)

    def nodes(self, cluster: str) -> list[dict[str, Any]]:
        """Return the nodes of the kind cluster of that name."""
        return [row for row in self.containers if labels(row).get(CLUSTER) == cluster]

    def nodes_of_others(self, cluster: str) -> int:
        """Return how many nodes of other kind clusters run."""
        return sum(1 for row in self.containers if labels(row).get(CLUSTER, cluster) != cluster and row.get("State") == "running")

    def stands(self, cluster: str, state_dir: str) -> bool:
        """Say whether the lab with this state folder has its cluster and its registry, and all of their containers run."""
        nodes = self.nodes(cluster)
        beside = [row for row in self.containers if row not in nodes and self.own(row, state_dir)]
        return bool(nodes) and bool(beside) and all(row.get("State") == "running" for row in nodes + beside)


def _run(*words: str) -> str:
    """Run the docker client and return what it says; "" where it fails."""
    try:
        return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def ask(run: Callable[..., str] = _run) -> Engine:
    """Ask the engine for all at once; each answer within 10 seconds."""
    with ThreadPoolExecutor() as pool:
        texts = list(pool.map(lambda words: run(*words), [
            ("version", "--format", "{{json .Server}}"),
            ("info", "--format", "{{json .}}"),
            ("ps", "--all", "--no-trunc", "--format", "{{json .}}"),
            ("network", "ls", "--format", "{{json .}}"),
        ]))
    if not texts[0].strip() or texts[0].strip() == "null":
        return Engine()
    rows = [[json.loads(line) for line in text.splitlines() if line.startswith("{")] for text in texts[1:]]
    return Engine((rows[0] or [{}])[0], rows[1], rows[2])


def foreign_cluster(engine: Engine, name: str, state_dir: str) -> list[Finding]:
    """Refuse a kind cluster of the lab's name that the lab did not make."""
    foreign = [row for row in engine.nodes(name) if not engine.own(row, state_dir)]
    return [belongs(engine, foreign[0], name)] if foreign else []


def not_to_remove(engine: Engine, name: str, state_dir: str) -> list[Finding]:
    """Refuse to take down, by its name alone, what another checkout's lab or somebody's own cluster is.

    What a checkout left that is no longer there is nobody's, and goes.
    """
    rows = [*engine.nodes(name), *(row for row in engine.containers if row["Names"] == f"{name}-registry")]
    foreign = [row for row in rows if not engine.own(row, state_dir)]
    living = [row for row in foreign if not (owners := engine.owners(row)) or (Path(owners[0]) / "lab.yml").is_file()]
    return [belongs(engine, living[0], name)] if living else []


def belongs(engine: Engine, row: Mapping[str, Any], name: str) -> Finding:
    """Say whose a container is that has the place of one of the lab `name`."""
    owners = engine.owners(row)
    other = (f"the lab in {owners[0]}: take it down there (make down{named(name)})" if owners
             else f"somebody else: delete it (kind delete cluster --name {name})")
    return Finding("cluster", f"a cluster named {name} exists (container {row['Names']}) that belongs to {other}, "
                              "or choose another name (-e lab_name=NAME)")


def unable_engine(engine: Engine, can_install: str | None, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """Refuse to go on without an engine; `can_install` says why the lab cannot install one, None if it can."""
    if engine.info is not None:
        return []
    if environ.get("DOCKER_HOST"):
        return [Finding("engine", f"no Docker engine answers at DOCKER_HOST ({environ['DOCKER_HOST']}): start it, or unset "
                                  "DOCKER_HOST")]
    if can_install:
        return [Finding("engine", f"no Docker engine answers and the lab cannot install one ({can_install}): start Docker, or "
                                  "check that this user may use it (docker info)")]
    return []


def powerless_engine(engine: Engine, lacking: list[str], pid: int | None) -> list[Finding]:
    """Refuse an engine on this host (`pid`) that cannot start kind's nodes, as the host lacks capabilities for them."""
    if engine.info is None or pid is None or not lacking or engine.info.get("DefaultRuntime") != "runc":
        return []
    return [Finding("engine", f"the running Docker engine cannot start privileged containers, because this host lacks "
                              f"{', '.join(lacking)}: stop it (kill {pid}), and the lab starts one that can")]


def old_kernel(engine: Engine, own: str) -> list[Finding]:
    """Refuse a kernel whose nftables kube-proxy does not take: the engine's, or this host's (`own`, as uname -r prints it) before there is one."""
    release = (engine.info or {}).get("KernelVersion", own)
    found = re.match(r"(\d+)\.(\d+)", release)
    if not found or tuple(map(int, found.groups())) >= NFTABLES_SINCE:
        return []
    return [Finding("engine", f"nodes would run on Linux {release}, and kube-proxy needs nftables as of Linux "
                              f"{'.'.join(map(str, NFTABLES_SINCE))}: use a newer kernel")]
