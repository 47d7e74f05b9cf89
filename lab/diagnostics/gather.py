"""What an archive of diagnostics is made of. Every part is text; one that cannot be had says why, and keeps no other away.

Secrets are left out as objects: of those only names are listed.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from lab import addresses, diagnose
from lab.build.sources import catalog_of
from lab.gitops import GitopsError, status
from lab.gitops.state import Lab
from lab.kubectl import ClusterError, Kubectl
from lab.preflight import docker

# Lines of a log that are kept, and seconds that one question may take.
LINES, PATIENCE = 2000, 60
# What of a node's own services is kept.
UNITS = ("kubelet", "containerd")
OBJECTS = (
    "nodes", "namespaces", "deployments.apps,replicasets.apps,statefulsets.apps,daemonsets.apps,jobs.batch", "services,endpointslices",
    "ingresses.networking.k8s.io,networkpolicies.networking.k8s.io", "persistentvolumeclaims,persistentvolumes", "configmaps",
    "applications.argoproj.io",
)  # fmt: skip
# Those of them that are in no namespace.
WIDE = ("nodes", "namespaces", "persistentvolumes")
# Files of the lab's folder that say how it was made.
FILES = ("lab.yml", "cluster.yml", "vars.values.yml", "traefik.values.yml", "monitoring.values.yml")

Parts = Iterator[tuple[str, str]]


def run(*words: str) -> str:
    """Return what a program says, errors included, or why it said nothing."""
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"({error})\n"
    return done.stdout.decode(errors="replace")


def versions(lab: Lab, ask: Callable[..., str]) -> str:
    """Return what this is made of, and what it runs on."""
    disk = shutil.disk_usage(lab.checkout)
    here = [f"lab          {lab.name}, from {lab.source}", f"machine      {platform.platform()}", f"python       {platform.python_version()}",
            f"disk         {disk.free / 2**30:.1f} GiB free of {disk.total / 2**30:.1f}",
            f"checkout     {ask('git', '-C', str(lab.checkout), 'describe', '--always', '--dirty').strip()}"]  # fmt: skip
    components = [f"{name:<28} {component.version:<12} {component.image or ''}".rstrip()
                  for name, component in sorted(catalog_of(lab.source, lab.state).components.items())]  # fmt: skip
    engine = ask("docker", "version")
    return "\n".join([*here, "", ask("free", "-m"), engine, *components, ""])


def spaces(lab: Lab, cluster: Kubectl) -> list[str]:
    """Return the namespaces to look in: all ("") in the lab's own cluster, the lab's in one that somebody has. Raises ClusterError."""
    return sorted(addresses.spaces(cluster, lab.name)) if lab.at else [""]


def where(space: str) -> tuple[str, ...]:
    """Return a namespace, or all of them, as kubectl's words."""
    return ("--namespace", space) if space else ("--all-namespaces",)


def cluster_state(lab: Lab, kubectl: Callable[[str], Kubectl]) -> Parts:
    """Yield what the API server knows: the status, objects, events, and the logs of every container."""
    cluster = kubectl("")
    try:
        yield "status.txt", "\n".join(status.report(lab, kubectl, datetime.now(UTC))[0]) + "\n"
    # What answers need not be what a lab has: that, too, is worth an archive.
    except (GitopsError, ClusterError, ValueError) as error:
        yield "status.txt", f"({error})\n"
    yield "versions-cluster.txt", _said(cluster, "version", "--output=yaml")
    try:
        found = spaces(lab, cluster)
    except ClusterError as error:
        yield "namespaces.txt", f"({error})\n"
        return
    for kinds in OBJECTS:
        # What is in no namespace says something of a cluster that is the lab's alone.
        wanted = ",".join(kind for kind in kinds.split(",") if not lab.at or kind not in WIDE)
        for space in found if wanted else ():
            folder = "/".join(filter(None, ("objects", space)))
            yield f"{folder}/{kinds.partition('.')[0].replace(',', '-')}.yaml", _said(cluster, "get", wanted, *where(space), "--output=yaml")
    yield "objects/secrets.txt", "".join(_said(cluster, "get", "secrets", *where(space)) for space in found)
    try:
        events, pods = ([item for space in found for item in kubectl(space).everything(kinds)] for kinds in ("events", "pods"))
    except ClusterError as error:
        yield "pods.txt", f"({error})\n"
        return
    yield "events.txt", "".join(f"{diagnose.event_line(event)}\n" for event in sorted(events, key=diagnose.stamp))
    yield "objects/pods.json", json.dumps(pods, indent=1)
    for pod in pods:
        space, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        for container, text in diagnose.logs(cluster, pod).items():
            yield f"logs/{space}/{name}.{container}.log", text


def machine_state(lab: Lab, ask: Callable[..., str], engine: docker.Engine) -> Parts:
    """Yield what the containers that are the lab say: each one's output, and the node's own services."""
    for row in engine.containers:
        if engine.own(row, str(lab.state)) or row in engine.nodes(lab.name):
            name = row["Names"]
            yield f"containers/{name}/output.log", ask("docker", "logs", f"--tail={LINES}", name)
            if row in engine.nodes(lab.name):
                for unit in UNITS:
                    words = ("journalctl", "--no-pager", f"--unit={unit}", f"--lines={LINES}")
                    yield f"containers/{name}/{unit}.log", ask("docker", "exec", name, *words)


def folder_state(state: Path) -> Parts:
    """Yield what the lab's folder says: how it was made, and the builds' logs."""
    for path in [*(state / name for name in FILES), *sorted((state / "logs").glob("*.log"))]:
        if path.is_file():
            yield f"folder/{path.relative_to(state)}", "".join(path.read_text(errors="replace").splitlines(keepends=True)[-LINES:])


def _said(cluster: Kubectl, *words: str) -> str:
    try:
        return cluster.text(*words)
    except ClusterError as error:
        return f"({error})\n"
