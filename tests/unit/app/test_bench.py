"""The benchmark's own arithmetic, and its load generator against a server that counts."""

import os

from lab.bench import load
from lab.bench.app import FASTAPI, IMAGE, ROOT, SERVICE, Figures, cpu_seconds, memory_of, table


def test_the_table_has_ratios():
    ours = Figures(3000.0, 5.0, 10.0, 300.0, 200.0, 300.0, 30.0, 20.0)
    theirs = Figures(2000.0, 10.0, 20.0, 500.0, 300.0, 600.0, 60.0, 40.0)
    lines = table({SERVICE: ours, FASTAPI: theirs}).splitlines()
    assert "1.50" in lines[1] and "100.0" in lines[5] and "200.0" in lines[5] and "0.50" in lines[5]


def test_both_run_with_the_settings_of_the_image():
    words = (ROOT / "Dockerfile").read_text().split()
    settings = dict(
        word.split("=") for word in words if word.startswith(("PYTHON", "MALLOC_")) and word.count("=") == 1
    )
    # These change neither memory nor speed: how bytecode is written, and how `print` buffers.
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONHASHSEED"):
        assert settings.pop(name) is not None
    assert settings == IMAGE


def test_percentiles():
    found = load.Load(100, 2.0, 0, [number / 1000 for number in range(100)])
    assert found.rate() == 50
    assert (found.percentile(0.5), found.percentile(0.99), found.percentile(1)) == (50.0, 99.0, 99.0)


def test_every_request_is_counted(running):
    server = running()
    found = load.run(server.port, 4, 10, lambda number: f"/var/n{number}", limit=200)
    names = {call[1] for call in server.harness.store.calls}
    assert found.requests >= 200 and found.errors == found.requests
    assert len(names) >= found.requests


def test_a_connection_that_is_closed_is_made_again(running):
    def closing(environ, start_response):
        start_response("200 OK", [("Content-Length", "5")])
        return [b"cut"]

    found = load.run(running(closing).port, 2, 10, lambda _: "/", limit=20)
    assert found.requests >= 20


def test_this_process_is_measured():
    resident, unshared = memory_of(os.getpid())
    assert resident > unshared > 1
    assert cpu_seconds(os.getpid()) > 0
