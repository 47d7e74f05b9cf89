"""A repository that Argo CD could not deploy from is refused, by what it lacks."""

import shutil
import subprocess

import pytest

from lab.preflight.repository import repository

# The image that tests the service has none; the lab's own test run has.
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed: no repository could be checked")


def git(folder, *words):
    subprocess.run(["git", "-c", "user.name=u", "-c", "user.email=u@localhost", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def own(tmp_path):
    """Return the settings of a lab with a repository of the user's own, which has a chart."""
    folder = tmp_path / "own"
    (folder / "app/chart").mkdir(parents=True)
    (folder / "app/chart/Chart.yaml").write_text("name: x\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    return {"lab_components": ["argocd"], "argocd_repo_url": f"file://{folder}", "argocd_repo_revision": "main",
            "argocd_repo_path": "app/chart"}  # fmt: skip


def said(settings, checkout):
    return [found.message for found in repository(settings, checkout)]


def test_repository_with_a_chart_is_taken(own, tmp_path):
    assert said(own, tmp_path) == []


@pytest.mark.parametrize(("change", "words"), [
    ({"argocd_repo_url": "file:///nowhere"}, ["argocd_repo_url file:///nowhere does not answer", "git ls-remote"]),
    ({"argocd_repo_revision": "nothing"}, ["argocd_repo_revision nothing is not in", "git ls-remote"]),
    ({"argocd_repo_path": "charts"}, ["argocd_repo_path charts holds no chart", "Chart.yaml"]),
    ({"argocd_repo_url": "http://localhost:3000/x.git"}, ["is this machine"]),
], ids=["url", "revision", "path", "this machine"])  # fmt: skip
def test_what_it_lacks_is_said(own, tmp_path, change, words):
    (line,) = said(own | change, tmp_path)
    assert all(word in line for word in words)


def test_checkout_without_a_commit_is_refused(tmp_path):
    git(tmp_path, "init", "--quiet")
    (line,) = said({"lab_components": ["argocd"], "argocd_repo_url": ""}, tmp_path)
    assert "has no commit yet" in line


def test_lab_without_argocd_needs_no_repository(tmp_path):
    assert said({"lab_components": [], "argocd_repo_url": ""}, tmp_path) == []
