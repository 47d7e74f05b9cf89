"""A lab from upstream, by the code that asks upstream: a registry and a web server on this machine stand in for it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .standin import CHECKOUT, standing_in

pytestmark = pytest.mark.long
NAME = "sources"
# Longest time a run may take, in seconds.
LONGEST = 1800


def play(playbook: str, variables: dict, environment: dict) -> str:
    """Run a play on the lab and return what it printed; fails with its end where the play does."""
    command = [Path(sys.executable).with_name("ansible-playbook"), playbook, "-e", json.dumps({"lab_name": NAME, **variables})]
    done = subprocess.run(command, cwd=CHECKOUT, env=os.environ | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=LONGEST, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    with standing_in(tmp_path_factory.mktemp("upstream"), f"{NAME}-standin") as found:
        yield found


@pytest.fixture(scope="module")
def first(stand_in):
    """Return what the run printed that stood up the lab; the lab goes at the end."""
    try:
        yield play("site.yml", stand_in.variables, stand_in.environment)
    finally:
        play("playbooks/down.yml", {}, {})


@pytest.fixture(scope="module")
def again(first, stand_in):
    """Return what the same run printed a second time."""
    return play("site.yml", stand_in.variables, stand_in.environment)


def kubectl(*words: str) -> str:
    state = CHECKOUT / ".lab" / NAME
    command = [state / "bin" / "kubectl", f"--kubeconfig={state / 'kubeconfig'}", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_it_says_which_source_it_took(first):
    assert "Source: upstream (lab_source=upstream)" in first


def test_a_second_run_changes_nothing(again):
    assert re.findall(r"changed=(\d+)", again)[-1] == "0"


def test_auto_keeps_to_what_the_lab_was_made_from(again, stand_in):
    told = play("site.yml", {**stand_in.variables, "lab_source": "auto"}, stand_in.environment)
    assert "Source: upstream (this lab was made from it)" in told
    assert re.findall(r"changed=(\d+)", told)[-1] == "0"


def test_nodes_have_upstreams_names_and_no_others_but_what_the_checkout_makes(first):
    images = kubectl("get", "pods", "--all-namespaces", "--output=jsonpath={.items[*].spec.containers[*].image}").split()
    own = {image.split("/")[0] for image in images if image.startswith("localhost")}
    assert len(own) == 1
    assert {image.split("/")[1] for image in images if image.startswith("localhost")} == {"vars", "cluster-lab"}


def test_checks_of_a_running_lab_pass(again, stand_in):
    # What stands in for kindnet is kube-router, which lets through what goes to a Service that nobody is behind unless kube-proxy works with
    # nftables (roles/kind/templates/cluster.yml.j2), as it does not on a node of kind's.
    command = [sys.executable, "-m", "pytest", "tests/infra", "--deselect=tests/infra/test_policies.py::test_call[from a pod to a Service without endpoints]"]
    done = subprocess.run(command, cwd=CHECKOUT, env=os.environ | stand_in.environment | {"LAB_NAME": NAME}, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=LONGEST, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize("kind", ["deployments.apps", "statefulsets.apps"])
def test_all_but_what_has_no_image_is_ready(first, kind):
    waiting = [
        item["metadata"]["name"] for item in json.loads(kubectl("get", kind, "--all-namespaces", "--output=json"))["items"]
        if item["status"].get("readyReplicas", 0) != item["spec"]["replicas"]
    ]  # fmt: skip
    assert waiting == []

