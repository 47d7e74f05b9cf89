"""Programs of the catalog that tests run."""

import shutil

import pytest

from lab import build


def tool(name):
    """Return where a program of the catalog is, once a lab was built; else the one on the path. Skips where there is none."""
    plan, _ = build.plan_for(build.parser("").parse_args([]))
    built = plan.artifact(name) / name
    found = str(built) if built.exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is neither built yet (make up) nor on the path")
    return found
