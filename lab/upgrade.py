"""`python -m lab upgrade`: have the versions that the catalog names, in place; what only a new lab can have is refused by name.

It is what `make up` does, and more: pods whose image was built anew under the same version are restarted, and a table says what
changed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lab import addresses, build, catalog, made
from lab.build.sources import catalog_of
from lab.gitops import state
from lab.gitops.state import Lab
from lab.gitops.tree import table
from lab.kubectl import ClusterError, Kubectl
from lab.registry import Registry, path_of

# Seconds a restarted workload may take until it is ready.
RESTART = 180
RESTARTED = {"ReplicaSet": "deployment", "DaemonSet": "daemonset", "StatefulSet": "statefulset"}


class UpgradeError(Exception):
    """Why nothing was changed, or what was not."""


def statuses(pods: list[dict]) -> list[tuple[dict, dict]]:
    """Return each container's status that has an image, with its pod; what has ended and is on its way out does not count."""
    found = []
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp") or pod["status"].get("phase") in ("Succeeded", "Failed"):
            continue
        status = pod["status"]
        found += [(pod, item) for item in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])] if item.get("imageID")]
    return found


def provider(image: str, components: catalog.Catalog) -> str | None:
    """Return the component that provides an image; None where none does."""
    try:
        return components.by_image(image).name
    except catalog.CatalogError:
        # What has no name of upstream's is under the lab's own registry, whose port the catalog leaves open.
        path = image.partition("/")[2].rpartition(":")[0]
        own = [item for item in components.components.values() if item.image and "{registry_port}" in item.image]
        return next((item.name for item in own if item.image.partition("/")[2].rpartition(":")[0] == path), None)


def running(pods: list[dict], components: catalog.Catalog) -> dict[str, str]:
    """Return the tags that run, by component; several of one are joined. What nothing provides is no concern of the catalog's."""
    tags: dict[str, set[str]] = {}
    for _, item in statuses(pods):
        if name := provider(item["image"], components):
            tags.setdefault(name, set()).add(item["image"].rpartition(":")[2])
    return {name: ", ".join(sorted(found)) for name, found in tags.items()}


def stale(pods: list[dict], digest: Callable[[str], str | None]) -> dict[tuple[str, str, str], str]:
    """Return the workloads that run another content than the registry has under the same name: (namespace, kind, name) to image."""
    found = {}
    for pod, item in statuses(pods):
        owner = next(iter(pod["metadata"].get("ownerReferences", [])), {})
        kind = RESTARTED.get(owner.get("kind", ""))
        wanted = digest(item["image"]) if kind else None
        if wanted and item["imageID"].rpartition("@")[2] != wanted:
            name = owner["name"].rpartition("-")[0] if owner["kind"] == "ReplicaSet" else owner["name"]
            found[pod["metadata"]["namespace"], kind, name] = item["image"]
    return found


def restart(cluster: Kubectl, workloads: dict[tuple[str, str, str], str]) -> list[str]:
    """Restart workloads one after the other, each until it is ready; return what is to be said. Raises ClusterError."""
    for namespace, kind, name in workloads:
        cluster.text("rollout", "restart", f"{kind}/{name}", "--namespace", namespace)
        cluster.text("rollout", "status", f"{kind}/{name}", "--namespace", namespace, f"--timeout={RESTART}s", timeout=RESTART + 10)
    return [f"restarted, as its image was built anew: {kind}/{name} in {namespace} ({image})" for (namespace, kind, name), image in workloads.items()]


def pods(cluster: Kubectl, lab: Lab) -> list[dict]:
    """Return the lab's pods, their images as the catalog names them; in a cluster that somebody has, others have pods, too.

    Raises ClusterError.
    """
    own = addresses.spaces(cluster, lab.name) if lab.at else None
    found = [pod for pod in cluster.everything("pods") if own is None or pod["metadata"]["namespace"] in own]
    for _, item in statuses(found):
        item["image"] = catalog.unlocated(item["image"], lab.images)
    return found


def compared(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return the table of what changed, or the line that says that nothing did."""
    rows = [[name, before.get(name, "-"), after.get(name, "-")] for name in sorted(before | after) if before.get(name) != after.get(name)]
    same = f"{len(after) - len(rows)} components run as before"
    return [*table([["component", "before", "now"], *rows]), same] if rows else [f"nothing was to be upgraded: {same}"]


def recorded(lab: Lab) -> dict[str, str]:
    """Return what the lab's cluster was made of; {} for a lab that was stood up before that was recorded."""
    return lab.recorded.get("lab_made_of") or {}


def upgrade(lab: Lab, play: Callable[[], int], cluster: Kubectl | None = None, registry: Registry | None = None) -> list[str]:
    """Upgrade the lab by `play`, which returns an exit code; return what is to be said. Raises UpgradeError, ClusterError."""
    components = catalog_of(lab.source, lab.state)
    if changes := made.changed(recorded(lab), components, existing=bool(lab.at)):
        raise UpgradeError(made.refusal(changes, lab.name))
    cluster = cluster or Kubectl(lab.kubectl_options(namespace=""))
    registry = registry or Registry(lab.images or f"127.0.0.1:{lab.registry}")
    before = running(pods(cluster, lab), components)
    if play():
        raise UpgradeError("the run above failed, and make up goes on from there")
    said = restart(cluster, stale(pods(cluster, lab), lambda image: registry.digest(*path_of(image))))
    return [*compared(before, running(pods(cluster, lab), components)), *said]


def main(argv: list[str]) -> int:
    """Upgrade; return 0, or 1 after one line that says why not."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("words", nargs="*", help="what ansible-playbook is given besides, after --")
    args = options.parse_args(argv)

    def play() -> int:
        program = Path(sys.executable).with_name("ansible-playbook")
        command = [program, "site.yml", f"--extra-vars={json.dumps({'lab_name': args.name})}", *args.words]
        return subprocess.run(command, cwd=state.CHECKOUT, check=False).returncode

    return state.answer(lambda: upgrade(state.load(args.name), play), "upgrade", UpgradeError, ClusterError, OSError, *build.ERRORS)
