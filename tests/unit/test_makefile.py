"""Which lab a target is for: the one that NAME says, also where a play does it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed: what its targets run was not checked")


def would_run(*words, **environment):
    """Return the commands that make would run."""
    done = subprocess.run(["make", "--dry-run", "--always-make", "--no-print-directory", *words], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True,
                          env={**os.environ, "MAKEFLAGS": "", **environment})  # fmt: skip
    return done.stdout


@pytest.mark.parametrize("target", ["up", "down", "clean", "upgrade"])
def test_name_says_which_lab(target):
    assert """-e '{"lab_name": "two"}'""" in would_run(target, "NAME=two")


@pytest.mark.parametrize("target", ["up", "down", "clean"])
def test_without_a_name_the_play_decides(target):
    assert "lab_name" not in would_run(target)
    assert "lab_name" not in would_run(target, NAME="of-this-machine")


def test_a_name_of_the_machines_own_is_no_labs():
    assert '--name="lab"' in would_run("status", NAME="of-this-machine")


@pytest.mark.parametrize("name", ["a b", "x;id", ""])
def test_a_name_reaches_a_verb_as_it_was_typed(name):
    assert would_run("status", f"NAME={name}").endswith(f'python -m lab status --name="{name}"\n')


def test_variables_without_their_option_are_refused_with_what_to_type():
    done = subprocess.run(["make", "--dry-run", "up", "VARS=lab_replicas=5"], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert 'VARS are options of ansible-playbook: VARS="-e lab_replicas=5"' in done.stderr


@pytest.mark.parametrize("setting", ["lab_source=packages", "lab_bundle=other.tar.zst"])
def test_a_bundle_beside_what_it_says_itself_is_refused(setting):
    done = subprocess.run(["make", "--dry-run", "up", "BUNDLE=x", f"VARS=-e {setting}"], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "BUNDLE=FILE says lab_source and lab_bundle" in done.stderr


def test_a_tilde_of_a_bundle_is_the_home_folder(tmp_path):
    assert f'lab_bundle="{tmp_path}/b.tar.zst"' in would_run("up", "BUNDLE=~/b.tar.zst", HOME=str(tmp_path))


def test_variables_and_bundle_come_along(tmp_path):
    said = would_run("up", "NAME=two", "VARS=-e lab_replicas=5", f"BUNDLE={tmp_path}/b.tar.zst")
    assert all(word in said for word in ('"two"', "lab_replicas=5", "lab_source=bundle"))
