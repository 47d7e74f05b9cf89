"""The objects of the service, as the cluster has them."""

import json
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def web(cluster):
    return cluster.get("deployment", "web")["spec"]


@pytest.fixture
def web_container(web):
    (container,) = web["template"]["spec"]["containers"]
    return container


@pytest.fixture
def claim(cluster):
    return cluster.get("persistentvolumeclaim", "db")


def test_namespace_enforces_the_restricted_level(cluster):
    labels = cluster.get("namespace", "vars")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_claim_is_bound(claim):
    assert claim["status"]["phase"] == "Bound"


def test_claim_holds_one_gibibyte(claim):
    assert claim["status"]["capacity"]["storage"] == "1Gi"


def test_claim_is_for_one_node(claim):
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_database_mounts_the_claim(cluster):
    volumes = cluster.get("deployment", "db")["spec"]["template"]["spec"]["volumes"]
    assert "db" in {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}


def test_database_is_recreated_never_doubled(cluster):
    assert cluster.get("deployment", "db")["spec"]["strategy"] == {"type": "Recreate"}


@pytest.fixture
def asked(cluster, lab):
    """Return the values that the lab's play gave the chart for the replicas, over those of the chart itself."""
    own = yaml.safe_load((CHECKOUT / "app/chart/values.yaml").read_text())
    found = cluster.run("get", "applications.argoproj.io", "vars", "--namespace", "argocd", "--output", "json")
    if found.returncode:
        given = yaml.safe_load((lab.state / "vars.values.yml").read_text())
    else:
        given = json.loads(found.stdout)["spec"]["sources"][0]["helm"]["valuesObject"]
    return own["services"]["web"] | given.get("services", {}).get("web", {})


def test_web_has_as_many_replicas_as_were_asked_for(web, asked):
    assert web["replicas"] == asked["replicas"]


def test_one_replica_may_be_away_while_a_node_is_drained(cluster):
    status = cluster.get("poddisruptionbudget", "web")["status"]
    assert status["disruptionsAllowed"] == 1, status


def test_web_loses_no_replica_in_a_rollout(web):
    assert web["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_web_pulls_its_image_always_where_tags_may_change(web_container, lab):
    assert web_container["imagePullPolicy"] == ("IfNotPresent" if lab.source == "upstream" else "Always")


def test_web_is_asked_every_ten_seconds_whether_it_is_ready(web_container):
    assert web_container["readinessProbe"]["periodSeconds"] == 10


def test_web_waits_for_the_database_and_then_for_the_schema(web):
    names = [container["name"] for container in web["template"]["spec"]["initContainers"]]
    assert names == ["wait-for-database", "wait-for-schema"]


@pytest.mark.parametrize("component", ["web", "database", "migrations"])
@pytest.mark.parametrize(
    ("setting", "value"),
    [("readOnlyRootFilesystem", True), ("allowPrivilegeEscalation", False), ("capabilities", {"drop": ["ALL"]})],
    ids=["read-only root", "no new privileges", "no capabilities"],
)
def test_every_container_has(cluster, component, setting, value):
    pods = cluster.component(component)
    given = [
        item["securityContext"].get(setting)
        for pod in pods
        for item in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    ]
    assert given
    assert given == [value] * len(given)


def test_web_service_has_a_node_port(cluster):
    assert cluster.get("service", "web")["spec"]["type"] == "NodePort"


def test_database_is_reached_inside_the_cluster_only(cluster):
    assert cluster.get("service", "db")["spec"]["type"] == "ClusterIP"


def test_ingress_has_an_address(cluster):
    assert cluster.get("ingress", "web")["status"]["loadBalancer"].get("ingress")


@pytest.mark.parametrize("host", ["vars.localhost", "localhost"])
def test_ingress_knows_the_host(cluster, host):
    assert host in {rule["host"] for rule in cluster.get("ingress", "web")["spec"]["rules"]}


def test_proxy_is_reached_by_node_ports(cluster):
    assert cluster.get("service", "traefik", "traefik")["spec"]["type"] == "NodePort"


def test_proxy_has_the_node_ports_that_the_node_publishes(cluster):
    ports = {port["nodePort"] for port in cluster.get("service", "traefik", "traefik")["spec"]["ports"]}
    assert ports == {30080, 30443}
