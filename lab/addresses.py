"""`python -m lab open`: what answers where. The play ends with the same lines, and so does `make status`."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from lab.gitops import GitopsError, application, state
from lab.gitops.state import Lab
from lab.gitops.tree import table
from lab.kubectl import MARK, ClusterError, Kubectl

# What stands beside the service, by the namespace that it is in.
COMPONENTS = ("argocd", "monitoring")
# How Argo CD calls the lab's git server.
INSIDE = "http://git.git.svc"
# The Deployment of what only some sources have.
GRAFANA = "kube-prometheus-stack-grafana"


def spaces(cluster: Kubectl, name: str) -> set[str]:
    """Return the namespaces of the lab `name`: somebody else may have others of the same names. Raises ClusterError."""
    return set(cluster.text("get", "namespaces", f"--selector={MARK}={name}", "--output=jsonpath={.items[*].metadata.name}").split())


def components(cluster: Kubectl, name: str) -> set[str]:
    """Return which parts the lab has beside the service, and whether it has Grafana. Raises ClusterError."""
    found = spaces(cluster, name) & set(COMPONENTS)
    words = ("--namespace=monitoring", "--ignore-not-found", "--output=name")
    grafana = "monitoring" in found and cluster.text("get", "deployments.apps", GRAFANA, *words).strip()
    return found | {GRAFANA} if grafana else found


def push(lab: Lab, app: dict | None) -> str:
    """Return how a commit gets to where Argo CD finds the chart."""
    url = app["spec"]["sources"][0]["repoURL"] if app else INSIDE
    return f"git push {lab.name}" if url.startswith(INSIDE) else f"git push to {url} (make up has Argo CD look at once)"


def lines(lab: Lab, parts: Collection[str], pushed: str = "") -> list[str]:
    """Return what answers where, for the parts that this lab has, and the command that leads on; `pushed` is what `push` says."""
    here = lab.state.relative_to(lab.checkout)
    name = state.named(lab.name)
    rows = [["service", f"http://{lab.host('vars')}:{lab.http}/var/a/1   http://{lab.domain}:{lab.http}/var/a"],
            ["over TLS", f"curl --cacert {here}/ca.crt https://{lab.host('vars')}:{lab.https}/var/a"],
            ["registry", lab.images or f"localhost:{lab.registry}"],
            ["cluster", f"{here}/bin/kubectl --kubeconfig {here}/kubeconfig get pods -A"],
            ["passwords", f"make credentials{name}   {here}/credentials.yml"]]  # fmt: skip
    page = f"make status{name}" if lab.source == "upstream" else f"no web UI: make status{name}"
    grafana = [["grafana", f"http://{lab.host('grafana')}:{lab.http} (user admin)"]] if GRAFANA in parts else []
    beside = {
        "monitoring": [*grafana, ["monitoring", f"http://{lab.host('prometheus')}:{lab.http}   make report{name}"],
                       ["alerts", f"http://{lab.host('alertmanager')}:{lab.http}/api/v2/alerts"]],
        "argocd": [["argocd", f"http://{lab.host('argocd')}:{lab.http}{'' if lab.source == 'upstream' else '/api/version'} ({page})"],
                   ["git", f"{lab.git_url}   the chart: {pushed or push(lab, None)}"]],
    }  # fmt: skip
    for part in reversed(COMPONENTS):
        rows[2:2] = beside[part] if part in parts else [[part, "not in lab_components"]]
    return table(rows)


def pages(lab: Lab) -> list[str]:
    """Return what is worth a browser's tab: the variables, and the report once there is one."""
    report = lab.state / "reports" / "report.html"
    return [f"http://{lab.domain}:{lab.http}/var", *([report.as_uri()] if report.is_file() else [])]


def browser(environ: Mapping[str, str] = os.environ, find: Callable = webbrowser.get):
    """Return a browser with a window of its own, or None: one in the terminal would hide what is printed."""
    if sys.platform != "darwin" and not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return None
    try:
        return find()
    except webbrowser.Error:
        return None


def main(argv: list[str], show: Callable = browser, checkout: Path = state.CHECKOUT) -> int:
    """Print what answers where and open it in a browser, if there is one; return 0, or 1 after one line that says why not."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--print", action="store_true", dest="only_print", help="open no browser")
    args = options.parse_args(argv)
    try:
        lab = state.load(args.name, checkout)
        cluster = Kubectl(lab.kubectl_options())
        parts = components(cluster, lab.name)
        print("\n".join(lines(lab, parts, push(lab, application.read(cluster) if "argocd" in parts else None))))
    except (GitopsError, ClusterError) as error:
        print(f"open: {error}", file=sys.stderr)
        return 1
    if not args.only_print and (window := show()):
        for page in pages(lab):
            window.open(page)
    return 0
