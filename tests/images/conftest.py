"""What the images' contracts stand on: the built cache, read as it is, and a Docker engine to run images in.

What is not built, and what needs an engine where none answers, is skipped by a reason that says so.
"""

import dataclasses
import os
import subprocess
import tarfile
import time
import uuid
from pathlib import Path

import pytest
import zstandard

from lab import build, catalog
from lab.build import engine
from lab.build.plan import Plan
from lab.cache import Store, cache_dir

CHECKOUT = Path(__file__).parents[2]
# Seconds a container may take to do what is asked of it, and to get ready.
PATIENCE = 30


@dataclasses.dataclass(frozen=True)
class Image:
    """One built image: its configuration, and the files that its layers leave, by path."""

    reference: str
    config: dict
    files: dict[str, tarfile.TarInfo]

    @property
    def env(self) -> dict[str, str]:
        """The environment that the image sets."""
        return dict(item.split("=", 1) for item in self.config.get("Env") or [])


@dataclasses.dataclass(frozen=True)
class Container:
    """One running container."""

    name: str

    def run(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        """Run a command in it; values in `env` come from this process' environment, so they are on no command line."""
        names = [word for name in env or {} for word in ("--env", name)]
        return docker("exec", *names, self.name, *words, env=env)

    def log(self) -> str:
        """Return what it printed."""
        done = docker("logs", self.name)
        return done.stdout + done.stderr

    def restart(self) -> None:
        """Stop it with its own signal, 20 s at most, and start it."""
        docker("restart", "--time=20", self.name)

    def address(self, port: int) -> str:
        """Return host and port of this machine that lead to the container's `port`."""
        return docker("port", self.name, str(port)).stdout.split()[0]

    def ready(self, ask, what: str) -> "Container":
        """Return the container once `ask` is true; fail with its log if it is not in time."""
        deadline = time.monotonic() + PATIENCE
        while not ask(self):
            if time.monotonic() > deadline:
                pytest.fail(f"{what}, not within {PATIENCE} s; it said:\n{self.log()}", pytrace=False)
            time.sleep(0.1)
        return self


def docker(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Run docker and return exit code and output."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=PATIENCE * 2, check=False,
                          env={**os.environ, **(env or {})})  # fmt: skip


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Return the plan of the packages source, for the cache of this user."""
    return Plan(catalog.load("packages"), Store(cache_dir()), CHECKOUT)


@pytest.fixture(scope="session")
def image(plan):
    """Return a function that reads a built image, or skips where it is not built."""
    read: dict[str, Image] = {}

    def get(name: str) -> Image:
        if name not in read:
            if plan.missing([name]):
                pytest.skip(f"{name} is not built (make up builds it): its contract was not checked")
            layout = plan.artifact(name) / "oci"
            read[name] = Image(plan.reference(name), plan.layouts.config(layout)["config"], files_of(plan, layout))
        return read[name]

    return get


def files_of(plan: Plan, layout: Path) -> dict[str, tarfile.TarInfo]:
    """Return what is at each path once the layers lie on each other (whiteouts by the OCI specification)."""
    files: dict[str, tarfile.TarInfo] = {}
    for layer in plan.layouts.manifest(layout)["layers"]:
        packed = (plan.layouts.blobs / layer["digest"].replace(":", "/")).open("rb")
        with packed, zstandard.ZstdDecompressor().stream_reader(packed) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for member in tar:
                path = Path("/", member.name)
                if path.name.startswith(".wh."):
                    gone = str(path.with_name(path.name.removeprefix(".wh.")))
                    files = {name: info for name, info in files.items() if name != gone and not name.startswith(f"{gone}/")}
                else:
                    files[str(path)] = member
    return files


@pytest.fixture(scope="session")
def in_engine(plan, image, tmp_path_factory):
    """Return a function that brings an image into the engine and returns its reference; what it brought goes again."""
    if docker("version").returncode:
        pytest.skip("no Docker engine answers: images were read, but not run")
    brought = []

    def bring(name: str) -> str:
        reference = image(name).reference
        if not engine.has(reference, plan.key(name)):
            with build.locked(plan.store.root / "lock", print, timeout=120):
                plan.in_engine(name, tmp_path_factory.getbasetemp() / "load.log")
            brought.append(reference)
        return reference

    yield bring
    if brought:
        docker("image", "rm", *brought)


@pytest.fixture(scope="session")
def run(in_engine):
    """Return a function that runs an image once, without a network, and returns exit code and output."""

    def once(name: str, *words: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        return docker("run", "--rm", "--network=none", *options, in_engine(name), *words)

    return once


@pytest.fixture(scope="module")
def start(in_engine):
    """Return a function that starts a container of an image; all of them are removed afterwards, volumes too."""
    names = []

    def up(name: str, *words: str, options: tuple[str, ...] = (), env: dict[str, str] | None = None) -> Container:
        container = Container(f"check-{name}-{uuid.uuid4().hex[:8]}")
        names.append(container.name)
        variables = [word for variable in env or {} for word in ("--env", variable)]
        done = docker("run", "--detach", "--name", container.name, *variables, *options, in_engine(name), *words, env=env)
        assert done.returncode == 0, done.stderr
        return container

    yield up
    if names:
        docker("rm", "--force", "--volumes", *names)
