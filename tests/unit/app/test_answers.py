"""Errors, probes, and what every answer carries."""

import json

import pytest

from app.probes import unready
from app.store import DatabaseAway, Migration

JSON = {"Accept": "application/json"}


@pytest.mark.parametrize("target", ["/var/a", "/nope", "/healthz", "/var/a/%ff", "/var/a/1"])
def test_every_answer_is_stamped(harness, target):
    answer = harness("GET", target, {"X-Request-Id": "abc-123"})
    assert answer.headers["x-served-by"] == "pod-1"
    assert answer.headers["x-request-id"] == "abc-123"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert harness.logged()[-1]["request_id"] == "abc-123"


@pytest.mark.parametrize("identity", [None, "", "a b", 'a"b', "a" * 129, "é"])
def test_other_request_ids_are_replaced(harness, identity):
    headers = {} if identity is None else {"X-Request-Id": identity}
    first, second = (harness("GET", "/healthz", headers).headers["x-request-id"] for _ in range(2))
    assert len(first) == 32 and first != second


def test_problem_json(harness):
    answer = harness("GET", "/var/a", {**JSON, "X-Request-Id": "r1"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Variable name not found",
        "instance": "urn:request:r1",
    }


@pytest.mark.parametrize("target", ["/var/a", "/var", "/var/none"])
@pytest.mark.parametrize("headers", [{}, JSON])
def test_caches_are_told_that_the_type_was_asked_for(harness, target, headers):
    harness("PUT", "/var/a", {}, b"1")
    assert harness("GET", target, headers).headers["vary"] == "Accept"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_database_away(harness, away, method):
    harness.store.failure = away
    answer = harness(method, "/var/a")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert answer.text == "The database is not available."


def test_an_unknown_outcome_is_said(harness):
    harness.store.failure = DatabaseAway("timeout", unknown=True)
    assert "not known" in harness("PUT", "/var/a").text


def test_a_bug_is_logged_and_not_shown(harness):
    harness.store.failure = RuntimeError("postgresql://vars_app:hunter2@db/vars")
    answer = harness("GET", "/var/a", {**JSON, "X-Request-Id": "r7"})
    assert answer.status == 500
    assert "r7" in answer.json["detail"]
    assert b"postgresql" not in answer.body and b"RuntimeError" not in answer.body
    failure, request = harness.logged()
    assert (failure["level"], failure["request_id"], request["status"]) == ("error", "r7", 500)
    assert "RuntimeError" in failure["stack"]
    assert "hunter2" not in json.dumps(failure) and "***" in failure["error"]


def test_health_never_asks_the_database(harness, away):
    harness.store.failure = away
    assert harness("GET", "/healthz").text == "ok"
    assert harness.store.calls == []
    assert harness("HEAD", "/healthz").status == 200


def test_ready(harness):
    assert harness("GET", "/readyz").text == "ready"


def test_not_ready_without_database(harness, away):
    harness.store.failure = away
    assert harness("GET", "/readyz").status == 503


def test_not_ready_while_stopping(harness):
    harness.lifecycle.stopping = True
    answer = harness("GET", "/readyz")
    assert (answer.status, answer.text) == (503, "Stopping")
    assert harness("GET", "/var/a").status == 404


@pytest.mark.parametrize(
    ("applied", "reason"),
    [
        ([("0001", False)], None),
        ([], "0001 is not applied"),
        ([("0001", False), ("0002", False)], None),
        ([("0001", False), ("0002", True)], "0002 is newer"),
        ([("0001", True)], None),
    ],
)
def test_schema_versions(harness, applied, reason):
    harness.store.applied = [Migration(version, "abc", breaking) for version, breaking in applied]
    answer = harness("GET", "/readyz")
    assert answer.status == (200 if reason is None else 503)
    assert reason is None or reason in answer.text


def test_an_edited_migration_is_not_the_one_this_image_knows():
    assert "0001 was applied from another file" in unready({"0001": "abc"}, [Migration("0001", "def", False)])


def test_openapi(harness):
    answer = harness("GET", "/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["openapi"].startswith("3.")


def test_log_lines(harness):
    harness("GET", "/var/secret-name/secret-value", {"X-Request-Id": "r1"})
    (line,) = harness.logged()
    duration = line.pop("duration_ms")
    assert duration >= 0
    assert line == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "pod": "pod-1",
        "method": "GET",
        "route": "/var/{name}/{value}",
        "status": 200,
        "request_id": "r1",
    }
