"""Run the tools that builds are made of, with their output in the job's log."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class ToolError(Exception):
    """A tool failed; the message names it and its last line of output."""


def run(
    command: Sequence[str | Path], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> None:
    """Run `command`, appending what it prints to `log`; raise ToolError with its last line if it fails."""
    words = [str(word) for word in command]
    with log.open("a") as file:
        file.write(f"$ {' '.join(words)}\n")
        file.flush()
        result = subprocess.run(
            words, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=cwd, check=False,
            env=dict(os.environ, **(env or {})),
        )  # fmt: skip
    if result.returncode:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise ToolError(f"{words[0]} exited with {result.returncode}: {lines[-1] if lines else 'no output'}")


def output(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return what `command` prints on standard output; raise ToolError with its last line of error if it fails."""
    words = [str(word) for word in command]
    result = subprocess.run(
        words, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=cwd, check=False,
        env=dict(os.environ, **(env or {})),
    )  # fmt: skip
    if result.returncode:
        lines = result.stderr.strip().splitlines()
        raise ToolError(f"{words[0]} exited with {result.returncode}: {lines[-1] if lines else 'no output'}")
    return result.stdout
