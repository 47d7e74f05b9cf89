"""Ask Prometheus: instant queries, and queries over a range of time (its HTTP API, version 1)."""

from __future__ import annotations

import http.client
import json
import math
import urllib.parse
from dataclasses import dataclass
from typing import Any


class PrometheusError(Exception):
    """Prometheus does not answer, or rejects what it was asked; the message says why."""


@dataclass(frozen=True)
class Span:
    """A range of time in seconds since the epoch, and the seconds between two points of it."""

    start: float
    end: float
    step: float

    @classmethod
    def until(cls, end: float, seconds: float, points: int = 240, least: float = 5) -> Span:
        """Return the span of so many seconds until `end`, at most so many points, on whole steps."""
        step = max(least, math.ceil(seconds / points))
        last = math.floor(end / step) * step
        return cls(last - math.floor(seconds / step) * step, last, step)

    def fill(self, expr: str, interval: float = 15) -> str:
        """Return an expression with Grafana's own variables for this span filled in; `interval` is that of scrapes."""
        values = {
            # As Grafana has it: never less than four scrapes, so that one that is missed leaves no gap.
            "__rate_interval": f"{max(self.step + interval, 4 * interval):.0f}s",
            "__interval": f"{self.step:.0f}s",
            "__range": f"{max(self.end - self.start, self.step):.0f}s",
        }
        for name, value in values.items():
            expr = expr.replace(f"${{{name}}}", value).replace(f"${name}", value)
        return expr


@dataclass(frozen=True)
class Series:
    """One series: its labels without the name, and its points as (seconds, value)."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """Prometheus behind the lab's proxy: an address, and the host name that leads on from there."""

    def __init__(self, port: int, host: str = "prometheus.localhost", address: str = "127.0.0.1", timeout: float = 30) -> None:
        """Take where it is; `timeout` is how many seconds one answer may take."""
        self.port, self.host, self.address, self.timeout = port, host, address, timeout

    def instant(self, expr: str, time: float) -> list[Series]:
        """Return what an expression is worth at a moment. Raises PrometheusError."""
        return self._series("query", {"query": expr, "time": f"{time:.3f}"})

    def over(self, expr: str, span: Span) -> list[Series]:
        """Return what an expression was worth over a span. Raises PrometheusError."""
        return self._series("query_range", {"query": expr, "start": f"{span.start:.3f}", "end": f"{span.end:.3f}",
                                            "step": f"{span.step:.3f}"})  # fmt: skip

    def get(self, path: str, **values: str) -> Any:
        """Return the data of `/api/v1/<path>`. Raises PrometheusError."""
        body = urllib.parse.urlencode(values)
        try:
            connection = http.client.HTTPConnection(self.address, self.port, timeout=self.timeout)
            connection.request("GET", f"/api/v1/{path}?{body}", headers={"Host": self.host})
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            raise PrometheusError(f"Prometheus does not answer at http://{self.host}:{self.port}: {error}") from None
        try:
            document = json.loads(text)
        except ValueError:
            raise PrometheusError(f"http://{self.host}:{self.port} answers {status}, and not as Prometheus does; does this lab have it?") from None
        if document.get("status") != "success":
            raise PrometheusError(f"Prometheus rejects it: {document.get('error', 'no reason given')}")
        return document["data"]

    def _series(self, path: str, values: dict[str, str]) -> list[Series]:
        data = self.get(path, **values)
        if data["resultType"] == "scalar":
            return [Series({}, ((float(data["result"][0]), float(data["result"][1])),))]
        if data["resultType"] == "string":
            raise PrometheusError("a text is no series")
        return [
            Series(
                {name: value for name, value in item["metric"].items() if name != "__name__"},
                tuple((float(time), float(value)) for time, value in item.get("values") or [item["value"]]),
            )
            for item in data["result"]
        ]
