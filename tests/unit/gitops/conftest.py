"""A lab in a temporary folder whose git server is a bare repository beside it."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab.gitops.state import Lab


@dataclass(frozen=True)
class LocalLab(Lab):
    """A lab that reaches its repository by path instead of over HTTP."""

    @property
    def git_url(self) -> str:
        """The bare repository."""
        return str(self.state / "server.git")


def git(folder: Path, *words: str) -> str:
    """Return what git prints."""
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session", autouse=True)
def git_is_there():
    """Leave these checks out where there is no git, as in the image that tests the service."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed: what the lab does with it was not checked")


@pytest.fixture
def checkout(tmp_path):
    """Return a clone with one commit."""
    folder = tmp_path / "checkout"
    (folder / "app" / "chart").mkdir(parents=True)
    (folder / "app" / "chart" / "values.yaml").write_text("a: 1\n")
    git(folder, "init", "--quiet", "--initial-branch=work")
    for key, value in (("user.name", "u"), ("user.email", "u@localhost"), ("commit.gpgsign", "false")):
        git(folder, "config", key, value)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    return folder


@pytest.fixture
def lab(checkout):
    """Return the lab of that checkout, with its server's repository."""
    state = checkout / ".lab" / "lab"
    (state / "server.git").mkdir(parents=True)
    git(state / "server.git", "init", "--quiet", "--bare")
    (state / "lab.yml").write_text(yaml.safe_dump({"lab_https_port": 8443}))
    (state / "credentials.yml").write_text(yaml.safe_dump({"git_push": "secret", "argocd_admin": "other"}))
    return LocalLab("lab", state, 8080, 5001, "packages", checkout)
