"""Look for an image in a registry, and attach a document to it (OCI Distribution Specification 1.1, "referrers")."""

import base64
import hashlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from lab.publish.tools import PublishError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
IMAGES = (MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")


class Registry:
    """One repository of a registry. Answers that are no success are PublishErrors, secrets are in none of them."""

    def __init__(self, host: str, repository: str, credentials: tuple[str, str] | None, timeout: float = 60) -> None:
        """Take `host[:port]`, the path of a repository, name and password if there are, and seconds for an answer."""
        self.host, self.repository, self.timeout = host, repository, timeout
        # Docker too speaks plain HTTP to a registry on loopback, and no proxy must see that.
        local = loopback(host)
        self._base = f"{'http' if local else 'https'}://{host}/v2/{repository}"
        handlers = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(*handlers)
        self._basic = base64.b64encode(":".join(credentials).encode()).decode() if credentials else None
        self._authorization = f"Basic {self._basic}" if self._basic else None

    def digest(self, tag: str) -> str | None:
        """Return the digest of the image that a tag stands for, or None where there is no such image."""
        answer = self._ask("HEAD", f"/manifests/{tag}", headers={"Accept": MANIFEST}, absent=True)
        return answer.headers["Docker-Content-Digest"] if answer else None

    def attach(self, digest: str, kind: str, document: bytes, name: str) -> str:
        """Push `document` of media type `kind` as a referrer of the image `digest`; return the referrer's digest."""
        subject = self._describe(digest)
        body = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "artifactType": kind,
                "config": self._upload(EMPTY, b"{}"),
                "layers": [{**self._upload(kind, document), "annotations": {"org.opencontainers.image.title": name}}],
                "subject": subject,
            },
            sort_keys=True,
        ).encode()
        own = describe(MANIFEST, body)
        answer = self._ask("PUT", f"/manifests/{own['digest']}", body, {"Content-Type": MANIFEST})
        if "OCI-Subject" not in answer.headers:
            self._list(digest, {**own, "artifactType": kind})
        return own["digest"]

    def _list(self, digest: str, referrer: dict[str, Any]) -> None:
        """Add a referrer to the tag that stands for the list where a registry keeps none itself (the referrers tag schema)."""
        tag = digest.replace(":", "-")
        index: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        found = self._ask("GET", f"/manifests/{tag}", headers={"Accept": INDEX}, absent=True)
        if found:
            index = json.loads(found.read())
        others = [item for item in index["manifests"] if item["digest"] != referrer["digest"]]
        body = json.dumps({**index, "manifests": [*others, referrer]}, sort_keys=True).encode()
        self._ask("PUT", f"/manifests/{tag}", body, {"Content-Type": INDEX})

    def _describe(self, digest: str) -> dict[str, Any]:
        answer = self._ask("GET", f"/manifests/{digest}", headers={"Accept": ", ".join(IMAGES)})
        return describe(answer.headers["Content-Type"], answer.read())

    def _upload(self, kind: str, data: bytes) -> dict[str, Any]:
        blob = describe(kind, data)
        if not self._ask("HEAD", f"/blobs/{blob['digest']}", absent=True):
            place = self._ask("POST", "/blobs/uploads/", b"").headers["Location"]
            place += f"{'&' if '?' in place else '?'}digest={urllib.parse.quote(blob['digest'])}"
            self._ask("PUT", place, data, {"Content-Type": "application/octet-stream"})
        return blob

    def _ask(self, method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None,
             absent: bool = False, again: bool = True) -> Any:  # fmt: skip
        """Send one request, getting a token where one is asked for; None for 404 where `absent` allows it."""
        url = urllib.parse.urljoin(f"{self._base}/", path) if "://" in path or path.startswith("/v2/") else self._base + path
        request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            return self._opener.open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code == 404 and absent:
                return None
            challenge = error.headers.get("WWW-Authenticate", "")
            if error.code == 401 and again and challenge.lower().startswith("bearer"):
                self._authorization = f"Bearer {self._token(challenge)}"
                return self._ask(method, path, data, headers, absent, again=False)
            raise PublishError(f"{self.host} answers {error.code} to {method} on {self.repository}") from None
        except OSError as error:
            raise PublishError(f"{self.host} does not answer: {getattr(error, 'reason', error)}") from None

    def _token(self, challenge: str) -> str:
        """Exchange name and password for a token, as the registry's challenge says (Docker's token authentication)."""
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        query = urllib.parse.urlencode({"service": fields.get("service", ""), "scope": f"repository:{self.repository}:pull,push"})
        request = urllib.request.Request(f"{fields['realm']}?{query}")
        if self._basic:
            request.add_unredirected_header("Authorization", f"Basic {self._basic}")
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                said = json.loads(answer.read())
        except OSError:
            raise PublishError(f"{self.host} gives no token for {self.repository}: may this login push there?") from None
        return said.get("token") or said["access_token"]


def loopback(host: str) -> bool:
    """Say whether a registry is on this machine's loopback: it is then spoken to in plain HTTP, and never through a proxy."""
    return re.match(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?$", host) is not None


def describe(kind: str, data: bytes) -> dict[str, Any]:
    """Return the descriptor of `data`."""
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
