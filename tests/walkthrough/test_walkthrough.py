"""WALKTHROUGH.md, typed as it stands by somebody who has a lab of another name: block by block, in order."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import documents
from tests.lifecycle.conftest import CHECKOUT, LONGEST, Lab

pytestmark = pytest.mark.long

NAME = "walkthrough"
STEPS = documents.steps((CHECKOUT / "WALKTHROUGH.md").read_text())


class Room(Lab):
    """A lab in a clone, and the shell of who works in it."""

    components = "argocd,monitoring"

    def __init__(self, checkout: Path) -> None:
        super().__init__(NAME)
        self.checkout, self.state = checkout, checkout / ".lab" / NAME
        self._shell = checkout.parent / "shell"
        self._shell.touch()
        self.stuck: str | None = None

    def here(self, text: str) -> str:
        """Return text of the document as it is for this lab: its folder, its remote, its ports."""
        text = text.replace(".lab/lab/", f".lab/{NAME}/").replace("push lab", f"push {NAME}")
        record = self.state / "lab.yml"
        return text.replace(":8080", f":{yaml.safe_load(record.read_text())['lab_http_port']}") if record.exists() else text

    def type(self, commands: str) -> subprocess.CompletedProcess:
        """Run commands in a shell that knows what the ones before have exported."""
        script = f"set -euo pipefail\nsource {self._shell}\ntrap 'export -p > {self._shell}' EXIT\n{self.here(commands)}"
        return subprocess.run(
            ["bash", "-c", script], cwd=self.checkout, env={**os.environ, "MAKEFLAGS": f"-- NAME={NAME}"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A clone of what is committed here; its lab goes at the end, and so do its backups."""
    checkout = tmp_path_factory.mktemp("walkthrough") / "checkout"
    subprocess.run(["git", "clone", "--quiet", CHECKOUT, checkout], check=True, timeout=60)
    for key, value in (("user.name", "tests"), ("user.email", "tests@localhost"), ("commit.gpgsign", "false")):
        subprocess.run(["git", "config", key, value], cwd=checkout, check=True)
    # The packages are those of this checkout; a file that is older than they are has nothing installed again.
    (checkout / ".venv").symlink_to(CHECKOUT / ".venv")
    for path in checkout.glob("requirements*.txt"):
        os.utime(path, (0, 0))
    made = Room(checkout)
    yield made
    down = made.type("make down")
    assert down.returncode == 0, down.stdout[-3000:]


@pytest.mark.parametrize("step", STEPS, ids=[f"{number:02}-{step.heading}" for number, step in enumerate(STEPS)])
def test_block_prints_what_is_said_of_it(room, step):
    if room.stuck:
        pytest.skip(f"the exercises stopped at: {room.stuck}")
    room.stuck = step.heading
    done = room.type(step.commands)
    assert done.returncode == 0, done.stdout[-3000:]
    missing = documents.Step(step.heading, "", tuple(map(room.here, step.expected))).missing(done.stdout)
    assert missing is None, f"no line like '{missing}' in:\n{done.stdout[-3000:]}"
    room.stuck = None
