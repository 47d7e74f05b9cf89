"""What is read from the Application, and how long one waits for it."""

import copy
import json

import pytest

from lab.gitops import GitopsError, application
from tests.unit.clock import Clock

SOURCES = [{"repoURL": "u", "targetRevision": "main", "path": "p"}, {"repoURL": "u", "targetRevision": "lab-values"}]
GOOD = {
    "spec": {"sources": SOURCES},
    "status": {
        "sync": {"status": "Synced", "revisions": ["a", "b"], "comparedTo": {"sources": SOURCES}},
        "health": {"status": "Healthy"},
        "operationState": {"phase": "Succeeded", "message": "ok", "syncResult": {"revisions": ["a", "b"], "resources": []}},
    },
}


@pytest.fixture
def app():
    return copy.deepcopy(GOOD)


class Cluster:
    """Answers with one Application after the other, the last one for ever; keeps what was asked."""

    def __init__(self, *apps):
        self.apps, self.asked = list(apps), []

    def text(self, *words):
        self.asked.append(words[0])
        return json.dumps(self.apps.pop(0) if len(self.apps) > 1 else self.apps[0])


def waited(cluster, wanted=("a", "b"), timeout=60, **options):
    return application.wait(None, list(wanted), timeout, clock=Clock(), cluster=cluster, **options)


def test_nothing_is_missing(app):
    assert application.missing(app, ["a", "b"]) is None


def test_empty_revision_is_any(app):
    assert application.missing(app, ["", "b"]) is None


@pytest.mark.parametrize(("path", "value", "said"), [
    (("sync", "revisions"), ["a", "old"], "has not compared"),
    (("sync", "status"), "OutOfSync", "says OutOfSync"),
    (("operationState", "phase"), "Running", "the sync is Running"),
    (("health", "status"), "Progressing", "says Progressing"),
])  # fmt: skip
def test_what_is_missing(app, path, value, said):
    app["status"][path[0]][path[1]] = value
    assert said in application.missing(app, ["a", "b"])


def test_verdict_on_other_sources_does_not_count(app):
    app["spec"]["sources"] = [SOURCES[0] | {"repoURL": "elsewhere"}, SOURCES[1]]
    assert "what the Application names now" in application.missing(app, ["", "b"])


def test_verdict_from_before_the_refresh_does_not_count(app):
    app["metadata"] = {"annotations": {application.REFRESH: "normal"}}
    assert "looked at the repositories" in application.missing(app, ["", "b"])


def test_application_without_a_status_misses_everything():
    assert application.missing({}, ["a", "b"])


def test_complaint_of_a_failed_hook(app):
    app["status"]["operationState"] |= {"phase": "Failed", "message": "one failed"}
    app["status"]["operationState"]["syncResult"]["resources"] = [
        {"kind": "Job", "name": "migrations", "hookPhase": "Failed", "message": "backoff"},
        {"kind": "Service", "name": "web", "status": "Synced"},
    ]
    assert application.complaints(app) == ["Job/migrations: backoff", "sync Failed: one failed"]


def test_complaint_of_a_chart_that_cannot_be_rendered(app):
    app["status"]["conditions"] = [{"type": "ComparisonError", "message": "x: failed exit status 1: Error: parse error"}]
    assert application.complaints(app) == ["ComparisonError: parse error"]


def test_wait_ends_with_the_application(app):
    waiting = copy.deepcopy(app)
    waiting["status"]["health"]["status"] = "Progressing"
    assert waited(Cluster(waiting, waiting, app)) == app


def test_wait_asks_for_a_comparison_once_nothing_came(app):
    app["status"]["sync"]["revisions"] = ["a", "old"]
    cluster = Cluster(app)
    with pytest.raises(GitopsError, match="not there after 60 s: Argo CD has not compared"):
        waited(cluster)
    assert cluster.asked.count("annotate") == 1


def test_sync_that_failed_ends_the_wait(app):
    app["status"]["operationState"] |= {"phase": "Failed", "message": "why"}
    with pytest.raises(GitopsError, match="could not sync: sync Failed: why"):
        waited(Cluster(app))


def test_sync_that_failed_before_is_tried_once_more(app):
    bad = copy.deepcopy(app)
    bad["status"]["operationState"] |= {"phase": "Failed", "message": "why"}
    cluster = Cluster(bad, app)
    waited(cluster, again=True)
    assert cluster.asked[1] == "patch"


def test_sync_of_others_that_failed_is_followed_by_one_of_theirs_once(app):
    bad = copy.deepcopy(app)
    bad["status"]["operationState"] |= {"phase": "Failed", "message": "why", "syncResult": {"revisions": ["a", "bad"]}}
    cluster = Cluster(bad, bad, bad, app)
    assert waited(cluster) == app
    assert cluster.asked.count("patch") == 1


def test_sync_of_others_that_failed_leaves_it_to_argocd_while_something_differs(app):
    app["status"]["operationState"] |= {"phase": "Failed", "message": "why", "syncResult": {"revisions": ["a", "bad"]}}
    app["status"]["sync"]["status"] = "OutOfSync"
    cluster = Cluster(app)
    with pytest.raises(GitopsError, match="Argo CD says OutOfSync"):
        waited(cluster)
    assert "patch" not in cluster.asked


def test_comparison_error_is_given_some_time_and_ends_the_wait(app):
    app["status"]["sync"] |= {"status": "Unknown", "revisions": ["", ""]}
    app["status"]["conditions"] = [{"type": "ComparisonError", "message": "no chart"}]
    with pytest.raises(GitopsError, match="cannot compare: ComparisonError: no chart"):
        waited(Cluster(app), timeout=100)


def test_comparison_that_failed_within_an_earlier_sync_does_not_end_the_wait(app):
    slow = copy.deepcopy(app)
    slow["status"]["sync"]["revisions"] = ["a", "old"]
    slow["status"]["operationState"] |= {"phase": "Error", "message": "ComparisonError: 404", "syncResult": {"revisions": ["a", "old"]}}
    # Argo CD takes longer to look than a comparison that fails is given.
    assert waited(Cluster(*[slow] * (4 * application.PATIENCE), app), timeout=100) == app


@pytest.mark.parametrize(("phase", "said"), [("Succeeded", []), ("Running", ["sync Running: one more try"])])
def test_sync_that_succeeded_at_its_second_try_is_no_complaint(phase, said):
    app = {"status": {"operationState": {"phase": phase, "retryCount": 1, "message": "one more try"}}}
    assert application.complaints(app) == said
