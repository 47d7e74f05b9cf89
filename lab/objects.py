"""Compare the objects in the cluster with those that are given, and wait until they are ready.

`look` reads the given objects, a JSON list, from its standard input and prints as JSON what has to go, what is not ready,
and whether applying what is given would change anything. `wait` ends when everything is ready; else it says in one line
what is not.
"""
import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from lab.kubectl import ClusterError, Kubectl, arguments

# The kinds that are looked at when objects that are no longer given have to go.
KINDS = ("deployments.apps,daemonsets.apps,statefulsets.apps,jobs.batch,cronjobs.batch,services,configmaps,secrets,"
         "serviceaccounts,persistentvolumeclaims,ingresses.networking.k8s.io,networkpolicies.networking.k8s.io,"
         "roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io,"
         "clusterroles.rbac.authorization.k8s.io,clusterrolebindings.rbac.authorization.k8s.io,"
         "ingressclasses.networking.k8s.io,poddisruptionbudgets.policy,horizontalpodautoscalers.autoscaling,namespaces")
# Kinds that an operator makes workloads of, and says of them whether these are available.
RECONCILED = ("Prometheus", "Alertmanager")
WORKLOADS = "deployments.apps,daemonsets.apps,statefulsets.apps,jobs.batch"


def label(thing: dict) -> str:
    """Return `Kind/name`."""
    return f"{thing['kind']}/{thing['metadata']['name']}"


def reference(thing: dict) -> dict:
    """Return what names an object and nothing else."""
    keys = ("name", "namespace")
    return {"apiVersion": thing["apiVersion"], "kind": thing["kind"],
            "metadata": {key: thing["metadata"][key] for key in keys if key in thing["metadata"]}}


def failed(thing: dict) -> bool:
    """Tell whether this is a Job that gave up: it can only be made anew."""
    conditions = thing.get("status", {}).get("conditions", [])
    return thing["kind"] == "Job" and any(
        item["type"] in ("Failed", "FailureTarget") and item["status"] == "True" for item in conditions)


def waiting_for(thing: dict) -> str | None:
    """Say in a few words what is missing until this object is ready; None if nothing is."""
    kind, spec, status = thing["kind"], thing.get("spec", {}), thing.get("status", {})
    if thing["metadata"].get("deletionTimestamp"):
        return f"{label(thing)} is being deleted"
    if kind in RECONCILED:
        return waiting_for_operator(thing)
    if kind == "APIService":
        return waiting_for_server(thing)
    if kind not in ("Deployment", "DaemonSet", "StatefulSet", "Job"):
        return None
    if failed(thing):
        reasons = [item.get("message") or item.get("reason", "") for item in status["conditions"]]
        return f"{label(thing)} failed: {reasons[-1]}"
    if kind == "Job":
        wanted = spec.get("completions", 1)
        ready = status.get("succeeded", 0)
        return None if ready >= wanted else f"{label(thing)} has not completed"
    if status.get("observedGeneration", 0) < thing["metadata"].get("generation", 0):
        return f"{label(thing)} has not been looked at yet"
    if kind == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        current, ready, total = status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0), wanted
    else:
        wanted = spec.get("replicas", 1)
        current, ready, total = (status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas"))
    if current < wanted:
        return f"{label(thing)} has {current} of {wanted} new pods"
    if total > wanted:
        return f"{label(thing)} still has {total - wanted} old pods"
    if ready < wanted:
        return f"{label(thing)} has {ready} of {wanted} pods ready"
    return None


def waiting_for_operator(thing: dict) -> str | None:
    """Say what its operator misses; None once what it made of this generation is available."""
    conditions = {item["type"]: item for item in thing.get("status", {}).get("conditions", [])}
    for name in ("Reconciled", "Available"):
        condition = conditions.get(name, {})
        if condition.get("observedGeneration", 0) < thing["metadata"].get("generation", 0):
            return f"{label(thing)} has not been looked at yet"
        if condition.get("status") != "True":
            told = condition.get("message") or condition.get("reason") or "no reason given"
            return f"{label(thing)} is not {name.lower()}: {told.splitlines()[0]}"
    return None


def waiting_for_server(thing: dict) -> str | None:
    """Say why the API server does not pass questions on to an APIService's own server; None once it does."""
    conditions = {item["type"]: item for item in thing.get("status", {}).get("conditions", [])}
    condition = conditions.get("Available", {})
    if condition.get("status") == "True":
        return None
    return f"{label(thing)} is not available: {condition.get('message', 'it has not been looked at yet').splitlines()[0]}"


def compare(live: list[dict], given: set[str]) -> dict:
    """Return what has to go (`surplus`) and what is not ready (`pending`)."""
    # What has an owner comes and goes with it.
    own = [thing for thing in live if not thing["metadata"].get("ownerReferences")]
    surplus = [thing for thing in own if label(thing) not in given or failed(thing)]
    pending = [line for thing in own if label(thing) in given and (line := waiting_for(thing))]
    return {"surplus": [reference(thing) for thing in surplus if not thing["metadata"].get("deletionTimestamp")],
            "pending": pending}


def known(cluster: Kubectl, kinds: list[str]) -> list[str]:
    """Return those of `kinds` (`prometheuses.monitoring.coreos.com`) that the cluster has. Raises ClusterError."""
    served = set(cluster.text("api-resources", "--output=name", "--cached").split()) if kinds else set()
    return [kind for kind in kinds if kind in served]


def look(cluster: Kubectl, definitions: list[dict], timeout: float, clock=time, kinds: str = KINDS) -> dict:
    """Compare once nothing given is on its way out: an object that is being deleted cannot be repaired.

    `differs` in what is returned says whether applying would change anything; it is the API server's own word.
    Raises ClusterError when something is still being deleted after `timeout` seconds.
    """
    given = {label(thing) for thing in definitions}
    end = clock.monotonic() + timeout
    while True:
        with ThreadPoolExecutor(max_workers=1) as beside:  # most of both is waiting for kubectl
            differs = beside.submit(cluster.differs, definitions)
            live = cluster.objects(kinds)
        leaving = [label(thing) for thing in live
                   if thing["metadata"].get("deletionTimestamp") and label(thing) in given]
        if not leaving:
            return {**compare(live, given), "differs": differs.result()}
        if clock.monotonic() >= end:
            raise ClusterError(f"{', '.join(leaving)} still being deleted after {timeout:.0f} s")
        clock.sleep(1)


def wait(cluster: Kubectl, timeout: float, clock=time, kinds: str = WORKLOADS) -> str | None:
    """Return None once every selected workload is ready, else the line that says what is not.

    A Job that gave up ends the wait; a cluster that does not answer for a moment does not.
    """
    end = clock.monotonic() + timeout
    while True:
        try:
            live = cluster.objects(kinds)
            pending = [line for thing in live if (line := waiting_for(thing))]
            over = any(failed(thing) for thing in live)
        except ClusterError as error:
            pending, over = [str(error)], False
        if not pending:
            return None
        if over:
            return "; ".join(pending)
        if clock.monotonic() >= end:
            return f"not ready after {timeout:.0f} s: {'; '.join(pending)}"
        clock.sleep(0.5)


def main(argv: list[str]) -> int:
    """Run `look` or `wait`."""
    parser = argparse.ArgumentParser(prog="python -m lab.objects", description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["look", "wait"])
    parser.add_argument("--timeout", type=float, default=120, help="longest wait, in seconds")
    parser.add_argument("--kinds", action="append", default=[], help="one more kind to look at; it has to be known to the cluster")
    parser.add_argument("--check", action="store_true", help="more kinds may still be to come: look at those that are known")
    arguments(parser)
    options = parser.parse_args(argv)
    cluster = Kubectl(options)
    try:
        if options.verb == "look":
            more = known(cluster, options.kinds) if options.check else options.kinds
            print(json.dumps(look(cluster, json.load(sys.stdin), options.timeout, kinds=",".join([KINDS, *more]))))
            return 0
        problem = wait(cluster, options.timeout, kinds=",".join([WORKLOADS, *options.kinds]))
    except ClusterError as error:
        problem = str(error)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
