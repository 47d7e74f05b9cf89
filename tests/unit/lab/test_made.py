"""What a living cluster is made of, and what is said where the catalog has it in another version."""

import copy

import pytest
import yaml

from lab import made
from lab.catalog import CATALOG, Catalog
from lab.preflight import living

DATA = yaml.safe_load(CATALOG.read_text())
NODE, ETCD, POSTGRES = (str(DATA["components"][name]["packages"]["version"]) for name in ("node", "etcd", "postgres"))


def catalog(**versions):
    """Return the catalog with other versions of some components."""
    data = copy.deepcopy(DATA)
    for name, version in versions.items():
        data["components"][name.replace("_", "-")]["packages"]["version"] = version
    return Catalog(data, "packages")


def test_nodes_what_kubeadm_brings_and_the_datas_format_are_what_a_cluster_is_made_of():
    found = made.made_of(catalog())
    assert {"node", "nodebase", "kubelet", "kube-apiserver", "etcd", "coredns", "local-path-provisioner", "postgres"} <= found.keys()
    assert found.keys().isdisjoint({"traefik", "argocd", "kube-router", "kubectl", "web", "prometheus"})


@pytest.mark.parametrize("versions", [{}, {"traefik": "9.9.9"}, {"argocd": "9.9.9"}, {"postgres": f"{POSTGRES}.4"}, {"kube_router": "9.9.9"}])
def test_what_kubernetes_applies_in_place_is_no_other_cluster(versions):
    assert made.changed(made.made_of(catalog()), catalog(**versions)) == {}


@pytest.mark.parametrize(("versions", "change"), [
    ({"node": "9.9.9"}, {"node": (NODE, "9.9.9")}), ({"etcd": "9.9.9"}, {"etcd": (ETCD, "9.9.9")}),
    ({"postgres": "99.1"}, {"postgres": (POSTGRES, "99")}),
])  # fmt: skip
def test_another_version_of_what_only_a_new_cluster_has_is_a_change(versions, change):
    assert made.changed(made.made_of(catalog()), catalog(**versions)) == change


def test_of_a_cluster_that_was_there_the_data_alone_is_the_labs():
    assert made.changed(made.made_of(catalog()), catalog(node="9.9.9", postgres="99.1"), existing=True) == {"postgres": (POSTGRES, "99")}


def test_refusal_names_what_and_says_what_to_type_and_what_is_kept():
    said = made.refusal({"node": ("1.0", "1.1"), "etcd": ("3.0", "3.1")}, "lab")
    assert said == ("what this lab's cluster is made of cannot change while it lives (node 1.0 -> 1.1, etcd 3.0 -> 3.1): make backup, "
                    "make down up, make restore FILE=.lab/lab/backups/<time>.dump (what was built stays)")  # fmt: skip
    assert "make backup NAME=two, make down up NAME=two, make restore NAME=two FILE=.lab/two/" in made.refusal({"node": ("1", "2")}, "two")


@pytest.fixture
def state(tmp_path):
    """Return the folder of a lab whose cluster was created completely."""
    (tmp_path / "lab.yml").write_text(yaml.safe_dump({"lab_made_of": made.made_of(catalog())}))
    (tmp_path / "cluster.id").write_text("x")
    return tmp_path


def test_living_cluster_of_other_nodes_is_refused(state):
    assert living.changed_cluster(state, "lab", catalog()) == []
    (found,) = living.changed_cluster(state, "lab", catalog(node="9.9.9"))
    assert f"node {NODE} -> 9.9.9" in found.message


def test_cluster_that_was_never_created_completely_is_made_anew(state):
    (state / "cluster.id").unlink()
    assert living.changed_cluster(state, "lab", catalog(node="9.9.9")) == []


def test_lab_from_before_this_was_recorded_is_taken_as_it_is(state):
    (state / "lab.yml").write_text("lab_name: lab\n")
    assert living.changed_cluster(state, "lab", catalog(node="9.9.9")) == []
