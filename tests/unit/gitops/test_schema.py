"""Undoing the schema: who still needs it, and the Job that does it."""

import pytest

from lab.gitops import GitopsError
from lab.gitops.schema import JOB, LEAVE, ended, job_from, needing, wait_until_none_needs
from tests.unit.clock import Clock


def pod(name, image, phase="Running", **metadata):
    return {"metadata": {"name": name, **metadata}, "spec": {"containers": [{"name": "web", "image": image}]}, "status": {"phase": phase}}


def test_pod_of_another_image_needs_it():
    assert needing([pod("a", "web:1"), pod("b", "web:2")], "web:1") == ["b"]


def test_pod_on_its_way_out_still_needs_it():
    assert needing([pod("b", "web:2", deletionTimestamp="now")], "web:1") == ["b"]


def test_pod_that_ended_needs_nothing():
    assert needing([pod("b", "web:2", "Failed")], "web:1") == []


class Cluster:
    """Pods that are there at so many looks, and gone at the next."""

    def __init__(self, looks):
        self.looks = looks

    def everything(self, *words):
        self.looks -= 1
        return [pod("a", "web:1"), *([pod("b", "web:2", deletionTimestamp="now")] if self.looks >= 0 else [])]


WANTED = type("Entry", (), {"web": "web:1", "tag": "1"})


def test_pods_of_another_image_are_waited_for_and_that_is_said_once(capsys):
    clock = Clock()
    wait_until_none_needs(Cluster(4), WANTED, clock)
    assert clock.monotonic() == 2
    assert capsys.readouterr().err == f"  waiting until b is gone, which may need the schema, at most {LEAVE} s\n"


def test_nothing_is_said_where_nothing_is_to_wait_for(capsys):
    wait_until_none_needs(Cluster(0), WANTED, Clock())
    assert capsys.readouterr().err == ""


def test_pod_that_stays_keeps_its_schema():
    with pytest.raises(GitopsError, match=f"b runs another image than 1 .* still there after {LEAVE} s"):
        wait_until_none_needs(Cluster(1000), WANTED, Clock())


MIGRATIONS = {
    "metadata": {"name": "migrations", "annotations": {"argocd.argoproj.io/tracking-id": "x"}},
    "spec": {
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
        "template": {
            "metadata": {"labels": {"app.kubernetes.io/component": "migrations", "batch.kubernetes.io/job-name": "migrations",
                                    "controller-uid": "u"}},
            "spec": {"initContainers": [{"name": "wait", "image": "m:2"}],
                     "containers": [{"name": "migrations", "image": "m:2", "command": ["python", "-m", "app.migrate", "up"]}]},
        },
    },
}  # fmt: skip


@pytest.fixture
def job():
    return job_from(MIGRATIONS, "m:1")


def test_job_runs_the_image_that_runs_now(job):
    pod = job["spec"]["template"]["spec"]
    assert {item["image"] for item in [*pod["initContainers"], *pod["containers"]]} == {"m:1"}


def test_job_undoes_what_the_image_does_not_know(job):
    assert job["spec"]["template"]["spec"]["containers"][0]["command"][-2:] == ["down", "--unknown"]


def test_job_is_its_own(job):
    assert job["metadata"] == {"name": JOB, "namespace": "vars"}
    assert job["spec"]["template"]["metadata"]["labels"] == {"app.kubernetes.io/component": "migrations"}
    assert "selector" not in job["spec"]


@pytest.mark.parametrize(("conditions", "how"), [
    ([], None), ([{"type": "Complete", "status": "True"}], "Complete"), ([{"type": "Failed", "status": "False"}], None),
    ([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True"}], "Failed"),
])  # fmt: skip
def test_how_a_job_ended(conditions, how):
    assert ended({"status": {"conditions": conditions}}) == how
