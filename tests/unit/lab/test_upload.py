"""Sending an image to a registry: what it gets, that what it has is not sent again, and what a refusal says."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.build.oci import Entry, Layouts
from lab.upload import upload


class Shelf(BaseHTTPRequestHandler):
    """A registry as far as a push needs one; it keeps blobs by repository, and manifests by path."""

    protocol_version = "HTTP/1.1"

    def say(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        _, _, rest = self.path.partition("/v2/")
        name, _, digest = rest.partition("/blobs/")
        self.say(200 if digest in self.server.blobs.get(name, {}) else 404)

    def do_POST(self):
        name, _, query = self.path.removeprefix("/v2/").partition("/blobs/uploads/")
        words = dict(word.split("=") for word in query.strip("?").split("&") if word)
        there = self.server.blobs.get(words.get("from"), {})
        if words.get("mount") in there:
            self.server.blobs.setdefault(name, {})[words["mount"]] = there[words["mount"]]
            self.say(201)
        else:
            self.say(202, Location=f"http://{self.headers['Host']}/place/{name}?state=1")

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/place/"):
            name, _, query = self.path.removeprefix("/place/").partition("?")
            digest = query.partition("digest=")[2]
            self.server.sent.append(digest)
            same = digest == f"sha256:{hashlib.sha256(body).hexdigest()}" and "state=1" in query
            self.server.blobs.setdefault(name, {})[digest] = body
            self.say(201 if same else 400)
        else:
            self.server.manifests[self.path] = (self.headers["Content-Type"], body)
            self.say(self.server.status)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def shelf():
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        server.blobs, server.manifests, server.sent, server.status = {}, {}, [], 201
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def layouts(tmp_path):
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    return Layouts(tmp_path / "blobs")


@pytest.fixture
def send(shelf, layouts, tmp_path):
    """Return a function that sends the layout of that name to a path."""
    return lambda name, path: upload(layouts.blobs, tmp_path / name, f"127.0.0.1:{shelf.server_port}/{path}", tmp_path / "log")


@pytest.fixture
def image(layouts, tmp_path):
    """Return a function that makes a layout of some layers."""
    return lambda name, *parts: layouts.image(tmp_path / name, [layouts.layer([Entry(part, part.encode())]) for part in parts], {"User": name})


def test_registry_gets_every_blob_and_the_manifest(shelf, send, image):
    digest = image("one", "a", "b")
    send("one", "docker.io/library/one:1")
    media, body = shelf.manifests["/v2/docker.io/library/one/manifests/1"]
    assert f"sha256:{hashlib.sha256(body).hexdigest()}" == digest
    document = json.loads(body)
    assert media == document["mediaType"]
    assert {item["digest"] for item in [document["config"], *document["layers"]]} == set(shelf.blobs["docker.io/library/one"])


def test_what_two_images_share_is_sent_once(shelf, send, image):
    image("one", "a")
    image("two", "a", "b")
    send("one", "one:1")
    send("two", "two:1")
    assert len(shelf.sent) == len(set(shelf.sent)) == 4  # two layers, two configurations
    assert len(shelf.blobs["two"]) == 3


def test_what_is_there_is_not_sent_again(shelf, send, image):
    image("one", "a")
    send("one", "one:1")
    before = len(shelf.sent)
    send("one", "one:2")
    assert len(shelf.sent) == before
    assert "/v2/one/manifests/2" in shelf.manifests


def test_refusal_says_what_was_refused(shelf, send, image):
    image("one", "a")
    shelf.status = 507
    with pytest.raises(OSError, match="PUT /v2/one/manifests/1: 507"):
        send("one", "one:1")
