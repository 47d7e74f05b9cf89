"""Routes for machines: liveness, readiness, metrics, and the description of the interface."""

from collections.abc import Iterable
from pathlib import Path

import falcon

from app.metrics import CONTENT_TYPE, Metrics
from app.problems import JSON, TEXT
from app.store import Migration, Store

DOCUMENT = Path(__file__).with_name("openapi.json")
# Answered by a thread of their own, so that a database that hangs cannot make a live service look dead.
WITHOUT_DATABASE = ("/healthz", "/metrics", "/openapi.json")


class Lifecycle:
    """Whether this process wants new work. One is shared by the signal handler and the readiness probe."""

    def __init__(self) -> None:
        self.stopping = False


def unready(known: dict[str, str], applied: Iterable[Migration]) -> str | None:
    """Say why the schema does not fit, or None if it does.

    `known` has the checksums of this image's migrations. Newer migrations are tolerated unless marked breaking, so
    that pods of two versions serve side by side.
    """
    found = {migration.version: migration for migration in applied}
    for version, checksum in sorted(known.items()):
        if version not in found:
            return f"Migration {version} is not applied"
        if found[version].checksum != checksum:
            return f"Migration {version} was applied from another file"
    breaking = sorted(version for version, each in found.items() if version not in known and each.breaking)
    if breaking:
        return f"Migration {breaking[0]} is newer than this version and breaks it"
    return None


class Health:
    """`/healthz`: the process answers. It never asks the database, whose absence no restart would mend."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer ok."""
        _text(resp, "ok")

    on_head = on_get


class Readiness:
    """`/readyz`: this process may be sent requests."""

    def __init__(self, store: Store, known: dict[str, str], lifecycle: Lifecycle):
        self._store = store
        self._known = known
        self._lifecycle = lifecycle

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer ready, or 503 with the reason."""
        if self._lifecycle.stopping:
            raise falcon.HTTPServiceUnavailable(description="Stopping", retry_after=1)
        reason = unready(self._known, self._store.migrations())
        if reason:
            raise falcon.HTTPServiceUnavailable(description=reason, retry_after=1)
        _text(resp, "ready")

    on_head = on_get


class Scrape:
    """`/metrics`: counters for Prometheus."""

    def __init__(self, metrics: Metrics):
        self._metrics = metrics

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the counters as text."""
        resp.data = self._metrics.render().encode("utf-8")
        resp.content_type = CONTENT_TYPE
        resp.set_header("Cache-Control", "no-store")

    on_head = on_get


class Description:
    """`/openapi.json`, read from its file each time: it is asked for rarely, and memory is not."""

    def __init__(self, path: Path = DOCUMENT):
        self._path = path

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer the OpenAPI document."""
        resp.data = self._path.read_bytes()
        resp.content_type = JSON
        resp.set_header("Cache-Control", "no-cache")

    on_head = on_get


def _text(resp: falcon.Response, text: str) -> None:
    resp.data = text.encode("utf-8")
    resp.content_type = TEXT
    resp.set_header("Cache-Control", "no-store")
