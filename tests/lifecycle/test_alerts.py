"""What a user would notice is an alert: one is made to fire for real, and is seen where alerts are read.

What watches the lab comes for these tests and goes again.
"""

import json
import subprocess
import time

import pytest

# Seconds from the first failed request to the alert, at most: scrape, evaluation, the rule's own 15 s, and the way.
NOTICED = 150


@pytest.fixture(scope="module")
def watched(lab):
    """Return the lab with what watches it; nothing of that is left afterwards."""
    run = lab.up("-e", "lab_components=monitoring")
    assert run.code == 0, run.output[-3000:]
    yield lab
    assert lab.up("-e", "lab_components=").code == 0
    left = lab.kubectl("get", "namespaces,clusterroles,clusterrolebindings", "-o", "name", "--selector", "release=kube-prometheus-stack")
    assert left == ""


@pytest.fixture
def alerts(watched):
    """Return a function that tells which alerts Alertmanager has, by name."""
    url = f"http://127.0.0.1:{watched.http_port}/api/v2/alerts"
    command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--noproxy", "*",
               "--header", "Host: alertmanager.localhost", url]  # fmt: skip

    def ask():
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
        return {alert["labels"]["alertname"]: alert for alert in json.loads(done.stdout)}

    return ask


@pytest.fixture
def nowhere_to_run(lab, alerts):
    """Take the service's replicas away, and the places where they could start anew; give them back afterwards."""
    assert "ServiceHasNoReadyReplica" not in alerts()
    nodes = lab.kubectl("get", "nodes", "-o", "name").split()
    try:
        lab.kubectl("cordon", *nodes)
        lab.kubectl("delete", "pods", "--namespace", "vars", "--selector", "app.kubernetes.io/component=web", "--wait=false")
        yield
    finally:
        lab.kubectl("uncordon", *nodes)


def wait(ask, seconds):
    """Ask until the answer is true; return it, or the last one once the time is over."""
    end = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < end:
        time.sleep(2)
    return answer


def test_rerun_of_a_watched_lab_changes_nothing(watched):
    assert watched.up("-e", "lab_components=monitoring").changed == 0


def test_service_without_a_ready_replica_is_an_alert_that_says_what_to_do(lab, alerts, nowhere_to_run):
    alert = wait(lambda: alerts().get("ServiceHasNoReadyReplica"), NOTICED)
    assert alert, f"not within {NOTICED} s; there are: {', '.join(alerts())}"
    assert (alert["status"]["state"], alert["labels"]["severity"]) == ("active", "critical")
    assert "kubectl describe pods -n vars" in alert["annotations"]["runbook"]


def test_alert_goes_once_a_replica_is_ready(lab, alerts):
    lab.kubectl("rollout", "status", "deployment/web", "--namespace", "vars", "--timeout=50s")
    assert wait(lambda: "ServiceHasNoReadyReplica" not in alerts(), NOTICED), "it is still there"
