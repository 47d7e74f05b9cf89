"""A lab as a fault meets it: its nodes, its pods, and the processes in them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from lab.chaos import ChaosError
from lab.gitops.state import SERVICE, Lab
from lab.kubectl import Kubectl
from lab.objects import waiting_for

# Labels of the pods that answer, and of the one that keeps what they are told.
WEB, DATABASE = "app.kubernetes.io/component=web", "app.kubernetes.io/component=database"
# Seconds that one command in a node, or of the engine, may take.
LONGEST = 60
# What has to be ready before a lab counts as back: everything that runs for ever.
WORKLOADS = "deployments.apps,daemonsets.apps,statefulsets.apps"
# Each process of a pod ($1, its UID) as `pid pid-in-its-container name`; one that ends meanwhile is left out.
PROCESSES = """
for group in $(grep -lsE "pod$1" /proc/[0-9]*/cgroup); do
  place=${group%/cgroup}
  inner=$(awk '/^NSpid:/ {print $NF}' "$place/status" 2>/dev/null) || continue
  echo "${place#/proc/} $inner $(cat "$place/comm" 2>/dev/null)"
done
"""


@dataclass(frozen=True)
class Process:
    """A process as the node numbers it, and as its container does."""

    pid: int
    inner: int
    name: str

    @property
    def first(self) -> bool:
        """Whether its container ends with it."""
        return self.inner == 1


def processes(text: str) -> list[Process]:
    """Return the processes of a pod from what PROCESSES prints; the one that only holds its network is none of them."""
    found = [Process(int(pid), int(inner), name) for pid, inner, name in re.findall(r"^(\d+) (\d+) (.+)$", text, re.MULTILINE)]
    return [process for process in found if process.name != "pause"]


class Place:
    """One lab: what a fault needs to know of it and to do to it."""

    def __init__(self, lab: Lab, run=subprocess.run) -> None:
        """Take the lab; `run` is what starts a process."""
        self.lab, self._run = lab, run

    def command(self, *words: str, timeout: float = LONGEST) -> str:
        """Return what a command prints that is run in the checkout. Raises ChaosError with its first error, or else its last line."""
        try:
            done = self._run(words, cwd=self.lab.checkout, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChaosError(f"{words[0]} {words[1]}: {error}") from error
        if done.returncode:
            lines = f"{done.stdout}\n{done.stderr}".strip().splitlines() or [f"exit code {done.returncode}"]
            raise ChaosError(f"{' '.join(words[:2])}: {next((line for line in lines if 'ERROR' in line), lines[-1])}")
        return done.stdout

    def inside(self, node: str, script: str, *arguments: str) -> str:
        """Run a script in a node; return what it prints. Raises ChaosError."""
        return self.command("docker", "exec", node, "sh", "-euc", script, "sh", *arguments)

    def container(self, node: str) -> dict:
        """Return what the engine knows of the container that is a node."""
        return json.loads(self.command("docker", "inspect", node))[0]

    def kubectl(self, namespace: str = SERVICE) -> Kubectl:
        """Return the cluster, asked about one namespace; an empty one means all."""
        return Kubectl(self.lab.kubectl_options(namespace))

    def pods(self, selector: str, namespace: str = SERVICE) -> list[dict]:
        """Return the pods with these labels that run on a node and are not on their way out."""
        found = self.kubectl(namespace).everything("pods", "--selector", selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"] and pod["spec"].get("nodeName")]

    def database(self) -> dict:
        """Return the database's pod. Raises ChaosError where there is none."""
        found = self.pods(DATABASE)
        if not found:
            raise ChaosError("the database has no pod: make status says why")
        return found[0]

    def processes(self, pods: Iterable[dict]) -> dict[str, list[Process]]:
        """Return the processes of pods by the node that these are on."""
        found: dict[str, list[Process]] = {}
        for pod in pods:
            node = pod["spec"]["nodeName"]
            text = self.inside(node, PROCESSES, pod["metadata"]["uid"].replace("-", "[-_]"))
            found.setdefault(node, []).extend(processes(text))
        return found

    def signal(self, name: str, found: dict[str, list[Process]]) -> None:
        """Send a signal to processes; those that ended meanwhile need none."""
        for node, there in found.items():
            if there:
                self.inside(node, 'name=$1; shift; kill -s "$name" "$@" || true', name, *(str(process.pid) for process in there))

    def lacking(self) -> str:
        """Return what of the cluster is not as it should be, or nothing. Raises ClusterError where it does not answer."""
        found = []
        for thing in self.kubectl("").everything(f"nodes,{WORKLOADS}"):
            if thing["kind"] == "Node":
                ready = any(item["type"] == "Ready" and item["status"] == "True" for item in thing["status"]["conditions"])
                found += [] if ready else [f"Node/{thing['metadata']['name']} is not ready"]
            elif line := waiting_for(thing):
                found.append(line)
        return "; ".join(found)
