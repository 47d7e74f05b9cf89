"""Where the cluster decides how many replicas there are: it knows what they use, and nobody else sets their number."""

import json

import pytest

from tests.infra.conftest import NAMESPACE

METRICS = "--raw=/apis/metrics.k8s.io/v1beta1"


@pytest.fixture
def scaler(cluster):
    """Return the service's autoscaler."""
    if cluster.run("get", "horizontalpodautoscaler", "web", "--namespace", NAMESPACE).returncode:
        pytest.skip("this lab was stood up without autoscaling: neither its metrics nor its autoscaler were looked at")
    return cluster.get("horizontalpodautoscaler", "web")


def measured(cluster, path):
    """Return the metrics API's answer about some things, by their names."""
    return {item["metadata"]["name"]: item for item in json.loads(cluster.text("get", METRICS + path))["items"]}


def test_every_node_and_replica_is_measured(scaler, cluster, nodes):
    assert sorted(measured(cluster, "/nodes")) == nodes
    pods = measured(cluster, f"/namespaces/{NAMESPACE}/pods")
    replicas = [pod["metadata"]["name"] for pod in cluster.component("web")]
    assert set(replicas) <= set(pods)
    assert all(container["usage"]["memory"] != "0" for name in replicas for container in pods[name]["containers"])


def test_autoscaler_has_something_to_go_by(scaler):
    conditions = {item["type"]: item for item in scaler["status"]["conditions"]}
    assert conditions["ScalingActive"]["status"] == "True", conditions["ScalingActive"]["message"]
    assert scaler["spec"]["minReplicas"] <= scaler["status"]["currentReplicas"] <= scaler["spec"]["maxReplicas"]


def test_nobody_else_sets_how_many_there_are(scaler, cluster):
    command = ["get", "deployment", "web", "--namespace", NAMESPACE, "--show-managed-fields", "--output=json"]
    fields = json.loads(cluster.text(*command))["metadata"]["managedFields"]
    assert {entry["manager"] for entry in fields if "f:replicas" in entry["fieldsV1"].get("f:spec", {})} <= {"kube-controller-manager"}
