"""A checkout of its own, a registry with a password, and the pipeline's steps, run as their file has them.

Nothing of the user's is used: Docker's configuration, the registry and the checkout are made for the tests. The engine is
the machine's; images that the tests build are removed from it, layers stay as its build cache.
"""

import hashlib
import os
import re
import secrets
import shutil
import subprocess
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import bcrypt
import pytest
import yaml

from lab import catalog
from lab.cache import cache_dir

CHECKOUT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "ci.yml").read_text())
STEPS = WORKFLOW["jobs"]["images"]["steps"]
# Seconds: one step, at most; a test image is built from nothing in less.
PATIENCE = 900
USER = "publisher"


class Done(NamedTuple):
    """What became of a command. `seconds` is how long it took."""

    code: int
    output: str
    seconds: float


def sh(*words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, **options) -> Done:
    """Run a command; `env` is its whole environment, where there is one."""
    start = time.monotonic()
    done = subprocess.run([str(word) for word in words], cwd=cwd, env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=PATIENCE, check=False, **options)  # fmt: skip
    return Done(done.returncode, done.stdout, time.monotonic() - start)


class Tree:
    """A git checkout with what this one has, committed."""

    def __init__(self, folder: Path, source: Path = CHECKOUT):
        self.folder = folder
        listed = sh("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=source)
        for name in filter(None, listed.output.split("\0")):
            if (source / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, folder / name)
        self.git("init", "--quiet")
        self.commit()

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org", "-c", "commit.gpgsign=false")
        done = sh("git", *who, *words, cwd=self.folder)
        assert done.code == 0, done.output
        return done.output.strip()

    def commit(self) -> str:
        """Commit everything and return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "all")
        return self.git("rev-parse", "HEAD")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the first `old` of a file and commit."""
        file = self.folder / name
        text = file.read_text()
        assert old in text, f"{name} has no {old!r}"
        file.write_text(text.replace(old, new, 1))
        self.commit()

    def add(self, name: str, text: str) -> None:
        """Write a new file and commit."""
        (self.folder / name).write_text(text)
        self.commit()

    def copy(self, folder: Path) -> "Tree":
        """Return a checkout of its own with the same files and history."""
        shutil.copytree(self.folder, folder, symlinks=True)
        other = Tree.__new__(Tree)
        other.folder = folder
        return other


class Registry(NamedTuple):
    """A registry that wants `USER` and `password`."""

    address: str
    password: str


class Pipeline:
    """The steps of the workflow in one checkout: its environment is what a runner's would be, and no more of this machine."""

    def __init__(self, tree: Tree, registry: Registry, folder: Path, password: str | None = None):
        self.tree, self.registry = tree, registry
        self.output = self.written = ""
        self.config = folder / "docker"
        self.config.mkdir(parents=True, exist_ok=True)
        self.summary = folder / "summary.md"
        self.secrets = {"REGISTRY_USERNAME": USER, "REGISTRY_TOKEN": registry.password if password is None else password}
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "GITHUB_"))}
        self.environ |= {"DOCKER_CONFIG": str(self.config), "GITHUB_STEP_SUMMARY": str(self.summary),
                         "REGISTRY": f"{registry.address}/Owner/lab", "CI": "true"}  # fmt: skip

    def step(self, name: str, **environ: str) -> Done:
        """Run one step's lines as a runner does (`bash -e`), with the secrets that it names and no others."""
        step = next(step for step in STEPS if step["name"] == name)
        given = {key: re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda match: self.secrets[match[1]], value)
                 for key, value in step.get("env", {}).items()}  # fmt: skip
        return sh("bash", "-e", "-o", "pipefail", "-c", step["run"], cwd=self.tree.folder, env={**self.environ, **given, **environ})

    def run(self) -> str | None:
        """Run every step in order until one fails; return the name of that one, and keep what was said in `output`."""
        for step in STEPS:
            if "run" in step:
                done = self.step(step["name"])
                self.output += done.output
                if done.code:
                    return step["name"]
        self.written = self.summary.read_text()
        return None


@pytest.fixture(scope="session", autouse=True)
def engine():
    """Skip without a Docker engine; afterwards, remove what the pipeline tags."""
    if shutil.which("docker") is None or sh("docker", "version").code:
        pytest.skip("no Docker engine answers: the pipeline was not run")
    yield
    sh("docker", "image", "rm", "--force", *(f"vars/{image}:checkout" for image in ("web", "migrations", "test")))


@pytest.fixture(scope="session")
def tree(tmp_path_factory) -> Tree:
    """A checkout that nobody changes."""
    return Tree(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def broken(tree, tmp_path) -> Tree:
    """A checkout for a test to break."""
    return tree.copy(tmp_path / "checkout")


@pytest.fixture(scope="session")
def registry(tmp_path_factory) -> Iterator[Registry]:
    """A registry on loopback that wants a password."""
    image = catalog.load("packages")["registry"].image
    reference = next((name for name in (image, image.removeprefix("docker.io/library/")) if sh("docker", "image", "inspect", name).code == 0), None)
    if reference is None:
        pytest.skip(f"the engine has no {image} (python -m lab build registry makes it): nothing was published")
    folder, password = tmp_path_factory.mktemp("registry"), secrets.token_urlsafe(24)
    (folder / "htpasswd").write_bytes(USER.encode() + b":" + bcrypt.hashpw(password.encode(), bcrypt.gensalt(6)) + b"\n")
    name = f"pipeline-registry-{secrets.token_hex(4)}"
    done = sh("docker", "run", "--detach", "--name", name, "--publish", "127.0.0.1::5000", "--volume", f"{folder}:/auth:ro",
              "--env", "REGISTRY_AUTH=htpasswd", "--env", "REGISTRY_AUTH_HTPASSWD_REALM=tests",
              "--env", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd", reference)  # fmt: skip
    try:
        assert done.code == 0, done.output
        address = sh("docker", "port", name, "5000").output.split()[0]
        wait(lambda: status(f"http://{address}/v2/") == 401, "the registry asks for a password")
        yield Registry(address, password)
    finally:
        sh("docker", "rm", "--force", "--volumes", name)


@pytest.fixture(scope="session")
def published(tree, registry, tmp_path_factory) -> Pipeline:
    """The whole pipeline, run once on a checkout that is as it should be."""
    pipeline = Pipeline(tree, registry, tmp_path_factory.mktemp("pipeline"))
    failed = pipeline.run()
    assert failed is None, f"the step '{failed}' failed:\n{pipeline.output[-6000:]}"
    return pipeline


@pytest.fixture
def pipeline(broken, registry, tmp_path) -> Pipeline:
    """The pipeline on a checkout for a test to break, logged in nowhere."""
    return Pipeline(broken, registry, tmp_path / "pipeline")


@pytest.fixture(scope="session")
def actionlint() -> Path:
    """actionlint, from its Go module."""
    return built_from_module("actionlint", "github.com/rhysd/actionlint/cmd/actionlint")


def built_from_module(folder: str, package: str) -> Path:
    """Build a command with the sums in `folder` beside this file, once for all sessions; skip without Go."""
    go = shutil.which("go", path=os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", ""))))
    if go is None:
        pytest.skip(f"go is not installed: there is no {package.rpartition('/')[2]}")
    module = Path(__file__).with_name(folder)
    stamp = hashlib.sha256((module / "go.sum").read_bytes()).hexdigest()[:12]
    target = cache_dir() / f"{package.rpartition('/')[2]}-{stamp}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        built = sh(go, "build", "-o", target, package, cwd=module, env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})
        assert built.code == 0, built.output
    return target


def status(url: str) -> int | None:
    """Return the status of an answer, None without one; no proxy is asked."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def wait(ask, what: str, seconds: float = 30) -> None:
    """Return once `ask` is true; fail, saying what did not come about, if that takes longer."""
    end = time.monotonic() + seconds
    while not ask():
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds:.0f} s: {what}", pytrace=False)
        time.sleep(0.1)
