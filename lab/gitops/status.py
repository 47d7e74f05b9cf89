"""`python -m lab status`: what runs, what answers where, and for what is not well the reason and the command that helps."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain

from lab import addresses, certificate, diagnose
from lab.existing import SPACES
from lab.gitops import GitopsError, application, state
from lab.gitops.api import Api
from lab.gitops.state import SERVICE, Lab
from lab.gitops.tree import age, rows, table
from lab.kubectl import ClusterError, Kubectl

# Namespaces whose pods are listed, as far as they are there.
NAMESPACES = tuple(chain.from_iterable(SPACES.values()))
# Events of a pod, and lines of its log, that are shown.
EVENTS, LOG_LINES = 3, 5


def tree(lab: Lab, app: dict) -> list[str]:
    """Return the deployment graph, or the flat list that the Application's own status has where the API does not answer."""
    resources = app["status"].get("resources", [])
    try:
        nodes = Api(lab).get("/resource-tree").get("nodes", [])
    except GitopsError as error:
        flat = [[f"{item['kind']}/{item['name']}", item.get("status", "-"), item.get("health", {}).get("status", "-")] for item in resources]
        return [f"  ({error})", *(f"  {line}" for line in table(flat))]
    return [f"  {line}" for line in table([["resource", "sync", "health", ""], *rows(nodes, resources)])]


def headline(app: dict) -> list[str]:
    """Return what Argo CD says of the whole: sync, health, the commits, what it complains about."""
    status = app.get("status", {})
    sources = app["spec"].get("sources", [])
    commits = status.get("sync", {}).get("revisions", []) or [""] * len(sources)
    lines = [f"Application vars   {status.get('sync', {}).get('status', 'Unknown')}   {status.get('health', {}).get('status', 'Unknown')}"]
    for source, commit in zip(sources, commits, strict=False):
        lines.append(f"  {commit[:12] or '?':<12}  {source.get('targetRevision')} of {source['repoURL']} {source.get('path', '')}".rstrip())
    operation = status.get("operationState", {})
    if operation:
        lines.append(f"  last sync {operation.get('phase')}: {application.short(operation.get('message', ''))}")
    return lines


def pods(found: list[dict], now: datetime) -> list[list[str]]:
    """Return the pods' rows: where, name, ready, what they do, restarts, age."""
    listed = [["namespace", "pod", "ready", "status", "restarts", "age"]]
    for pod in found:
        own = pod.get("status", {}).get("containerStatuses", [])
        trouble = diagnose.trouble(pod)
        ready = f"{sum(1 for item in own if item.get('ready'))}/{len(pod['spec']['containers'])}"
        what = "Terminating" if pod["metadata"].get("deletionTimestamp") else trouble[1].partition(":")[0] if trouble else pod["status"]["phase"]
        restarts = sum(item.get("restartCount", 0) for item in diagnose.containers(pod))
        listed.append([pod["metadata"]["namespace"], pod["metadata"]["name"], ready, what, str(restarts),
                       age(pod["metadata"].get("creationTimestamp", ""), now)])  # fmt: skip
    return listed


def unwell(lab: Lab, pod: dict, events: list[dict], cluster: Kubectl) -> list[str]:
    """Return why a pod is not well: the reason, its last events, the last lines of its log, and the command that shows more."""
    trouble = diagnose.trouble(pod)
    if trouble is None or pod["metadata"].get("deletionTimestamp"):
        return []
    container, reason = trouble
    name, space = pod["metadata"]["name"], pod["metadata"]["namespace"]
    lines = [f"{space}/{name}{f', container {container}' if container else ''}: {reason}"]
    lines += [f"    event: {diagnose.event_line(event)}" for event in diagnose.relevant(events, {name})[-EVENTS:]]
    found = diagnose.logs(cluster, pod)
    text = found.get(f"{container}.previous") or found.get(container) or ""
    shown = [] if text.startswith("(kubectl") else text.strip().splitlines()[-LOG_LINES:]
    lines += [f"    log: {line}" for line in shown]
    tool = f"{(lab.state / 'bin' / 'kubectl').relative_to(lab.checkout)} --kubeconfig {(lab.state / 'kubeconfig').relative_to(lab.checkout)}"
    return [*lines, f"    more: {tool} describe pod {name} --namespace {space}"]


def advice(app: dict | None, troubled: bool, pushed: str = "git push lab") -> list[str]:
    """Return the commands that help, for what is wrong; `pushed` is how a commit of the chart gets to Argo CD."""
    if app is None:
        return ["make up repairs what is not as the checkout says"] if troubled else []
    said = " ".join(application.complaints(app))
    if any(item["type"] == "ComparisonError" for item in application.errors(app)):
        return [f"the chart cannot be rendered: correct it, or git revert HEAD; then {pushed}"]
    if "migrations" in said:
        return ["a migration failed, and the old version still serves: correct it and make deploy, or make rollback"]
    if troubled:
        return [f"after make deploy: make rollback; after a push of the chart: git revert HEAD, then {pushed}; "
                "make up for what the checkout says"]  # fmt: skip
    return []


def served(lab: Lab) -> list[str]:
    """Return what is wrong with the certificate that the proxy answers with; that nobody answers is said of its pod."""
    with contextlib.suppress(OSError):
        return list(filter(None, [certificate.complaint(lab.address, lab.https, lab.host(SERVICE), lab.state / "ca.crt")]))
    return []


def report(lab: Lab, kubectl: Callable[..., Kubectl], now: datetime, proxy: Callable[[Lab], list[str]] = served) -> tuple[list[str], bool]:
    """Return the report's lines, and whether everything is well; `proxy` says what is wrong with what the proxy serves."""
    lines: list[str] = []
    app = None
    own = addresses.spaces(kubectl(SERVICE), lab.name)
    try:
        app = application.read(kubectl("argocd")) if "argocd" in own else None
    except ClusterError as error:
        if "doesn't have a resource type" not in str(error) and "NotFound" not in str(error):
            raise
    if app:
        lines += [*headline(app), *tree(lab, app), ""]
    else:
        lines += ["Argo CD is not in the cluster: the roles apply the chart", ""]
    found, reasons = [], []
    for space in [space for space in NAMESPACES if space in own]:
        cluster = kubectl(space)
        there = cluster.everything("pods")
        events = cluster.everything("events") if any(diagnose.trouble(pod) for pod in there) else []
        found += there
        for pod in there:
            reasons += unwell(lab, pod, events, cluster)
    if not any(pod["metadata"].get("labels", {}).get("app.kubernetes.io/component") == "web" for pod in found):
        reasons.append("the service has no pods: make up was not finished, or they were taken away")
    reasons += proxy(lab)
    complaints = application.complaints(app) if app else []
    parts = {pod["metadata"]["namespace"] for pod in found} & set(addresses.COMPONENTS)
    lines += [*table(pods(found, now)), "", *addresses.lines(lab, parts, addresses.push(lab, app))]
    if complaints or reasons:
        lines += ["", "not well:", *(f"  {line}" for line in [*complaints, *reasons])]
        lines += [f"  try: {line}" for line in advice(app, bool(reasons or complaints), addresses.push(lab, app))]
    well = not reasons and not complaints
    if app is not None:
        status = app.get("status", {})
        well = well and (status.get("sync", {}).get("status"), status.get("health", {}).get("status")) == ("Synced", "Healthy")
    return lines, well


def main(argv: list[str]) -> int:
    """Print the report; return 0 where everything is well, else 1."""
    options = state.parser(__doc__.splitlines()[0])
    name = options.parse_args(argv).name
    try:
        lab = state.load(name)
        lines, well = report(lab, lambda space: Kubectl(lab.kubectl_options(space)), datetime.now(UTC))
    except GitopsError as error:
        print(f"status: {error}", file=sys.stderr)
        return 1
    except ClusterError as error:  # kubectl's words say that nobody answers, and not what helps
        print(f"status: {error}\n  try: make up{state.named(name)} starts again what stands still", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0 if well else 1
