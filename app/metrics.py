"""Counters of one process, in Prometheus' text format (version 0.0.4)."""

import threading
from bisect import bisect_left
from collections.abc import Callable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Seconds. The lab's own figures lie between 1 ms and 1 s, where requests are given up.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """Counts requests and database errors; `gauges` gives the pool's state when somebody asks."""

    def __init__(self, version: str, commit: str, gauges: Callable[[], dict[str, int]] = dict):
        self._lock = threading.Lock()
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, list] = {}
        self._errors: dict[str, int] = {}
        self._build = {"version": version, "commit": commit}
        self._gauges = gauges

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request. `route` is a template, never a path, so that the series stay few."""
        bucket = bisect_left(BUCKETS, seconds)
        key = (method, route, status)
        with self._lock:
            self._requests[key] = self._requests.get(key, 0) + 1
            durations = self._durations.get(route)
            if durations is None:
                durations = self._durations[route] = [0.0] + [0] * (len(BUCKETS) + 1)
            durations[0] += seconds
            durations[bucket + 1] += 1

    def database_error(self, kind: str) -> None:
        """Count one failed database call; `kind` is one of a few words or an SQLSTATE."""
        with self._lock:
            self._errors[kind] = self._errors.get(kind, 0) + 1

    def render(self) -> str:
        """Return everything as text for a scrape."""
        with self._lock:
            requests = sorted(self._requests.items())
            durations = sorted((route, list(each)) for route, each in self._durations.items())
            errors = sorted(self._errors.items())
        pool = self._gauges()
        lines = _head("vars_build_info", "gauge", "Version and commit of the running service.")
        lines.append(_sample("vars_build_info", self._build, 1))
        lines += _head("vars_http_requests_total", "counter", "Answered requests.")
        for (method, route, status), count in requests:
            labels = {"method": method, "route": route, "status": str(status)}
            lines.append(_sample("vars_http_requests_total", labels, count))
        name = "vars_http_request_duration_seconds"
        lines += _head(name, "histogram", "Time from the parsed request to the finished answer.")
        for route, (total, *counts) in durations:
            lines += _histogram(name, route, total, counts)
        lines += _head("vars_db_pool_connections", "gauge", "Database connections by state.")
        for state in ("busy", "idle"):
            lines.append(_sample("vars_db_pool_connections", {"state": state}, pool.get(state, 0)))
        lines += _head("vars_db_pool_waiting", "gauge", "Requests that wait for a database connection.")
        lines.append(_sample("vars_db_pool_waiting", {}, pool.get("waiting", 0)))
        lines += _head("vars_db_up", "gauge", "1 unless the database is known to be away.")
        lines.append(_sample("vars_db_up", {}, 1 - pool.get("away", 0)))
        lines += _head("vars_db_errors_total", "counter", "Failed database calls by kind.")
        for kind, count in errors:
            lines.append(_sample("vars_db_errors_total", {"kind": kind}, count))
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _sample(name: str, labels: dict[str, str], value: float) -> str:
    inner = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value}" if inner else f"{name} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _histogram(name: str, route: str, total: float, counts: list[int]) -> list[str]:
    lines, sofar = [], 0
    for bound, count in zip((*BUCKETS, "+Inf"), counts, strict=True):
        sofar += count
        lines.append(_sample(f"{name}_bucket", {"route": route, "le": str(bound)}, sofar))
    lines.append(_sample(f"{name}_sum", {"route": route}, round(total, 6)))
    lines.append(_sample(f"{name}_count", {"route": route}, sofar))
    return lines
