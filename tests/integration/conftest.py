"""A real PostgreSQL, databases on it, and services in front of them; all on loopback."""

import http.client
import itertools
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from app import config, migrate
from app.logs import JsonLog
from app.probes import Lifecycle
from app.service import make_service
from lab.embedded import EmbeddedPostgres
from tests.answer import Answer

numbers = itertools.count(1)


class Database(NamedTuple):
    """A database of its own for a test."""

    server: EmbeddedPostgres
    name: str

    def url(self, user="vars_app"):
        return self.server.url(user, self.name)

    def environ(self, user="vars_owner", **more):
        return {"DATABASE_URL": self.url(user), "APP_ENV": "production", "POD_NAME": "pod-1", **more}

    def sql(self, script, user="postgres"):
        return self.server.psql(script, user, self.name)

    def migrate(self, *arguments, folder=migrate.FOLDER, **environ):
        return migrate.main(list(arguments), self.environ(**environ), folder)


class Service:
    """The service in this process, in a thread of its own."""

    def __init__(self, environ):
        self.lines = []
        self.lifecycle = Lifecycle()
        settings = config.load({"PORT": "0", "HOST": "127.0.0.1", "GRACE_SECONDS": "2", **environ})
        self.log = JsonLog(settings.pod, (settings.database.password or "",), self.lines.append)
        self.server, self.pool = make_service(settings, self.log, self.lifecycle)
        self.port = int(self.server.effective_port)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def __call__(self, method, target, body=None, headers=None, timeout=10):
        return request(self.port, method, target, body, headers, timeout)

    def logged(self):
        return [json.loads(line) for line in self.lines]

    def stop(self):
        self.lifecycle.stopping = True
        self.thread.join(15)
        self.pool.close()
        assert not self.thread.is_alive()


def request(port, method, target, body=None, headers=None, timeout=10):
    """Send one request on a connection of its own; the target goes out as it stands."""
    begin = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        client.request(method, target, body, headers or {})
        answer = client.getresponse()
        content = answer.read()
    finally:
        client.close()
    found = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, found, content, time.monotonic() - begin)


def eventually(check, seconds=5.0, pause=0.02):
    """Wait until `check()` is true and return what it gave."""
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(pause)
    return found


@pytest.fixture(scope="session")
def new_server():
    """Start PostgreSQL servers that are gone after the session."""
    servers = []

    def start():
        folder = Path(tempfile.mkdtemp(prefix="vars-test-"))
        server = EmbeddedPostgres(folder)
        servers.append(server)
        server.start()
        server.create_database()
        return server

    yield start
    for server in servers:
        server.stop("immediate")
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(new_server):
    """A server for all tests that leave it running."""
    return new_server()


@pytest.fixture
def new_database(postgres):
    """Create empty databases, as the lab does."""

    def create(server=postgres):
        name = f"t{next(numbers)}"
        server.psql(f"CREATE DATABASE {name} OWNER vars_owner TEMPLATE template0 ENCODING 'UTF8'")
        server.psql(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
        return Database(server, name)

    return create


@pytest.fixture
def database(new_database):
    """An empty database."""
    return new_database()


@pytest.fixture
def migrated(database, capsys):
    """A database with the schema of this checkout."""
    assert database.migrate("up") == 0
    capsys.readouterr()
    return database


@pytest.fixture
def new_service():
    """Start services in this process."""
    services = []

    def start(environ):
        services.append(Service(environ))
        return services[-1]

    yield start
    for service in services:
        service.stop()


@pytest.fixture
def service(new_service, migrated):
    """The service as vars_app on a migrated database."""
    return new_service(migrated.environ("vars_app"))


@pytest.fixture
def wait_for():
    """Wait until something is true."""
    return eventually


@pytest.fixture
def send():
    """Send a request to a port."""
    return request
