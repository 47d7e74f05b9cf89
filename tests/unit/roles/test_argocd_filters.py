"""What becomes of Argo CD's install manifest, and its password's hash."""

import importlib.util
from pathlib import Path

import bcrypt
import pytest
import yaml

# The image that tests the service has no Ansible; the lab's own test run has.
errors = pytest.importorskip("ansible.errors", reason="Ansible is not installed: the filters of the role argocd were not checked")

PLUGIN = Path(__file__).parents[3] / "roles/argocd/filter_plugins/argocd.py"
CONTAINER = {"name": "s", "env": [{"name": "A", "value": "1"}], "readinessProbe": {"periodSeconds": 30}}
SERVER = {
    "kind": "Deployment",
    "metadata": {"name": "argocd-server", "labels": {"app.kubernetes.io/name": "argocd-server"}},
    "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}},
}
MANIFEST = [
    SERVER,
    {"kind": "ConfigMap", "metadata": {"name": "argocd-cm", "labels": {"app.kubernetes.io/name": "argocd-cm"}}, "data": {"old": "1"}},
    {"kind": "Service", "metadata": {"name": "x", "labels": {"app.kubernetes.io/name": "argocd-notifications-controller"}}},
    {"kind": "ClusterRoleBinding", "metadata": {"name": "c"}, "subjects": [{"kind": "ServiceAccount", "name": "c", "namespace": "argocd"}]},
]


@pytest.fixture(scope="module")
def plugin():
    """Load the filters, which are no package's."""
    spec = importlib.util.spec_from_file_location("argocd_filters", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(plugin, tmp_path_factory):
    """Return a function that makes the objects, by kind."""
    path = tmp_path_factory.mktemp("argocd") / "manifest.yaml"
    path.write_text(yaml.safe_dump_all(MANIFEST))

    def make(parts=(), **data):
        return {document["kind"]: document for document in plugin.argocd_objects(str(path), "other", list(parts), data, {"B": "2"})}

    return make


def test_namespace_is_the_given_one(made):
    assert made()["Deployment"]["metadata"]["namespace"] == "other"


def test_object_of_the_whole_cluster_has_no_namespace(made):
    assert "namespace" not in made()["ClusterRoleBinding"]["metadata"]


def test_account_that_is_bound_is_the_namespaces(made):
    assert made()["ClusterRoleBinding"]["subjects"][0]["namespace"] == "other"


def test_part_that_is_not_wanted_is_left_out(made):
    assert "Service" not in made()


def test_part_that_is_wanted_is_there(made):
    assert "Service" in made(["notifications"])


def test_unknown_part_is_refused_by_name(made):
    with pytest.raises(errors.AnsibleFilterError, match="argocd_parts: dex is none of applicationset, notifications"):
        made(["dex"])


def test_data_is_added(made):
    assert made(**{"argocd-cm": {"new": "2"}})["ConfigMap"]["data"] == {"old": "1", "new": "2"}


def test_environment_is_added(made):
    (container,) = made()["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]


def settings_of(made, **data):
    return made(**data)["Deployment"]["spec"]["template"]["metadata"]["annotations"]["cluster-lab/settings"]


def test_pods_are_made_anew_when_what_they_read_at_their_start_changes(made):
    assert settings_of(made, **{"argocd-cmd-params-cm": {"a": "1"}}) != settings_of(made, **{"argocd-cmd-params-cm": {"a": "2"}})


def test_pods_stay_when_other_settings_change(made):
    assert settings_of(made, **{"argocd-cm": {"a": "1"}}) == settings_of(made, **{"argocd-cm": {"a": "2"}})


def test_hash_is_of_the_password(plugin):
    assert bcrypt.checkpw(b"secret", plugin.argocd_hash("secret", "key").encode())


def test_hash_is_always_the_same(plugin):
    assert plugin.argocd_hash("secret", "key") == plugin.argocd_hash("secret", "key")


def test_salt_depends_on_the_key(plugin):
    assert plugin.argocd_hash("secret", "key")[:29] != plugin.argocd_hash("secret", "other")[:29]
