"""What `make status` says, without a cluster."""

from datetime import UTC, datetime

import pytest

from lab import addresses
from lab.gitops import status
from lab.kubectl import ClusterError

NOW = datetime(2026, 1, 2, 0, 1, tzinfo=UTC)


def pod(name="web-1", *, ready=True, waiting=None, restarts=0, **metadata):
    """Return a pod with one container."""
    state = {"waiting": waiting} if waiting else {"running": {}}
    return {
        "metadata": {"name": name, "namespace": "vars", "creationTimestamp": "2026-01-02T00:00:00Z",
                     "labels": {"app.kubernetes.io/component": "web"}, **metadata},
        "spec": {"containers": [{"name": "web"}]},
        "status": {"phase": "Running",
                   "containerStatuses": [{"name": "web", "ready": ready, "restartCount": restarts, "state": state}]},
    }  # fmt: skip


class Cluster:
    """The pods of one namespace, and no Application."""

    def __init__(self, pods, namespace, application="the server doesn't have a resource type"):
        self._pods, self.namespace, self._application = pods, namespace, application

    def everything(self, kinds):
        return self._pods if kinds == "pods" else [
            {"metadata": {}, "involvedObject": {"kind": "Pod", "name": "web-1"}, "type": "Warning", "reason": "Failed",
             "message": "no such image", "lastTimestamp": "2026-01-02T00:00:30Z"}
        ]  # fmt: skip

    def text(self, *words):
        if words[:2] == ("get", "namespaces"):
            return "vars"
        if words[0] == "get":
            raise ClusterError(f"kubectl get: error: {self._application}")
        return "first\nlast\n"


@pytest.fixture
def report(lab):
    """Return a function that makes the report for some pods of the service."""

    def make(*pods, proxy=()):
        return status.report(lab, lambda space: Cluster(list(pods) if space == "vars" else [], space), NOW, lambda lab: list(proxy))

    return make


def test_pod_is_listed_with_age_and_restarts(report):
    lines, _ = report(pod(restarts=3))
    assert next(line.split() for line in lines if "web-1" in line) == ["vars", "web-1", "1/1", "Running", "3", "1m"]


def test_pod_on_its_way_out_is_said_to_be(report):
    lines, well = report(pod(deletionTimestamp="now", ready=False))
    assert next(line.split()[3] for line in lines if "web-1" in line) == "Terminating"
    assert well


def test_lab_that_was_never_finished_is_not_well(report):
    lines, well = report()
    assert not well
    assert "  the service has no pods: make up was not finished, or they were taken away" in lines
    assert "  try: make up repairs what is not as the checkout says" in lines


def test_all_well(report):
    assert report(pod())[1]


BAD = {"reason": "ImagePullBackOff", "message": "manifest unknown"}


@pytest.mark.parametrize("said", [
    "vars/web-1, container web: ImagePullBackOff: manifest unknown", "event: 00:00:30 Warning Failed", "log: last",
    "describe pod web-1 --namespace vars", "try: make up",
])  # fmt: skip
def test_pod_that_is_not_well_is_explained(report, said):
    lines, well = report(pod(ready=False, waiting=BAD))
    assert any(said in line for line in lines)
    assert not well


def test_certificate_that_clients_refuse_is_said(report):
    lines, well = report(pod(), proxy=["clients refuse the certificate; make up makes another"])
    assert "  clients refuse the certificate; make up makes another" in lines
    assert not well


def test_lab_without_argocd_says_so(report):
    assert "not in the cluster" in report(pod())[0][0]


def test_what_answers_where_is_said(report):
    assert any("http://vars.localhost:8080/var/a" in line for line in report(pod())[0])


@pytest.mark.parametrize(("condition", "command"), [
    ({"conditions": [{"type": "ComparisonError", "message": "bad"}]}, "git revert HEAD"),
    ({"operationState": {"phase": "Failed", "message": "m", "syncResult": {"resources": [
        {"kind": "Job", "name": "migrations", "hookPhase": "Failed"}]}}}, "make rollback"),
    ({"operationState": {"phase": "Error", "message": "ComparisonError: 404"}}, "make up"),
], ids=["chart", "migration", "comparison within an earlier sync"])  # fmt: skip
def test_command_that_helps(condition, command):
    assert any(command in line for line in status.advice({"status": condition}, True))


@pytest.mark.parametrize(("url", "said"), [
    ("http://git.git.svc.cluster.local/vars.git", "git push lab"), ("https://host/mine.git", "git push to https://host/mine.git"),
])  # fmt: skip
def test_who_has_a_repository_elsewhere_is_not_told_to_push_to_the_lab(lab, url, said):
    app = {"spec": {"sources": [{"repoURL": url}]}, "status": {"conditions": [{"type": "ComparisonError", "message": "bad"}]}}
    (line,) = status.advice(app, True, addresses.push(lab, app))
    assert said in line


def test_cluster_that_does_not_answer_is_said_with_what_to_type(lab, monkeypatch, capsys):
    def refused(*arguments):
        raise ClusterError("kubectl get: connection refused")

    monkeypatch.setattr(status.state, "load", lambda name: lab)
    monkeypatch.setattr(status, "report", refused)
    assert status.main(["--name=two"]) == 1
    assert capsys.readouterr().err == "status: kubectl get: connection refused\n  try: make up NAME=two starts again what stands still\n"
