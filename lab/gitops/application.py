"""The Application: what Argo CD says of it, and waiting until it says Synced and Healthy.

`python -m lab.gitops.application --name LAB --revision COMMIT ...` waits until these commits run, one for each source;
an empty one means what the source is at now, which Argo CD is asked to look up. A sync that failed before is tried once more.
"""

from __future__ import annotations

import json
import sys
import time

from lab.gitops import GitopsError, state
from lab.gitops.state import APPLICATION, NAMESPACE, Lab
from lab.kubectl import ClusterError, Kubectl

KIND = "applications.argoproj.io"
OVER = ("Failed", "Error")
# The Job that runs the migrations, and the labels of all that ever did.
HOOK, MIGRATIONS = "migrations", "app.kubernetes.io/part-of=vars,app.kubernetes.io/component=migrations"
# Argo CD takes this annotation away once it has compared.
REFRESH = "argocd.argoproj.io/refresh"
# A comparison that fails may be a server that starts; one that still fails after so many seconds is the repository's.
PATIENCE = 20


def read(cluster: Kubectl) -> dict:
    """Return the Application; raise ClusterError where there is none or the cluster does not answer."""
    return json.loads(cluster.text("get", KIND, APPLICATION, "--namespace", NAMESPACE, "--output=json"))


def matches(found: list[str], wanted: list[str]) -> bool:
    """Say whether the commits are those that are wanted; an empty one is whatever it is."""
    return len(found) == len(wanted) and all(not want or have == want for have, want in zip(found, wanted, strict=True))


def errors(app: dict) -> list[dict]:
    """Return the conditions that are errors: what keeps Argo CD from comparing now, whatever an earlier sync ended with."""
    return [item for item in app.get("status", {}).get("conditions", []) if item["type"].endswith("Error")]


def complaints(app: dict) -> list[str]:
    """Return what Argo CD complains about, one line each, the gravest first."""
    status = app.get("status", {})
    lines = [f"{item['type']}: {short(item['message'])}" for item in errors(app)]
    operation = status.get("operationState", {})
    phase = operation.get("phase")
    if phase in OVER or (phase == "Running" and operation.get("retryCount")):
        for item in operation.get("syncResult", {}).get("resources", []):
            if item.get("status") == "SyncFailed" or item.get("hookPhase") in OVER:
                lines.append(f"{item['kind']}/{item['name']}: {short(item.get('message', ''))}")
        lines.append(f"sync {operation['phase']}: {short(operation.get('message', ''))}")
    return lines


def short(text: str) -> str:
    """Return a message of Argo CD's on one line, without the call chain that it comes wrapped in."""
    line = " ".join(text.split())
    for mark in ("failed exit status 1: Error: ", "rpc error: code = Unknown desc = ", "error validating data: "):
        line = line.rpartition(mark)[2] if mark in line else line
    return line if len(line) <= 300 else f"{line[:297]}..."


def missing(app: dict, wanted: list[str]) -> str | None:
    """Say in one line what is missing until these commits run, are Synced and Healthy; None if nothing is."""
    status = app.get("status", {})
    sync, operation = status.get("sync", {}), status.get("operationState", {})
    if sync.get("comparedTo", {}).get("sources") != app.get("spec", {}).get("sources"):
        return "Argo CD has not compared with what the Application names now"
    if REFRESH in app.get("metadata", {}).get("annotations", {}):
        return "Argo CD has not looked at the repositories again yet"
    if not matches(sync.get("revisions", []), wanted):
        return "Argo CD has not compared the new commit yet"
    if sync.get("status") != "Synced":
        return f"Argo CD says {sync.get('status', 'nothing')}"
    if not matches(operation.get("syncResult", {}).get("revisions", []), wanted) and operation.get("phase") == "Running":
        return "another sync is still running"
    if operation.get("phase") not in (None, "Succeeded"):
        return f"the sync is {operation['phase']}"
    health = status.get("health", {}).get("status", "Unknown")
    return None if health == "Healthy" else f"Argo CD says {health}"


def failed(app: dict, wanted: list[str]) -> bool:
    """Say whether the sync of these very commits has ended without success."""
    operation = app.get("status", {}).get("operationState", {})
    return operation.get("phase") in OVER and matches(operation.get("syncResult", {}).get("revisions", []), wanted)


def overtaken(app: dict, wanted: list[str]) -> bool:
    """Say whether all is as these commits want it, but the last sync was of others and failed.

    So it is after a migration that failed: what was changed back never ran, nothing differs, and nothing syncs by itself.
    """
    status = app.get("status", {})
    sync, operation = status.get("sync", {}), status.get("operationState", {})
    return (
        operation.get("phase") in OVER
        and sync.get("status") == "Synced"
        and matches(sync.get("revisions", []), wanted)
        and not matches(operation.get("syncResult", {}).get("revisions", []), wanted)
    )


def refresh(cluster: Kubectl) -> None:
    """Ask Argo CD to compare now, as its webhook would."""
    cluster.text("annotate", KIND, APPLICATION, "--namespace", NAMESPACE, "--overwrite", f"{REFRESH}=normal")


def sync_again(cluster: Kubectl) -> None:
    """Ask Argo CD to sync once more what it gave up."""
    operation = {"operation": {"initiatedBy": {"username": "make"}, "sync": {"prune": True, "syncOptions": ["ServerSideApply=true"]}}}
    cluster.text("patch", KIND, APPLICATION, "--namespace", NAMESPACE, "--type=merge", f"--patch={json.dumps(operation)}")


def wait(lab: Lab, wanted: list[str], timeout: float, *, again: bool = False, clock=time, cluster: Kubectl | None = None) -> dict:
    """Return the Application once `wanted` run, Synced and Healthy; raise GitopsError with the reason.

    A sync of theirs that failed ends the wait, unless it had failed before and is to be tried `again`. One of others that
    failed is followed by theirs, so that no Job that failed is left.
    """
    cluster = cluster or Kubectl(lab.kubectl_options(NAMESPACE))
    start, asked, followed, wrong_since = clock.monotonic(), False, False, None
    while True:
        now = clock.monotonic()
        try:
            app = read(cluster)
            reason, said = missing(app, wanted), complaints(app)
            if reason is None:
                return app
            if overtaken(app, wanted) and not followed:
                sync_again(cluster)
                followed = True
                clock.sleep(3)
            if failed(app, wanted):
                if not again:
                    raise GitopsError(f"Argo CD could not sync: {'; '.join(said)}")
                sync_again(cluster)
                again = False
                clock.sleep(3)
            if not asked and now - start >= 3:
                refresh(cluster)
                asked = True
            wrong_since = (wrong_since or now) if errors(app) else None
            if wrong_since is not None and now - wrong_since >= PATIENCE:
                raise GitopsError(f"Argo CD cannot compare: {'; '.join(said)}")
        except ClusterError as error:
            reason, said = str(error), []
        if now - start >= timeout:
            raise GitopsError(f"not there after {timeout:.0f} s: {'; '.join([reason, *said])}")
        clock.sleep(0.5)


def strangers(cluster: Kubectl) -> list[str]:
    """Return the selected Jobs that Argo CD did not make: without it they have names of their own."""
    return [name for job in cluster.objects("jobs.batch") if (name := job["metadata"]["name"]) != HOOK]


def main(argv: list[str]) -> int:
    """Wait; return 0, or 1 after one line that says what is missing."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--revision", action="append", default=[], help="commit of a source, in their order; empty: any")
    options.add_argument("--timeout", type=float, default=180, help="longest wait, in seconds")
    args = options.parse_args(argv)

    def settled() -> dict:
        lab = state.load(args.name)
        if "" in args.revision:
            refresh(Kubectl(lab.kubectl_options(NAMESPACE)))
        app = wait(lab, args.revision, args.timeout, again=True)
        jobs = strangers(Kubectl(lab.kubectl_options(selector=MIGRATIONS)))
        return {"revisions": app["status"]["sync"].get("revisions", []), "strangers": jobs}

    return state.answer(settled)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
