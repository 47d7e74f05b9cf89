"""The images themselves: how large, how they run, what is in them, and that two builds of one commit are the same."""

import hashlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.request

import pytest

from app import __version__
from lab.embedded import EmbeddedPostgres

from .conftest import Pipeline, sh, status, wait

WEB, MIGRATIONS = "vars/web:checkout", "vars/migrations:checkout"
HARD = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=12345")
MIB = 2**20


def inspect(image, what):
    return json.loads(sh("docker", "image", "inspect", "--format", f"{{{{json {what}}}}}", image).output)


def say(text):
    print(f"\nmeasured: {text}")


def test_the_release_is_at_most_25_mib_on_top_of_its_base(published):
    base = next(line.split("=")[1] for line in (published.tree.folder / "Dockerfile").read_text().splitlines() if line.startswith("ARG BASE_IMAGE="))
    size = (inspect(WEB, ".Size") - inspect(base, ".Size")) / MIB
    say(f"release is {size:.1f} MiB on top of {base}")
    assert size <= 25


def test_a_changed_source_rebuilds_no_dependency(published, pipeline):
    """The figure is printed and not judged: it depends on what else the machine does."""
    pipeline.tree.edit("app/names.py", '"""', '"""Changed. ')
    before = inspect(WEB, ".RootFS.Layers")
    done = pipeline.step("Build the release")
    assert done.code == 0, done.output[-3000:]
    say(f"rebuild after a changed source took {done.seconds:.1f} s")
    after = inspect(WEB, ".RootFS.Layers")
    changed = [index for index, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert len(changed) == 1, "more than the layer of the sources changed"
    assert pipeline.tree.git("rev-parse", "HEAD") == inspect(WEB, ".Config.Labels")["org.opencontainers.image.revision"]
    assert published.step("Build the release").code == 0


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A PostgreSQL on this machine's loopback, with the service's roles."""
    folder = tmp_path_factory.mktemp("database")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    server = EmbeddedPostgres(folder / "pg")
    server.start()
    server.create_database()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def served(published, database):
    """The release behind its migrations, as hard as `docker run` can make it; its address and its name."""
    done = sh("docker", "run", "--rm", "--network=host", *HARD, "--env", f"DATABASE_URL={database.url('vars_owner')}", MIGRATIONS)
    assert done.code == 0, done.output
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = f"pipeline-web-{secrets.token_hex(4)}"
    sh("docker", "run", "--detach", "--name", name, "--network=host", *HARD, "--env", "HOST=127.0.0.1", "--env", f"PORT={port}",
       "--env", f"DATABASE_URL={database.url('vars_app')}", WEB)  # fmt: skip
    try:
        wait(lambda: status(f"http://127.0.0.1:{port}/readyz") == 200, "the release is ready")
        yield f"http://127.0.0.1:{port}", name
    finally:
        sh("docker", "rm", "--force", name)


def test_it_serves_read_only_without_capabilities_as_any_user(served):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{served[0]}/var/a/1", timeout=5) as answer:
        assert answer.read().decode().strip() == "a = 1"


def test_it_reports_version_and_commit(served, published):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{served[0]}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    line = next(line for line in text.splitlines() if line.startswith("vars_build_info{"))
    assert f'version="{__version__}"' in line
    assert published.tree.git("rev-parse", "HEAD") in line


def test_it_stops_on_its_signal(published, database):
    name = f"pipeline-stop-{secrets.token_hex(4)}"
    sh("docker", "run", "--detach", "--name", name, "--network=none", *HARD, "--env", f"DATABASE_URL={database.url('vars_app')}", WEB)
    try:
        wait(lambda: "serving" in sh("docker", "logs", name).output, "the release serves")
        start = time.monotonic()
        sh("docker", "stop", "--time=20", name)
        assert time.monotonic() - start < 10
        assert sh("docker", "inspect", "--format", "{{.State.ExitCode}}", name).output.strip() == "0"
    finally:
        sh("docker", "rm", "--force", name)


# What is in it


@pytest.mark.parametrize("program", ["pip", "pip3", "cc", "gcc", "make", "git"])
@pytest.mark.parametrize("image", [WEB, MIGRATIONS])
def test_it_has_no(published, image, program):
    done = sh("docker", "run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", f"command -v {program}")
    assert done.code, done.output


@pytest.mark.parametrize("module", ["pip", "ensurepip", "pytest"])
def test_its_python_has_no(published, module):
    done = sh("docker", "run", "--rm", "--network=none", "--entrypoint=python", WEB, "-c", f"import {module}")
    assert "ModuleNotFoundError" in done.output


def test_every_source_has_its_bytecode(published):
    script = "import pathlib,importlib.util as u;print([str(p) for r in ('/srv/app','/venv/lib') for p in pathlib.Path(r).rglob('*.py') if not pathlib.Path(u.cache_from_source(p)).exists()])"
    done = sh("docker", "run", "--rm", "--network=none", "--entrypoint=python", WEB, "-c", script)
    assert done.output.strip() == "[]"


def test_the_chart_is_not_in_it(published):
    assert sh("docker", "run", "--rm", "--network=none", "--entrypoint=ls", WEB, "/srv/app/chart").code


@pytest.mark.parametrize("name", ["title", "description", "version", "revision", "created", "licenses"])
@pytest.mark.parametrize("image", [WEB, MIGRATIONS])
def test_it_is_labelled(published, image, name):
    assert inspect(image, ".Config.Labels")[f"org.opencontainers.image.{name}"] not in ("", "unknown")


def test_its_configuration(published):
    config = inspect(WEB, ".Config")
    assert (config["User"], config["StopSignal"], config["WorkingDir"]) == ("65532:65532", "SIGTERM", "/srv")
    assert config["Entrypoint"] == ["python", "-m", "app"]
    assert inspect(MIGRATIONS, ".Config.Entrypoint") == ["python", "-m", "app.migrate"]


def test_its_base_may_have_pip(published, tree, registry, tmp_path):
    """Upstream's slim image has pip under /usr/local; here an image that has it there too stands in for it."""
    name = f"pipeline-base:{secrets.token_hex(4)}"
    recipe = (
        "FROM python:3.11\nRUN mkdir -p /usr/local/lib/python3.11/site-packages/pip /usr/local/lib/python3.11/ensurepip"
        " && echo > /usr/local/bin/pip3 && echo > /usr/local/lib/python3.11/site-packages/pip/__init__.py\n"
    )
    done = sh("docker", "build", "--tag", name, "-", input=recipe)
    if done.code:
        pytest.skip(f"no base to make one with pip from: {done.output[-300:]}")
    try:
        built = Pipeline(tree, registry, tmp_path).step("Build the release", BASE_IMAGE=name, BUILD_IMAGE="python:3.11")
        assert built.code == 0, built.output[-3000:]
        found = sh("docker", "run", "--rm", "--network=none", "--entrypoint=find", WEB, "/usr/local", "-name", "*pip*").output
        assert found == ""
    finally:
        published.step("Build the release")
        sh("docker", "image", "rm", name)


# Two builds of one commit


def contents(image, folder):
    """Return what each path of the image's own layers is: kind, mode, owner, and content or target."""
    folder.mkdir()
    name = sh("docker", "create", image).output.strip()
    try:
        with (folder / "files.tar").open("wb") as file:
            subprocess.run(["docker", "export", name], stdout=file, check=True)
    finally:
        sh("docker", "rm", name)
    found = {}
    with tarfile.open(folder / "files.tar") as tar:
        for member in tar:
            if member.name.startswith(("srv", "venv")):
                data = tar.extractfile(member).read() if member.isfile() else member.linkname.encode()
                found[member.name] = (member.type, member.mode, member.uid, member.gid, hashlib.sha256(data).hexdigest())
    return found


@pytest.fixture
def other(tree, tmp_path):
    """The same commit, checked out at another time under another umask."""
    folder = tmp_path / "other"
    shutil.copytree(tree.folder, folder)
    for path in folder.rglob("*"):
        if not path.is_symlink() and ".git" not in path.parts:
            path.chmod(0o700 if path.is_dir() else 0o600)
            path.touch()
    return folder


@pytest.mark.parametrize("builder", ["classic", "buildkit"])
@pytest.mark.parametrize("target", ["release", "migrations"])
def test_two_builds_of_one_commit_have_equal_files(published, other, tmp_path, target, builder):
    """The first is the pipeline's; the second has no cache."""
    first = contents({"release": WEB, "migrations": MIGRATIONS}[target], tmp_path / "first")
    name = f"pipeline-again:{secrets.token_hex(4)}"
    words = ["--build-arg=BUILD_IMAGE=python:3.11"] if sh("docker", "image", "inspect", "python:3.11").code == 0 else []
    environ = {**os.environ, "DOCKER_BUILDKIT": "1" if builder == "buildkit" else "0"}
    done = sh("docker", "build", "--no-cache", "--network=host", *words, "--target", target, "--tag", name, ".", cwd=other, env=environ)
    if done.code and "buildx" in done.output:
        pytest.skip("this Docker client has no BuildKit: the images were built with the classic builder only")
    assert done.code == 0, done.output[-3000:]
    try:
        second = contents(name, tmp_path / "second")
    finally:
        sh("docker", "image", "rm", name)
    say(f"{target}, {builder}: {len(first)} paths, {sum(first[path] != second.get(path) for path in first)} differ between two builds")
    assert first == second
