"""Make the install manifest that comes with Argo CD's module into what this lab applies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

import bcrypt
import yaml
from ansible.errors import AnsibleFilterError

# What runs only on demand: the name labels of its objects.
OPTIONAL = {"applicationset": "argocd-applicationset-controller", "notifications": "argocd-notifications-controller"}
# Seconds between two questions whether a pod is ready; upstream's 10 to 30 make a start that much longer.
READINESS_PERIOD = 2
# bcrypt has a base64 of its own.
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
BCRYPT64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def argocd_objects(path, namespace, parts, data, environment):
    """Return the objects of the manifest at `path` for `namespace`: with the optional `parts`, and `data` in its ConfigMaps and Secrets.

    `data` holds, by object name, what is added to its `data`; `environment` is for every container. Pods are made anew when the
    settings change that they read at their start.
    """
    if unknown := set(parts) - set(OPTIONAL):
        raise AnsibleFilterError(f"argocd_parts: {', '.join(sorted(unknown))} is none of {', '.join(sorted(OPTIONAL))}")
    left_out = {label for part, label in OPTIONAL.items() if part not in parts}
    digest = hashlib.sha256(json.dumps(data.get("argocd-cmd-params-cm", {}), sort_keys=True).encode()).hexdigest()[:16]
    result = []
    # Read here, because Ansible's own reader takes seconds for as many lines.
    for document in yaml.load_all(Path(path).read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        metadata = document["metadata"]
        if metadata.get("labels", {}).get("app.kubernetes.io/name") in left_out:
            continue
        if not document["kind"].startswith("Cluster"):
            metadata["namespace"] = namespace
        for subject in document.get("subjects", []):
            subject["namespace"] = namespace
        if document["kind"] in ("ConfigMap", "Secret") and metadata["name"] in data:
            document["data"] = {**document.get("data", {}), **data[metadata["name"]]}
        template = document.get("spec", {}).get("template")
        if template:
            template["metadata"].setdefault("annotations", {})["cluster-lab/settings"] = digest
            for container in template["spec"]["containers"]:
                container["env"] = [*container.get("env", []), *({"name": name, "value": value} for name, value in environment.items())]
                if "readinessProbe" in container:
                    container["readinessProbe"]["periodSeconds"] = READINESS_PERIOD
        result.append(document)
    return result


def argocd_hash(password, key):
    """Return the bcrypt hash of a password, always the same: its salt comes from the password and a secret key."""
    salt = hmac.new(str(key).encode(), str(password).encode(), "sha256").digest()[:16]
    encoded = base64.b64encode(salt).decode().rstrip("=").translate(str.maketrans(BASE64, BCRYPT64))
    return bcrypt.hashpw(str(password).encode(), f"$2a$10${encoded}".encode()).decode()


class FilterModule:
    """The filters of this role."""

    def filters(self):
        """Return them by name."""
        return {"argocd_objects": argocd_objects, "argocd_hash": argocd_hash}
