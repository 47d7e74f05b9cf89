"""The chart of what watches the lab: what its objects have, and that the role's values are keys of it."""

from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[2] / "roles" / "monitoring"
CHART = ROLE / "files" / "chart"
TAG = {"tag": "v1"}
VALUES = {
    "prometheusOperator": {"image": TAG, "prometheusConfigReloader": {"image": TAG}},
    "prometheus": {
        "ingress": {"enabled": True, "ingressClassName": "traefik", "hosts": ["prometheus.localhost"]},
        "prometheusSpec": {"image": TAG},
        "additionalServiceMonitors": [{"name": "vars", "selector": {}, "endpoints": [{"port": "http"}]}],
    },
    "alertmanager": {"alertmanagerSpec": {"image": TAG}, "config": {"route": {"receiver": "x"}}},
    "kube-state-metrics": {"image": TAG},
    "prometheus-node-exporter": {"image": TAG},
    "additionalPrometheusRulesMap": {"service": {"groups": []}},
}
# What in the values is the user's own or goes to Kubernetes as it is: its keys are not the chart's.
FREE = {"additionalPrometheusRulesMap", "config", "storageSpec", "resources", "image"}


@pytest.fixture(scope="session")
def render(template):
    """Return a function that renders the chart with values and gives back its objects by kind/name."""

    def run(values):
        objects = template("kube-prometheus-stack", CHART, "monitoring", values)
        return {f"{item['kind'].lower()}/{item['metadata']['name'].removeprefix('kube-prometheus-stack-')}": item for item in objects}

    return run


@pytest.fixture(scope="session")
def objects(render):
    return render(VALUES)


@pytest.fixture(scope="session")
def templates(objects):
    return {name: item["spec"]["template"]["spec"] for name, item in objects.items() if name.startswith(("deployment/", "daemonset/"))}


@pytest.mark.parametrize("name", ["deployment/operator", "deployment/kube-state-metrics"])
def test_pod_meets_the_restricted_level(templates, name):
    spec = templates[name]
    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    for container in spec["containers"]:
        context = container["securityContext"]
        assert (context["allowPrivilegeEscalation"], context["capabilities"]) == (False, {"drop": ["ALL"]})


@pytest.mark.parametrize("name", ["prometheus/prometheus", "alertmanager/alertmanager"])
def test_pod_that_the_operator_makes_meets_the_restricted_level(objects, name):
    context = objects[name]["spec"]["securityContext"]
    assert (context["runAsNonRoot"], context["seccompProfile"]) == (True, {"type": "RuntimeDefault"})


@pytest.mark.parametrize("name", ["deployment/operator", "deployment/kube-state-metrics", "daemonset/prometheus-node-exporter"])
def test_every_container_has_a_memory_limit(templates, name):
    assert all("memory" in container["resources"]["limits"] for container in templates[name]["containers"])


@pytest.mark.parametrize("name", ["prometheus/prometheus", "alertmanager/alertmanager"])
def test_what_the_operator_makes_has_a_memory_limit(objects, name):
    assert "memory" in objects[name]["spec"]["resources"]["limits"]


def test_only_the_node_exporter_has_a_namespace_of_its_own(objects):
    elsewhere = {name for name, item in objects.items() if item["metadata"].get("namespace", "monitoring") != "monitoring"}
    assert elsewhere == {"daemonset/prometheus-node-exporter", "service/prometheus-node-exporter"}


def test_everything_is_found_by_its_release(objects):
    assert {item["metadata"]["labels"].get("release") for item in objects.values()} == {"kube-prometheus-stack"}


def test_what_belongs_to_a_namespace_names_it(objects):
    without = {name.split("/")[0] for name, item in objects.items() if "namespace" not in item["metadata"]}
    assert without == {"clusterrole", "clusterrolebinding"}


@pytest.mark.parametrize("name", ["servicemonitor", "podmonitor", "rule"])
def test_prometheus_takes_what_is_labelled_with_the_release_in_every_namespace(objects, name):
    spec = objects["prometheus/prometheus"]["spec"]
    key = {"servicemonitor": "serviceMonitor", "podmonitor": "podMonitor", "rule": "rule"}[name]
    assert spec[f"{key}Selector"] == {"matchLabels": {"release": "kube-prometheus-stack"}}
    assert spec[f"{key}NamespaceSelector"] == {}


def test_memory_of_a_container_that_ended_is_gone_at_the_next_scrape(objects):
    endpoints = objects["servicemonitor/kubelet"]["spec"]["endpoints"]
    assert [endpoint["trackTimestampsStaleness"] for endpoint in endpoints] == [True, True]


def test_image_without_a_tag_is_refused(render):
    with pytest.raises(ValueError, match="image.tag is needed"):
        render({})


def test_value_of_the_role_is_a_key_of_the_chart():
    given = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__monitoring_values"]
    known = yaml.safe_load((CHART / "values.yaml").read_text())

    def unknown(given, known, path=""):
        for key, value in given.items():
            if key not in known:
                yield f"{path}{key}"
            elif isinstance(value, dict) and key not in FREE:
                yield from unknown(value, known[key], f"{path}{key}.")

    assert list(unknown(given, known)) == []
