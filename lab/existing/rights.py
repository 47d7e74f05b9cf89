"""What the lab may have to do in a cluster, and asking the API server whether it may (SelfSubjectAccessReview)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lab.existing import SPACES, of
from lab.kubectl import Kubectl

RBAC, NETWORK, KINDS = "rbac.authorization.k8s.io", "networking.k8s.io", "apiextensions.k8s.io"
KEEP = ("get", "list", "create", "patch", "delete")
# In each of the lab's namespaces: group and resource, and what is done with it.
INSIDE = [
    *(((group, resource), KEEP) for group, resource in (
        ("apps", "deployments"), ("batch", "jobs"), ("", "services"), ("", "configmaps"), ("", "secrets"), ("", "serviceaccounts"),
        ("", "persistentvolumeclaims"), (NETWORK, "ingresses"), (NETWORK, "networkpolicies"), ("policy", "poddisruptionbudgets"))),
    # What is no longer given is looked for among these, too.
    *(((group, resource), ("list",)) for group, resource in (
        ("apps", "daemonsets"), ("apps", "statefulsets"), ("batch", "cronjobs"), (RBAC, "roles"), (RBAC, "rolebindings"), ("autoscaling", "horizontalpodautoscalers"))),
    (("", "pods"), ("get", "list")), (("", "pods/log"), ("get",)), (("", "pods/exec"), ("create",)), (("", "pods/proxy"), ("get",)),
    (("", "events"), ("list",)),
]  # fmt: skip
# How many of them, from the first on, are looked for among what is no longer given.
LOOKED_FOR = INSIDE.index((("", "pods"), ("get", "list")))
# In the whole cluster. A ClusterRole grants what its maker may do, or what whoever may `escalate` says.
WIDE = [
    (("", "namespaces"), KEEP), ((RBAC, "clusterroles"), (*KEEP, "bind", "escalate")), ((RBAC, "clusterrolebindings"), KEEP),
    ((NETWORK, "ingressclasses"), KEEP), (("storage.k8s.io", "storageclasses"), ("list",)), (("", "persistentvolumes"), ("list",)),
]  # fmt: skip
# Besides, for a part: in the whole cluster, and in a namespace.
PART_WIDE = {
    "argocd": [((KINDS, "customresourcedefinitions"), KEEP)],
    # Its objects are in several namespaces, and looked for in all.
    "monitoring": [((KINDS, "customresourcedefinitions"), KEEP), *((what, ("list",)) for what, _ in INSIDE[:LOOKED_FOR]), (("", "nodes"), ("list",))],
}
PART_INSIDE = {
    "autoscaling": [("vars", ("autoscaling", "horizontalpodautoscalers"), KEEP)],
    "argocd": [("argocd", (RBAC, "roles"), (*KEEP, "bind", "escalate")), ("argocd", (RBAC, "rolebindings"), KEEP),
               ("argocd", ("argoproj.io", "applications"), KEEP)],
    "monitoring": [("node-exporter", ("apps", "daemonsets"), KEEP), *(("monitoring", ("monitoring.coreos.com", resource), KEEP) for resource in (
        "alertmanagers", "podmonitors", "prometheuses", "prometheusrules", "servicemonitors")),
        *(("kube-system", what, ("list", "delete")) for what in (("", "services"), ("discovery.k8s.io", "endpointslices")))],
}  # fmt: skip


@dataclass(frozen=True)
class Right:
    """One thing that is to be allowed: a verb on a resource, in a namespace or (empty) in the whole cluster."""

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def review(self) -> dict:
        """Return the question whether this user has it."""
        resource, _, below = self.resource.partition("/")
        asked = {"verb": self.verb, "group": self.group, "resource": resource, "subresource": below, "namespace": self.namespace}
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}}


def needed(parts: Collection[str]) -> list[Right]:
    """Return what a lab with these parts needs, and nothing else."""
    wide = [*WIDE, *(item for part in PART_WIDE if part in parts for item in PART_WIDE[part])]
    inside = [(space, *item) for _, space in of(SPACES, parts) for item in INSIDE]
    inside += [item for part in PART_INSIDE if part in parts for item in PART_INSIDE[part]]
    found = [Right(verb, group, resource) for (group, resource), verbs in wide for verb in verbs]
    found += [Right(verb, group, resource, space) for space, (group, resource), verbs in inside for verb in verbs]
    return list(dict.fromkeys(found))


def missing(cluster: Kubectl, rights: Iterable[Right]) -> list[Right]:
    """Return those that this user of the cluster does not have. Raises ClusterError."""
    rights = list(rights)
    # Whoever may do everything is asked about nothing else.
    if allowed(cluster, [Right("*", "*", "*")])[0]:
        return []
    return [right for right, may in zip(rights, allowed(cluster, rights), strict=True) if not may]


def allowed(cluster: Kubectl, rights: list[Right]) -> list[bool]:
    """Return for each whether this user has it; all are asked in one call."""
    reviews = {"apiVersion": "v1", "kind": "List", "items": [right.review() for right in rights]}
    text = cluster.given(reviews, "create", "--validate=false", "--output=json", "--filename=-")
    # kubectl prints one document after the other.
    decoder, answers, position = json.JSONDecoder(), [], 0
    while position < len(text.rstrip()):
        answer, position = decoder.raw_decode(text, position + len(text[position:]) - len(text[position:].lstrip()))
        answers += answer.get("items", [answer])
    return [bool(answer.get("status", {}).get("allowed")) for answer in answers]


def said(rights: Iterable[Right]) -> str:
    """Return rights in words, those with the same verbs and places together: `create, delete configmaps, secrets in vars, traefik`."""
    verbs, spaces, resources = defaultdict(list), defaultdict(list), defaultdict(list)
    for right in rights:
        verbs[f"{right.resource}.{right.group}".rstrip("."), right.namespace].append(right.verb)
    for (resource, space), found in verbs.items():
        spaces[", ".join(found), resource].append(space)
    for (found, resource), where in spaces.items():
        resources[found, ", ".join(filter(None, where)), "" in where].append(resource)
    return "; ".join(f"{found} {', '.join(what)}{f' in {where}' if where else ''}{' and everywhere' if where and wide else ''}"
                     for (found, where, wide), what in resources.items())  # fmt: skip
