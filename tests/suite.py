"""`make test` part by part: it stops at the first part that fails, and its last lines say what each took and which tests failed.

A part is a target of the Makefile. Output of many minutes ends in what matters, also where only the end of a log is kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Names the file that tests/conftest.py writes failed tests into, a line each.
FAILURES = "SUITE_FAILURES"


def run(parts: list[str], make: list[str]) -> int:
    """Run parts in turn by the command `make`; print the closing lines, return the exit code of the last part that ran."""
    took: list[str] = []
    code = 0
    with tempfile.TemporaryDirectory() as folder:
        failures = Path(folder, "failures")
        for part in parts:
            start = time.monotonic()
            code = subprocess.run([*make, part], env={**os.environ, FAILURES: str(failures)}, check=False).returncode
            took.append(f"{part} {time.monotonic() - start:.0f} s")
            if code:
                break
        failed = failures.read_text().splitlines() if failures.exists() else []
    print("\nmake test: " + ", ".join(took))
    if code:
        left = parts[len(took) :]
        print(f"FAILED: {parts[len(took) - 1]}" + (f"; not run: {', '.join(left)}" if left else ""), *failed, sep="\n  ")
    else:
        print(f"PASSED: all {len(parts)} parts")
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], [os.environ.get("MAKE", "make"), "--no-print-directory"]))
