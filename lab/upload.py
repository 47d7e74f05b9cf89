"""Carry the image of an OCI layout into a registry on loopback (OCI Distribution Specification 1.0, push)."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Seconds that the registry may be silent; it answers a layer once all of it is on its disk.
TIMEOUT = 300
# Which repository of which registry has a blob that was sent from here: what images share is sent once.
_SENT: dict[tuple[str, str], str] = {}
_LOCK = threading.Lock()


def upload(blobs: Path, layout: Path, target: str, log: Path) -> None:
    """Send the image of `layout`, its blobs in the folder `blobs`, to `target` (host:port/path:tag); raise OSError with the reason."""
    address, _, path = target.partition("/")
    name, _, tag = path.rpartition(":")
    descriptor = json.loads((layout / "index.json").read_text())["manifests"][0]
    manifest = _file(blobs, descriptor["digest"]).read_bytes()
    document = json.loads(manifest)
    # No proxy that the environment may name: this is loopback.
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    try:
        for item in [document["config"], *document["layers"]]:
            _blob(connection, address, name, item["digest"], _file(blobs, item["digest"]))
        headers = {"Content-Type": descriptor["mediaType"]}
        _ask(connection, "PUT", f"/v2/{name}/manifests/{tag}", (201,), manifest, headers)
    finally:
        connection.close()
    with log.open("a") as file:
        file.write(f"sent {target} ({descriptor['digest']})\n")


def _blob(connection: http.client.HTTPConnection, address: str, name: str, digest: str, file: Path) -> None:
    """Have a blob in the repository `name`: there already, shared with another repository, or sent."""
    if _ask(connection, "HEAD", f"/v2/{name}/blobs/{digest}", (200, 404)).status == 404:
        with _LOCK:
            other = _SENT.get((address, digest))
        words = f"?mount={digest}&from={other}" if other else ""
        begun = _ask(connection, "POST", f"/v2/{name}/blobs/uploads/{words}", (201, 202), headers={"Content-Length": "0"})
        if begun.status == 202:
            place = urlsplit(begun.headers["Location"])
            query = f"{place.query}&digest={digest}" if place.query else f"digest={digest}"
            with file.open("rb") as body:
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
                _ask(connection, "PUT", f"{place.path}?{query}", (201,), body, headers)
    with _LOCK:
        _SENT[address, digest] = name


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, good: tuple[int, ...], body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> http.client.HTTPResponse:  # fmt: skip
    """Return the answer, read to its end; raise OSError where its status is none of `good`."""
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        said = answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"{method} {path}: {type(error).__name__}: {error}") from None
    if answer.status not in good:
        raise OSError(f"{method} {path}: {answer.status} {said[:200].decode(errors='replace').strip()}")
    return answer


def _file(blobs: Path, digest: str) -> Path:
    return blobs / digest.replace(":", "/")
