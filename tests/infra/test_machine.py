"""The machine: what listens where, and who may read the lab's files."""

from pathlib import Path

import pytest


@pytest.mark.own_cluster
@pytest.mark.parametrize("port", ["http", "https", "registry"])
def test_port_is_listened_on_for_this_machine_only(lab, listening, port):
    assert listening(getattr(lab, port)) == {"127.0.0.1"}


@pytest.mark.own_cluster
def test_containers_publish_on_this_machine_only(published):
    assert {address for _, address, _ in published} == {"127.0.0.1"}, published


@pytest.mark.own_cluster
@pytest.mark.parametrize("port", ["http", "https", "registry"])
def test_containers_publish_the_labs_port(lab, published, port):
    assert getattr(lab, port) in {number for _, _, number in published}


@pytest.mark.parametrize("path", ["kubeconfig", "credentials.yml", "pki/ca.key", "pki/server.key"])
def test_secret_file_is_for_its_owner_only(lab, mode_of, path):
    assert mode_of(lab.state / path) == 0o600


@pytest.mark.parametrize("path", [".", "pki"])
def test_folder_is_for_its_owner_only(lab, mode_of, path):
    assert mode_of(lab.state / path) == 0o700


def test_authority_may_be_read_by_clients(lab, mode_of):
    assert mode_of(lab.state / "ca.crt") == 0o644


@pytest.mark.own_cluster
def test_users_own_kubeconfig_is_untouched(lab, machine):
    own = machine.file(str(Path.home() / ".kube" / "config"))
    assert not own.exists or f"kind-{lab.name}" not in own.content_string


@pytest.mark.parametrize("name", ["postgres", "vars_owner", "vars_app"])
def test_password_is_long_enough_to_be_looked_for(secrets, name):
    assert len(secrets[name]) >= 16


@pytest.mark.parametrize("name", ["postgres", "vars_owner", "vars_app"])
def test_password_stands_in_no_file_but_one(lab, secrets, name):
    # bin/ holds links into the cache; everything else of the state folder is read.
    files = [path for path in lab.state.rglob("*") if path.is_file() and not path.is_symlink()]
    holding = {str(path.relative_to(lab.state)) for path in files if secrets[name].encode() in path.read_bytes()}
    assert holding == {"credentials.yml"}


@pytest.mark.parametrize("name", ["postgres", "vars_owner", "vars_app"])
@pytest.mark.parametrize("kinds", ["all", "configmaps", "ingresses", "events"])
def test_password_stands_in_no_object_but_a_secret(cluster, secrets, kinds, name):
    shown = cluster.text("get", kinds, "--all-namespaces", "--output", "yaml")
    assert "items:" in shown
    assert secrets[name] not in shown
