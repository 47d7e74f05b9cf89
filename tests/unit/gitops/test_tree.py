"""The deployment graph as text."""

from datetime import UTC, datetime

import pytest

from lab.gitops.tree import age, rows, table

NODES = [
    {"kind": "Deployment", "namespace": "vars", "name": "web", "uid": "1", "health": {"status": "Degraded", "message": "too slow"}},
    {"kind": "ReplicaSet", "namespace": "vars", "name": "web-1", "uid": "2", "parentRefs": [{"uid": "1"}]},
    {"kind": "Pod", "namespace": "vars", "name": "web-1-a", "uid": "3", "parentRefs": [{"uid": "2"}], "health": {"status": "Healthy"}},
    {"kind": "ReplicaSet", "namespace": "vars", "name": "web-0", "uid": "4", "parentRefs": [{"uid": "1"}]},
    {"kind": "EndpointSlice", "namespace": "vars", "name": "web-x", "uid": "5"},
    {"kind": "Job", "namespace": "vars", "name": "migrations", "uid": "6"},
]
RESOURCES = [
    {"kind": "Deployment", "namespace": "vars", "name": "web", "status": "OutOfSync"},
    {"kind": "Service", "namespace": "vars", "name": "web", "status": "OutOfSync"},
    {"kind": "Job", "namespace": "vars", "name": "migrations", "hook": True},
]


@pytest.fixture
def shown():
    return rows(NODES, RESOURCES)


def test_child_stands_under_its_parent(shown):
    assert [row[0] for row in shown[:3]] == ["Deployment/web", "  ReplicaSet/web-1", "    Pod/web-1-a"]


def test_root_has_sync_health_and_its_reason(shown):
    assert shown[0][1:] == ["OutOfSync", "Degraded", "too slow"]


def test_hook_is_called_one(shown):
    assert ["Job/migrations", "hook", "-", ""] in shown


def test_what_git_has_and_the_cluster_lacks_is_missing(shown):
    assert ["Service/web", "OutOfSync", "Missing", ""] in shown


@pytest.mark.parametrize("name", ["ReplicaSet/web-0", "EndpointSlice/web-x"])
def test_what_says_nothing_is_left_out(shown, name):
    assert name not in {row[0].strip() for row in shown}


def test_columns_are_aligned():
    assert table([["a", "bbb"], ["cccc", "d"]]) == ["a     bbb", "cccc  d"]


def test_no_rows_are_no_lines():
    assert table([]) == []


@pytest.mark.parametrize(("created", "text"), [
    ("2026-01-02T00:00:00Z", "42s"), ("2026-01-01T23:57:00Z", "3m"), ("2026-01-01T19:00:00Z", "5h"),
    ("2025-12-31T00:00:00Z", "2d"), ("2026-01-02T00:02:00Z", "0s"), ("", "-"),
])  # fmt: skip
def test_age(created, text):
    assert age(created, datetime(2026, 1, 2, 0, 0, 42, tzinfo=UTC)) == text
