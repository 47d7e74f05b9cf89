"""The locked requirements: every package with its hashes, nothing that names a registry, one version of each, and extras."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
LOCKED = ["requirements.txt", "requirements-dev.txt", "app/requirements.txt", "tests/requirements.txt"]
locked = pytest.mark.parametrize("name", LOCKED)


# A pin: the package, its extras, its version.
PIN = re.compile(r"^([a-z0-9-]+)(?:\[([a-z0-9,-]+)\])?==(\S+)", re.MULTILINE)


def pins(name):
    """Return the versions of a locked file by package."""
    return {package: version for package, _, version in PIN.findall((CHECKOUT / name).read_text())}


def extras(name):
    """Return the extras that a locked file pins with each package."""
    return {package: set(extra.split(",")) - {""} for package, extra, _ in PIN.findall((CHECKOUT / name).read_text())}


def asked(name):
    """Return the packages that a file of requirements asks for by itself."""
    lines = (CHECKOUT / name.replace(".txt", ".in")).read_text().splitlines()
    return {re.match(r"[\w-]+", line)[0].lower() for line in lines if re.match(r"\w", line)}


@locked
def test_every_package_has_its_hashes(name):
    blocks = re.split(r"^(?=[a-z0-9-]+(?:\[[a-z0-9,-]+\])?==)", (CHECKOUT / name).read_text(), flags=re.MULTILINE)[1:]
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


def needed(package, asked_for):
    """Return what an installed package needs where it is asked for with the extras `asked_for`: each other one, and its extras."""
    for text in metadata.distribution(package).requires or []:
        need = Requirement(text)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in [*asked_for, ""]):
            yield canonicalize_name(need.name), need.extras


@locked
def test_extras_that_are_asked_for_are_pinned(name):
    """pip before 23.3 knows no pin of `x` where `x[extra]` is needed: it takes the newest, and refuses it for want of a hash."""
    pinned = extras(name)
    here = pinned.keys() & {canonicalize_name(each.name) for each in metadata.distributions()}
    assert here, f"nothing of {name} is installed: no package's needs could be checked"
    wanting = {f"{other}[{','.join(sorted(wanted))}], which {package} needs"
               for package in here for other, wanted in needed(package, pinned[package])
               if other in pinned and not wanted <= pinned[other]}  # fmt: skip
    assert wanting == set()
