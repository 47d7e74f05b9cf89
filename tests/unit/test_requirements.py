"""The locked requirements can be installed on the day after, too."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
LOCKS = ["requirements.txt", "requirements-dev.txt", "app/requirements.txt", "tests/requirements.txt"]


def pins(name):
    """Return what a file of locked requirements pins: each package with the extras that stand with it."""
    found = re.findall(r"^([\w.-]+)(?:\[([\w.,-]+)\])?==", (CHECKOUT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): set(extras.split(",")) - {""} for package, extras in found}


def asked(extras, package):
    """Return what an installed package needs when it is asked for with `extras`: each other one, and its extras."""
    for text in metadata.distribution(package).requires or []:
        needed = Requirement(text)
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in [*extras, ""]):
            yield canonicalize_name(needed.name), needed.extras


@pytest.mark.parametrize("name", LOCKS)
def test_extras_that_are_asked_for_are_pinned(name):
    """Before 23.3 pip knows no pin of `x` where `x[extra]` is needed: it takes the newest, and refuses it for want of a hash."""
    locked = pins(name)
    installed = {canonicalize_name(each.name) for each in metadata.distributions()}
    here = locked.keys() & installed
    assert here, f"nothing of {name} is installed: no package's needs could be checked"
    wanting = {f"{other}[{','.join(sorted(extras))}], which {package} needs"
               for package in here for other, extras in asked(locked[package], package)
               if other in locked and not extras <= locked[other]}  # fmt: skip
    assert wanting == set()
