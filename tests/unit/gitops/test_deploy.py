"""What `make deploy` says while it waits and when it fails, without a cluster."""

import pytest

from lab.gitops import GitopsError, deploy
from lab.gitops.images import Entry

BEFORE = ("localhost:5001/vars/web:old", "localhost:5001/vars/migrations:old")
AFTER = ("localhost:5001/vars/web:new", "localhost:5001/vars/migrations:new")


class Branch:
    """A branch with one entry, that takes another."""

    def fetch(self):
        return "c0ffee"

    def history(self):
        return [Entry("c0ffee", *BEFORE, "")]

    def write(self, *words):
        return "beef"


@pytest.fixture(autouse=True)
def branch(monkeypatch):
    monkeypatch.setattr(deploy, "Images", lambda lab: Branch())
    monkeypatch.setattr(deploy, "make", lambda lab: AFTER)


def fail(*words):
    raise GitopsError("web-1 does not start")


def test_wait_is_said_with_its_bound(lab, monkeypatch, capsys):
    monkeypatch.setattr(deploy.application, "wait", lambda *words: None)
    assert deploy.deploy(lab, 90)[0] == "deployed, Synced and Healthy:"
    assert "rolling out new, until it is Synced and Healthy, at most 90 s" in capsys.readouterr().err


def test_what_was_rolled_out_and_fails_can_be_rolled_back(lab, monkeypatch):
    monkeypatch.setattr(deploy.application, "wait", fail)
    with pytest.raises(GitopsError, match=r"(?s)web-1 does not start\n.*make rollback"):
        deploy.deploy(lab, 90)


def test_what_was_not_rolled_out_needs_no_rollback(lab, monkeypatch):
    monkeypatch.setattr(deploy, "make", fail)
    with pytest.raises(GitopsError) as error:
        deploy.deploy(lab, 90)
    assert "rollback" not in str(error.value)
