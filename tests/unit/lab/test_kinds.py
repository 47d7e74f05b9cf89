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


def test_the_command_says_whether_something_changed(monkeypatch, capsys):
    words = ["--manifest=m", "--kubeconfig=k", "--context=c"]
    monkeypatch.setattr(kinds, "Kubectl", lambda options: Kubectl(options, run=Api(True)))
    assert kinds.main(words) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": True}
    monkeypatch.setattr(kinds, "Kubectl", lambda options: Kubectl(options, run=Api(True, "apply")))
    assert kinds.main(words) == 1
    assert capsys.readouterr().err == "kubectl apply: error: timed out\n"
