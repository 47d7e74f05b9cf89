"""What an upgrade does and says: what ran before, what runs now, what is restarted, and what is refused."""

import dataclasses

import pytest
import yaml

from lab import catalog, made, upgrade
from lab.gitops.state import Lab
from lab.kubectl import ClusterError

COMPONENTS = catalog.load("packages")
TRAEFIK = COMPONENTS["traefik"].image
REPOSITORY = TRAEFIK.rpartition(":")[0]


def pod(image, digest="sha256:1", owner=("ReplicaSet", "traefik-7f9"), **metadata):
    """Return a pod of one container."""
    owners = [{"kind": owner[0], "name": owner[1]}] if owner else []
    return {"metadata": {"namespace": "traefik", "name": "x", "ownerReferences": owners, **metadata},
            "status": {"phase": "Running", "containerStatuses": [{"image": image, "imageID": f"registry/x@{digest}"}]}}  # fmt: skip


class Cluster:
    """A cluster whose pods are given, one list for each look; it notes what it is told to do."""

    def __init__(self, *looks):
        self.looks, self.told = list(looks), []

    def everything(self, kinds):
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def text(self, *words, timeout=60):
        self.told.append(words[:3])
        return ""


class Registry:
    """A registry that has one digest for everything."""

    def __init__(self, digest="sha256:1"):
        self.found = digest

    def digest(self, name, tag):
        return self.found


@pytest.fixture
def lab(tmp_path):
    state = tmp_path / ".lab" / "lab"
    state.mkdir(parents=True)
    (state / "lab.yml").write_text(yaml.safe_dump({"lab_made_of": made.made_of(COMPONENTS)}))
    return Lab("lab", state, 8080, 5001, "packages", tmp_path)


def test_component_that_changed_is_in_the_table_and_the_others_are_counted(lab):
    cluster = Cluster([pod(f"{REPOSITORY}:v3.6.0")], [pod(TRAEFIK)])
    lines = upgrade.upgrade(lab, lambda: 0, cluster, Registry())
    assert [line.split() for line in lines[:2]] == [["component", "before", "now"], ["traefik", "v3.6.0", TRAEFIK.rpartition(":")[2]]]
    assert lines[2] == "0 components run as before"
    assert cluster.told == []


def test_nothing_to_upgrade_is_said(lab):
    assert upgrade.upgrade(lab, lambda: 0, Cluster([pod(TRAEFIK)]), Registry()) == ["nothing was to be upgraded: 1 components run as before"]


@pytest.mark.parametrize(("owner", "workload"), [(("ReplicaSet", "traefik-7f9"), "deployment/traefik"), (("DaemonSet", "kube-router"), "daemonset/kube-router"),
                                                  (("StatefulSet", "prometheus-x"), "statefulset/prometheus-x")])  # fmt: skip
def test_image_that_was_built_anew_under_its_name_is_restarted(lab, owner, workload):
    cluster = Cluster([pod(TRAEFIK, owner=owner)])
    lines = upgrade.upgrade(lab, lambda: 0, cluster, Registry("sha256:2"))
    assert cluster.told == [("rollout", "restart", workload), ("rollout", "status", workload)]
    assert lines[-1] == f"restarted, as its image was built anew: {workload} in traefik ({TRAEFIK})"


@pytest.mark.parametrize("found", [pod(TRAEFIK, owner=("Node", "n")), pod(TRAEFIK, owner=None), pod(TRAEFIK, deletionTimestamp="now"), pod(TRAEFIK, "sha256:2")])
def test_what_nobody_makes_anew_or_runs_what_the_registry_has_is_left_alone(found):
    assert upgrade.stale([found], lambda image: "sha256:2") == {}


def test_image_that_the_registry_lacks_is_left_alone():
    assert upgrade.stale([pod(TRAEFIK)], lambda image: None) == {}


def test_what_only_a_new_lab_has_is_refused_before_anything_runs(lab):
    (lab.state / "lab.yml").write_text(yaml.safe_dump({"lab_made_of": {**made.made_of(COMPONENTS), "node": "1.30.0"}}))
    with pytest.raises(upgrade.UpgradeError, match="node 1.30.0 -> .*make backup, make down up, make restore"):
        upgrade.upgrade(lab, lambda: pytest.fail("it ran"), Cluster([]), Registry())


def test_run_that_fails_is_said(lab):
    with pytest.raises(upgrade.UpgradeError, match="failed, and make up goes on"):
        upgrade.upgrade(lab, lambda: 2, Cluster([]), Registry())


def test_workload_that_does_not_come_back_is_said(lab):
    cluster = Cluster([pod(TRAEFIK)])
    cluster.text = lambda *words, timeout=60: (_ for _ in ()).throw(ClusterError("timed out waiting for the condition"))
    with pytest.raises(ClusterError, match="timed out"):
        upgrade.upgrade(lab, lambda: 0, cluster, Registry("sha256:2"))


class Shared(Cluster):
    """A cluster that somebody has: the lab has one namespace in it."""

    def text(self, *words, timeout=60):
        return "traefik" if words[:2] == ("get", "namespaces") else super().text(*words, timeout=timeout)


def test_nothing_of_anybody_elses_is_restarted(lab):
    lab = dataclasses.replace(lab, at="theirs", images="registry.example.org/team")
    cluster = Shared([pod(TRAEFIK, "sha256:old", namespace="others"), pod(f"{lab.images}/{TRAEFIK}", "sha256:old")])
    lines = upgrade.upgrade(lab, lambda: 0, cluster, Registry())
    assert "1 components run as before" in lines[0]
    assert {words for words in cluster.told if words[1] == "restart"} == {("rollout", "restart", "deployment/traefik")}
    assert sum(words[1] == "restart" for words in cluster.told) == 1


@pytest.mark.parametrize(("image", "name"), [(TRAEFIK, "traefik"), ("localhost:5001/vars/web:1a2b", "web"), ("localhost:20002/vars/migrations:1a2b", "migrations"),
                                              ("localhost:5001/mine/other:1", None), ("example.org/x/y:1", None)])  # fmt: skip
def test_component_of_an_image(image, name):
    assert upgrade.provider(image, COMPONENTS) == name


def test_what_upstream_lacks_is_found_under_the_labs_own_registry():
    assert upgrade.provider("localhost:20002/cluster-lab/git:bookworm", catalog.load("upstream")) == "git"
