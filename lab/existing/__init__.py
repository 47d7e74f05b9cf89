"""A lab on a cluster that somebody has: what it needs there, what must not be there, and taking down only what it put up."""

from __future__ import annotations

from collections.abc import Collection

# The lab's namespaces, by the part that has them; every lab has those of "".
SPACES = {"": ("vars", "traefik"), "argocd": ("argocd", "git"), "monitoring": ("monitoring", "node-exporter")}
# The kinds that a part brings, and what else brings them.
KINDS = {
    "argocd": ("Argo CD", ("applications.argoproj.io", "applicationsets.argoproj.io", "appprojects.argoproj.io")),
    "monitoring": ("a Prometheus operator", tuple(f"{kind}.monitoring.coreos.com" for kind in (
        "alertmanagerconfigs", "alertmanagers", "podmonitors", "probes", "prometheuses", "prometheusrules", "servicemonitors"))),
}  # fmt: skip
# What they have in the whole cluster: names of ClusterRoles, which ClusterRoleBindings of the same names bind.
ROLES = {
    "": ("traefik-traefik",),
    "argocd": ("argocd-application-controller", "argocd-server"),
    "monitoring": tuple(f"kube-prometheus-stack-{name}" for name in ("operator", "prometheus", "kube-state-metrics")),
}
# Whose UID a cluster is known by: this namespace is there as long as the cluster is.
SYSTEM = "kube-system"


def of(table: dict[str, tuple], parts: Collection[str]) -> list[tuple[str, str]]:
    """Return the names in a table that a lab with these parts has, each with its part."""
    return [(part, name) for part, names in table.items() if part in ("", *parts) for name in names]
