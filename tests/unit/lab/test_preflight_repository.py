"""A repository that Argo CD could not deploy from is refused, by what it lacks."""

import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from lab.preflight.repository import lacking, repository

# The image that tests the service has none; the lab's own test run has.
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed: no repository could be checked")


def git(folder, *words):
    subprocess.run(["git", "-c", "user.name=u", "-c", "user.email=u@localhost", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def own(tmp_path):
    """Return a repository of the user's own, which has a chart: URL, revision, path."""
    folder = tmp_path / "own"
    (folder / "app/chart").mkdir(parents=True)
    (folder / "app/chart/Chart.yaml").write_text("name: x\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=first")
    return {"url": f"file://{folder}", "revision": "main", "path": "app/chart"}


def said(settings, checkout):
    return [found.message for found in repository(settings, checkout)]


def test_repository_with_a_chart_is_taken(own):
    assert lacking(**own) == []


@pytest.mark.parametrize(("change", "words"), [
    ({"url": "file:///nowhere"}, ["argocd_repo_url file:///nowhere does not answer", "git ls-remote"]),
    ({"revision": "nothing"}, ["argocd_repo_revision nothing is not in", "git ls-remote"]),
    ({"revision": "v1.*"}, ["argocd_repo_revision v1.* is not in", "git ls-remote"]),
    ({"path": "charts"}, ["argocd_repo_path charts holds no chart", "Chart.yaml"]),
], ids=["url", "revision", "range", "path"])  # fmt: skip
def test_what_it_lacks_is_said(own, change, words):
    (found,) = lacking(**own | change)
    assert all(word in found.message for word in words)


@pytest.mark.parametrize(("url", "words"), [
    ("http://localhost:3000/x.git", "is this machine"), ("http://git.localhost/x.git", "is this machine"),
    ("http://u@127.0.0.1/x.git", "is this machine"), ("http://[::1]:3000/x.git", "is this machine"),
    ("/home/u/x", "Argo CD has neither keys nor"), ("git@host:u/x.git", "Argo CD has neither keys nor"),
])  # fmt: skip
def test_url_that_pods_cannot_use_is_refused(tmp_path, url, words):
    settings = {"lab_components": ["argocd"], "argocd_repo_url": url, "argocd_repo_revision": "HEAD", "argocd_repo_path": "app/chart"}
    (line,) = said(settings, tmp_path)
    assert words in line


class Locked(BaseHTTPRequestHandler):
    """A server that wants a password, and takes any."""

    def do_GET(self):
        """Ask for it; who has it finds nothing."""
        self.send_response(404 if "Authorization" in self.headers else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="x"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        """Say nothing."""


def test_repository_that_wants_a_password_is_refused_whatever_this_users_git_knows(monkeypatch, tmp_path):
    (tmp_path / ".gitconfig").write_text('[credential]\n    helper = "!printf \'username=u\\npassword=p\\n\' #"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GIT_ASKPASS", "SSH_ASKPASS", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Locked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (found,) = lacking(f"http://127.0.0.1:{server.server_port}/x.git", "HEAD", "app/chart")
        server.shutdown()
    assert "wants a password, and Argo CD has none" in found.message


def test_checkout_without_a_commit_is_refused(tmp_path):
    git(tmp_path, "init", "--quiet")
    (line,) = said({"lab_components": ["argocd"], "argocd_repo_url": ""}, tmp_path)
    assert "has no commit yet" in line


def test_lab_without_argocd_needs_no_repository(tmp_path):
    assert said({"lab_components": [], "argocd_repo_url": ""}, tmp_path) == []
