"""What a bundle of this lab would carry, held against what its nodes really have."""

import pytest

from lab import catalog
from lab.bundle import contents
from lab.registry import Registry, path_of

# Started by a sandbox, by a provisioner, by a hook, by an operator: no manifest that anybody applies names them all.
BY_OTHERS = {"pause", "busybox", "migrations", "prometheus", "alertmanager", "prometheus-config-reloader"}
# What is in a node image of kind's, and so in a bundle with it: what its pods in these namespaces run, and what none of them names.
BROUGHT_IN, BROUGHT = ("kube-system", "local-path-storage"), ("docker.io/kindest/", "registry.k8s.io/pause:")
# What the operator of upstream's chart is told of, and would run beside a Prometheus that asks for it; none of the lab's does.
NEVER_RUN = "quay.io/thanos/thanos:"


def name_of(plan, reference):
    """Return the component that provides an image, None where the catalog has none."""
    try:
        return plan.catalog.by_image(reference.replace(f":{plan.registry_port}/", ":{registry_port}/")).name
    except catalog.CatalogError:
        return None


@pytest.fixture(scope="module")
def on_nodes(machine, lab):
    """Return every image that containerd has on the lab's nodes, by tag, with its digest there."""
    nodes = machine.check_output(f"docker ps --filter=label=io.x-k8s.kind.cluster={lab.name} --format '{{{{.Names}}}}'").split()
    # containerd's own client: a node that is made of packages has no crictl.
    listed = [machine.check_output(f"docker exec {node} ctr --namespace k8s.io images list") for node in nodes]
    found = {}
    for reference, _, digest, *_ in (line.split() for text in listed for line in text.splitlines()[1:]):
        if "@" not in reference and not reference.startswith("sha256:"):
            found[reference] = digest
    return found


@pytest.fixture(scope="module")
def carried(plan):
    """Return the components that a bundle of every part would carry."""
    return set(contents.carried(plan.catalog))


@pytest.fixture(scope="module")
def brought(plan, cluster):
    """Return a function that says whether an image is the node image's own; none is where the lab makes that itself."""
    pods = cluster.all("pods") if plan.catalog["node"].pulled else []
    images = {catalog.repository(item["image"]) for pod in pods if pod["metadata"]["namespace"] in BROUGHT_IN for item in pod["spec"]["containers"]}
    return lambda image: bool(pods) and (catalog.repository(image) in images or image.startswith((*BROUGHT, NEVER_RUN)))


@pytest.mark.own_cluster
def test_every_image_on_a_node_is_one_that_a_bundle_carries(plan, on_nodes, carried, brought):
    assert on_nodes
    assert {tag for tag in on_nodes if name_of(plan, tag) not in carried and not brought(tag)} == set()


@pytest.mark.own_cluster
def test_what_no_manifest_names_was_seen(plan, on_nodes, cluster):
    parts = {name for name in ("argocd", "monitoring") if any(item["metadata"]["name"] == name for item in cluster.all("namespaces"))}
    wanted = {name for name in BY_OTHERS & set(plan.catalog.components) if plan.catalog[name].part in {None, *parts}}
    assert wanted - {name_of(plan, tag) for tag in on_nodes} == set()


@pytest.mark.own_cluster
def test_nodes_have_the_very_images_that_a_bundle_carries(plan, lab, on_nodes):
    registry = Registry(f"localhost:{lab.registry}")
    pushed = {tag: digest for tag, digest in on_nodes.items() if (name := name_of(plan, tag)) and plan.catalog[name].pushed}
    assert pushed
    assert {tag for tag, digest in pushed.items() if registry.digest(*path_of(tag)) != digest} == set()


def test_every_image_that_an_object_names_is_one_that_a_bundle_carries(plan, cluster, carried, brought):
    kinds = "deployments.apps,daemonsets.apps,statefulsets.apps,jobs.batch,pods,configmaps"
    parts = [item["metadata"]["name"] for item in cluster.all("namespaces")]
    if "monitoring" in parts:
        kinds += ",prometheuses.monitoring.coreos.com,alertmanagers.monitoring.coreos.com"
    named = {text for item in cluster.all(kinds) for text in images_in(item, plan)}
    assert named
    assert {image for image in named if name_of(plan, image) not in carried and not brought(image)} == set()


def images_in(node, plan):
    """Yield what looks like an image of a host that the catalog has images of, anywhere in an object, in arguments, too."""
    hosts = {catalog.repository(plan.reference(name)).split("/")[0] for name, item in plan.catalog.components.items() if item.image}
    if isinstance(node, str):
        for word in node.replace("=", " ").replace('"', " ").split():
            host, _, rest = word.partition("/")
            if host in hosts and ":" in rest and "://" not in word:
                yield word.partition("@")[0]
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
        yield from images_in(item, plan)
