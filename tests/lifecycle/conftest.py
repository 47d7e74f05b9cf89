"""A lab of its own that tests may break: started once, taken down at the end."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
ANSIBLE = [str(Path(sys.executable).with_name("ansible-playbook"))]
# Longest time any run may take, in seconds: a cold build fits in.
LONGEST = 2700
# Seconds after which what is waited for does not come any more. How long it took is printed, not judged: a busy machine would be.
PATIENCE = 180


@dataclass(frozen=True)
class Run:
    """What a play did."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        return int(re.findall(r"changed=(\d+)", self.output)[-1])

    @property
    def changes(self) -> list[str]:
        """The names of the tasks that changed something."""
        return re.findall(r"TASK \[([^\]]+)\][^\n]*\n(?:(?!TASK \[).*\n)*?changed: ", self.output)

    @property
    def reason(self) -> str:
        """Why it failed, as it says so itself at its end."""
        return self.output.rpartition("\nFAILED: ")[2].partition("\n")[2].strip() or self.output[-400:]


class Lab:
    """One lab, by its name. It stands without its platform, so that what is repaired is repaired by the roles."""

    components = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = CHECKOUT / ".lab" / name

    def command(self, playbook: str, *extra: str) -> list[str]:
        """Return the command line of a play on this lab."""
        return [*ANSIBLE, playbook, "-e", f"lab_name={self.name}", "-e", f"lab_components={self.components}", *extra]

    def play(self, playbook: str, *extra: str, **environment: str) -> Run:
        """Run a play to its end."""
        done = subprocess.run(
            self.command(playbook, *extra), cwd=CHECKOUT, env=dict(os.environ, ANSIBLE_NOCOLOR="1", **environment),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST,
            check=False,
        )  # fmt: skip
        return Run(done.returncode, done.stdout)

    def up(self, *extra: str, **environment: str) -> Run:
        """Stand the lab up, or bring it back."""
        return self.play("site.yml", *extra, **environment)

    def upgrade(self, catalog: Path) -> Run:
        """Have the versions of another catalog, as `make upgrade` does."""
        command = [sys.executable, "-m", "lab", "upgrade", "--name", self.name, "--", "-e", f"lab_components={self.components}"]
        done = subprocess.run(command, cwd=CHECKOUT, env=dict(os.environ, ANSIBLE_NOCOLOR="1", LAB_CATALOG=str(catalog)), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LONGEST, check=False)  # fmt: skip
        return Run(done.returncode, done.stdout)

    def down(self, *extra: str) -> Run:
        """Take the lab down."""
        return self.play("playbooks/down.yml", *extra)

    @contextlib.contextmanager
    def standing(self) -> Iterator[Self]:
        """Stand it up, and take it down at the end: nothing may be left of it, no container, network, volume or file."""
        run = self.up()
        assert run.code == 0, run.output[-3000:]
        yield self
        assert self.down().code == 0
        assert self.left() == []

    def until(self, ask: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
        """Ask until the answer is true; return the seconds that took, fail after `seconds`."""
        start = time.monotonic()
        while not ask():
            assert time.monotonic() - start < seconds, f"{what}, not within {seconds:.0f} s:\n{self.trouble()}"
            time.sleep(0.3)
        return time.monotonic() - start

    def trouble(self) -> str:
        """Return what helps to see why something does not come."""
        return self.kubectl("get", "pods,nodes", "-A", "-o", "wide")

    @property
    def http_port(self) -> int:
        """The port that leads to Traefik."""
        return yaml.safe_load((self.state / "lab.yml").read_text())["lab_http_port"]

    def kubectl(self, *words: str, timeout: float = 60) -> str:
        """Return what kubectl prints, within so many seconds."""
        command = [self.state / "bin" / "kubectl", f"--kubeconfig={self.state / 'kubeconfig'}", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout).stdout

    def get(self, path: str) -> str:
        """Return the body of an answer through Traefik; raises CalledProcessError where there is none."""
        command = ["curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--noproxy", "*"]
        url = f"http://localhost:{self.http_port}{path}"
        return subprocess.run([*command, url], check=True, capture_output=True, text=True, timeout=10).stdout

    def left(self) -> list[str]:
        """Return what the engine and the checkout still have of this lab."""
        found = []
        for words in (["ps", "--all"], ["network", "ls"], ["volume", "ls"]):
            text = "{{.Names}}" if words[0] == "ps" else "{{.Name}}"
            listed = subprocess.run(["docker", *words, "--format", text], check=True, capture_output=True, text=True)
            found += [f"{words[0]} {name}" for name in listed.stdout.split() if re.match(rf"{self.name}(-|$)", name)]
        return found + [str(path) for path in (self.state,) if path.exists()]


@pytest.fixture(scope="session")
def lab():
    """A lab that is up; it goes at the end, whatever the tests left of it."""
    with Lab("lifecycle").standing() as made:
        yield made
