"""Run Docker and git, and turn what goes wrong into one line."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class PublishError(Exception):
    """Something cannot be built or published; the message is one line that says what to do."""


def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str = "",
    show: bool = False,
) -> subprocess.CompletedProcess:
    """Run `command` and return what came of it; with `show` its output goes to the terminal instead."""
    try:
        return subprocess.run(
            command, env={**os.environ, **(env or {})}, cwd=cwd, input=stdin, text=True, check=False, capture_output=not show
        )  # fmt: skip
    except FileNotFoundError:
        raise PublishError(f"{command[0]} is not installed, or not on the path") from None


def note(text: str, environ: Mapping[str, str]) -> None:
    """Add a line to the summary of a pipeline's run, where there is one."""
    if summary := environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(f"- {text}\n")


def last_line(text: str) -> str:
    """Return the last line of `text` that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no output")
