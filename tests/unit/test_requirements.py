"""The locked requirements: every package with its hashes, nothing that names a registry, and one version of each."""

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
LOCKED = ["requirements.txt", "requirements-dev.txt", "app/requirements.txt", "tests/requirements.txt"]
locked = pytest.mark.parametrize("name", LOCKED)


def pins(name):
    """Return the versions of a locked file by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (CHECKOUT / name).read_text(), re.MULTILINE))


def asked(name):
    """Return the packages that a file of requirements asks for by itself."""
    lines = (CHECKOUT / name.replace(".txt", ".in")).read_text().splitlines()
    return {re.match(r"[\w-]+", line)[0].lower() for line in lines if re.match(r"\w", line)}


@locked
def test_every_package_has_its_hashes(name):
    blocks = re.split(r"^(?=[a-z0-9-]+==)", (CHECKOUT / name).read_text(), flags=re.MULTILINE)[1:]
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert blocks


@locked
def test_no_registry_is_named(name):
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", (CHECKOUT / name).read_text())


@locked
def test_what_is_asked_for_is_locked(name):
    assert asked(name) - pins(name).keys() == set()


def test_the_service_is_tested_with_what_it_runs_on():
    service, lab = pins("app/requirements.txt"), pins("requirements-dev.txt")
    assert {package: lab.get(package) for package in service} == service


def test_the_lab_is_tested_with_what_it_runs_on():
    lab, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    assert {package: dev.get(package) for package in lab} == lab


def test_the_test_image_lints_as_the_lab_does():
    image, lab = pins("tests/requirements.txt"), pins("requirements-dev.txt")
    assert {package: version for package, version in image.items() if lab.get(package, version) != version} == {}
