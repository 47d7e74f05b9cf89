"""Which source `auto` is, whom it asks, and how long that may take."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lab.mirrors import Mirrors
from lab.preflight import source

SETTINGS = {"lab_parts": ["cluster", "argocd", "monitoring"]}


def never():
    raise AssertionError("nobody is to be asked")


@pytest.fixture
def record(tmp_path):
    return tmp_path / "lab.yml"


@pytest.mark.parametrize(("settings", "missing"), [
    ({"lab_source": "upstream", "lab_parts": ["argocd"]}, "git"), ({"lab_source": "upstream", "lab_parts": []}, ""),
    ({"lab_source": "upstream", "lab_parts": ["argocd"], "lab_registry": "registry.example.org/lab"}, "git, skopeo"),
    ({"lab_source": "upstream", "lab_parts": [], "lab_registry": "127.0.0.1:5000"}, ""), ({"lab_source": "packages", "lab_parts": ["argocd"]}, ""),
])  # fmt: skip
def test_programs_that_nothing_installs_are_asked_for_by_name(settings, missing):
    found = [each.message for each in source.programs(settings, lambda name: None)]
    assert found == ([f"this machine has no {missing}, and lab_source=upstream installs nothing on it: install it first"] if missing else [])
    assert source.programs(settings, lambda name: f"/usr/bin/{name}") == []


@pytest.mark.parametrize("asked", ["packages", "upstream", "bundle"])
def test_what_was_asked_for_is_taken_and_nobody_is_asked(record, asked):
    record.write_text("lab_source: packages\n")
    assert source.choose(asked, record, never) == source.Choice(asked, f"lab_source={asked}")


def test_a_living_lab_keeps_its_source_and_nobody_is_asked(record):
    record.write_text("lab_source: upstream\n")
    assert source.choose("auto", record, never) == source.Choice("upstream", "this lab was made from it")


def test_taking_down_asks_nobody(record):
    assert source.choose("auto", record, never, look_around=False).source == "packages"


@pytest.mark.parametrize(("reason", "taken", "why"), [
    (None, "upstream", "its registries and repositories answer"),
    ("quay.io does not answer (refused)", "packages", "upstream cannot be had: quay.io does not answer (refused)"),
])  # fmt: skip
def test_auto_is_upstream_where_that_answers_and_else_packages(record, reason, taken, why):
    assert source.choose("auto", record, lambda: reason) == source.Choice(taken, why)


@pytest.mark.parametrize("text", ["", "[]", "{", "other: 1"])
def test_record_that_says_nothing_decides_nothing(record, text):
    record.write_text(text)
    assert source.recorded(record) is None


# Whom it asks


def asked(settings, **mirrors):
    return {address for address, _ in source.questions(source.wanted(settings), Mirrors(**mirrors))}


def test_registries_repositories_and_downloads_are_asked():
    hosts = {address.split("/")[2] for address in asked(SETTINGS)}
    assert {"registry-1.docker.io", "quay.io", "registry.k8s.io", "traefik.github.io", "argoproj.github.io", "dl.k8s.io"} <= hosts


def test_what_the_lab_leaves_out_is_not_asked_for():
    assert not [address for address in asked({"lab_parts": ["cluster"]}) if "argoproj" in address or "prometheus" in address]


def test_mirrors_are_asked_instead():
    found = asked({"lab_parts": ["cluster"]}, hosts={"docker.io": "http://127.0.0.1:5000/hub", "traefik.github.io": "http://127.0.0.1:8080"})
    assert {"http://127.0.0.1:5000/v2/", "http://127.0.0.1:8080/charts/index.yaml"} <= found
    assert not [address for address in found if "docker.io" in address]


def test_platform_that_a_tool_is_not_released_for_is_no_upstream(monkeypatch):
    monkeypatch.setattr("lab.build.binary.here", lambda: ("plan9", "mips"))
    assert "is not released for plan9-mips" in source.why_not(SETTINGS, Mirrors())


# Whether they answer


class Answer(BaseHTTPRequestHandler):
    def do_HEAD(self):
        if self.path == "/silent":
            self.server.gate.wait(10)
        self.send_response(int(self.path[1:]) if self.path[1:].isdigit() else 200)
        self.end_headers()

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server():
    """Return the address of a server that answers with the status that is its path, or keeps silent."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as answering:
        answering.gate = threading.Event()
        threading.Thread(target=answering.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{answering.server_port}"
        answering.gate.set()
        answering.shutdown()


def test_all_that_answer_as_they_should_are_not_silent(server):
    assert source.silent([(f"{server}/401", (200, 401)), (f"{server}/200", (200,))], Mirrors()) == {}


@pytest.mark.parametrize("status", [403, 404, 407, 503])
def test_who_answers_something_else_is_named_with_it(server, status):
    host = server.partition("://")[2]
    assert source.silent([(f"{server}/{status}", (200, 401))], Mirrors()) == {host: f"(it answers {status})"}


def test_who_refuses_is_named_at_once():
    start = time.monotonic()
    assert "refused" in source.silent([("http://127.0.0.1:1/v2/", (200,))], Mirrors())["127.0.0.1:1"]
    assert time.monotonic() - start < 2


def test_who_keeps_silent_is_named_when_patience_ends(server):
    start = time.monotonic()
    found = source.silent([(f"{server}/silent", (200,)), (f"{server}/200", (200,))], Mirrors(), 0.3)
    assert source.said(found) == f"{server.partition('://')[2]} does not answer within 0 s"
    assert time.monotonic() - start < 2


def test_refusal_says_what_to_type(monkeypatch):
    monkeypatch.setattr(source, "silent", lambda asked, mirrors, every: {"quay.io": "(refused)", "registry-1.docker.io": "(refused)"})
    (finding,) = source.upstream(SETTINGS, Mirrors())
    assert finding.message.startswith("upstream cannot be had: quay.io, registry-1.docker.io do not answer (refused); check the network, the proxy")
    assert '"quay.io": "https://MIRROR", "docker.io": "https://MIRROR"' in finding.message


def test_every_one_that_is_silent_is_named_where_that_is_asked(server):
    asked = [(f"{server}/silent", (200,)), ("http://127.0.0.1:1/", (200,)), (f"{server}/200", (200,))]
    assert set(source.silent(asked, Mirrors(), 0.3, every=True)) == {server.partition("://")[2], "127.0.0.1:1"}
