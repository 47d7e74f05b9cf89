"""One version: the service's, which is also the project's and what its images are tagged with."""

import re
import tomllib
from pathlib import Path

from app import __version__
from app.config import Settings

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def test_the_project_takes_its_version_from_the_service():
    assert "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "app.__version__"}


def test_the_service_reports_it():
    assert Settings._field_defaults["version"] == __version__


def test_it_can_be_read_without_running_anything():
    assert f'\n__version__ = "{__version__}"\n' in (CHECKOUT / "app" / "__init__.py").read_text()


def test_it_is_a_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_changelog_tells_of_it():
    assert f"## {__version__}" in (CHECKOUT / "CHANGELOG.md").read_text()
