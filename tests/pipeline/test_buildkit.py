"""Two builds of one commit are one image: under BuildKit, built from its Go module, with every time set to the commit's.

It takes root, `runc` and a few minutes to compile, so it is part of `make test-long`.
"""

import json
import os
import shutil
import subprocess
import time

import pytest

from app import __version__
from lab.build import engine
from lab.build.oci import Layouts
from lab.build.tools import ToolError

from .conftest import CHECKOUT, Tree, built_from_module, sh, wait

pytestmark = pytest.mark.long
BASES = ("python:3.11-slim", "python:3.11")


@pytest.fixture(scope="module")
def buildkit(tmp_path_factory):
    """A BuildKit of its own: a function that calls its command line."""
    if os.geteuid() or shutil.which("runc") is None:
        pytest.skip("BuildKit runs as root, with runc: that two builds give one digest was not checked")
    folder = tmp_path_factory.mktemp("buildkit")
    programs = {name: built_from_module("buildkit", f"github.com/moby/buildkit/cmd/{name}") for name in ("buildkitd", "buildctl")}
    address = f"unix://{folder}/socket"
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(
            [programs["buildkitd"], "--addr", address, "--root", folder / "root", "--oci-worker-net", "host",
             # The host may lack capabilities that BuildKit asks runc for.
             "--oci-worker-binary", CHECKOUT / "roles" / "docker" / "files" / "runc-bounded",
             "--allow-insecure-entitlement", "network.host"], stdout=log, stderr=log)  # fmt: skip

    def call(*words):
        return sh(programs["buildctl"], "--addr", address, *words)

    try:
        wait(lambda: call("debug", "workers").code == 0, "BuildKit answers")
        yield call
    finally:
        daemon.terminate()
        daemon.wait(30)


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """The bases as OCI layouts, since no registry has them: the words that hand them to a build."""
    words = []
    for name in BASES:
        folder = tmp_path_factory.mktemp("base")
        (folder / "blobs" / "sha256").mkdir(parents=True)
        try:
            engine.save(name, Layouts(folder / "blobs"), folder, tmp_path_factory.mktemp("log") / "log")
        except ToolError:
            pytest.skip(f"the engine has no {name}: that two builds give one digest was not checked")
        digest = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
        store = name.replace(":", "-")
        words += ["--oci-layout", f"{store}={folder}", "--opt", f"context:{name}=oci-layout://{store}@{digest}"]
    return words


@pytest.mark.parametrize("target", ["release", "migrations"])
def test_two_builds_of_one_commit_have_one_digest(buildkit, layouts, tmp_path, target):
    one = Tree(tmp_path / "one")
    other = one.copy(tmp_path / "other")
    time.sleep(1)
    for path in other.folder.rglob("*"):
        if ".git" not in path.parts and not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)
            path.touch()
    assert digest(buildkit, layouts, one, target, tmp_path) == digest(buildkit, layouts, other, target, tmp_path)


def test_two_commits_do_not(buildkit, layouts, tmp_path):
    tree = Tree(tmp_path / "one")
    before = digest(buildkit, layouts, tree, "release", tmp_path)
    tree.edit("app/names.py", '"""', '"""Changed. ')
    assert digest(buildkit, layouts, tree, "release", tmp_path) != before


def digest(buildkit, layouts, tree, target, scratch):
    """Build without a cache, as the pipeline's BuildKit does, and return the image's digest."""
    epoch, commit = tree.git("log", "-1", "--format=%ct %H").split()
    args = {"SOURCE_DATE_EPOCH": epoch, "VERSION": __version__, "COMMIT": commit, "CREATED": epoch, "BUILD_IMAGE": BASES[1]}
    words = [word for name, value in args.items() for word in ("--opt", f"build-arg:{name}={value}")]
    said = scratch / "said.json"
    done = buildkit(
        "build", "--no-cache", "--frontend=dockerfile.v0", "--local", f"context={tree.folder}", "--local", f"dockerfile={tree.folder}",
        "--opt", f"target={target}", "--opt", "force-network-mode=host", "--allow", "network.host", *words, *layouts,
        "--output", f"type=oci,dest={scratch / 'image.tar'},rewrite-timestamp=true", "--metadata-file", said)  # fmt: skip
    assert done.code == 0, done.output[-3000:]
    found = json.loads(said.read_text())["containerimage.digest"]
    print(f"\nmeasured: {target} {found} in {done.seconds:.1f} s")
    return found
