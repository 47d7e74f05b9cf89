"""Push the catalog's images to the lab's registry, or to the one that takes its place: `python -m lab push`."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab import build
from lab.build.plan import Plan
from lab.build.tools import ToolError, run
from lab.catalog import path_of
from lab.publish import login
from lab.publish.registry import Registry as Repository
from lab.publish.registry import loopback
from lab.publish.tools import PublishError

# How many images are copied at a time.
COPIES = 3


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


def hosts_toml(host: str, mirror: str) -> str:
    """Return containerd's configuration for images of `host`: ask `mirror` first (its hosts.toml, see containerd's hosts.md).

    An image of the lab's own registry, `localhost:...`, exists nowhere else and has no path in front.
    """
    own = host.startswith("localhost:")
    lines = [] if own else [f'server = "https://{host}"', ""]
    lines += [f'[host."http://{mirror}{"" if own else f"/v2/{host}"}"]', '  capabilities = ["pull", "resolve"]']
    return "\n".join(lines + ([] if own else ["  override_path = true"])) + "\n"


def configure_mirrors(hosts: list[str], mirror: str, folder: Path, *, check: bool = False) -> bool:
    """Write `folder` (containerd's config_path) so that images of `hosts` come from `mirror`; say whether it changed.

    Under `check` nothing is written.
    """
    changed = False
    for host in hosts:
        file, text = folder / host / "hosts.toml", hosts_toml(host, mirror)
        if not file.exists() or file.read_text() != text:
            changed = True
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
    return changed


def main(argv: list[str]) -> int:
    """Run `python -m lab push`; return 0, or 1 after one line that says what could not be pushed."""
    options = build.parser(__doc__.splitlines()[0])
    options.add_argument("--mirror", default="", help="host:port under which nodes reach the registry; writes certs.d")
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
            hosts = build.summary(plan, names, args.state_dir)["hosts"] if args.mirror else []
            configured = configure_mirrors(hosts, args.mirror, args.state_dir / "certs.d", check=args.check)
            registry.wait(args.timeout)
            with build.locked(log.with_suffix(".lock"), print):
                pushed = lacking(plan, names, registry) if args.check else push(plan, names, registry, log)
        except (*build.ERRORS, ToolError, PublishError, OSError) as error:
            print(f"push: {error}")
            return 1
    print(json.dumps({"pushed": pushed, "changed": bool(pushed or configured)}))
    return 0
