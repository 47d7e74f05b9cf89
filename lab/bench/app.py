"""`make bench-app`: the service beside FastAPI + uvicorn + asyncpg, a core each, on the same PostgreSQL, in one run."""

import argparse
import hashlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from lab.bench import load
from lab.cache import cache_dir
from lab.embedded import EmbeddedError, EmbeddedPostgres, free_port

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 20
# Both run with the settings that the image has: no docstrings, no column tables in the bytecode, one heap for all threads.
IMAGE = {"PYTHONOPTIMIZE": "2", "PYTHONNODEBUGRANGES": "1", "MALLOC_ARENA_MAX": "1"}


class Contender(NamedTuple):
    """A service that is measured."""

    name: str
    requirements: Path
    module: str


SERVICE = Contender("this service", ROOT / "app" / "requirements.txt", "app")
FASTAPI = Contender("FastAPI", ROOT / "lab" / "bench" / "requirements.txt", "lab.bench.competitor_fastapi")


class Figures(NamedTuple):
    """What one run measured: requests/s, milliseconds, microseconds of CPU a request, MiB."""

    rate: float
    p50: float
    p99: float
    cpu: float
    cpu_without_database: float
    ready: float
    resident: float
    unshared: float


def main(argv: list[str] | None = None) -> int:
    """Print a table with ratios. Exit codes: 0 measured, 1 it could not be done here."""
    parser = argparse.ArgumentParser(prog="python -m lab bench-app", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement (5)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, in which the contenders take turns (3)")
    parser.add_argument(
        "--plain", action="store_true", help="without the image's settings of Python and malloc, for both"
    )
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args(argv)
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("bench-app: two cores are needed, one for the service and one for the rest", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="vars-bench-") as folder:
        Path(folder).chmod(0o755)
        os.sched_setaffinity(0, {cores[1]})
        server = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            pythons = {each: environment(each) for each in (SERVICE, FASTAPI)}
            server.start()
            server.create_database()
            migrate(server, pythons[SERVICE])
            found = measure_all(server, pythons, cores[0], arguments, {} if arguments.plain else IMAGE)
        except (EmbeddedError, subprocess.CalledProcessError) as error:
            print(f"bench-app: {error}", file=sys.stderr)
            return 1
        finally:
            server.stop()
    print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps({k.name: v._asdict() for k, v in found.items()}, indent=2) + "\n")
    return 0


def environment(contender: Contender) -> Path:
    """Return the Python of an environment that holds what the contender needs, made once for all runs."""
    stamp = hashlib.sha256(contender.requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache_dir() / f"bench-{stamp}"
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*install, "--requirement", contender.requirements], check=True)
        (folder / "done").touch()
    return python


def migrate(server: EmbeddedPostgres, python: Path) -> None:
    """Bring the schema up and set the variable that is read."""
    environ = variables(server, "vars_owner", 0, IMAGE)
    subprocess.run([python, "-m", "app.migrate", "up"], cwd=ROOT, env=environ, check=True)
    server.psql("INSERT INTO variables VALUES ('a', '1')", database="vars")


def variables(server: EmbeddedPostgres, user: str, port: int, settings: dict[str, str]) -> dict[str, str]:
    """Return the environment of a contender; none of this process' own settings of Python and malloc get there."""
    caches = {"PYTHONPYCACHEPREFIX": str(cache_dir() / "bench-bytecode")}
    url = {"DATABASE_URL": server.url(user), "PORT": str(port), "HOST": "127.0.0.1", "APP_ENV": "production"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MALLOC_"))}
    return {**inherited, **settings, **caches, **url}


def measure_all(
    server: EmbeddedPostgres, pythons: dict, core: int, arguments: Any, settings: dict[str, str]
) -> dict[Contender, Figures]:
    """Measure the contenders in turns, both with the same `settings`, and return the median of each figure."""
    runs: dict[Contender, list[Figures]] = {each: [] for each in pythons}
    for number in range(arguments.rounds + 1):
        for contender, python in pythons.items():
            seconds = arguments.seconds if number else 0.5
            figures = measure(server, contender, python, core, seconds, settings)
            # The first start writes bytecode and is not counted.
            if number:
                runs[contender].append(figures)
                print(f"round {number}: {contender.name} {figures.rate:.0f} requests/s", file=sys.stderr)
    return {each: Figures(*map(statistics.median, zip(*runs[each], strict=True))) for each in runs}


def measure(
    server: EmbeddedPostgres, contender: Contender, python: Path, core: int, seconds: float, settings: dict[str, str]
) -> Figures:
    """Start a contender on a core of its own, load it and stop it."""
    port = free_port()
    begin = time.perf_counter()
    process = subprocess.Popen(
        [python, "-m", contender.module],
        cwd=ROOT,
        env=variables(server, "vars_app", port, settings),
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        wait_until_ready(port, process)
        ready = time.perf_counter() - begin
        warm = load.run(port, CONNECTIONS, min(1.0, seconds), lambda _: "/var/a")
        before = cpu_seconds(process.pid)
        loaded = load.run(port, CONNECTIONS, seconds, lambda _: "/var/a")
        cpu = (cpu_seconds(process.pid) - before) / loaded.requests
        memory = memory_of(process.pid)
        before = cpu_seconds(process.pid)
        bare = load.run(port, CONNECTIONS, min(2.0, seconds), lambda _: "/healthz")
        bare_cpu = (cpu_seconds(process.pid) - before) / bare.requests
        if warm.errors + loaded.errors + bare.errors:
            raise EmbeddedError(f"{contender.name} answered {loaded.errors} requests with an error")
    finally:
        process.terminate()
        process.wait(15)
    return Figures(
        loaded.rate(), loaded.percentile(0.5), loaded.percentile(0.99), cpu * 1e6, bare_cpu * 1e6, ready * 1000, *memory
    )


def wait_until_ready(port: int, process: subprocess.Popen) -> None:
    """Ask for /readyz until it is 200. Raises EmbeddedError where the process ends instead."""
    while process.poll() is None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            client.request("GET", "/readyz")
            if client.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.002)
        finally:
            client.close()
    raise EmbeddedError("a contender did not start")


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> tuple[float, float]:
    """Return resident and unshared memory in MiB."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size = line.split()[:2]
        sizes[name] = int(size) / 1024
    return sizes["Rss:"], sizes["Private_Clean:"] + sizes["Private_Dirty:"]


def table(found: dict[Contender, Figures]) -> str:
    """Return the figures as text, each with the ratio of the service's to the competitor's."""
    ours, theirs = found[SERVICE], found[FASTAPI]
    rows = [
        ("GET /var/{name}, requests/s", ours.rate, theirs.rate, "≥ 1.3, goal 1.6"),
        ("median, ms", ours.p50, theirs.p50, ""),
        ("99th percentile, ms", ours.p99, theirs.p99, "≤ 1"),
        ("CPU a read, µs", ours.cpu, theirs.cpu, ""),
        (
            "CPU of its database part, µs",
            ours.cpu - ours.cpu_without_database,
            theirs.cpu - theirs.cpu_without_database,
            "≤ 120 µs",
        ),
        ("start to ready, ms", ours.ready, theirs.ready, "≤ 400 ms"),
        ("resident, MiB", ours.resident, theirs.resident, "≤ 0.6, goal 24 MiB"),
        ("unshared, MiB", ours.unshared, theirs.unshared, "goal 16 MiB"),
    ]
    lines = [f"{'':30}{'this service':>14}{'FastAPI':>14}{'ratio':>8}  wanted"]
    lines += [f"{name:30}{one:14.1f}{other:14.1f}{one / other:8.2f}  {wanted}" for name, one, other, wanted in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
