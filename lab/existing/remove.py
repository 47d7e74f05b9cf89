"""Take a lab down on a cluster that stays: `python -m lab.existing.remove --name LAB` prints as JSON what went and what stays.

Only what carries the lab's own label goes: its namespaces with all that is in them, what it has in the whole cluster, and its kinds,
unless somebody else has objects of those by now.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from lab.existing import SYSTEM, check
from lab.gitops import GitopsError, state
from lab.kubectl import MARK, Kubectl

WIDE = "clusterrolebindings,clusterroles,ingressclasses"
KINDS = "customresourcedefinitions"
OPERATOR = "prometheuses.monitoring.coreos.com"


def name_of(item: dict) -> str:
    """Return `Kind/name`."""
    return f"{item['kind']}/{item['metadata']['name']}"


def held(item: dict) -> str:
    """Return what is left, and why where the API server says so of a namespace."""
    remaining = [each["message"] for each in item.get("status", {}).get("conditions", []) if each["type"].endswith("Remaining") and each["status"] == "True"]
    return f"{name_of(item)} ({remaining[-1]})" if remaining else name_of(item)


class Removal:
    """Taking one lab down."""

    def __init__(self, cluster: Kubectl, lab: str, timeout: float, clock: Any = time) -> None:
        """Take the cluster, the lab's name, and the seconds that each kind of thing may take to go."""
        self._cluster, self._lab, self._timeout, self._clock = cluster, lab, timeout, clock
        self.removed: list[str] = []
        self.kept: list[str] = []

    def own(self, kinds: str) -> list[dict]:
        """Return what of these kinds is the lab's."""
        return json.loads(self._cluster.text("get", kinds, f"--selector={MARK}={self._lab}", "--output=json"))["items"]

    def volumes(self, spaces: set[str]) -> list[dict]:
        """Return the volumes of claims in these namespaces."""
        found = json.loads(self._cluster.text("get", "persistentvolumes", "--output=json"))["items"]
        return [item for item in found if item["spec"].get("claimRef", {}).get("namespace") in spaces]

    def gone(self, ask, what: str) -> None:
        """Return once nothing is left of what `ask` returns. Raises GitopsError that names what is."""
        end = self._clock.monotonic() + self._timeout
        while left := ask():
            if self._clock.monotonic() >= end:
                raise GitopsError(f"{what} not gone after {self._timeout:.0f} s: {', '.join(map(held, left))}")
            self._clock.sleep(1)

    def remove(self, found: list[dict], ask, what: str) -> None:
        """Remove what was found, and wait until nothing of it is among what `ask` returns."""
        for item in found:
            space = [f"--namespace={item['metadata']['namespace']}"] if "namespace" in item["metadata"] else []
            self._cluster.text("delete", item["kind"], item["metadata"]["name"], *space, "--ignore-not-found", "--wait=false")
        names = [name_of(item) for item in found]
        self.removed += names
        self.gone(lambda: [item for item in ask() if name_of(item) in names] if names else [], what)

    def kubelets(self) -> list[dict]:
        """Return what the lab's operator made in the system's namespace; another's makes the same, but has its own kinds."""
        if OPERATOR not in {item["metadata"]["name"] for item in self.own(KINDS)}:
            return []
        words = (f"--namespace={SYSTEM}", "--selector=k8s-app=kubelet", "--output=json")
        return json.loads(self._cluster.text("get", "services,endpointslices.discovery.k8s.io", *words))["items"]

    def unused(self) -> list[dict]:
        """Return the lab's kinds of which nobody has an object; the others are noted as kept."""
        own, self.kept = self.own(KINDS), []
        free = []
        for kind in own:
            name = kind["metadata"]["name"]
            users = self._cluster.text("get", name, "--all-namespaces", "--output=name").split()
            free += [] if users else [kind]
            self.kept += [f"{name} (somebody has {users[0]})"] if users else []
        return free

    def run(self) -> dict:
        """Remove everything; return what was removed and what stays."""
        spaces = self.own("namespaces")
        names = {item["metadata"]["name"] for item in spaces}
        volumes = [item["metadata"]["name"] for item in self.volumes(names) if item["spec"]["persistentVolumeReclaimPolicy"] == "Delete"]
        self.remove(spaces, lambda: self.own("namespaces"), "namespaces")
        # Whoever provisioned them removes them, some time after their claims.
        self.gone(lambda: [item for item in self.volumes(names) if item["metadata"]["name"] in volumes], "volumes")
        self.remove(self.kubelets(), self.kubelets, "the operator's Service")
        self.remove(self.own(WIDE), lambda: self.own(WIDE), "what is in no namespace")
        self.remove(self.unused(), lambda: self.own(KINDS), "kinds")
        self.kept += [f"{name_of(item)} (its class keeps volumes)" for item in self.volumes(names)]
        return {"changed": bool(self.removed), "removed": self.removed, "kept": self.kept}


def main(argv: list[str]) -> int:
    """Take the lab down; return 0, or 1 after one line that says what is left and why."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--timeout", type=float, default=300, help="seconds that each kind of thing may take to go (default: %(default)s)")
    args = options.parse_args(argv)

    def removed() -> dict:
        lab = state.load(args.name)
        cluster = Kubectl(lab.kubectl_options())
        was, found = lab.recorded["lab_existing_uid"], check.uid(cluster)
        if found != was:
            raise GitopsError(f"{lab.context} leads to another cluster than this lab was made on ({SYSTEM} has the UID {found}, not {was}): nothing was removed")
        return Removal(cluster, lab.name, args.timeout).run()

    return state.answer(removed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
