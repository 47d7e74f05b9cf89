"""Build the images with whichever builder there is, and run the test image."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from lab.publish.checkout import Checkout
from lab.publish.tools import PublishError, last_line, note, run

# Each image: the stages that have to build, the last of them being the image.
TARGETS = {"web": ["release"], "migrations": ["migrations-test", "migrations"], "test": ["test"]}
# Settings of pip and of proxies that reach a build by name only: their values, which may hold a password, are on no
# command line. Docker keeps proxy settings out of an image's history, and the Dockerfile those of pip.
PIP = ("index-url", "extra-index-url", "find-links", "trusted-host")
PROXY = ("http_proxy", "https_proxy", "no_proxy")
BUILDER = "cluster-lab"


def local(image: str) -> str:
    """Return the name that an image of the checkout has in the engine."""
    return f"vars/{image}:checkout"


def build(root: Path, image: str, checkout: Checkout, environ: Mapping[str, str] = os.environ) -> None:
    """Build `image`; what the builder prints is shown. Raises PublishError naming the stage that failed."""
    handed_on = settings(environ)
    args = {"VERSION": checkout.version, "COMMIT": checkout.revision, "CREATED": checkout.created,
            "SOURCE_DATE_EPOCH": str(checkout.epoch), **bases(root, environ)}  # fmt: skip
    for target in TARGETS[image]:
        words, env = command(target, environ)
        if target == TARGETS[image][-1]:
            words += ["--tag", local(image), *source(environ)]
        for name, value in args.items():
            words += ["--build-arg", f"{name}={value}"]
        for name in handed_on:
            words += ["--build-arg", name]
        if run([*words, "--target", target, "."], cwd=root, env={**handed_on, **env}, show=True).returncode:
            raise PublishError(f"the {image} image cannot be built: its stage '{target}' failed, see above{missing(root, args)}")
    size = int(run(["docker", "image", "inspect", "--format", "{{.Size}}", local(image)]).stdout or 0) / 2**20
    said = f"{local(image)} is {checkout.version}, commit {checkout.revision}, {size:.1f} MiB"
    print(f"publish: {said}")
    note(f"built {said}", environ)


def command(target: str, environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the start of the build command and its environment: buildx where it is installed, else the classic builder.

    `DOCKER_BUILDKIT` in the environment decides by itself. BUILD_CACHE names a folder that keeps layers between
    machines; it takes a builder of its own, which also sets every file's time to the commit's.
    """
    if "DOCKER_BUILDKIT" in environ:
        return ["docker", "build", "--network", "host"], {}
    if run(["docker", "buildx", "version"]).returncode:
        return ["docker", "build", "--network", "host"], {"DOCKER_BUILDKIT": "0"}
    if cache := environ.get("BUILD_CACHE"):
        if run(["docker", "buildx", "inspect", BUILDER]).returncode:
            run(["docker", "buildx", "create", "--name", BUILDER, "--driver", "docker-container"], show=True)
        folder = f"{cache}/{target}"
        words = ["--builder", BUILDER, "--cache-from", f"type=local,src={folder}", "--cache-to", f"type=local,dest={folder},mode=max"]
        return ["docker", "buildx", "build", *words, *output(BUILDER)], {}
    return ["docker", "buildx", "build", *output("")], {}


def output(name: str) -> list[str]:
    """Return where buildx's builder `name`, or the chosen one, puts the image, and what it can do about times.

    The driver `docker` builds where the image is wanted, on the host's network, but cannot rewrite times.
    """
    shown = run(["docker", "buildx", "inspect", *([name] if name else [])]).stdout
    driver = re.search(r"^Driver:\s*(\S+)", shown, re.MULTILINE)
    words = ["--provenance=false", "--sbom=false"]
    if driver and driver[1] != "docker":
        return [*words, "--output", "type=docker,rewrite-timestamp=true"]
    return [*words, "--network", "host", "--load"]


def source(environ: Mapping[str, str]) -> list[str]:
    """Return the label that says where the sources are, where a pipeline knows it."""
    if {"GITHUB_SERVER_URL", "GITHUB_REPOSITORY"} <= environ.keys():
        url = f"{environ['GITHUB_SERVER_URL']}/{environ['GITHUB_REPOSITORY']}"
        return ["--label", f"org.opencontainers.image.source={url}"]
    return []


def bases(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the base images: those of the environment, else the Dockerfile's.

    The base that the lab makes from packages has no pip; its namesake without `-slim` has.
    """
    chosen = {name: environ[name] for name in ("BASE_IMAGE", "BUILD_IMAGE") if environ.get(name)}
    base = default_base(root)
    if not chosen:
        labels = run(["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", base])
        if labels.returncode == 0 and "cluster-lab.key" in (json.loads(labels.stdout) or {}):
            return {"BASE_IMAGE": base, "BUILD_IMAGE": base.removesuffix("-slim")}
    return chosen


def missing(root: Path, args: Mapping[str, str]) -> str:
    """Return what to do about a base that the classic builder could not get; nothing where the engine has it."""
    base = args.get("BASE_IMAGE") or default_base(root)
    absent = run(["docker", "image", "inspect", base]).returncode
    return f"; {base} is not in the engine: where no registry gives it, make up makes it from packages" if absent else ""


def default_base(root: Path) -> str:
    """Return the base image that the Dockerfile names."""
    return re.search(r"^ARG BASE_IMAGE=(\S+)$", (root / "Dockerfile").read_text(), re.MULTILINE)[1]


def settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's and the proxies' settings that mean something inside a build, by the name of their variable."""
    found = {name: environ[name] for name in PROXY if environ.get(name)}
    listed = run(["python3", "-m", "pip", "config", "list"])
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        value = value.strip().strip("'")
        if name.startswith((":env:", "global.", "install.")) and key in PIP:
            found[f"PIP_{key.upper().replace('-', '_')}"] = value
    # A folder of this machine is none inside a build.
    return {name: value for name, value in found.items() if name != "PIP_FIND_LINKS" or "://" in value}


def test() -> None:
    """Run the test image as it runs everywhere: no network, nothing writable but /tmp. Raises PublishError."""
    words = ["docker", "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp:exec,mode=1777", "--cap-drop=ALL", local("test")]
    if run(words, show=True).returncode:
        raise PublishError("the checkout does not pass its linters and unit tests, see above")


def sbom(version: str) -> bytes:
    """Return the bill of materials of the release `version`: what its Python runs, as the test image has it. Raises PublishError."""
    made = run(["docker", "run", "--rm", "--network=none", local("test"), "cyclonedx-py", "environment", "--output-reproducible",
                "--output-format", "JSON", "--pyproject", "pyproject.toml", "--mc-type", "application", "/venv/bin/python"])  # fmt: skip
    if made.returncode:
        raise PublishError(f"no bill of materials (make image-test-build makes what it needs): {last_line(made.stderr)}")
    document = json.loads(made.stdout)
    # The project's version stands in the service, where the tool does not look.
    document["metadata"]["component"]["version"] = version
    return json.dumps(document, indent=1).encode()
