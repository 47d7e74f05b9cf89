"""What happens around every request: identity, exact path, log line, metrics, common headers."""

import os
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import falcon

from app.logs import JsonLog
from app.metrics import Metrics

# Ids of other systems are kept if they are plain: they are written into logs and headers.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
_METHODS = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "PATCH", "TRACE", "CONNECT"))
_ID = "vars.request_id"
# Random ids to come: one system call draws sixty-four.
_ids: list[str] = []


def _random_id() -> str:
    try:
        return _ids.pop()
    except IndexError:
        digits = os.urandom(16 * 64).hex()
        _ids.extend(digits[start : start + 32] for start in range(32, len(digits), 32))
        return digits[:32]


def request_id(env: dict[str, Any]) -> str:
    """Return the id of a request: the client's `X-Request-Id` if it is plain, else a random one."""
    identity = env.get(_ID)
    if identity is None:
        identity = env.get("HTTP_X_REQUEST_ID", "")
        if not _REQUEST_ID.fullmatch(identity):
            identity = _random_id()
        env[_ID] = identity
    return identity


class Observer:
    """Logs and counts every answer, also those that never reach the application."""

    def __init__(self, pod: str, log: JsonLog, metrics: Metrics, clock: Callable[[], float] = time.perf_counter):
        self.pod = pod
        self.log = log
        self._metrics = metrics
        self.clock = clock

    def answered(self, method: str, route: str, status: int, seconds: float, identity: str) -> None:
        """Record one answer; unknown methods share a name, so that clients cannot make up new series."""
        if method not in _METHODS:
            method = "other"
        self._metrics.request(method, route, status, seconds)
        self.log.request(method, route, status, seconds, identity)


class ObserveMiddleware:
    """The observer's part within the application."""

    def __init__(self, observer: Observer):
        self._observer = observer

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the clock, and route by the path as it was sent.

        WSGI's PATH_INFO is decoded and waitress drops leading slashes from it, so `a%2Fb` could not be told from
        `a/b`, nor `//var/a/b` from `/var/a/b`.
        """
        req.context = self._observer.clock()
        target = req.env["REQUEST_URI"]
        if target[0] == "/":
            req.path = target.partition("?")[0]
        else:
            # Absolute form, which a server must accept (RFC 9112 section 3.2.2).
            req.path = urlsplit(target).path or "/"
        if req.path.startswith("//"):
            # The router would drop the empty segments.
            raise falcon.HTTPRouteNotFound()

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: object, succeeded: bool) -> None:
        """Stamp the answer and record it."""
        observer = self._observer
        identity = request_id(req.env)
        resp.set_header("X-Served-By", observer.pod)
        resp.set_header("X-Request-Id", identity)
        resp.set_header("X-Content-Type-Options", "nosniff")
        route = req.uri_template or "none"
        status = resp.status_code
        observer.answered(req.method, route, status, observer.clock() - req.context, identity)
