"""What is in the registry once the pipeline has run, and that no secret is anywhere."""

import base64
import json
import re
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app import __version__

from .conftest import USER, Pipeline, sh

IMAGES = ("web", "migrations")
ACCEPT = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


def ask(registry, path):
    """Return the digest and the body of what the registry has under a path of its API."""
    login = base64.b64encode(f"{USER}:{registry.password}".encode()).decode()
    request = urllib.request.Request(f"http://{registry.address}/v2/owner/lab/vars/{path}", headers={"Accept": ACCEPT, "Authorization": f"Basic {login}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return answer.headers["Docker-Content-Digest"], json.loads(answer.read())


@pytest.mark.parametrize("image", IMAGES)
def test_version_commit_and_digest_are_one_image(published, registry, image):
    commit = published.tree.git("rev-parse", "HEAD")
    digests = {ask(registry, f"{image}/manifests/{tag}")[0] for tag in (__version__, commit[:12])}
    assert len(digests) == 1
    digest = digests.pop()
    assert ask(registry, f"{image}/manifests/digest-{digest.removeprefix('sha256:')}")[0] == digest


def test_both_images_have_the_same_tags(published, registry):
    tags = [[tag for tag in ask(registry, f"{image}/tags/list")[1]["tags"] if not tag.startswith(("digest-", "sha256-"))] for image in IMAGES]
    assert sorted(tags[0]) == sorted(tags[1])


@pytest.mark.parametrize("image", IMAGES)
def test_what_was_published_is_said_with_its_digest(published, registry, image):
    digest, _ = ask(registry, f"{image}/manifests/{__version__}")
    assert f"{registry.address}/owner/lab/vars/{image}@{digest}" in published.output


def test_the_bill_of_materials_is_attached_to_the_release(published, registry):
    digest, _ = ask(registry, f"web/manifests/{__version__}")
    _, index = ask(registry, f"web/manifests/{digest.replace(':', '-')}")
    assert [item["artifactType"] for item in index["manifests"]] == ["application/vnd.cyclonedx+json"]
    _, manifest = ask(registry, f"web/manifests/{index['manifests'][0]['digest']}")
    assert manifest["subject"]["digest"] == digest
    _, document = ask(registry, f"web/blobs/{manifest['layers'][0]['digest']}")
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["version"] == __version__
    assert {"falcon", "pg8000", "waitress"} <= {component["name"] for component in document["components"]}
    assert "pytest" not in {component["name"] for component in document["components"]}


# Secrets


def test_no_output_shows_the_password(published, registry):
    forms = (registry.password, base64.b64encode(f"{USER}:{registry.password}".encode()).decode())
    assert [form for form in forms if form in published.output] == []


@pytest.mark.parametrize("image", (*IMAGES, "test"))
def test_no_history_shows_the_password(published, registry, image):
    shown = sh("docker", "history", "--no-trunc", f"vars/{image}:checkout").output
    shown += sh("docker", "image", "inspect", f"vars/{image}:checkout").output
    assert registry.password not in shown


@pytest.mark.parametrize("image", IMAGES)
def test_no_layer_holds_the_password(published, registry, image):
    assert holds(f"vars/{image}:checkout", registry.password.encode()) == []


def test_a_search_that_finds_nothing_would_find_something(published):
    assert holds("vars/web:checkout", b"org.opencontainers.image.revision") != []


def holds(image, secret):
    """Return where in the image's archive, layers included (they are not compressed in it), the bytes stand."""
    found, position, tail = [], 0, b""
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as process:
        while chunk := process.stdout.read(1 << 20):
            if (at := (tail + chunk).find(secret)) >= 0:
                found.append(position - len(tail) + at)
            tail, position = chunk[-len(secret) :], position + len(chunk)
    return found


def test_a_password_in_pips_settings_stays_out_of_the_release(published, tree, registry, tmp_path):
    """pip is told of a second index with a password in its address, which answers and has nothing."""
    secret = "ind3x-passw0rd"
    asked = []

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.headers.get("Authorization"))
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://{USER}:{secret}@127.0.0.1:{server.server_port}/simple"
        done = Pipeline(tree, registry, tmp_path).step("Build the release", PIP_EXTRA_INDEX_URL=url)
    finally:
        server.shutdown()
    assert done.code == 0, done.output[-3000:]
    assert asked, "pip did not ask the second index, so nothing was shown"
    assert secret not in done.output
    assert secret not in sh("docker", "history", "--no-trunc", "vars/web:checkout").output
    assert holds("vars/web:checkout", secret.encode()) == []


def test_by_hand_the_login_of_the_environment_leaves_no_trace(published, registry, tmp_path):
    by_hand = Pipeline(published.tree, registry, tmp_path)
    done = sh("make", "publish-migrations", cwd=by_hand.tree.folder, env={**by_hand.environ, **by_hand.secrets})
    assert done.code == 0, done.output
    assert list(by_hand.config.iterdir()) == []
    assert registry.password not in done.output


def test_digests_do_not_change_when_the_same_is_published_again(published, registry):
    digest, _ = ask(registry, f"migrations/manifests/{__version__}")
    done = published.step("Publish the migrations image")
    assert re.findall(r"@(sha256:\w+)", done.output) == [digest]
