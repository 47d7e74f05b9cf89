"""`python -m tests.mutants [WORD ...]`: make each seeded fault in a copy of the checkout, and see the tests that it names go red.

A mutant is `file`, `old`, `new` (text in it, found once), `tests` (arguments of pytest) and `why` (what a user would suffer). First every
set of tests has to be green without a fault. A mutant that survives, or whose text is not there any more, is a failure. Words choose
the mutants whose file or reason has one of them in it. None needs a lab; what `make chaos` breaks does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]
LISTS = Path(__file__).parent
# Seconds that one set of tests may take.
LONGEST = 300


class MutantError(Exception):
    """A mutant that says nothing: its text is not where it is said to be."""


@dataclass(frozen=True)
class Mutant:
    """One seeded fault, the tests that have to notice it, and what a user would suffer."""

    file: str
    old: str
    new: str
    tests: str
    why: str

    def __str__(self) -> str:
        """Return what is shown of it."""
        return f"{self.file}: {self.why}"

    def apply(self, root: Path) -> None:
        """Make the fault under `root`. Raises MutantError where the text is not there exactly once."""
        path = root / self.file
        text = path.read_text() if path.is_file() else ""
        if text.count(self.old) != 1:
            raise MutantError(f"{self.file} has {text.count(self.old)} times {self.old!r}: a mutant's text is there once")
        path.write_text(text.replace(self.old, self.new))


def read(folder: Path = LISTS) -> list[Mutant]:
    """Return all mutants of the lists in a folder, in their order."""
    return [Mutant(**item) for path in sorted(folder.glob("*.yml")) for item in yaml.safe_load(path.read_text())]


def copy(target: Path) -> None:
    """Copy what git tracks, or would, into `target`, and the Python environment by a link."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT, check=True,
                           capture_output=True, text=True).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        if (CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target / name)
    (target / ".venv").symlink_to((CHECKOUT / ".venv").resolve())


def run(root: Path, tests: str) -> tuple[int, str]:
    """Run tests under `root`; return pytest's exit code and its last line. A code of 1 means that a test failed, and nothing else does."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *shlex.split(tests)]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=LONGEST, check=False, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
    except subprocess.TimeoutExpired:
        return 1, f"not over after {LONGEST} s"
    lines = (done.stdout + done.stderr).strip().splitlines()
    # Tests that cannot even be collected have noticed, too.
    return 1 if done.returncode == 2 and "error" in lines[-1] else done.returncode, lines[-1] if lines else ""


def hunt(mutants: list[Mutant], root: Path, say=print, run=run) -> list[str]:
    """Return what is wrong: tests that are red without a fault, mutants that survive or say nothing."""
    wrong = []
    for tests in dict.fromkeys(mutant.tests for mutant in mutants):
        code, last = run(root, tests)
        if code:
            wrong.append(f"red without a fault: {tests}: {last}")
    for number, mutant in enumerate([] if wrong else mutants, 1):
        began, path = time.monotonic(), root / mutant.file
        try:
            before = path.read_bytes() if path.is_file() else b""
            mutant.apply(root)
        except MutantError as error:
            wrong.append(str(error))
            continue
        try:
            code, last = run(root, mutant.tests)
        finally:
            path.write_bytes(before)
        caught = code == 1
        say(f"{number:3} {'caught  ' if caught else 'SURVIVED'} {time.monotonic() - began:5.1f} s  {mutant}")
        if not caught:
            wrong.append(f"survived: {mutant} ({mutant.tests}: {last})")
    return wrong


def main(argv: list[str]) -> int:
    """Hunt the mutants that `argv` names, or all; return 0 if every one was caught."""
    mutants = [item for item in read() if not argv or any(word in str(item) for word in argv)]
    with tempfile.TemporaryDirectory() as folder:
        copy(Path(folder))
        wrong = hunt(mutants, Path(folder))
    print(f"{len(mutants) - len(wrong)} of {len(mutants)} mutants were caught")
    for line in wrong:
        print(f"mutants: {line}", file=sys.stderr)
    return 1 if wrong or not mutants else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
