"""Pushing: where an image stands in the lab's registry, and that what is there already is not sent again."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from lab import catalog
from lab.build.oci import MANIFEST, Entry
from lab.build.plan import Plan
from lab.cache import Store
from lab.mirrors import Mirrors
from lab.registry import (
    Registry,
    configure_mirrors,
    copy,
    hosts_toml,
    logins,
    own_hosts,
    path_of,
    push,
    registry_of,
    urls,
    user_hosts,
)


class Shelf(BaseHTTPRequestHandler):
    """Answer HEAD requests for manifests from the server's `digests`."""

    def do_HEAD(self):
        self.server.accepted.append(self.headers["Accept"])
        digest = self.server.digests.get(self.path)
        self.send_response(200 if digest else self.server.otherwise)
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def shelf():
    """Return a server that answers as a registry does; `digests` holds what it has, by path."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        server.digests, server.accepted, server.otherwise = {}, [], 404
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def registry(shelf):
    return Registry(f"127.0.0.1:{shelf.server_port}", timeout=5)


@pytest.fixture
def copies():
    return []


@pytest.fixture
def plan(small, plan_of):
    """Return a plan whose `proxy` and `base` are built."""
    plan = plan_of(small)
    for name in ("proxy", "base"):
        with plan.store.make(name, plan.key(name)) as folder:
            plan.layouts.image(folder / "oci", [plan.layouts.layer([Entry(name, name.encode())])], {})
    return plan


@pytest.fixture
def send(plan, registry, copies, tmp_path):
    """Return a function that pushes components; what is copied is noted instead."""

    def note(blobs, layout, target, log):
        copies.append((layout, target))

    return lambda *names: push(plan, list(names), registry, tmp_path / "log", note)


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("docker.io/library/traefik:v3.7", ("docker.io/library/traefik", "v3.7")),
        ("registry.k8s.io/coredns/coredns:v1.12.3", ("registry.k8s.io/coredns/coredns", "v1.12.3")),
        ("registry.k8s.io/pause:3.10.1", ("registry.k8s.io/pause", "3.10.1")),
        ("busybox:1.35.0", ("docker.io/library/busybox", "1.35.0")),
        ("localhost:5001/vars/web:0123abcd", ("vars/web", "0123abcd")),
    ],
)
def test_where_an_image_stands(reference, path):
    assert path_of(reference) == path


def test_two_hosts_may_have_images_of_one_name():
    assert path_of("quay.io/a/b:1") != path_of("docker.io/a/b:1")


def test_digest_of_what_is_there(shelf, registry):
    shelf.digests["/v2/vars/web/manifests/1"] = "sha256:abc"
    assert registry.digest("vars/web", "1") == "sha256:abc"


def test_digest_asks_for_an_oci_manifest(shelf, registry):
    registry.digest("vars/web", "1")
    assert shelf.accepted == [MANIFEST]


def test_no_digest_of_what_is_not_there(registry):
    assert registry.digest("vars/web", "1") is None


def test_registry_that_fails_is_not_taken_for_an_empty_one(shelf, registry):
    shelf.otherwise = 500
    with pytest.raises(OSError, match="500"):
        registry.digest("vars/web", "1")


def test_what_is_missing_is_copied_to_its_place(send, plan, registry, copies):
    assert send("proxy") == ["docker.io/library/proxy:v3.7"]
    assert copies == [(plan.artifact("proxy") / "oci", f"{registry.address}/docker.io/library/proxy:v3.7")]


def test_what_is_there_is_not_copied(send, plan, shelf, copies):
    digest = plan.layouts.digest(plan.artifact("proxy") / "oci")
    shelf.digests["/v2/docker.io/library/proxy/manifests/v3.7"] = digest
    assert send("proxy") == []
    assert copies == []


def test_what_is_there_with_other_content_is_copied(send, shelf):
    shelf.digests["/v2/docker.io/library/proxy/manifests/v3.7"] = "sha256:other"
    assert send("proxy") == ["docker.io/library/proxy:v3.7"]


def test_what_the_cluster_does_not_pull_is_not_copied(send, copies):
    assert send("tool", "base") == []
    assert copies == []


def test_registry_of_the_users_own_has_it_under_its_path(plan, shelf, copies, tmp_path):
    plan.registry = f"127.0.0.1:{shelf.server_port}/team"
    pushed = push(plan, ["proxy"], registry_of(plan), tmp_path / "log", lambda blobs, layout, target, log: copies.append(target))
    assert pushed == copies == [f"{plan.registry}/docker.io/library/proxy:v3.7"]


def test_what_is_under_the_path_of_the_users_own_is_not_copied(plan, shelf, tmp_path):
    plan.registry = f"127.0.0.1:{shelf.server_port}/team"
    shelf.digests["/v2/team/docker.io/library/proxy/manifests/v3.7"] = plan.layouts.digest(plan.artifact("proxy") / "oci")
    assert push(plan, ["proxy"], registry_of(plan), tmp_path / "log", pytest.fail) == []


@pytest.fixture
def skopeo(tmp_path, monkeypatch):
    """Put a skopeo on the path that notes its command line and the login it was given."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "skopeo"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat "$REGISTRY_AUTH_FILE" > {tmp_path}/login 2> /dev/null\nexit 0\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("REGISTRY_USERNAME", "me")
    monkeypatch.setenv("REGISTRY_TOKEN", "hidden")

    def run(target):
        copy(tmp_path, tmp_path, target, tmp_path / "log")
        return (tmp_path / "words").read_text(), (tmp_path / "login").read_text()

    return run


def test_login_to_a_registry_elsewhere_is_in_a_file_and_on_no_command_line(skopeo):
    words, login = skopeo("registry.example.org/team/proxy:1")
    assert "--dest-tls-verify=true" in words
    assert "hidden" not in words
    assert json.loads(login)["auths"]["registry.example.org"]["auth"] == base64.b64encode(b"me:hidden").decode()


def test_registry_on_loopback_is_told_no_password_and_needs_no_skopeo(monkeypatch, tmp_path):
    sent = []
    monkeypatch.setattr("lab.registry.upload", lambda *words: sent.append(words))
    monkeypatch.setattr("lab.registry.run", lambda *words, **options: pytest.fail("no program is needed"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    copy(tmp_path, tmp_path, "127.0.0.1:5001/proxy:1", tmp_path / "log")
    assert sent == [(tmp_path, tmp_path, "127.0.0.1:5001/proxy:1", tmp_path / "log")]


def test_copy_that_fails_is_an_error(plan, registry, tmp_path):
    def fail(*args):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        push(plan, ["proxy"], registry, tmp_path / "log", fail)


def test_nodes_ask_the_labs_registry_for_every_upstream_host():
    assert hosts_toml("registry.k8s.io", own_hosts(["registry.k8s.io"], "lab-registry:5000")["registry.k8s.io"]) == (
        'server = "https://registry.k8s.io"\n\n'
        '[host."http://lab-registry:5000/v2/registry.k8s.io"]\n'
        '  capabilities = ["pull", "resolve"]\n'
        "  override_path = true\n"
    )


def test_nodes_ask_the_labs_registry_alone_for_its_own_images():
    assert hosts_toml("localhost:5001", own_hosts(["localhost:5001"], "lab-registry:5000")["localhost:5001"]) == (
        '[host."http://lab-registry:5000"]\n  capabilities = ["pull", "resolve"]\n'
    )


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://mirror.example.org", "https://mirror.example.org/v2"),
        ("https://mirror.example.org:8443/hub/", "https://mirror.example.org:8443/v2/hub"),
        ("http://127.0.0.1:5000/docker.io", "http://172.18.0.1:5000/v2/docker.io"),
        ("http://localhost:5000", "http://172.18.0.1:5000/v2"),
        ("https://[::1]:5000", "https://172.18.0.1:5000/v2"),
        ("https://localhost.example.org", "https://localhost.example.org/v2"),
    ],
)
def test_nodes_reach_a_users_mirror(given, url):
    assert user_hosts(["docker.io", "quay.io"], Mirrors({"docker.io": given, "gcr.io": given}), "172.18.0.1") == {"docker.io": url}


def test_nodes_have_every_registrys_mirror_before_a_chart_asks_for_it(tmp_path):
    given = Mirrors({"registry.k8s.io": "https://mirror.example.org", "get.helm.sh": "https://files.example.org"})
    plan = Plan(catalog.load("upstream"), Store(tmp_path), tmp_path, mirrors=given)
    args = SimpleNamespace(mirror="lab-registry:5000", gateway="", state_dir=tmp_path)
    assert urls(plan, [], args) == {"registry.k8s.io": "https://mirror.example.org/v2"}


def test_docker_hub_answers_under_its_own_name_where_a_mirror_does_not():
    assert hosts_toml("docker.io", "https://mirror/v2").startswith('server = "https://registry-1.docker.io"\n')


def test_mirror_is_told_the_password_that_it_wants(tmp_path):
    (tmp_path / "config.json").write_text('{"auths": {"mirror:5000": {"auth": "dTpw"}, "other": {}}}')
    known = logins(str(tmp_path / "config.json"))
    configure_mirrors({"docker.io": "https://mirror:5000/v2", "quay.io": "https://other/v2"}, tmp_path, known)
    text = (tmp_path / "docker.io" / "hosts.toml").read_text()
    assert '  [host."https://mirror:5000/v2".header]\n    authorization = "Basic dTpw"\n' in text
    assert "authorization" not in (tmp_path / "quay.io" / "hosts.toml").read_text()


def test_without_a_file_there_are_no_passwords():
    assert logins("") == {}


def test_mirrors_are_written_once_per_host(tmp_path):
    assert configure_mirrors({"docker.io": "http://m:5000/v2", "localhost:5001": "http://m:5000"}, tmp_path)
    assert sorted(path.parent.name for path in tmp_path.rglob("hosts.toml")) == ["docker.io", "localhost:5001"]


def test_mirrors_that_are_right_are_no_change(tmp_path):
    configure_mirrors({"docker.io": "http://m:5000/v2"}, tmp_path)
    assert not configure_mirrors({"docker.io": "http://m:5000/v2"}, tmp_path)


def test_mirror_that_was_edited_is_repaired(tmp_path):
    configure_mirrors({"docker.io": "http://m:5000/v2"}, tmp_path)
    (tmp_path / "docker.io" / "hosts.toml").write_text("edited")
    assert configure_mirrors({"docker.io": "http://m:5000/v2"}, tmp_path)
    assert (tmp_path / "docker.io" / "hosts.toml").read_text() == hosts_toml("docker.io", "http://m:5000/v2")
