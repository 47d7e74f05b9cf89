"""`python -m app` as a process: start, signals, settings, memory."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app import __main__ as entry
from lab.bench.app import IMAGE
from lab.bench.load import run
from lab.embedded import free_port

ROOT = Path(__file__).resolve().parents[2]
PREFIX_PID1 = ["unshare", "--pid", "--fork", "--kill-child"]


class Process:
    """A running service, with the settings that the image has: no docstrings, no assertions."""

    def __init__(self, environ, prefix=()):
        self.port = free_port()
        self.begin = time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "app"],
            cwd=ROOT,
            env={**os.environ, **IMAGE, **environ, "PORT": str(self.port), "HOST": "127.0.0.1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self):
        out, err = self.process.communicate(timeout=20)
        assert err == ""
        return [json.loads(line) for line in out.splitlines()]

    def ready(self, send, wait_for):
        def check():
            try:
                return send(self.port, "GET", "/readyz").status == 200
            except OSError:
                return False

        wait_for(check, pause=0.005)
        return time.monotonic() - self.begin


@pytest.fixture
def start():
    """Start processes that do not outlive the test."""
    processes = []

    def make(environ, prefix=()):
        processes.append(Process(environ, prefix))
        return processes[-1]

    yield make
    for each in processes:
        each.process.kill()
        each.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_gracefully(start, migrated, send, wait_for, number):
    service = start(migrated.environ("vars_app"))
    service.ready(send, wait_for)
    service.process.send_signal(number)
    lines = service.lines()
    assert service.process.returncode == 0
    assert lines[0]["message"] == "serving" and lines[-1]["message"] == "stopped"


def test_it_stops_as_pid_1(start, migrated, send, wait_for):
    if subprocess.run([*PREFIX_PID1, "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no PID namespace: the stop as PID 1 was not checked")
    service = start(migrated.environ("vars_app"), PREFIX_PID1)
    service.ready(send, wait_for)
    child = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()[0]
    os.kill(int(child), signal.SIGTERM)
    assert service.lines()[-1]["message"] == "stopped"
    assert service.process.returncode == 0


def test_no_answer_is_lost_while_it_stops(start, migrated, send, wait_for):
    service = start(migrated.environ("vars_app"))
    service.ready(send, wait_for)
    acknowledged, stop = [], threading.Event()

    def write(number):
        count = 0
        while not stop.is_set():
            name = f"w{number}-{count}"
            try:
                answer = send(service.port, "PUT", f"/var/{name}", b"1")
            except ConnectionRefusedError:
                return
            assert answer.status == 201
            acknowledged.append(name)
            count += 1

    failures = []
    threading.excepthook, before = lambda args: failures.append(args.exc_value), threading.excepthook
    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    service.process.terminate()
    service.lines()
    stop.set()
    for thread in threads:
        thread.join(10)
    threading.excepthook = before
    assert service.process.returncode == 0
    # A connection that the kernel had accepted and the server had not is reset, before its request was read.
    assert all(isinstance(failure, ConnectionError) for failure in failures), failures
    assert len(acknowledged) > 50
    assert set(migrated.sql("SELECT name FROM variables").split()) >= set(acknowledged)


def test_it_is_ready_soon(start, migrated, send, wait_for):
    times = []
    for _ in range(3):
        service = start(migrated.environ("vars_app"))
        times.append(service.ready(send, wait_for))
        service.process.terminate()
        service.lines()
    # 400 ms on a quiet machine; tests share theirs, and some trace every line.
    assert min(times) < 2, times


def test_settings_that_cannot_be_used(capsys):
    assert entry.main({"APP_ENV": "production"}) == 2
    assert capsys.readouterr().err == "app: DATABASE_URL is not set: postgresql://USER:PASSWORD@HOST:5432/NAME\n"


def test_a_port_that_is_taken(migrated):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "app"],
            cwd=ROOT,
            env={**os.environ, **migrated.environ("vars_app"), "PORT": str(port), "HOST": "127.0.0.1"},
            capture_output=True,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, f"app: cannot listen on 127.0.0.1:{port}: Address already in use\n")


def test_a_host_that_is_none(migrated, capsys):
    assert entry.main(migrated.environ("vars_app", HOST="no.invalid", PORT="0")) == 1
    assert capsys.readouterr().err == "app: cannot listen on no.invalid:0: Cannot assign requested address\n"


@pytest.mark.parametrize(
    "arguments", [("app.migrate", "status"), ("app.queries", "check"), ("app.queries", "check", "--offline")]
)
@pytest.mark.parametrize("settings", [{}, IMAGE], ids=["plain", "as the image"])
def test_commands(migrated, arguments, settings):
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **settings, **migrated.environ()},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "") and done.stdout


@pytest.mark.parametrize("module", ["app.migrate", "app.queries"])
def test_commands_say_what_they_are_for_without_docstrings(module):
    command = [sys.executable, "-OO", "-m", module, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "database" in done.stdout.split("\n\n")[1]


def test_it_loads_nothing_that_is_deferred(start, migrated, send, wait_for):
    """Of what would be mapped: TLS, and asyncio's accelerator."""
    service = start(migrated.environ("vars_app"))
    service.ready(send, wait_for)
    assert send(service.port, "PUT", "/var/a", b"1", {"Content-Type": "text/plain"}).status == 201
    assert send(service.port, "GET", "/var/a", headers={"Accept": "application/json"}).status == 200
    assert send(service.port, "GET", "/openapi.json").status == 200
    mapped = Path(f"/proc/{service.process.pid}/maps").read_text()
    assert "libcrypto" in mapped or "_hashlib" in mapped
    assert not [name for name in ("libssl", "_ssl.", "_asyncio.") if name in mapped]


@pytest.mark.long
def test_memory_does_not_grow_with_names(start, migrated, send, wait_for, capsys):
    grown(start(migrated.environ("vars_app")), send, wait_for, 200_000, capsys)


def test_memory_does_not_grow_with_some_names(start, migrated, send, wait_for, capsys):
    grown(start(migrated.environ("vars_app")), send, wait_for, 4_000, capsys)


def grown(service, send, wait_for, names, capsys):
    """Read `names` distinct names and compare resident memory with what it was after a first hundred."""
    service.ready(send, wait_for)
    drain = threading.Thread(target=service.process.stdout.read)
    drain.start()
    run(service.port, 20, 60, lambda number: f"/var/warm-{number}", limit=500)
    before = resident(service.process.pid)
    load = run(service.port, 20, 300, lambda number: f"/var/name-{number}", limit=names)
    after = resident(service.process.pid)
    service.process.terminate()
    drain.join(10)
    with capsys.disabled():
        print(
            f"\nmeasured: {names} distinct names, {(after - before) / 1024:+.2f} MiB to {after / 1024:.1f} MiB resident"
        )
    assert load.requests >= names
    assert after - before <= 2048, (before, after)


def resident(pid):
    """Return the resident memory of a process in KiB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise AssertionError("no Rss")
