"""The image `registry`: it answers, and its settings come from REGISTRY_* variables."""

import urllib.error
import urllib.request

import pytest


def answers(address, path="/v2/"):
    """Return the status of one answer, or None where nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


@pytest.fixture(scope="module")
def plain(start):
    """Return the address of a registry without any settings."""
    container = start("registry", options=("--publish=127.0.0.1::5000",))
    return container.ready(lambda it: answers(it.address(5000)), "the registry answers on port 5000").address(5000)


@pytest.fixture(scope="module")
def configured(start):
    """Return a registry that listens elsewhere, stores elsewhere and runs as someone else."""
    env = {"REGISTRY_HTTP_ADDR": ":5055", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/tmp/registry"}
    container = start("registry", options=("--publish=127.0.0.1::5055", "--user=12345"), env=env)
    return container.ready(lambda it: answers(it.address(5055)), "the registry answers on port 5055")


def upload(address):
    """Begin an upload; return the status."""
    request = urllib.request.Request(f"http://{address}/v2/check/blobs/uploads/", method="POST", data=b"")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
        return answer.status


def test_it_answers_on_its_usual_port(plain):
    assert answers(plain) == 200


def test_what_it_does_not_have_is_a_404(plain):
    assert answers(plain, "/v2/none/manifests/1") == 404


def test_it_takes_uploads(plain):
    assert upload(plain) == 202


def test_its_port_is_a_setting(configured):
    assert answers(configured.address(5055)) == 200


def test_its_storage_is_a_setting_also_for_any_user(configured):
    assert upload(configured.address(5055)) == 202
    assert configured.run("ls", "/tmp/registry/docker/registry/v2/repositories").stdout.split() == ["check"]


def test_other_commands_are_handed_on(run):
    assert "garbage-collect" in run("registry", "help").stdout
