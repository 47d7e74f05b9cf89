"""Argo CD's API, through Traefik as a user reaches it."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from urllib.parse import urlencode

from lab.gitops import GitopsError
from lab.gitops.state import APPLICATION, Lab


class Api:
    """One session of the user admin."""

    def __init__(self, lab: Lab, timeout: float = 10) -> None:
        """Log in; raise GitopsError where Argo CD does not answer or does not know the password. `timeout` is for each answer."""
        self._lab, self._timeout, self._token = lab, timeout, ""
        answer = self._json("POST", "/api/v1/session", {"username": "admin", "password": lab.password("argocd_admin")})
        self._token = answer["token"]

    def get(self, path: str, **query: str) -> dict:
        """Return the document at `path` of the Application."""
        return self._json("GET", f"/api/v1/applications/{APPLICATION}{path}?{urlencode(query)}")

    def lines(self, path: str, **query: str) -> Iterator[dict]:
        """Yield the documents of a stream, one a line, until it ends."""
        # Between two lines of a log any time may pass.
        with self._open("GET", f"/api/v1/applications/{APPLICATION}{path}?{urlencode(query)}", timeout=None) as answer:
            for line in answer:
                if line.strip():
                    yield json.loads(line)

    @contextlib.contextmanager
    def _open(self, method: str, path: str, body: dict | None = None, timeout: float | None = None):
        # By address: the name leads there, but not every resolver knows.
        host = f"{self._lab.host('argocd')}:{self._lab.http}"
        connection = http.client.HTTPConnection(self._lab.address, self._lab.http, timeout=self._timeout)
        headers = {"Host": host, "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers)
            answer = connection.getresponse()
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            if answer.status != 200:
                raise GitopsError(f"Argo CD's API answers {answer.status} at {path.partition('?')[0]}: {_said(answer.read())}")
            yield answer
        except (OSError, http.client.HTTPException) as error:
            raise GitopsError(f"Argo CD's API does not answer at http://{host}: {error}; make up repairs") from None
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: dict | None = None) -> dict:
        with self._open(method, path, body, self._timeout) as answer:
            return json.loads(answer.read())


def _said(data: bytes) -> str:
    """Return the message of an answer that is an error."""
    try:
        return str(json.loads(data).get("message", ""))
    except (ValueError, AttributeError):
        return data.decode(errors="replace").strip()[:200] or "no reason given"
