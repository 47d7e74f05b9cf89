"""What a cluster without mirrors is given: references into a registry of the user's own, manifests with them."""

import pytest
import yaml

from lab import build
from lab.build.elsewhere import manifest
from lab.kubectl import MARK

REGISTRY = "registry.example.org/team"
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: proxy}
spec:
  template:
    spec:
      initContainers: [{name: first, image: "docker.io/library/proxy:v3.7"}]
      containers: [{name: proxy, image: "docker.io/library/proxy:v3.7"}]
"""
KINDS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
"""


@pytest.fixture
def made(small, plan_of):
    """Return a function that gives a plan whose `proxy` has manifests, for a registry."""
    small["components"]["proxy"]["packages"]["manifest"] = "deploy.yaml"

    def plan(registry=REGISTRY):
        plan = plan_of(small, registry=registry)
        if not plan.store.has("proxy", plan.key("proxy")):
            with plan.store.make("proxy", plan.key("proxy")) as folder:
                (folder / "manifest.yaml").write_text(MANIFEST)
                (folder / "kinds.yaml").write_text(KINDS)
        return plan

    return plan


@pytest.fixture
def state(tmp_path):
    """Return the state folder of a lab."""
    return tmp_path / ".lab" / "mine"


def test_image_that_is_pushed_is_named_as_it_is_pulled(made):
    assert made().pulled("proxy") == f"{REGISTRY}/docker.io/library/proxy:v3.7"


def test_image_that_no_cluster_pulls_keeps_its_name(made):
    assert made().pulled("base") == "docker.io/library/base:12"


def test_cluster_whose_nodes_have_mirrors_pulls_by_upstreams_name(made):
    assert made("").pulled("proxy") == "docker.io/library/proxy:v3.7"


def test_artifact_is_the_same_for_every_registry(made):
    assert made().artifact("proxy") == made("").artifact("proxy")


def test_roles_are_told_the_names_as_they_are_pulled(made, state):
    told = build.summary(made(), ["base", "proxy"], state)
    assert told["refs"] == {"base": "docker.io/library/base:12", "proxy": f"{REGISTRY}/docker.io/library/proxy:v3.7"}


def test_every_image_in_a_manifest_is_named_as_it_is_pulled(made, state):
    pod = yaml.safe_load(manifest(made(), "proxy", state).read_text())["spec"]["template"]["spec"]
    assert {item["image"] for item in pod["initContainers"] + pod["containers"]} == {f"{REGISTRY}/docker.io/library/proxy:v3.7"}


def test_kinds_beside_it_say_which_lab_they_are_of(made, state):
    kinds = manifest(made(), "proxy", state).with_name("kinds.yaml")
    assert yaml.safe_load(kinds.read_text())["metadata"]["labels"] == {MARK: "mine"}


def test_manifest_for_the_labs_own_cluster_is_the_artifacts(made, state):
    plan = made("")
    assert manifest(plan, "proxy", state) == plan.artifact("proxy") / "manifest.yaml"
    assert not state.exists()


def test_manifest_is_written_once(made, state):
    path = manifest(made(), "proxy", state)
    before = path.stat().st_mtime_ns
    assert manifest(made(), "proxy", state).stat().st_mtime_ns == before


def test_another_registry_has_a_manifest_of_its_own(made, state):
    assert manifest(made(), "proxy", state) != manifest(made("other.example.org"), "proxy", state)
