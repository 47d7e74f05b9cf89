"""Files from upstream: asked for at most a few times, and kept only if their digest is the catalog's."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.build.golang import ChecksumError
from lab.build.tools import ToolError
from lab.cache import file_digest
from lab.mirrors import HUB, HUB_API, Mirrors

# Seconds between tries where a server is overloaded or refuses for now; it may ask for more, up to the longest.
PAUSES = (2, 8, 20)
LONGEST = 60
# Seconds that a server may be silent.
TIMEOUT = 30
# What passes: too many requests, and a server's own trouble.
PASSING = (408, 429, 500, 502, 503, 504)
BLOCK = 1 << 20


def download(address: str, into: Path, mirrors: Mirrors, log: Path, clock: Any = time) -> None:
    """Write what answers at `address`, or at its mirror, into the file `into`.

    What passes is tried again, three times at most. Raises ToolError with the reason and what to type.
    """
    url = mirrors.url(address)
    host = urlsplit(url).netloc
    for pause in (*PAUSES, None):
        with log.open("a") as file:
            file.write(f"GET {url}\n")
        try:
            _once(url, into, mirrors)
            return
        except urllib.error.HTTPError as error:
            wait, reason = _asked(error), f"{error.code} {error.reason}"
            passing = error.code in PASSING
        except OSError as error:
            wait, reason = 0, str(getattr(error, "reason", error)) or type(error).__name__
            passing = not isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError)
        if not passing or pause is None:
            raise ToolError(f"{url}: {reason}; {advice(reason, host, mirrors=mirrors)}")
        clock.sleep(min(max(pause, wait), LONGEST))


def checked(address: str, sha256: str, into: Path, mirrors: Mirrors, log: Path) -> None:
    """Download a file, as `download` does; raise ChecksumError where its digest is not `sha256`, and keep nothing."""
    download(address, into, mirrors, log)
    actual = file_digest(into)
    if actual != sha256:
        into.unlink()
        raise ChecksumError(
            f"{mirrors.url(address)}: its sha256 is {actual}, the catalog says {sha256}; nothing was installed"
        )


def advice(reason: str, *hosts: str, mirrors: Mirrors) -> str:
    """Say what helps where these hosts did not give what was asked for."""
    named = {host: mirrors.named_for(host) for host in hosts}
    keys = {named[host] or (HUB if host == HUB_API else host): "https://MIRROR" for host in hosts}
    mirror = f"name {'other mirrors' if any(named.values()) else 'mirrors'} (-e '{json.dumps({'lab_mirrors': keys})}')"
    own = "".join(f", {host} (which lab_mirrors names for {key})" for host, key in named.items() if key)
    if "429" in reason or "toomanyrequests" in reason or "too many requests" in reason.lower():
        return f"{', '.join(hosts)} {'give' if len(hosts) > 1 else 'gives'} no more to this address for now: docker login, or {mirror}"
    if "CERTIFICATE" in reason.upper():
        return "name the certificate authority that signs here (-e lab_extra_ca=FILE)"
    return f"check the network, the proxy (https_proxy){own}, or {mirror}"


def _once(url: str, into: Path, mirrors: Mirrors) -> None:
    with (
        urllib.request.urlopen(url, timeout=TIMEOUT, context=mirrors.context()) as answer,
        into.open("wb") as file,
    ):
        expected = answer.headers.get("Content-Length")
        while block := answer.read(BLOCK):
            file.write(block)
        if expected is not None and file.tell() != int(expected):
            raise OSError(f"it ended after {file.tell()} of {expected} bytes")


def _asked(error: urllib.error.HTTPError) -> int:
    """Return the seconds that a server asks one to wait."""
    value = error.headers.get("Retry-After", "")
    return int(value) if value.isdigit() else 0
