"""Push the catalog's images to the lab's registry, or to the one that takes its place: `python -m lab push`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab import build
from lab.build.plan import Plan
from lab.build.tools import ToolError, run
from lab.catalog import path_of
from lab.mirrors import HUB, HUB_API, Mirrors
from lab.publish import login
from lab.publish.registry import Registry as Repository
from lab.publish.registry import loopback
from lab.publish.tools import PublishError
from lab.upload import upload

# How many images are copied at a time.
COPIES = 3
# A URL of this machine's own, apart from its host.
LOOPBACK = re.compile(r"^(https?://)(?:localhost|127(?:\.\d+){3}|\[::1\])((?::\d+)?(?:/|$))")


class Registry:
    """One registry, or one path in it, as far as a push needs it; on loopback over HTTP, elsewhere over TLS."""

    def __init__(self, address: str, timeout: float = 10, environ: Mapping[str, str] = os.environ) -> None:
        """Take `host[:port][/path]`, and the seconds one answer may take.

        Who pushes is known from `docker login`, or from name and token of `environ`, which are for registries elsewhere only.
        """
        self.address, self.timeout = address, timeout
        self._host, _, self._path = address.partition("/")
        users = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        self._credentials = login.given({} if loopback(self._host) else environ) or login.credentials(self._host, users)

    def digest(self, name: str, tag: str) -> str | None:
        """Return the digest that `tag` stands for, or None where the registry has no such image. Raises OSError."""
        path = "/".join(filter(None, (self._path, name)))
        try:
            return Repository(self._host, path, self._credentials, self.timeout).digest(tag)
        except PublishError as error:
            raise OSError(str(error)) from None

    def wait(self, seconds: float, clock: Any = time) -> None:
        """Return once the registry answers; raise OSError that says so where it does not within `seconds`."""
        end = clock.monotonic() + seconds
        while True:
            try:
                self.digest("any", "any")
                return
            except OSError as error:
                if clock.monotonic() >= end:
                    raise OSError(f"the registry does not answer on {self.address} within {seconds:.0f} s: {error}") from None
            clock.sleep(0.2)


def registry_of(plan: Plan) -> Registry:
    """Return the registry that the cluster's images are pushed to."""
    return Registry(plan.registry or f"127.0.0.1:{plan.registry_port}")


def copy(blobs: Path, layout: Path, target: str, log: Path) -> None:
    """Copy the image of an OCI layout, its blobs in the folder `blobs`, to `target` (host[:port]/path:tag)."""
    host = target.partition("/")[0]
    local = loopback(host)
    if local and not login.credentials(host, Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")):
        # The lab's own asks for no password, and every machine has what it takes to fill it.
        upload(blobs, layout, target, log)
        return
    # A proxy that the environment names must not see what is on loopback.
    with login.auth_file(host, {} if local else os.environ) as environment:
        run(["skopeo", "copy", "--quiet", "--insecure-policy", "--preserve-digests", f"--dest-tls-verify={'false' if local else 'true'}",
             "--src-shared-blob-dir", blobs, f"oci:{layout}:image", f"docker://{target}"], log,
            env=environment | ({"no_proxy": "*"} if local else {}))  # fmt: skip


def lacking(plan: Plan, names: list[str], registry: Registry) -> list[str]:
    """Return those of `names` that the cluster pulls from the registry and it lacks, or has with other content."""

    def lacks(name: str) -> bool:
        return registry.digest(*path_of(plan.reference(name))) != plan.layouts.digest(plan.artifact(name) / "oci")

    with ThreadPoolExecutor(max_workers=COPIES) as pool:
        pushed = [name for name in names if plan.catalog[name].pushed]
        return [name for name, absent in zip(pushed, pool.map(lacks, pushed), strict=True) if absent]


def push(plan: Plan, names: list[str], registry: Registry, log: Path, copy: Callable[..., None] = copy) -> list[str]:
    """Push what the registry is `lacking` of `names`; return their references.

    Several at a time: much of a copy is waiting for the registry's disk.
    """

    def one(name: str) -> str:
        repository_path, tag = path_of(plan.reference(name))
        copy(plan.layouts.blobs, plan.artifact(name) / "oci", f"{registry.address}/{repository_path}:{tag}", log)
        return plan.pulled(name)

    with ThreadPoolExecutor(max_workers=COPIES) as pool:
        return list(pool.map(one, lacking(plan, names, registry)))


def own_hosts(hosts: list[str], address: str) -> dict[str, str]:
    """Return, for images of `hosts`, the URL in the lab's registry that they are at: the path has their host in front.

    An image of the lab's own registry, `localhost:...`, exists nowhere else and has no path in front.
    """
    return {host: f"http://{address}" + ("" if host.startswith("localhost:") else f"/v2/{host}") for host in hosts}


def user_hosts(hosts: list[str], given: Mirrors, gateway: str) -> dict[str, str]:
    """Return, for those of `hosts` that the user named a mirror for, the URL by which nodes reach it.

    What is this machine's loopback to the user is behind the `gateway` of the nodes' network.
    """
    found = {host: given.registry(host) for host in hosts if host in given.hosts}
    if gateway:
        found = {host: LOOPBACK.sub(rf"\g<1>{gateway}\g<2>", url) for host, url in found.items()}
    return found


def hosts_toml(host: str, url: str, login: str = "") -> str:
    """Return containerd's configuration for images of `host`: ask `url` first (its hosts.toml, see containerd's hosts.md).

    `login` is what the mirror wants to be told, user and password in base64.
    """
    lines = [] if host.startswith("localhost:") else [f'server = "https://{HUB_API if host == HUB else host}"', ""]
    lines += [f'[host."{url}"]', '  capabilities = ["pull", "resolve"]']
    lines += ["  override_path = true"] if "/v2" in url else []
    lines += [f'  [host."{url}".header]', f'    authorization = "Basic {login}"'] if login else []
    return "\n".join(lines) + "\n"


def configure_mirrors(urls: Mapping[str, str], folder: Path, logins: Mapping[str, str] | None = None, *, check: bool = False) -> bool:
    """Write `folder` (containerd's config_path) so that images of each host come from its URL; say whether it changed.

    `logins` are, by host and port, what mirrors want to be told. Under `check` nothing is written.
    """
    changed = False
    for host, url in urls.items():
        file, text = folder / host / "hosts.toml", hosts_toml(host, url, (logins or {}).get(urlsplit(url).netloc, ""))
        if not file.exists() or file.read_text() != text:
            changed = True
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    return changed


def logins(file: str) -> dict[str, str]:
    """Return what `docker login` noted in `file`, by host; nothing without a file."""
    known = json.loads(Path(file).read_text()).get("auths", {}) if file else {}
    return {host: entry["auth"] for host, entry in known.items() if entry.get("auth")}


def urls(plan: Plan, names: list[str], args: argparse.Namespace) -> dict[str, str]:
    """Return whom nodes ask for images, by the host that is in their references: what is pushed for those of `names`, and the user's mirrors.

    The mirrors of every registry that the catalog knows are there from the start: what a node lacks it may ask for before any chart does.
    """
    return {**user_hosts(plan.catalog.hosts, plan.mirrors, args.gateway), **own_hosts(build.summary(plan, names, args.state_dir)["hosts"], args.mirror)}


def main(argv: list[str]) -> int:
    """Run `python -m lab push`; return 0, or 1 after one line that says what could not be pushed."""
    options = build.parser(__doc__.splitlines()[0])
    options.add_argument("--mirror", default="", help="host:port under which nodes reach the registry; writes certs.d")
    options.add_argument("--gateway", default="", help="where nodes reach what listens on this machine")
    options.add_argument("--credentials", default="", help="file that docker login wrote, for mirrors that want a password")
    options.add_argument("--timeout", type=float, default=30, help="seconds to wait, at most, until the registry answers")
    options.add_argument("--check", action="store_true", help="push nothing; say whether anything would be pushed or written")
    args = options.parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):
        try:
            plan, names = build.plan_for(args)
            if missing := plan.missing(names):
                print(f"push: not built yet: {', '.join(missing)}")
                return 1
            log = args.state_dir / "logs" / "push.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            registry = registry_of(plan)
            nodes = urls(plan, names, args) if args.mirror else {}
            configured = configure_mirrors(nodes, args.state_dir / "certs.d", logins(args.credentials), check=args.check)
            registry.wait(args.timeout)
            with build.locked(log.with_suffix(".lock"), print):
                pushed = lacking(plan, names, registry) if args.check else push(plan, names, registry, log)
        except (*build.ERRORS, ToolError, PublishError, OSError) as error:
            print(f"push: {error}")
            return 1
    print(json.dumps({"pushed": pushed, "changed": bool(pushed or configured)}))
    return 0
