"""The kinds of a manifest: asked first, applied where they differ, and served before anybody uses them."""

import json
from types import SimpleNamespace

import pytest

from lab import kinds
from lab.kubectl import ClusterError, Kubectl

PLACE = SimpleNamespace(kubectl="kubectl", kubeconfig="k", context="kind-x", cache=None, manager="cluster-lab")


class Api:
    """Stands in for kubectl: whether something differs, and which verb is refused."""

    def __init__(self, differs, refused=None):
        self.differs, self.refused, self.verbs = differs, refused, []

    def __call__(self, command, **_):
        verb = next(word for word in command if word in ("diff", "apply", "wait"))
        self.verbs.append(verb)
        code = 1 if verb == self.refused or (verb == "diff" and self.differs) else 0
        return SimpleNamespace(returncode=code, stdout="", stderr="error: timed out" if code else "")


@pytest.mark.parametrize(("differs", "check", "verbs"), [
    (False, False, ["diff"]),
    (True, False, ["diff", "apply", "wait"]),
    (True, True, ["diff"]),
])  # fmt: skip
def test_only_what_differs_is_applied(differs, check, verbs):
    api = Api(differs)
    assert kinds.have(Kubectl(PLACE, run=api), "kinds.yaml", 60, check=check) is differs
    assert api.verbs == verbs


@pytest.mark.parametrize("refused", ["apply", "wait"])
def test_what_is_refused_or_never_served_is_said(refused):
    with pytest.raises(ClusterError, match=f"kubectl {refused}: error: timed out"):
        kinds.have(Kubectl(PLACE, run=Api(True, refused)), "kinds.yaml", 60)


class New(Api):
    """A kind that has no conditions yet, the first times that it is waited for."""

    SAID = "error: .status.conditions accessor error: <nil> is of the type <nil>, expected []interface{}"

    def __init__(self, times):
        super().__init__(True)
        self.left = times

    def __call__(self, command, **more):
        done = super().__call__(command, **more)
        if "wait" in command and self.left:
            self.left -= 1
            done.returncode, done.stderr = 1, self.SAID
        return done


class Clock:
    """Time that passes by sleeping."""

    now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_kind_that_is_too_new_to_have_a_condition_is_waited_for():
    api = New(3)
    kinds.wait(Kubectl(PLACE, run=api), "kinds.yaml", 60, Clock())
    assert api.verbs == ["wait"] * 4


def test_kind_that_never_has_a_condition_is_given_up():
    api, clock = New(10**6), Clock()
    with pytest.raises(ClusterError, match="accessor error"):
        kinds.wait(Kubectl(PLACE, run=api), "kinds.yaml", 60, clock)
    assert 60 <= clock.now < 61


def test_the_command_says_whether_something_changed(monkeypatch, capsys):
    words = ["--manifest=m", "--kubeconfig=k", "--context=c"]
    monkeypatch.setattr(kinds, "Kubectl", lambda options: Kubectl(options, run=Api(True)))
    assert kinds.main(words) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": True}
    monkeypatch.setattr(kinds, "Kubectl", lambda options: Kubectl(options, run=Api(True, "apply")))
    assert kinds.main(words) == 1
    assert capsys.readouterr().err == "kubectl apply: error: timed out\n"
