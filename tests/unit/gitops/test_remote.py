"""The user's remote: what is set, what stays the user's, and what is pushed."""

import stat

import pytest

from lab.gitops import GitopsError, remote
from lab.gitops.git import Git, head, reason
from tests.unit.gitops.conftest import git


def test_remote_is_called_as_the_lab_is(lab):
    remote.have(lab)
    assert git(lab.checkout, "remote", "get-url", "lab") == lab.git_url


def test_having_it_twice_changes_nothing(lab):
    assert remote.have(lab)["changed"]
    assert not remote.have(lab)["changed"]


def test_password_is_not_in_the_configuration(lab):
    remote.have(lab)
    assert "secret" not in (lab.checkout / ".git" / "config").read_text()


def test_credential_is_only_the_owners(lab):
    remote.have(lab)
    assert stat.S_IMODE((lab.state / "git-credentials").stat().st_mode) == 0o600


def test_git_finds_the_credential(lab):
    remote.have(lab)
    asked = "protocol=http\nhost=git.localhost:8080\n\n"
    assert "password=secret" in Git(lab.checkout)("credential", "fill", stdin=asked)


def test_credential_that_git_kept_after_a_push_is_no_change(lab):
    remote.have(lab)
    kept = "protocol=http\nhost=git.localhost:8080\nusername=lab\npassword=secret\n\n"
    Git(lab.checkout)("credential", "approve", stdin=kept)
    assert not remote.have(lab)["changed"]


def test_remote_of_the_users_own_stays_and_is_said(lab):
    git(lab.checkout, "remote", "add", "lab", "https://example.org/mine.git")
    assert "example.org" in remote.have(lab)["warning"]
    assert git(lab.checkout, "remote", "get-url", "lab") == "https://example.org/mine.git"


def test_setting_that_was_edited_is_taken_back(lab):
    remote.have(lab)
    git(lab.checkout, "config", "remote.lab.push", "other")
    assert remote.have(lab)["changed"]
    assert git(lab.checkout, "config", "remote.lab.push") == "HEAD:refs/heads/main"


def test_forgetting_leaves_the_configuration_as_it_was(lab, monkeypatch):
    before = (lab.checkout / ".git" / "config").read_text()
    monkeypatch.setattr(type(lab), "git_url", "http://git.localhost:8080/vars.git")
    remote.have(lab)
    assert remote.forget(lab)["changed"]
    assert (lab.checkout / ".git" / "config").read_text() == before


def test_forgetting_twice_changes_nothing(lab):
    remote.have(lab)
    remote.forget(lab)
    assert not remote.forget(lab)["changed"]


def test_push_has_main_at_head(lab):
    done = remote.push(lab, 5)
    assert git(lab.state / "server.git", "rev-parse", "main") == done["commit"] == git(lab.checkout, "rev-parse", "HEAD")


def test_pushing_the_same_changes_nothing(lab):
    remote.push(lab, 5)
    assert not remote.push(lab, 5)["changed"]


def test_push_brings_back_what_the_checkout_says(lab):
    first = remote.push(lab, 5)["commit"]
    git(lab.checkout, "commit", "--quiet", "--allow-empty", "--message=second")
    remote.push(lab, 5)
    git(lab.checkout, "reset", "--quiet", "--hard", first)
    assert remote.push(lab, 5)["changed"]
    assert git(lab.state / "server.git", "rev-parse", "main") == first


def test_change_of_the_chart_without_a_commit_is_said(lab):
    (lab.checkout / "app" / "chart" / "values.yaml").write_text("a: 2\n")
    assert "in no commit" in remote.push(lab, 5)["warning"]


def test_server_that_does_not_answer_is_said_in_time(lab, monkeypatch):
    monkeypatch.setattr(type(lab), "git_url", "/nowhere")
    with pytest.raises(GitopsError, match="no answer that helps from /nowhere within 0 s"):
        remote.push(lab, 0)


def test_checkout_that_is_no_clone_is_said_with_what_to_type(tmp_path):
    with pytest.raises(GitopsError, match="is no git repository.*git init.*argocd_repo_url=URL"):
        head(tmp_path)


def test_folder_inside_another_repository_is_no_clone(checkout):
    (checkout / "inner").mkdir()
    with pytest.raises(GitopsError, match="is no git repository"):
        head(checkout / "inner")


def test_clone_without_a_commit_is_said_with_what_to_type(tmp_path):
    git(tmp_path, "init", "--quiet")
    with pytest.raises(GitopsError, match="has no commit yet.*git commit"):
        head(tmp_path)


@pytest.mark.parametrize(("text", "line"), [
    ("hint: x\nfatal: no such thing\nhint: y\n", "fatal: no such thing"),
    ("something\nlast\n", "something"),
    ("", "no reason given"),
])  # fmt: skip
def test_reason_of_a_failure(text, line):
    assert reason(text) == line
