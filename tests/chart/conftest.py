"""What renders the charts."""

import subprocess

import pytest
import yaml

from tests.tools import tool


@pytest.fixture(scope="session")
def template():
    """Return a function that renders a chart with values into its objects; raises ValueError with what helm says."""
    helm = tool("helm")

    def render(release, chart, namespace, values):
        command = [helm, "template", release, chart, "--namespace", namespace, "--values", "-"]
        done = subprocess.run(command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False, timeout=30)
        if done.returncode:
            raise ValueError(done.stderr)
        return [item for item in yaml.safe_load_all(done.stdout) if item]

    return render
