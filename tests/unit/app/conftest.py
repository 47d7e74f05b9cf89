"""A service without a database, and ways to talk to it."""

import contextlib
import io
import json
import socket
import threading

import pytest

from app.application import create_app
from app.config import Database, Settings
from app.logs import JsonLog
from app.metrics import Metrics
from app.observe import Observer
from app.probes import Lifecycle
from app.server import Server
from app.store import DatabaseAway, Migration
from tests.answer import Answer


class FakeStore:
    """Variables in a dictionary; `failure` is raised by every call while it is set."""

    def __init__(self):
        self.variables = {}
        self.applied = [Migration("0001", "abc", False)]
        self.failure = None
        self.calls = []

    def _called(self, *call):
        self.calls.append(call)
        if self.failure:
            raise self.failure

    def get(self, name):
        self._called("get", name)
        return self.variables.get(name)

    def set(self, name, value):
        self._called("set", name, value)
        created = name not in self.variables
        self.variables[name] = value
        return created

    def delete(self, name):
        self._called("delete", name)
        return self.variables.pop(name, None) is not None

    def page(self, after, limit):
        self._called("page", after, limit)
        names = sorted(name for name in self.variables if name > after)
        items = [(name, self.variables[name]) for name in names[:limit]]
        return items, items[-1][0] if len(names) > limit else None

    def migrations(self):
        self._called("migrations")
        return self.applied


class Harness:
    """The application with a fake store, called as a WSGI server would."""

    def __init__(self, mutating_get=True):
        self.store = FakeStore()
        self.lines = []
        self.log = JsonLog("pod-1", ("hunter2",), self.lines.append, clock=lambda: 1700000000.25)
        self.metrics = Metrics("1.2.3", "abc", lambda: {"idle": 1, "busy": 2, "waiting": 0, "away": 0})
        self.lifecycle = Lifecycle()
        self.observer = Observer("pod-1", self.log, self.metrics)
        self.app = create_app(self.store, self.metrics, self.observer, {"0001": "abc"}, self.lifecycle, mutating_get)

    def __call__(self, method, target, headers=None, body=b""):
        path, _, query = target.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "REQUEST_URI": target,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            "CONTENT_LENGTH": str(len(body)),
        }
        for name, value in (headers or {}).items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        answered = {}

        def start_response(status, header_list, exc_info=None):
            answered.update(status=int(status.split()[0]), headers={k.lower(): v for k, v in header_list})

        content = b"".join(self.app(environ, start_response))
        return Answer(answered["status"], answered["headers"], content)

    def logged(self):
        return [json.loads(line) for line in self.lines]


class Running:
    """A real server around an application, in a thread."""

    def __init__(self, harness, application=None, **settings):
        self.harness = harness
        values = {"host": "127.0.0.1", "port": 0, "pod": "pod-1", "grace_seconds": 2.0, **settings}
        database = Database("127.0.0.1", 1, "vars", "vars_app", None)
        self.server = Server(
            application or harness.app,
            Settings(database=database)._replace(**values),
            harness.observer,
            harness.lifecycle,
        )
        self.port = int(self.server.effective_port)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=5)

    def send(self, data, more=b""):
        """Send bytes, close our side, and return all that comes back."""
        with self.connect() as client:
            client.sendall(data)
            if more:
                client.sendall(more)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            return receive(client)

    def stop(self):
        self.harness.lifecycle.stopping = True
        with contextlib.suppress(OSError):  # It has stopped already.
            self.server.pull_trigger()
        self.thread.join(10)
        assert not self.thread.is_alive()


def receive(client):
    """Read until the server closes, or is silent for two seconds."""
    client.settimeout(2)
    data = b""
    try:
        while part := client.recv(65536):
            data += part
    except (TimeoutError, ConnectionResetError):
        pass
    return data


@pytest.fixture
def away():
    """The exception of a store whose database is gone."""
    return DatabaseAway("away")


@pytest.fixture
def harness():
    """The application with a fake store."""
    return Harness()


@pytest.fixture
def make_harness():
    """Make an application with other settings."""
    return Harness


@pytest.fixture(scope="module")
def module_server():
    """Start one server for a module of tests."""
    started = []

    def start(application):
        started.append(Running(Harness(), application))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def running(harness):
    """A server with the application; starts on the first call, which may give settings."""
    started = []

    def start(application=None, **settings):
        started.append(Running(harness, application, **settings))
        return started[-1]

    yield start
    for each in started:
        each.stop()
