"""Which lab an object of the whole cluster is of stands in a label."""

import copy
import importlib.util
from pathlib import Path

import pytest

from lab import kubectl

spec = importlib.util.spec_from_file_location("objects_filters", Path(__file__).parents[3] / "roles/objects/filter_plugins/objects.py")
filters = importlib.util.module_from_spec(spec)
spec.loader.exec_module(filters)


def thing(kind, **metadata):
    """Return an object."""
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x", **metadata}}


@pytest.mark.parametrize("kind", ["Namespace", "ClusterRole", "ClusterRoleBinding", "IngressClass", "APIService"])
def test_object_of_the_whole_cluster_is_marked(kind):
    (marked,) = filters.objects_marked([thing(kind)], "mine")
    assert marked["metadata"]["labels"] == {"cluster-lab/name": "mine"}


def test_labels_that_are_there_stay():
    (marked,) = filters.objects_marked([thing("Namespace", labels={"a": "b"})], "mine")
    assert marked["metadata"]["labels"] == {"a": "b", "cluster-lab/name": "mine"}


def test_object_in_a_namespace_is_not_marked():
    assert filters.objects_marked([thing("Service", namespace="vars")], "mine") == [thing("Service", namespace="vars")]


def test_what_was_given_is_not_changed():
    given = [thing("Namespace", labels={"a": "b"})]
    before = copy.deepcopy(given)
    filters.objects_marked(given, "mine")
    assert given == before


def test_it_is_the_mark_that_is_asked_for():
    assert filters.MARK == kubectl.MARK
