"""Traefik's chart, rendered with the values that the role gives it."""

from pathlib import Path

import jinja2.nativetypes
import pytest
import yaml

ROLE = Path(__file__).parents[2] / "roles" / "traefik"
INPUTS = {
    "images_pull_policy": "Always",
    "images_refs": {"traefik": "registry.example/library/traefik:1.2.3"},
    "traefik_namespace": "traefik",
    "traefik_class": "traefik",
    "traefik_default": True,
    "traefik_type": "NodePort",
    "traefik_http_node_port": 30080,
    "traefik_https_node_port": 30443,
    "traefik_address": "127.0.0.1",
    "traefik_node_label": "node-role.kubernetes.io/control-plane",
}


def filled(node, known):
    """Return the role's variables with their templates filled in, as Ansible does it: native types."""
    if isinstance(node, dict):
        return {key: filled(value, known) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, known) for value in node]
    if isinstance(node, str) and "{{" in node:
        environment = jinja2.nativetypes.NativeEnvironment()
        environment.filters["combine"] = lambda one, other: {**one, **other}
        return environment.from_string(node).render(known)
    return node


@pytest.fixture(scope="session")
def values():
    return values_of(**INPUTS)


def values_of(**known):
    """Return the values that the role gives the chart for these inputs."""
    raw = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    known["__traefik_exact"], known["__traefik_nodes"] = raw["__traefik_exact"], filled(raw["__traefik_nodes"], known)
    return filled(raw["__traefik_values"], known)


@pytest.fixture(scope="session")
def objects(template, values):
    return {item["kind"]: item for item in template("traefik", ROLE / "files" / "chart", "traefik", values)}


@pytest.fixture(scope="session")
def arguments(objects):
    """The command line of Traefik as option and value."""
    words = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["args"]
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def test_image_is_the_one_that_was_given(objects):
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == INPUTS["images_refs"]["traefik"]


@pytest.mark.parametrize(("port", "number"), [("web", 30080), ("websecure", 30443)])
def test_entry_point_has_its_node_port(objects, port, number):
    ports = {item["name"]: item["nodePort"] for item in objects["Service"]["spec"]["ports"]}
    assert (objects["Service"]["spec"]["type"], ports[port]) == ("NodePort", number)


def test_rules_are_reached_by_the_two_entry_points_for_them_alone(arguments):
    default = {key.split(".")[1] for key, value in arguments.items() if key.endswith(".asdefault") and value == "true"}
    assert default == {"web", "websecure"}


@pytest.mark.parametrize("port", ["web", "websecure"])
def test_request_that_reached_nobody_is_sent_to_the_next_pod(objects, arguments, port):
    name, _, provider = arguments[f"entrypoints.{port}.http.middlewares"].partition("@")
    content = yaml.safe_load(objects["ConfigMap"]["data"]["config.yml"])
    assert (provider, content["http"]["middlewares"][name]["retry"]["attempts"]) == ("file", 8)
    assert arguments["serverstransport.forwardingtimeouts.dialtimeout"] == "500ms"


def test_pod_reads_the_middlewares(objects, arguments):
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    (mount,) = [item for item in spec["containers"][0]["volumeMounts"] if item["mountPath"] == arguments["providers.file.directory"]]
    (volume,) = [item for item in spec["volumes"] if item["name"] == mount["name"]]
    assert volume["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]


@pytest.mark.parametrize("port", ["web", "websecure"])
def test_paths_are_not_cleaned(arguments, port):
    assert arguments[f"entrypoints.{port}.http.sanitizepath"] == "false"


@pytest.mark.parametrize("port", ["web", "websecure"])
@pytest.mark.parametrize("what", ["backslash", "hash", "nullcharacter", "percent", "questionmark", "semicolon", "slash"])
def test_encoded_character_passes(arguments, port, what):
    assert arguments[f"entrypoints.{port}.http.encodedcharacters.allowencoded{what}"] == "true"


def test_only_the_secure_entry_point_speaks_tls(arguments):
    assert [key for key in arguments if key.endswith("http.tls")] == ["entrypoints.websecure.http.tls"]


def test_ingresses_publish_this_machines_address(arguments):
    assert arguments["providers.kubernetesingress.ingressendpoint.ip"] == "127.0.0.1"


def test_pod_takes_no_port_of_the_node(objects):
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert [port for port in container["ports"] if "hostPort" in port] == []


def test_pod_rather_runs_where_the_ports_lead_and_may(objects):
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    (preferred,) = spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["preference"]["matchExpressions"] == [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]
    assert spec["tolerations"] == [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}]


def test_pod_runs_anywhere_where_no_node_is_named(template):
    given = values_of(**{**INPUTS, "traefik_node_label": ""})
    (deployment,) = [item for item in template("traefik", ROLE / "files" / "chart", "traefik", given) if item["kind"] == "Deployment"]
    assert {"affinity", "tolerations"} & set(deployment["spec"]["template"]["spec"]) == set()


def test_pod_meets_the_restricted_level(objects):
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
    }  # fmt: skip


def test_value_of_the_role_is_a_key_of_the_chart(values):
    known = yaml.safe_load((ROLE / "files" / "chart" / "values.yaml").read_text())

    def unknown(given, known, path=""):
        for key, value in given.items():
            if key not in known:
                yield f"{path}{key}"
            # What is under them goes to Traefik as it is.
            elif isinstance(value, dict) and key not in ("http", "content", "affinity"):
                yield from unknown(value, known[key], f"{path}{key}.")

    assert list(unknown(values, known)) == []
