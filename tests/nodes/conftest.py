"""A lab with two workers, whose nodes tests may drain, kill and remove; it goes at the end."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import pytest

from tests.lifecycle import conftest as lifecycle
from tests.lifecycle.conftest import PATIENCE

WORKERS = 2


class Lab(lifecycle.Lab):
    """The lab `nodes`, without its platform."""

    def __init__(self) -> None:
        super().__init__("nodes")

    def command(self, playbook: str, *extra: str) -> list[str]:
        """Return the command line of a play on this lab; what is given goes before its number of workers."""
        return super().command(playbook, "-e", f"lab_workers={WORKERS}", *extra)

    def pods(self, component: str) -> Counter[str]:
        """Return how many ready pods of a component each node has."""
        found = json.loads(self.kubectl("get", "pods", "--namespace=vars", f"--selector=app.kubernetes.io/component={component}", "--output=json"))
        return Counter(pod["spec"]["nodeName"] for pod in found["items"] if "deletionTimestamp" not in pod["metadata"] and is_true(pod, "Ready"))

    def ready(self) -> set[str]:
        """Return the nodes that are ready."""
        return {node["metadata"]["name"] for node in json.loads(self.kubectl("get", "nodes", "--output=json"))["items"] if is_true(node, "Ready")}

    @property
    def workers(self) -> set[str]:
        """The nodes that pods of users run on."""
        return {f"{self.name}-worker", f"{self.name}-worker2"}

    def drain(self, node: str) -> None:
        """Drain a node as its owner would."""
        self.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={PATIENCE}s", timeout=PATIENCE + 10)


def is_true(thing: dict, condition: str) -> bool:
    """Say whether an object's condition holds."""
    return any(item["type"] == condition and item["status"] == "True" for item in thing["status"].get("conditions", []))


def docker(*words: str) -> None:
    """Run docker; fail with what it says."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def lab():
    """The lab, up, its nodes still as they were made."""
    with Lab().standing() as made:
        yield made


@pytest.fixture
def whole(lab):
    """The lab with every node there, open to pods, and a replica on each worker; what a test broke is put right again."""
    mend(lab)
    yield lab
    mend(lab)


def mend(lab: Lab) -> None:
    """Have every node run and take pods, and the replicas spread anew."""
    nodes = sorted(lab.workers)
    docker("start", *nodes)
    lab.until(lambda: lab.workers <= lab.ready(), "the workers are ready")
    lab.kubectl("uncordon", *nodes)
    lab.until(lambda: lab.pods("database").total() == 1, "the database is ready")
    if set(lab.pods("web")) != lab.workers:
        lab.kubectl("rollout", "restart", "deployment/web", "--namespace=vars")
        lab.kubectl("rollout", "status", "deployment/web", "--namespace=vars", f"--timeout={PATIENCE}s", timeout=PATIENCE + 10)
    lab.until(lambda: lab.pods("web").total() == 2, "two replicas are ready")
