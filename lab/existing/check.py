"""Refuse a cluster that the lab cannot, or must not, stand on: another one than was meant, rights that are missing, things of others."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.existing import KINDS, ROLES, SPACES, SYSTEM, of, rights
from lab.kubectl import FIELD_MANAGER, MARK, ClusterError, Kubectl
from lab.preflight.finding import Finding
from lab.registry import Registry

# Seconds that a registry may take to answer.
PATIENCE = 10
# The API by which the cluster says what its pods use.
METRICS = "metrics.k8s.io"
DEFAULT = "storageclass.kubernetes.io/is-default-class"


def refuse(text: str) -> list[Finding]:
    """Return what keeps the lab from coming up."""
    return [Finding("existing", text)]


def wrong_context(kubeconfig: Path, context: str) -> list[Finding]:
    """Refuse a context that is not named, one that the kubeconfig does not have, and one that leads nowhere."""
    try:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8")) or {}
        contexts = {item["name"]: item.get("context") or {} for item in config.get("contexts") or []}
        found = {name: item.get("cluster") for name, item in contexts.items()}
        users = {item["name"] for item in config.get("users") or []}
        servers = {item["name"]: (item.get("cluster") or {}).get("server") for item in config.get("clusters") or []}
    except (OSError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        why = getattr(error, "strerror", None) or ("it is no kubeconfig" if isinstance(error, (ValueError, AttributeError, TypeError)) else str(error).splitlines()[0])
        return refuse(f"lab_existing_kubeconfig {kubeconfig} cannot be read ({why}): name another (-e lab_existing_kubeconfig=FILE)")
    has = f"{kubeconfig} has {', '.join(found) or 'none'} (-e lab_existing_context=NAME)"
    if not context:
        return refuse(f"lab_existing_context is empty, and no cluster is taken for want of another: name one, {has}")
    if context not in found:
        return refuse(f"lab_existing_context {context} is not there: {has}")
    user = contexts[context].get("user")
    if user and user not in users:
        return refuse(f"lab_existing_context {context} is of the user '{user}', and {kubeconfig} does not say who that is: "
                      "name another (-e lab_existing_context=NAME)")
    # kubectl would ask this machine's port 8080, where another lab may answer.
    return [] if servers.get(found[context]) else refuse(f"lab_existing_context {context} is of the cluster '{found[context]}', and {kubeconfig} does "
                                                         "not say where that is: name another (-e lab_existing_context=NAME)")


def kubectl(state_dir: Path, built: Path) -> str | None:
    """Return a kubectl: the lab's own, the one that is built already, or the user's."""
    found = [path for path in (state_dir / "bin" / "kubectl", built) if path.is_file()]
    return str(found[0]) if found else shutil.which("kubectl")


def uid(cluster: Kubectl) -> str:
    """Return what a cluster is known by. Raises ClusterError."""
    return cluster.text("get", "namespace", SYSTEM, "--output=jsonpath={.metadata.uid}")


def taken(cluster: Kubectl, kind: str, names: Collection[str], lab: str | None) -> dict[str, str]:
    """Return those of these names that others than `lab` (None: anybody) have in the cluster, and whose each is (empty: not a lab's)."""
    items = json.loads(cluster.text("get", kind, *names, "--ignore-not-found", "--output=json") or "{}")
    owners = {item["metadata"]["name"]: item["metadata"].get("labels", {}).get(MARK, "") for item in items.get("items", [items] if items else [])}
    return {name: owner for name, owner in owners.items() if owner != lab}


def without(part: str, parts: Collection[str]) -> str:
    """Return how to leave one of `parts` out."""
    return f"leave {part} out (-e lab_components={','.join(sorted(set(parts) - {part}))})"


def foreign(cluster: Kubectl, settings: Mapping[str, Any]) -> list[Finding]:
    """Refuse what stands where the lab would put its own."""
    context, parts = settings["lab_existing_context"], settings["lab_parts"]
    # What is there before this checkout has a lab on the cluster is another's, whatever it is called.
    name = settings["lab_name"] if settings.get("lab_existing_uid") else None
    findings: list[Finding] = []

    def whose(owner: str) -> str:
        if owner == settings["lab_name"]:
            return f"is of a lab {owner} that another checkout made (choose another lab_name)"
        return f"is of the lab {owner}" if owner else "is not this lab's"

    def way_out(part: str) -> str:
        return without(part, parts) if part else "take another cluster"

    for part, (what, kinds) in KINDS.items():
        others = taken(cluster, "customresourcedefinitions", kinds, name) if part in parts else {}
        for kind, owner in list(others.items())[:1]:
            findings += refuse(f"{what} is in the cluster {context} already ({kind} {whose(owner)}): {way_out(part)}")
    for kind, table in (("namespace", SPACES), ("clusterrole", ROLES), ("clusterrolebinding", ROLES)):
        part_of = {found: part for part, found in of(table, parts)}
        for found, owner in taken(cluster, kind, list(part_of), name).items():
            findings += refuse(f"the {kind} {found} is in the cluster {context} already and {whose(owner)}: remove it there, or {way_out(part_of[found])}")
    for found, owner in taken(cluster, "ingressclass", [settings["lab_ingress_class"]], name).items():
        findings += refuse(f"the ingressclass {found} is in the cluster {context} already and {whose(owner)}: name the lab's otherwise (-e lab_ingress_class=NAME)")
    return findings


def storage(cluster: Kubectl, wanted: str) -> list[Finding]:
    """Refuse a storage class that is not there, and none where the cluster has no default."""
    found = {item["metadata"]["name"]: item["metadata"].get("annotations", {}).get(DEFAULT) == "true"
             for item in json.loads(cluster.text("get", "storageclasses", "--output=json"))["items"]}  # fmt: skip
    has = f"the cluster has {', '.join(sorted(found)) or 'none'} (-e lab_storage_class=NAME)"
    if wanted:
        return [] if wanted in found else refuse(f"lab_storage_class {wanted} is not there: {has}")
    return [] if any(found.values()) else refuse(f"no storage class is the cluster's default: name one, {has}")


def registry(address: str) -> list[Finding]:
    """Refuse a registry that does not answer, or not to this user."""
    try:
        Registry(address, PATIENCE).digest("any", "any")
    except OSError as error:
        host = address.partition("/")[0]
        return refuse(f"lab_registry {address}: {error}; name another, or log in (docker login {host}, or REGISTRY_USERNAME and REGISTRY_TOKEN)")
    return []


def metrics(cluster: Kubectl, settings: Mapping[str, Any]) -> list[Finding]:
    """Refuse to scale by what the cluster does not measure."""
    parts = settings["lab_parts"]
    if "autoscaling" not in parts:
        return []
    try:
        cluster.text("get", f"--raw=/apis/{METRICS}/v1beta1")
    except ClusterError:
        return refuse(f"autoscaling goes by {METRICS}, which {settings['lab_existing_context']} does not serve: have metrics-server installed there, "
                      f"or {without('autoscaling', parts)}")
    return []


def check(settings: Mapping[str, Any], built: Path) -> tuple[str, list[Finding]]:
    """Return the UID of the cluster and what is wrong with it; `built` is where a kubectl of the lab's own may be."""
    context, kubeconfig, state_dir = settings["lab_existing_context"], Path(settings["lab_existing_kubeconfig"]), Path(settings["lab_state_dir"])
    if findings := wrong_context(kubeconfig, context):
        return "", findings
    binary = kubectl(state_dir, built)
    if binary is None:
        return "", refuse(f"there is no kubectl yet to ask the cluster {context} with: install one")
    cluster = Kubectl(argparse.Namespace(kubectl=binary, kubeconfig=str(kubeconfig), context=context, cache="", manager=FIELD_MANAGER))
    try:
        if lacking := rights.missing(cluster, rights.needed(settings["lab_parts"])):
            return "", refuse(f"this user of {context} may not {rights.said(lacking)}: ask who runs the cluster for it, or name another context")
        found, was = uid(cluster), settings.get("lab_existing_uid", "")
        if was and found != was:
            return found, refuse(f"{context} leads to another cluster than this lab was made on ({SYSTEM} has the UID {found}, not {was}): "
                                 f"point it there again, or choose another lab_name for this one")
        return found, [*foreign(cluster, settings), *metrics(cluster, settings), *storage(cluster, settings["lab_storage_class"]),
                       *registry(settings["lab_registry"])]
    except ClusterError as error:
        # kubectl says so of what it was given, and first what it did with that.
        why = str(error).rpartition('unable to recognize "STDIN": ')[2]
        return "", refuse(f"the cluster {context} does not answer as it should ({why}): see that it is up and can be reached from here, or name "
                          "another (-e lab_existing_context=NAME, -e lab_existing_kubeconfig=FILE)")
