"""Waiting until something answers: it ends in time, with what did not answer and why."""

import http.server
import threading

import pytest

from lab import ready
from lab.kubectl import ClusterError
from tests.unit.clock import Clock


def test_what_answers_at_once_is_not_waited_for():
    clock = Clock()
    assert ready.wait("it", lambda: None, 10, clock) is None
    assert clock.now == 0


def test_what_answers_later_is_waited_for():
    answers = iter(["not yet", "not yet", None])
    assert ready.wait("it", lambda: next(answers), 10, Clock()) is None


def test_what_never_answers_is_said_in_time_with_the_last_reason():
    clock = Clock()
    assert ready.wait("the API server of kind-x", lambda: f"refused at {clock.now}", 3, clock) == \
        "the API server of kind-x does not answer after 3 s: refused at 3.0"  # fmt: skip
    assert clock.now == 3


class Cluster:
    """A cluster that answers, or does not."""

    def __init__(self, error=None):
        self.error = error

    def text(self, *words, timeout):
        assert words == ("get", "--raw=/readyz")
        if self.error:
            raise ClusterError(self.error)
        return "ok"


@pytest.mark.parametrize("error", [None, "kubectl get: connection refused"])
def test_reason_of_an_api_server_is_kubectls(error):
    assert ready.api(Cluster(error)) == error


@pytest.fixture
def server():
    """Serve 200 for /good, 503 with a reason for everything else; only under its name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            good = self.path == "/good" and self.headers["Host"] == "vars.localhost"
            text = b"fine" if good else b"no available\nserver"
            self.send_response(200 if good else 503)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,))
        thread.start()
        yield made.server_port
        made.shutdown()
        thread.join()


def test_answer_of_a_path_under_its_hosts_name(server):
    assert ready.answer(server, "vars.localhost", "/good") is None
    assert ready.answer(server, "other.localhost", "/good") == "503 Service Unavailable (no available server)"


def test_verb_says_what_did_not_answer(server, capsys):
    assert ready.main(["http", f"--port={server}", "--host=vars.localhost", "--path=/good"]) == 0
    assert ready.main(["http", f"--port={server}", "--host=vars.localhost", "--path=/bad", "--timeout=0"]) == 1
    assert capsys.readouterr().err == f"http://vars.localhost:{server}/bad does not answer after 0 s: 503 Service Unavailable (no available server)\n"


def test_port_on_which_nobody_listens_is_a_reason():
    assert "refused" in ready.answer(1, "vars.localhost", "/")
