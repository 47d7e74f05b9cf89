"""What renders the charts."""

import shutil

import pytest

from lab import build


@pytest.fixture(scope="session")
def helm():
    """The helm of the catalog, once a lab was built; else the one on the path."""
    plan, _ = build.plan_for(build.parser("").parse_args([]))
    built = plan.artifact("helm") / "helm"
    found = str(built) if built.exists() else shutil.which("helm")
    if not found:
        pytest.skip("the chart was not rendered: helm is neither built yet (make up) nor on the path")
    return found
