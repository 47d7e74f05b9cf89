"""`python -m lab schema-down`: undo, after a rollback, the migrations that the image does not know that runs now.

A Job of that image does it, since the database keeps how each migration is undone.
"""

from __future__ import annotations

import json
import sys
import time

from lab.gitops import GitopsError, application, state
from lab.gitops.images import Entry, Images
from lab.gitops.state import SERVICE, Lab
from lab.kubectl import ClusterError, Kubectl

JOB = "schema-down"
# Seconds the Job may take.
TIMEOUT = 180
# Seconds that pods of another image may take to end: longer than one may take to answer its last requests.
LEAVE = 60


def needing(pods: list[dict], web: str) -> list[str]:
    """Return the names of the pods that run another image than `web`, those on their way out included."""
    return sorted(pod["metadata"]["name"] for pod in pods
                  if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
                  and {item["image"] for item in pod["spec"]["containers"] if item["name"] == "web"} != {web})  # fmt: skip


def wait_until_none_needs(cluster: Kubectl, wanted: Entry, clock=time) -> None:
    """Return once no pod runs another image than the one `wanted`, which is said where it takes time. Raises GitopsError."""
    end, said = clock.monotonic() + LEAVE, False
    while left := needing(cluster.everything("pods", "--selector", "app.kubernetes.io/component=web"), wanted.web):
        names = ", ".join(left)
        if clock.monotonic() >= end:
            raise GitopsError(f"{names} runs another image than {wanted.tag} and may need the schema, and is still there after {LEAVE} s (make status)")
        if not said:
            print(f"  waiting until {names} is gone, which may need the schema, at most {LEAVE} s", file=sys.stderr, flush=True)
            said = True
        clock.sleep(0.5)


def job_from(migrations: dict, image: str) -> dict:
    """Return a Job that undoes what `image` does not know, from the one that applies the migrations."""
    template = json.loads(json.dumps(migrations["spec"]["template"]))
    # What the controller put there is the other Job's.
    template["metadata"] = {"labels": {key: value for key, value in template["metadata"].get("labels", {}).items()
                                       if "job-name" not in key and "controller-uid" not in key}}  # fmt: skip
    pod = template["spec"]
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        container["image"] = image
    pod["containers"][0]["command"] = ["python", "-m", "app.migrate", "down", "--unknown"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": JOB, "namespace": SERVICE},
            "spec": {"backoffLimit": 0, "activeDeadlineSeconds": TIMEOUT, "template": template}}  # fmt: skip


class Changing(Kubectl):
    """kubectl with the one verb that takes a document."""

    def create(self, document: dict) -> None:
        """Create an object. Raises ClusterError."""
        done = self._done("create", "--filename=-", given=json.dumps(document))
        if done.returncode:
            raise ClusterError(f"kubectl create: {done.stderr.strip()}")

    def remove(self) -> None:
        """Remove the Job and its pod, if they are there."""
        self.text("delete", "job", JOB, "--namespace", SERVICE, "--ignore-not-found", "--cascade=foreground", "--timeout=50s")


def ended(job: dict) -> str | None:
    """Return how a Job ended, Complete or Failed, or None while it runs."""
    return next((item["type"] for item in job.get("status", {}).get("conditions", [])
                 if item["type"] in ("Complete", "Failed") and item["status"] == "True"), None)  # fmt: skip


def schema_down(lab: Lab, cluster: Changing, clock=time) -> str:
    """Undo what the running image does not know; return what the migrator said."""
    branch = Images(lab)
    commit = branch.fetch()
    if commit is None:
        raise GitopsError("the lab's git server has no branch lab-values: make up makes it")
    wanted = branch.history()[0]
    application.wait(lab, ["", commit], TIMEOUT)
    wait_until_none_needs(cluster, wanted, clock)
    migrations = json.loads(cluster.text("get", "job", "migrations", "--namespace", SERVICE, "--output=json"))
    cluster.remove()
    cluster.create(job_from(migrations, wanted.migrations))
    end = clock.monotonic() + TIMEOUT
    try:
        while (how := ended(json.loads(cluster.text("get", "job", JOB, "--namespace", SERVICE, "--output=json")))) is None:
            if clock.monotonic() >= end:
                raise GitopsError(f"the Job {JOB} has not ended after {TIMEOUT} s")
            clock.sleep(0.5)
        said = cluster.text("logs", f"job/{JOB}", "--namespace", SERVICE, "--container=migrations").strip()
    finally:
        cluster.remove()
    if how != "Complete":
        raise GitopsError(f"nothing was undone: {said.splitlines()[-1] if said else 'the Job failed without a word'}")
    return said


def main(argv: list[str]) -> int:
    """Undo; return 0, or 1 after one line that says why not."""
    options = state.parser(__doc__.splitlines()[0])
    args = options.parse_args(argv)

    def undone() -> list[str]:
        lab = state.load(args.name)
        return [schema_down(lab, Changing(lab.kubectl_options()))]

    return state.answer(undone, "schema-down")
