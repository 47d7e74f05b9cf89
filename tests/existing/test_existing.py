"""A lab on a cluster that somebody has: what is refused, the same lab as elsewhere, and nothing left when it goes.

In order: the cluster is made once, refusals come first, then one lab that is stood up, checked and taken down.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest
import yaml

from tests.existing.conftest import HTTP, REGISTRY, run
from tests.lifecycle.conftest import CHECKOUT

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def before(standin):
    """Return what was in the cluster before any lab, and the owner's kubeconfig as it was."""
    return standin.objects(), standin.kubeconfig.read_bytes()


@pytest.fixture(scope="module")
def restricted(standin):
    """Return the kubeconfig of somebody who may look at most things and change none."""
    token = standin.kubectl("create", "token", "restricted", "--namespace=others", "--duration=2h").strip()
    config = yaml.safe_load(standin.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = standin.folder / "restricted"
    path.write_text(yaml.safe_dump(config))
    return path


def test_context_that_is_not_named_is_refused(lab, before):
    run = lab.up(lab_existing_context="")
    assert run.code != 0
    assert "lab_existing_context is empty" in run.reason
    assert lab.standin.context in run.reason


def test_context_that_is_not_there_is_refused_by_name(lab, before):
    run = lab.up(lab_existing_context="production")
    assert run.code != 0
    assert "lab_existing_context production is not there" in run.reason


def test_registry_that_does_not_answer_is_refused_by_name(lab, before):
    run = lab.up(lab_registry="localhost:1/team")
    assert run.code != 0
    assert "lab_registry localhost:1/team" in run.reason


def test_storage_class_that_is_not_there_is_refused_by_name(lab, before):
    run = lab.up(lab_storage_class="gold")
    assert run.code != 0
    assert "lab_storage_class gold is not there: the cluster has standard" in run.reason


@pytest.mark.parametrize("words", ["create", "clusterroles.rbac.authorization.k8s.io", "secrets", " in vars, traefik"])
def test_right_that_is_missing_is_refused_by_name(lab, before, restricted, words):
    run = lab.up(lab_existing_kubeconfig=restricted)
    assert run.code != 0
    assert "may not" in run.reason
    assert words in run.reason


def test_namespace_of_somebody_else_is_refused_by_name_and_stays(lab, before):
    lab.standin.kubectl("create", "namespace", "vars")
    try:
        run = lab.up()
        assert run.code != 0
        assert "the namespace vars is in the cluster" in run.reason
        assert "is not this lab's" in run.reason
        assert lab.standin.kubectl("get", "namespace", "vars", "--output=name") == "namespace/vars\n"
    finally:
        lab.standin.kubectl("delete", "namespace", "vars")


def test_argocd_of_somebody_else_is_refused_and_can_be_left_out(lab, before):
    names = {"plural": "applications", "kind": "Application"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "applications.argoproj.io"},
            "spec": {"group": "argoproj.io", "scope": "Namespaced", "names": names, "versions": [version]}}  # fmt: skip
    # The API server refuses names of Kubernetes' own groups alone.
    lab.standin.kubectl("create", "--filename=-", stdin=yaml.safe_dump(kind))
    try:
        run = lab.up()
        assert run.code != 0
        assert "Argo CD is in the cluster" in run.reason
        assert "-e lab_components=monitoring" in run.reason
    finally:
        lab.standin.kubectl("delete", "customresourcedefinition", "applications.argoproj.io")


def test_refusals_changed_nothing(lab, before):
    assert lab.standin.settled(before[0]) == (set(), set())
    assert not (lab.state / "lab.yml").exists()


@pytest.fixture(scope="module")
def up(lab, before):
    """Stand the lab up."""
    run = lab.up()
    assert run.code == 0, run.output[-4000:]
    return run


def test_service_answers(lab, up):
    assert lab.get("/var/a/1") == "a = 1"


def test_second_run_changes_nothing(lab, up):
    again = lab.up()
    assert (again.code, again.changed) == (0, 0), again.changes


def test_second_run_needs_no_setting_but_the_name(lab, up):
    again = lab.play("site.yml")
    assert (again.code, again.changed) == (0, 0), (again.changes, again.output[-3000:])


def test_every_image_of_the_lab_is_pulled_from_the_users_registry(lab, up):
    words = ("--output=jsonpath={range .items[*]}{.metadata.namespace} {.spec.initContainers[*].image} {.spec.containers[*].image}{\"\\n\"}{end}",)
    rows = [line.split() for line in lab.kubectl("get", "pods", "--all-namespaces", *words).splitlines()]
    images = {image for space, *found in rows if space not in ("kube-system", "local-path-storage") for image in found}
    assert len(images) > 10
    assert {image for image in images if not image.startswith(f"localhost:{REGISTRY}/team/")} == set()


def test_its_ingress_class_is_not_the_default(lab, up):
    path = "--output=jsonpath={.metadata.annotations.ingressclass\\.kubernetes\\.io/is-default-class}"
    assert lab.kubectl("get", "ingressclass", "traefik", path) == "false"


def test_owners_kubeconfig_is_as_it_was_and_the_labs_own_is_private(lab, before, up):
    assert lab.standin.kubeconfig.read_bytes() == before[1]
    assert stat.S_IMODE((lab.state / "kubeconfig").stat().st_mode) == 0o600
    assert [item["name"] for item in yaml.safe_load((lab.state / "kubeconfig").read_text())["contexts"]] == [lab.standin.context]


def test_no_container_is_the_labs(lab, up):
    assert [found for found in lab.left() if found != str(lab.state)] == []


def test_checks_of_a_running_lab_pass(lab, up):
    command = [sys.executable, "-m", "pytest", "tests/infra"]
    done = subprocess.run(command, cwd=CHECKOUT, env=dict(os.environ, LAB_NAME=lab.name), capture_output=True, text=True, timeout=1500, check=False)
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.parametrize("verb", ["status", "open --print", "balance --requests=200", "backup", "report", "diagnostics"])
def test_verb_works(lab, up, verb):
    name, *words = verb.split()
    done = subprocess.run([sys.executable, "-m", "lab", name, f"--name={lab.name}", *words], cwd=CHECKOUT, capture_output=True, text=True,
                          timeout=240, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert name != "open" or f"http://vars.localhost:{HTTP}/var/a" in done.stdout


@pytest.fixture
def elsewhere(lab, up):
    """Make it look as if the context led to another cluster than at the first time."""
    record = lab.state / "lab.yml"
    text = record.read_text()
    record.write_text(text.replace(yaml.safe_load(text)["lab_existing_uid"], "00000000-0000-0000-0000-000000000000"))
    yield
    record.write_text(text)


@pytest.mark.parametrize("play", ["up", "down"])
def test_context_that_leads_to_another_cluster_is_refused(lab, elsewhere, play):
    run = getattr(lab, play)()
    assert run.code != 0
    assert f"{lab.standin.context} leads to another cluster than this lab was made on" in run.output
    assert lab.get("/healthz")


def test_lab_is_not_taken_for_one_of_another_kind(lab, up):
    run = lab.down("-e", "lab_cluster=kind")
    assert run.code != 0
    assert "lab_cluster=existing" in run.reason
    assert lab.get("/healthz")


def test_down_leaves_the_cluster_as_it_was(lab, before, up):
    done = lab.down()
    assert done.code == 0, done.output[-3000:]
    missing, surplus = lab.standin.settled(before[0])
    assert (missing, surplus) == (set(), set())
    assert not (lab.state / "lab.yml").exists()
    assert lab.standin.kubeconfig.read_bytes() == before[1]


def test_down_once_more_has_nothing_to_do(lab, before):
    assert lab.down().code == 0
    assert run("docker", "inspect", "--format={{.State.Running}}", "standin-control-plane") == "true\n"
