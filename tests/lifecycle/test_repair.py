"""What was changed by hand is said and repaired; what is broken comes back."""

import json
import subprocess
import time

import pytest


@pytest.fixture
def value(lab):
    """A value that was written before something happens to the lab."""
    lab.get("/var/kept/before")
    return "kept = before"


def test_rerun_changes_nothing(lab):
    assert lab.up().changed == 0


def test_service_deleted_and_label_edited_are_repaired_and_said(lab):
    lab.kubectl("delete", "service", "web", "--namespace", "vars")
    lab.kubectl("label", "deployment", "web", "app.kubernetes.io/part-of=mine", "--overwrite", "--namespace", "vars")
    check = lab.up("--check")
    assert check.code == 0, check.output[-3000:]
    assert "web: what is in the cluster differs from what is given" in check.output
    assert "service/web" not in lab.kubectl("get", "services", "--namespace", "vars", "-o", "name")
    run = lab.up()
    assert run.code == 0, run.output[-3000:]
    assert run.changed >= 1
    lab.kubectl("get", "service", "web", "--namespace", "vars")
    labels = json.loads(lab.kubectl("get", "deployment", "web", "--namespace", "vars", "-o", "json"))["metadata"][
        "labels"
    ]
    assert labels["app.kubernetes.io/part-of"] == "vars"


def test_object_that_is_no_longer_given_goes(lab):
    lab.kubectl("create", "configmap", "old", "--namespace", "vars")
    lab.kubectl("label", "configmap", "old", "app.kubernetes.io/part-of=vars", "app.kubernetes.io/component=web",
                "--namespace", "vars")  # fmt: skip
    assert lab.up().changed >= 1
    assert "configmap/old" not in lab.kubectl("get", "configmaps", "--namespace", "vars", "-o", "name")


def test_it_serves_again_after_a_restart_of_the_node(lab, value):
    subprocess.run(["docker", "restart", f"{lab.name}-control-plane"], check=True, capture_output=True, timeout=120)
    deadline = time.monotonic() + 120
    while True:
        try:
            assert lab.get("/var/kept") == value
            break
        except subprocess.CalledProcessError:
            assert time.monotonic() < deadline, lab.kubectl("get", "pods", "-A")
            time.sleep(1)


def test_node_that_was_stopped_is_started(lab, value):
    subprocess.run(["docker", "stop", f"{lab.name}-control-plane"], check=True, capture_output=True, timeout=120)
    run = lab.up()
    assert run.code == 0, run.output[-3000:]
    assert lab.get("/var/kept") == value


def test_wait_that_fails_shows_the_pod_and_saves_the_rest(lab):
    values = json.dumps({"replicas_wait": True, "replicas_timeout": 8, "vars_values": {"images": {
        "postgres": "docker.io/library/postgres:15", "web": "docker.io/library/nothing:1",
        "migrations": "docker.io/library/nothing:1"}}})  # fmt: skip
    run = lab.up("-e", values)
    assert run.code != 0
    assert "nothing:1" in run.output
    assert list((lab.state / "diagnostics").glob("*/report.txt"))
    assert lab.get("/healthz")
    assert lab.up().code == 0
