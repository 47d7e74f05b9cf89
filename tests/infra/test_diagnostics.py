"""The archive of a running lab: every password was planted in an event, and none is in the archive."""

import base64
import json
import tarfile

import pytest

from lab.diagnostics import archive
from lab.kubectl import MARK

# What is shorter is no secret: `true`, `git`.
SHORTEST = 12


@pytest.fixture(scope="module")
def every_secret(cluster, secrets):
    """Return the passwords that the lab made and every text that a Secret holds, by name."""
    found = dict(secrets)
    for item in json.loads(cluster.text("get", "secrets", "--all-namespaces", "--output=json"))["items"]:
        for key, value in item.get("data", {}).items():
            text = base64.b64decode(value).decode(errors="ignore").strip()
            if len(text) >= SHORTEST:
                found[f"{item['metadata']['namespace']}/{item['metadata']['name']}/{key}"] = text
    return found


@pytest.fixture(scope="module")
def archived(lab, cluster, secrets):
    """Return the files of an archive that was made while an event held each password."""
    about = {"kind": "Pod", "name": "planted", "namespace": "vars"}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "check-planted", "namespace": "vars"}, "type": "Normal", "reason": "Planted",
             "involvedObject": about, "message": " ".join(f"{name}={password}" for name, password in secrets.items())}  # fmt: skip
    cluster.text("create", "--filename=-", stdin=json.dumps(event))
    before = set((lab.state / "diagnostics").glob("*"))
    assert archive.main([f"--name={lab.name}"]) == 0
    (path,) = set((lab.state / "diagnostics").glob("*")) - before
    with tarfile.open(path) as opened:
        yield {entry.name.partition("/")[2]: opened.extractfile(entry).read().decode() for entry in opened}
    path.unlink()
    cluster.text("delete", "event", "check-planted", "--namespace", "vars")


def test_no_secret_is_in_any_file(archived, every_secret):
    left = [(file, name) for file, text in archived.items() for name, secret in every_secret.items() if secret in text]
    assert left == []


def test_no_secret_is_in_any_file_in_base64(archived, every_secret):
    encoded = {name: base64.b64encode(secret.encode()).decode() for name, secret in every_secret.items()}
    left = [(file, name) for file, text in archived.items() for name, secret in encoded.items() if secret in text]
    assert left == []


def test_planted_passwords_were_masked(archived, secrets):
    assert [name for name in secrets if f" {name}=***({name})***" not in archived["events.txt"]] == []


@pytest.mark.parametrize("name", ["versions.txt", "status.txt", "events.txt", "objects/pods.json", "objects/secrets.txt",
                                  pytest.param("folder/cluster.yml", marks=pytest.mark.own_cluster)])  # fmt: skip
def test_archive_has_what_helps(archived, name):
    assert archived[name].strip()
    assert not archived[name].startswith("(")


@pytest.mark.own_cluster
@pytest.mark.parametrize("unit", ["kubelet", "containerd"])
def test_archive_has_the_nodes_own_logs(archived, lab, unit):
    assert unit in archived[f"containers/{lab.container}/{unit}.log"]


def test_archive_has_a_log_of_every_pod_of_the_lab(archived, cluster, lab):
    own = {item["metadata"]["name"] for item in cluster.all("namespaces", f"--selector={MARK}={lab.name}")}
    # In a cluster that the lab made, every pod is its own.
    pods = {pod["metadata"]["name"] for pod in cluster.all("pods") if not lab.context or pod["metadata"]["namespace"] in own}
    assert {pod for pod in pods if any(f"/{pod}." in name for name in archived)} == pods
