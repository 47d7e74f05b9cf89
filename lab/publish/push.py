"""Push the images of a checkout, and attach the bill of materials to the release."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.publish import builder, login
from lab.publish.checkout import Checkout
from lab.publish.registry import Registry
from lab.publish.tools import PublishError, last_line, note, run

SBOM = "application/vnd.cyclonedx+json"
REVISION = "org.opencontainers.image.revision"


def registry(target: str) -> str:
    """Return the `host[:port]` of what REGISTRY says. Raises PublishError where that is no registry."""
    return split(target)[0]


def split(target: str) -> tuple[str, str]:
    """Return host and path of `host[:port][/path]`; a registry takes small letters only, an owner's name may have others."""
    host, _, path = target.rstrip("/").partition("/")
    if not re.fullmatch(r"(localhost|[\w-]+(\.[\w-]+)+|[\w.-]+(?=:))(:\d+)?", host):
        raise PublishError(f"REGISTRY is to be host[:port][/path], like localhost:5001, not '{target}'")
    return host, path.lower()


def push(target: str, images: list[str], checkout: Checkout, *, dirty: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Push `images` to the registry `target`, as version, commit and digest. Raises PublishError before anything is sent
    where the checkout has changes (unless `dirty`), or an image was built from something else."""
    tags = possible(target, checkout, dirty=dirty, environ=environ)
    host, path = split(target)
    for image in images:
        check(image, checkout)
    document = builder.sbom(checkout.version) if "web" in images else b""
    with login.docker_config(host, environ) as config:
        for image in images:
            repository = "/".join(filter(None, (path, "vars", image)))
            name, local = f"{host}/{repository}", builder.local(image)
            digest = ""
            for tag in tags:
                digest = push_tag(local, name, tag, host, config)
            push_tag(local, name, f"digest-{digest.removeprefix('sha256:')}", host, config)
            if image == "web":
                credentials = login.given(environ) or login.credentials(host, config)
                Registry(host, repository, credentials).attach(digest, SBOM, document, "sbom.cdx.json")
            report(image, name, tags, digest, environ)


def possible(target: str, checkout: Checkout, *, dirty: bool, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the tags to publish as. Raises PublishError where it is known before anything is built that it cannot be."""
    split(target)
    login.given(environ)
    if checkout.dirty and not dirty:
        raise PublishError("the checkout has changes that are not committed: commit them, or say DIRTY=yes")
    return checkout.tags()


def check(image: str, checkout: Checkout) -> None:
    """Raise PublishError unless the engine's image is this checkout's."""
    found = run(["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", builder.local(image)])
    if found.returncode:
        raise PublishError(f"the {image} image is not built: make image")
    revision = (json.loads(found.stdout) or {}).get(REVISION)
    if revision != checkout.revision:
        raise PublishError(f"the {image} image was built from {revision}, but the checkout is {checkout.revision}: make image")


def push_tag(local: str, name: str, tag: str, host: str, config: Path) -> str:
    """Push the engine's image `local` as `name:tag` and return its digest; the engine forgets the tag again."""
    with _tagged(local, f"{name}:{tag}") as reference:
        done = run(["docker", "--config", str(config), "push", reference])
        if done.returncode:
            raise PublishError(login.reason(host, last_line(done.stderr)))
        found = json.loads(run(["docker", "image", "inspect", "--format", "{{json .RepoDigests}}", reference]).stdout)
        return next(item.partition("@")[2] for item in found if item.startswith(f"{name}@"))


@contextlib.contextmanager
def _tagged(local: str, reference: str) -> Iterator[str]:
    run(["docker", "tag", local, reference])
    try:
        yield reference
    finally:
        run(["docker", "image", "rm", reference])


def report(image: str, name: str, tags: list[str], digest: str, environ: Mapping[str, str]) -> None:
    """Say what was published, also on the page of a pipeline's run."""
    print(f"publish: {name}@{digest} ({', '.join(tags)})")
    note(f"published **{image}**: `{name}:{tags[0]}`, `{name}:{tags[1]}`, `{name}@{digest}`", environ)
