"""Push the catalog's images to the lab's registry: `python -m lab push`."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab import build
from lab.build.oci import MANIFEST
from lab.build.plan import Plan
from lab.build.tools import ToolError, run
from lab.catalog import repository

# How many images are copied at a time.
COPIES = 3


def path_of(reference: str) -> tuple[str, str]:
    """Return repository and tag of an image in the lab's registry.

    The path of an upstream image includes its host, so that two hosts may have images of one name; an image of the
    registry's own (`localhost:...`) stands under its path alone.
    """
    name, tag = repository(reference), reference.rsplit(":", 1)[1]
    return (name.partition("/")[2] if name.startswith("localhost:") else name), tag


class Registry:
    """The registry API of one address (OCI Distribution Specification 1.0), as far as a push needs it."""

    def __init__(self, address: str, timeout: float = 10) -> None:
        """Take `host:port`, and the seconds one answer may take."""
        self.address, self.timeout = address, timeout

    def digest(self, name: str, tag: str) -> str | None:
        """Return the digest that `tag` stands for, or None where the registry has no such image."""
        request = urllib.request.Request(
            f"http://{self.address}/v2/{name}/manifests/{tag}", method="HEAD", headers={"Accept": MANIFEST}
        )
        # The registry is on loopback: a proxy that the environment names must not see it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                return answer.headers["Docker-Content-Digest"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

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


def copy(blobs: Path, layout: Path, target: str, log: Path) -> None:
    """Copy the image of an OCI layout, its blobs in the folder `blobs`, to `target` (host:port/path:tag)."""
    run(["skopeo", "copy", "--quiet", "--insecure-policy", "--preserve-digests", "--dest-tls-verify=false", "--src-shared-blob-dir", blobs,
         f"oci:{layout}:image", f"docker://{target}"], log, env={"no_proxy": "*"})  # fmt: skip


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
        return plan.reference(name)

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
            registry = Registry(f"127.0.0.1:{args.registry_port}")
            hosts = build.summary(plan, names)["hosts"] if args.mirror else []
            configured = configure_mirrors(hosts, args.mirror, args.state_dir / "certs.d", check=args.check)
            registry.wait(args.timeout)
            with build.locked(log.with_suffix(".lock"), print):
                pushed = lacking(plan, names, registry) if args.check else push(plan, names, registry, log)
        except (*build.ERRORS, ToolError, OSError) as error:
            print(f"push: {error}")
            return 1
    print(json.dumps({"pushed": pushed, "changed": bool(pushed or configured)}))
    return 0
