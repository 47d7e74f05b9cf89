"""A fault proxy between the service and PostgreSQL: nothing hangs, no acknowledged write is lost, liveness is 200."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from lab.cache import cache_dir
from lab.embedded import free_port

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path(__file__).with_name("toxiproxy")
COMMAND = "github.com/Shopify/toxiproxy/v2/cmd/server"


def toxic(kind, stream="downstream", **attributes):
    return {"type": kind, "stream": stream, "name": f"{kind}-{stream}", "attributes": attributes}


# Times in ms, rates in KiB/s. A half-open connection is one whose peer is gone without a word, in both directions.
FAULTS = {
    "latency": [toxic("latency", latency=3000)],
    "reset": [toxic("reset_peer", timeout=0)],
    "timeout": [toxic("timeout", timeout=500)],
    "half-open": [toxic("timeout", timeout=0), toxic("timeout", "upstream", timeout=0)],
    "slow-close": [toxic("slow_close", delay=3000)],
    "limit": [toxic("limit_data", bytes=500)],
}
MORE_FAULTS = {
    **FAULTS,
    "latency-upstream": [toxic("latency", "upstream", latency=3000)],
    "some-latency": [toxic("latency", latency=300, jitter=300)],
    "reset-upstream": [toxic("reset_peer", "upstream", timeout=0)],
    "late-reset": [toxic("reset_peer", timeout=200)],
    "timeout-upstream": [toxic("timeout", "upstream", timeout=500)],
    "silent-upstream": [toxic("timeout", "upstream", timeout=0)],
    "slow-close-upstream": [toxic("slow_close", "upstream", delay=3000)],
    "limit-upstream": [toxic("limit_data", "upstream", bytes=500)],
    "limit-less": [toxic("limit_data", bytes=60)],
    "drip": [toxic("slicer", average_size=1, size_variation=0, delay=100000)],
    "bandwidth": [toxic("bandwidth", rate=0)],
}


class Proxy:
    """toxiproxy with one proxy, in front of a PostgreSQL."""

    def __init__(self, program, upstream):
        self.api, self.port = free_port(), free_port()
        self.process = subprocess.Popen(
            [program, "-host", "127.0.0.1", "-port", str(self.api)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 5
        while True:
            try:
                self.call("GET", "/version")
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.02)
        listen = f"127.0.0.1:{self.port}"
        self.call("POST", "/proxies", {"name": "db", "listen": listen, "upstream": f"127.0.0.1:{upstream}"})

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.api}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def add(self, toxics):
        for each in toxics:
            self.call("POST", "/proxies/db/toxics", each)

    def heal(self):
        self.call("POST", "/reset")

    def environ(self, database, user, **more):
        url = database.url(user).replace(f":{database.server.port}/", f":{self.port}/")
        return {**database.environ(user), "DATABASE_URL": url, **more}


@pytest.fixture(scope="session")
def program():
    """Build toxiproxy from its module, once for all sessions."""
    search = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", "")))
    go = shutil.which("go", path=search)
    if go is None:
        pytest.skip("go is not installed: how the service bears a faulty network to its database was not checked")
    sums = (MODULE / "go.sum").stat().st_size
    target = cache_dir() / f"toxiproxy-{sums}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        subprocess.run([go, "build", "-o", target, COMMAND], cwd=MODULE, env=environment, check=True)
    return target


@pytest.fixture
def proxy(program, migrated):
    """A proxy in front of the shared server."""
    proxy = Proxy(program, migrated.server.port)
    yield proxy
    proxy.process.kill()
    proxy.process.wait()


class Watch:
    """Asks for /healthz all the time."""

    def __init__(self, service):
        self.service = service
        self.slowest = 0.0
        self.statuses = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stop.wait(0.05):
            answer = self.service("GET", "/healthz", timeout=5)
            self.statuses.append(answer.status)
            self.slowest = max(self.slowest, answer.seconds)

    def end(self):
        self.stop.set()
        self.thread.join(10)
        assert set(self.statuses) == {200} and len(self.statuses) > 5
        assert self.slowest < 1


class Traffic:
    """Readers and writers that note every answer."""

    def __init__(self, service, label):
        self.service = service
        self.label = label
        self.stop = threading.Event()
        self.answers = []
        self.acknowledged = []
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(8)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        count = 0
        while not self.stop.wait(0.01):
            name = f"{self.label}-{number}-{count}"
            if number % 2:
                answer = self.service("GET", "/var/kept", timeout=5)
            else:
                answer = self.service("PUT", f"/var/{name}", b"1", timeout=5)
                if answer.status in (200, 201):
                    self.acknowledged.append(name)
            self.answers.append((number % 2, answer))
            count += 1

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


def endure(proxy, service, database, wait_for, toxics, label, seconds):
    """Run traffic before, during and after a fault; check every answer and every acknowledged write."""
    service("PUT", "/var/kept", b"1")
    watch, traffic = Watch(service), Traffic(service, label)
    time.sleep(0.3)
    proxy.add(toxics)
    time.sleep(seconds)
    during = len(traffic.answers)
    proxy.heal()
    wait_for(lambda: service("GET", "/var/kept", timeout=5).status == 200, 2)
    wait_for(lambda: any(answer.status == 201 for _, answer in traffic.answers[during:]), 2)
    traffic.end()
    watch.end()
    for _, answer in traffic.answers:
        assert answer.status in (200, 201, 503), answer
        assert answer.status != 503 or answer.headers["retry-after"] == "1"
        # A second for the database, and what eight threads on a busy machine add.
        assert answer.seconds < 1.5, answer
    kept = set(database.sql("SELECT name FROM variables").split())
    assert kept >= set(traffic.acknowledged)
    wait_for(lambda: service.pool.counts()["busy"] == 0)
    return traffic


def migrate(proxy, database, folder):
    """Run migrations through the proxy and return exit code, output and seconds."""
    begin = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from app import migrate;"
            f"sys.exit(migrate.main(['up'], None, Path({str(folder)!r})))",
        ],
        cwd=ROOT,
        env={**os.environ, **proxy.environ(database, "vars_owner", MIGRATE_TIMEOUT="1.5")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - begin


@pytest.fixture
def folder(tmp_path):
    """Migrations that take a while, so that a fault finds them at work."""
    for number in range(1, 6):
        text = f"-- migrate:up\nCREATE TABLE t{number} (x int); SELECT pg_sleep(0.1);\n-- migrate:down\nDROP TABLE t{number};\n"
        (tmp_path / f"{number:04d}_step.sql").write_text(text)
    return tmp_path


def migrate_through(proxy, database, folder, toxics):
    """Meet a fault before and during migrations; they end soon, say why in a line, and go on afterwards."""
    for head_start in (0.0, 0.35):
        timer = threading.Timer(head_start, proxy.add, (toxics,))
        timer.start()
        timer.join(0 if head_start else 5)
        code, output, seconds = migrate(proxy, database, folder)
        timer.join()
        assert code in (0, 1) and "Traceback" not in output, output
        assert seconds < 20, output
        proxy.heal()
    code, output, _ = migrate(proxy, database, folder)
    assert code == 0, output
    assert database.sql("SELECT count(*) FROM pg_tables WHERE tablename ~ '^t[0-9]'") == "5"
    assert database.sql("SELECT count(*) FROM schema_migrations") == "5"


@pytest.mark.parametrize("fault", FAULTS)
def test_traffic(proxy, migrated, new_service, wait_for, fault):
    service = new_service(proxy.environ(migrated, "vars_app"))
    traffic = endure(proxy, service, migrated, wait_for, FAULTS[fault], fault, 1.5)
    if fault not in ("slow-close",):
        assert any(answer.status == 503 or answer.seconds > 0.1 for _, answer in traffic.answers)


@pytest.mark.parametrize("fault", FAULTS)
def test_migrations(proxy, new_database, folder, fault):
    migrate_through(proxy, new_database(), folder, FAULTS[fault])


def test_a_database_that_stops_answering_is_away(proxy, migrated, new_service, wait_for):
    service = new_service(proxy.environ(migrated, "vars_app"))
    service("PUT", "/var/a", b"1")
    proxy.add(FAULTS["half-open"])
    answers = [service("PUT", "/var/a", b"2"), service("GET", "/var/a"), service("GET", "/readyz")]
    assert [answer.status for answer in answers] == [503, 503, 503]
    assert "Whether the change was made is not known." in answers[0].text
    assert answers[0].seconds < 1 and answers[1].seconds < 0.1 and answers[2].seconds < 0.1
    proxy.heal()
    wait_for(lambda: service("GET", "/readyz").status == 200, 2)


@pytest.mark.long
@pytest.mark.parametrize("fault", MORE_FAULTS)
def test_traffic_for_longer(proxy, migrated, new_service, wait_for, fault):
    service = new_service(proxy.environ(migrated, "vars_app"))
    for number in range(3):
        endure(proxy, service, migrated, wait_for, MORE_FAULTS[fault], f"{fault}-{number}", 4)


@pytest.mark.long
@pytest.mark.parametrize("fault", MORE_FAULTS)
def test_migrations_more(proxy, new_database, folder, fault):
    migrate_through(proxy, new_database(), folder, MORE_FAULTS[fault])
