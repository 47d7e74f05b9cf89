"""The cluster: its nodes, what runs on them, and where the images come from."""

import re

import pytest

from lab import catalog, made, upgrade
from lab.gitops import state
from lab.preflight.variables import PARTS
from lab.registry import Registry, path_of

PROVIDED = catalog.load("packages")
DEPLOYED = [pytest.param(name, marks=[pytest.mark.own_cluster] if item.part == "cluster" else [])
            for name, item in sorted(PROVIDED.components.items()) if item.deployed and item.stage == "service"]  # fmt: skip
WORKLOADS = [
    *(pytest.param(*item, marks=pytest.mark.own_cluster) for item in (
        ("kube-system", "deployment", "coredns"), ("kube-system", "daemonset", "kube-proxy"),
        ("local-path-storage", "deployment", "local-path-provisioner"))),
    ("traefik", "deployment", "traefik"),
    ("vars", "deployment", "db"),
    ("vars", "deployment", "web"),
]  # fmt: skip

# What runs all the time under the catalog's own version: busybox only helps for a moment, pause is in no pod's list, and what is
# built from the checkout has the version of its content.
LASTING = [name for name, item in sorted(PROVIDED.components.items())
           if item.deployed and "{key}" not in item.image and name not in ("busybox", "pause")]  # fmt: skip


def pod_specs(cluster):
    return {f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod["spec"] for pod in cluster.all("pods")}


def containers(spec):
    return [*spec.get("initContainers", []), *spec["containers"]]


@pytest.fixture(scope="module")
def registry(lab):
    """Return the registry that the cluster pulls from, reached as a user reaches it."""
    return Registry(lab.images.partition("/")[0] or f"localhost:{lab.registry}")


@pytest.fixture(scope="module")
def place(lab):
    """Return a function that tells repository and tag, in that registry, of an image as a pod names it."""

    def where(image):
        name, _, tag = image.partition("/")[2].rpartition(":")
        return (name, tag) if lab.images else path_of(image)

    return where


def deployed_images(cluster, name):
    """Return the images that the cluster has pods of, of one of the checkout's components."""
    images = {item["image"] for spec in pod_specs(cluster).values() for item in containers(spec)}
    return {image for image in images if f"/vars/{name}:" in image}


@pytest.fixture
def provided(plan):
    """Return a pattern for the images of the catalog; what is built from the checkout may have any content's tag."""
    names = [item for item in plan.catalog.components.values() if item.image]
    patterns = [re.escape(item.image).replace(re.escape("{registry_port}"), str(plan.registry_port)) for item in names]
    return re.compile("|".join(pattern.replace(re.escape("{key}"), "[0-9a-f]{12}") for pattern in patterns))


@pytest.mark.own_cluster
def test_nodes_are_those_of_the_lab(nodes, lab):
    assert nodes == sorted(lab.nodes)


def test_every_node_is_ready(cluster):
    ready = {
        node["metadata"]["name"]: condition["status"]
        for node in cluster.all("nodes")
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    }
    assert ready
    assert set(ready.values()) == {"True"}, ready


@pytest.mark.own_cluster
def test_every_kubelet_has_the_catalogs_version(cluster, plan):
    versions = {node["status"]["nodeInfo"]["kubeletVersion"] for node in cluster.all("nodes")}
    assert versions == {f"v{plan.catalog['node'].version}"}


@pytest.mark.own_cluster
def test_api_server_has_the_catalogs_version(cluster, plan):
    assert f'"gitVersion": "v{plan.catalog["node"].version}"' in cluster.text("get", "--raw", "/version")


@pytest.mark.own_cluster
def test_what_there_is_one_of_holds_no_election(cluster):
    held = {lease["metadata"]["name"] for lease in cluster.all("leases", "--namespace", "kube-system")}
    assert not held & {"kube-scheduler", "kube-controller-manager"}


@pytest.mark.parametrize(("namespace", "kind", "name"), WORKLOADS, ids=lambda text: text)
def test_workload_is_there(cluster, namespace, kind, name):
    assert cluster.get(kind, name, namespace)["metadata"]["name"] == name


def test_every_deployment_is_available(cluster):
    wanting = {
        item["metadata"]["name"]: item["status"]
        for item in cluster.all("deployments")
        if item["status"].get("availableReplicas", 0) != item["spec"]["replicas"] or item["spec"]["replicas"] == 0
    }
    assert wanting == {}


def test_every_daemonset_is_available(cluster):
    wanting = {
        item["metadata"]["name"]: item["status"]
        for item in cluster.all("daemonsets")
        if item["status"].get("numberAvailable", 0) != item["status"]["desiredNumberScheduled"]
    }
    assert wanting == {}


@pytest.mark.own_cluster
@pytest.mark.parametrize("name", ["kube-proxy", "kube-router"])
def test_every_node_has_its_network(cluster, lab, plan, name):
    # kind's own node image brings kindnet, which routes and enforces policies.
    name = "kindnet" if name == "kube-router" and name not in plan.catalog.components else name
    pods = cluster.all("pods", "--namespace", "kube-system", "--selector", f"k8s-app={name}")
    ready = {pod["spec"]["nodeName"] for pod in pods for status in pod["status"]["containerStatuses"] if status["ready"]}
    assert ready == set(lab.nodes)


@pytest.mark.own_cluster
def test_users_pods_run_on_workers_where_there_are_any(cluster, lab):
    nodes = {pod["spec"]["nodeName"] for name in ("web", "database") for pod in cluster.component(name)}
    assert nodes
    assert nodes <= set(lab.nodes[1:] or lab.nodes)


@pytest.mark.own_cluster
def test_every_node_leads_to_the_service(lab, machine):
    # From the first node, since not every machine has a way to the nodes' own addresses.
    command = "docker exec {} curl --silent --output /dev/null --write-out '%{{http_code}}' --max-time 10 --header 'Host: vars.localhost' {}"
    answers = {node: machine.check_output(command.format(lab.container, f"http://{node}:30080/readyz")) for node in lab.nodes}
    assert answers == dict.fromkeys(lab.nodes, "200")


@pytest.mark.own_cluster
def test_every_pod_runs_an_image_of_the_catalog(cluster, provided, plan):
    # What a node image of kind's brings is named by nobody here.
    brought = () if "kube-apiserver" in plan.catalog.components else ("kube-system/", "local-path-storage/")
    images = {item["image"] for name, spec in pod_specs(cluster).items() if not name.startswith(brought) for item in containers(spec)}
    assert {image for image in images if not provided.fullmatch(catalog_name(image))} == set()


@pytest.mark.own_cluster
def test_every_image_on_a_node_is_one_of_the_catalog(cluster, plan):
    if "kube-apiserver" not in plan.catalog.components:
        pytest.skip("the node image is kind's, and holds images of its own")
    # Of whatever version: what ran before an upgrade is kept until the node needs the room.
    names = {name for node in cluster.all("nodes") for image in node["status"]["images"] for name in image["names"]}
    tagged = {name for name in names if "@" not in name}
    assert tagged
    assert {name for name in tagged if not upgrade.provider(name, plan.catalog)} == set()


def catalog_name(image):
    """Return an image reference with its host, as the catalog spells it."""
    name, _, tag = image.rpartition(":")
    return f"{catalog.repository(name)}:{tag}"


@pytest.mark.own_cluster
def test_no_pod_takes_a_port_of_the_host(cluster):
    # What shares the host's network has its ports listed as host ports by the API server itself.
    taken = {
        name: port["hostPort"]
        for name, spec in pod_specs(cluster).items()
        if not spec.get("hostNetwork")
        for item in containers(spec)
        for port in item.get("ports", [])
        if "hostPort" in port
    }
    assert taken == {}


@pytest.mark.own_cluster
def test_no_pod_outlives_what_made_it(cluster):
    # Checks that run at the same time bring pods of their own.
    alone = [pod["metadata"]["name"] for pod in cluster.all("pods") if not pod["metadata"].get("ownerReferences")]
    assert [name for name in alone if not name.startswith("check-")] == []


@pytest.mark.own_cluster
def test_storage_class_is_the_default(cluster):
    annotations = cluster.get("storageclass", "standard")["metadata"]["annotations"]
    assert annotations["storageclass.kubernetes.io/is-default-class"] == "true"


@pytest.mark.parametrize("name", DEPLOYED)
def test_registry_holds(registry, place, plan, cluster, name):
    if name not in plan.catalog.components or not plan.catalog[name].pushed:
        pytest.skip("nodes have it from upstream")
    image = plan.pulled(name)
    # Built from the checkout, which may have changed since: what counts is what the cluster was told to run.
    images = deployed_images(cluster, name) if "{key}" in plan.catalog[name].image else {image}
    assert images
    assert {image for image in images if not registry.digest(*place(image))} == set()


@pytest.mark.parametrize("component", ["web", "migrations"])
def test_pods_run_what_the_registry_serves(registry, place, cluster, component):
    running = {
        (status["image"], status["imageID"].rpartition("@")[2])
        for pod in cluster.component(component)
        for status in pod["status"]["containerStatuses"]
    }
    assert running
    assert running == {(image, registry.digest(*place(image))) for image, _ in running}


@pytest.fixture(scope="module")
def running(cluster, plan):
    """Return the versions that run, by component, as their images' tags have them."""
    return upgrade.running(cluster.all("pods"), plan.catalog)


@pytest.mark.own_cluster
@pytest.mark.parametrize("name", LASTING)
def test_component_runs_in_the_catalogs_version(running, plan, name):
    if name not in plan.catalog.components:
        pytest.skip(f"kind's node image brings {name}, in a version that is the image's own")
    component = plan.catalog[name]
    parts = {plan.catalog[item].part for item in running}
    if component.part not in parts and component.part in PARTS:
        pytest.skip(f"this lab was stood up without {component.part}: {name} was not looked for")
    assert running.get(name) == component.image.rpartition(":")[2]


@pytest.mark.own_cluster
def test_node_is_made_of_the_catalogs_image(machine, lab, plan):
    assert machine.check_output(f"docker inspect --format '{{{{.Config.Image}}}}' {lab.container}") in (
        plan.reference("node"), plan.reference("node").removeprefix("docker.io/"))  # fmt: skip


@pytest.mark.own_cluster
def test_record_of_what_the_cluster_was_made_of_is_the_catalogs(lab, plan):
    assert upgrade.recorded(state.load(lab.name)) == made.made_of(plan.catalog)


def test_every_claim_is_bound(cluster):
    claims = {f"{item['metadata']['namespace']}/{item['metadata']['name']}": item["status"]["phase"] for item in cluster.all("persistentvolumeclaims")}
    assert "vars/db" in claims
    assert set(claims.values()) == {"Bound"}, claims


@pytest.mark.own_cluster
def test_certificates_are_looked_at_by_the_node(lab, machine, eventually):
    inside = f"docker exec {lab.container} "
    assert machine.check_output(inside + "systemctl is-enabled renew-certificates") == "enabled"
    # It has just been installed, or the node started: the first look may be still to come. Its pause is 15 s.
    age = inside + "sh -c 'echo $(($(date +%s) - $(stat -c %Y /etc/kubernetes/pki/lab/looked 2>/dev/null || echo 0)))'"
    eventually(lambda: int(machine.check_output(age)) < 60, "certificates are looked at", seconds=60)
    assert machine.check_output(inside + "stat -c %a /etc/kubernetes/pki/lab /etc/kubernetes/pki/lab/ca.key").split() == ["700", "600"]
