"""What is asked in place of upstream's own addresses: mirrors, and a certificate authority of the user's own.

A mirror stands for a registry (`docker.io`), or for whatever begins with a host and a path (`traefik.github.io/charts`).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

# Where a lab's folder keeps them, for every command that asks upstream for something.
FILE = "mirrors.json"
# The one registry whose API answers under another name than images have.
HUB, HUB_API = "docker.io", "registry-1.docker.io"


@dataclass(frozen=True)
class Mirrors:
    """What answers for whom: `hosts`, from a host or the beginning of an address (without scheme) to a URL; and whom to
    trust beside the authorities that this machine knows: `extra_ca`, the path of a PEM file.
    """

    hosts: Mapping[str, str] = field(default_factory=dict)
    extra_ca: str = ""

    def _split(self, address: str) -> tuple[str, str] | None:
        """Return the mirror of an address without scheme, the longest that is given, and what of the address remains."""
        for key in sorted(self.hosts, key=len, reverse=True):
            if address == key or address.startswith(f"{key.rstrip('/')}/"):
                return self.hosts[key].rstrip("/"), address[len(key.rstrip("/")) :]
        return None

    def url(self, address: str) -> str:
        """Return the URL to ask instead of `address`, or `address`."""
        found = self._split(address.partition("://")[2])
        return "".join(found) if found else address

    def image(self, reference: str) -> str:
        """Return the reference to pull instead of the full image reference `reference`, or `reference`."""
        found = self._split(reference)
        return "".join(found).partition("://")[2] if found else reference

    def registry(self, host: str) -> str:
        """Return the URL of the API that answers for the images of a registry, with the path that they are under."""
        parts = urlsplit(self.hosts.get(host, f"https://{HUB_API if host == HUB else host}"))
        return f"{parts.scheme}://{parts.netloc}/v2{parts.path.rstrip('/')}"

    def named_for(self, host: str) -> str | None:
        """Return what the user named this host (`host[:port]`) as a mirror for; None where it is no mirror."""
        return next((key for key, url in self.hosts.items() if urlsplit(url).netloc == host), None)

    def context(self) -> ssl.SSLContext:
        """Return how TLS is spoken: by the authorities that this machine trusts, and the user's own."""
        context = ssl.create_default_context()
        if self.extra_ca:
            context.load_verify_locations(cafile=self.extra_ca)
        return context

    def text(self) -> str:
        """Return what `load` reads."""
        return json.dumps({"hosts": dict(self.hosts), "extra_ca": self.extra_ca}, sort_keys=True)


def load(state_dir: Path) -> Mirrors:
    """Return what the lab with that folder was given; nothing where it was given none."""
    file = state_dir / FILE
    return Mirrors(**json.loads(file.read_text())) if file.is_file() else Mirrors()


def is_url(text: str) -> bool:
    """Say whether a text is the URL of a web server, without query or fragment."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment or " " in text)
    except ValueError:  # brackets that are not closed, a port that is no number
        return False


def has_passwords(text: str) -> bool:
    """Say whether a file that `docker login` wrote has a password in it; a helper may keep them elsewhere. Raises ValueError, AttributeError."""
    entries = (json.loads(text).get("auths") or {}).values()
    return any(entry.get(key) for entry in entries for key in ("auth", "identitytoken", "registrytoken", "password"))


def with_home(path: str) -> str:
    """Return a path with the home folder in the place of a tilde; as it is where there is no such home, and so no such file."""
    try:
        return str(Path(path).expanduser()) if path else ""
    except RuntimeError:
        return path


def wrong(hosts: Mapping[str, object], extra_ca: str, credentials: str = "") -> list[str]:
    """Return what is wrong with what a user gave, one line each."""
    lines = []
    for key, value in hosts.items():
        if not is_url(str(value)):
            lines.append(f"lab_mirrors names '{value}' for {key}: it must be a URL, such as https://mirror.example.org/{key}")
        elif urlsplit(str(value)).username or urlsplit(str(value)).password:
            # It would stand in files that anybody may read.
            lines.append(f"lab_mirrors has a password in the URL for {key}: put it into a file as docker login does, "
                         "and name that (-e lab_pull_credentials=FILE)")
        if "://" in key or not key or " " in key:
            lines.append(f"lab_mirrors has the key '{key}': it must be a host, or a host and a path, without https://")
    try:
        if credentials and not has_passwords(Path(with_home(credentials)).read_text()):
            lines.append(f"lab_pull_credentials is '{credentials}', which holds no password: docker login keeps them elsewhere "
                         "here; write one with docker --config FOLDER login")
    except (OSError, ValueError, AttributeError):
        lines.append(f"lab_pull_credentials is '{credentials}': it must be a file that docker login wrote (config.json)")
    extra_ca = with_home(extra_ca)
    if extra_ca and not Path(extra_ca).is_file():
        lines.append(f"lab_extra_ca is '{extra_ca}', and there is no such file: name a PEM file with certificates")
    elif extra_ca:
        try:
            Mirrors(extra_ca=extra_ca).context()
        except ssl.SSLError:
            lines.append(f"lab_extra_ca is '{extra_ca}', which holds no certificate: it must be a PEM file")
    return lines
