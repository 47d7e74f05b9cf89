"""Every secret of a lab: passwords that it made, keys in its folder, and what the cluster's Secrets hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection
from pathlib import Path

import yaml

from lab.kubectl import ClusterError, Kubectl


def own(state: Path) -> dict[str, bytes]:
    """Return, by name, the secrets in the lab's folder."""
    found: dict[str, bytes] = {}
    credentials, kubeconfig = state / "credentials.yml", state / "kubeconfig"
    if credentials.is_file():
        found |= {name: str(value).encode() for name, value in (yaml.safe_load(credentials.read_text()) or {}).items()}
    found |= {path.name: path.read_bytes() for path in sorted((state / "pki").glob("*.key"))}
    if kubeconfig.is_file():
        users = (yaml.safe_load(kubeconfig.read_text()) or {}).get("users", [])
        found |= {f"kubeconfig {key}": _decoded(value) for user in users for key, value in user["user"].items()
                  if key in ("client-key-data", "token", "password")}  # fmt: skip
    return found


def of_cluster(cluster: Kubectl, spaces: Collection[str] | None = None) -> dict[str, bytes]:
    """Return, by namespace, Secret and key, what Secrets hold: all, or those in some namespaces. Raises ClusterError."""
    where = [("--namespace", space) for space in spaces] if spaces is not None else [("--all-namespaces",)]
    items = [item for place in where for item in json.loads(cluster.text("get", "secrets", *place, "--output=json"))["items"]]
    return {f"{item['metadata']['namespace']}/{item['metadata']['name']}/{key}": base64.b64decode(value)
            for item in items for key, value in (item.get("data") or {}).items()}  # fmt: skip


def known(state: Path, cluster: Kubectl, look: Callable[[], Collection[str]] | None = None) -> dict[str, bytes]:
    """Return every secret that can be read, of the cluster's all, or those in the namespaces that `look` tells.

    Those of a cluster that does not answer are in nothing that it is asked for.
    """
    try:
        return {**own(state), **of_cluster(cluster, look() if look else None)}
    except ClusterError:
        return own(state)


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return value.encode()
