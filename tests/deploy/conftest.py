"""A lab of its own, stood up from a clone that tests may commit to and push from."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.gitops import application
from lab.gitops import state as gitops
from tests.deploy.load import Load
from tests.lifecycle import conftest as lifecycle
from tests.lifecycle.conftest import PATIENCE

# What is answered for a variable that is not there; tests change it, as code that is deployed.
SOURCE, ANSWER = "app/resources.py", "Variable name not found"
# Seconds a run of one of the lab's verbs may take.
LONGEST = 400


class Lab(lifecycle.Lab):
    """The lab `deploy`, in a clone, with Argo CD."""

    components = "argocd"

    def __init__(self, checkout: Path) -> None:
        super().__init__("deploy")
        self.checkout, self.state = checkout, checkout / ".lab" / "deploy"

    def play(self, playbook: str, *extra: str) -> lifecycle.Run:
        """Run a play of the clone to its end."""
        done = subprocess.run(
            self.command(playbook, *extra), cwd=self.checkout,
            env=dict(os.environ, ANSIBLE_NOCOLOR="1"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=lifecycle.LONGEST, check=False,
        )  # fmt: skip
        return lifecycle.Run(done.returncode, done.stdout)

    def run(self, verb: str, *words: str) -> subprocess.CompletedProcess:
        """Run one of the lab's verbs in the clone."""
        command = [sys.executable, "-m", "lab", verb, "--name", self.name, *words]
        return subprocess.run(command, cwd=self.checkout, capture_output=True, text=True, timeout=LONGEST, check=False)

    def git(self, *words: str) -> str:
        """Run git in the clone; fail with what it says."""
        done = subprocess.run(["git", *words], cwd=self.checkout, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def commit(self, path: str, old: str, new: str) -> None:
        """Replace text in a file of the clone, and commit that."""
        file = self.checkout / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        self.git("commit", "--quiet", "--all", "--message", f"Change {path}")

    def answer_with(self, text: str) -> None:
        """Have the code of the clone answer something else."""
        self.git("checkout", "--quiet", "--", SOURCE)
        file = self.checkout / SOURCE
        assert ANSWER in file.read_text()
        file.write_text(file.read_text().replace(ANSWER, text))

    def push(self) -> str:
        """Push as a user does; return the commit."""
        self.git("push", "--quiet", self.name)
        return self.git("rev-parse", "HEAD")

    def settle(self, main: str = "", timeout: float = PATIENCE) -> None:
        """Wait until Argo CD says Synced and Healthy at a commit of the chart."""
        application.wait(gitops.load(self.name, self.checkout), [main, ""], timeout)

    def answer(self, path: str) -> str:
        """Return the body of an answer through Traefik, whatever its status."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=10)
        connection.request("GET", path, headers={"Host": "vars.localhost", "Connection": "close"})
        return connection.getresponse().read().decode()

    def document(self, *words: str) -> dict:
        """Return an object of the service's namespace."""
        return json.loads(self.kubectl("get", *words, "--namespace", "vars", "--output", "json"))

    def pods(self, component: str) -> dict[str, str]:
        """Return the pods of a component that are not on their way out: name and UID."""
        found = self.document("pods", f"--selector=app.kubernetes.io/component={component}")["items"]
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def trouble(self) -> str:
        """Return what the lab says of itself."""
        return self.run("status").stdout


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A lab with Argo CD, from a clone of what is committed here; it goes at the end."""
    checkout = tmp_path_factory.mktemp("deploy") / "checkout"
    subprocess.run(["git", "clone", "--quiet", lifecycle.CHECKOUT, checkout], check=True, timeout=60)
    made = Lab(checkout)
    for key, value in (("user.name", "tests"), ("user.email", "tests@localhost"), ("commit.gpgsign", "false")):
        made.git("config", key, value)
    with made.standing():
        made.answer("/var/load/1")
        yield made


@pytest.fixture
def load(lab, record_property):
    """Load on the lab; no request of it may fail."""
    with Load(lab.http_port) as under:
        time.sleep(2)
        yield under
    record_property("load", under.counts)
    assert under.failures == [], f"{len(under.failures)} of {under.sent} failed: {under.failures[:5]}"
