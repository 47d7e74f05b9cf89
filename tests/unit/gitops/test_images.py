"""The branch lab-values: what it says, who writes it, and where a rollback goes."""

import pytest
import yaml

from lab.gitops import GitopsError, images
from lab.gitops.images import Entry, Images, before
from tests.unit.gitops.conftest import git


def deployed(lab, *tags):
    """Deploy images of these tags, one after the other."""
    for tag in tags:
        images.have(lab, f"r/web:{tag}", f"r/migrations:{tag}", 5)


def test_branch_names_both_images(lab):
    deployed(lab, "1")
    text = git(lab.state / "server.git", "show", "lab-values:values.yaml")
    assert yaml.safe_load(text) == {"images": {"web": "r/web:1", "migrations": "r/migrations:1"}}


def test_same_images_make_no_commit(lab):
    deployed(lab, "1")
    assert not images.have(lab, "r/web:1", "r/migrations:1", 5)["changed"]
    assert git(lab.state / "server.git", "rev-list", "--count", "lab-values") == "1"


def test_users_repository_never_sees_the_branch(lab):
    deployed(lab, "1", "2")
    assert git(lab.checkout, "for-each-ref", "--format=%(refname)") == "refs/heads/work"


def test_history_is_newest_first(lab):
    deployed(lab, "1", "2", "3")
    assert [entry.tag for entry in Images(lab).history()] == ["3", "2", "1"]


def test_clone_that_is_gone_is_made_again(lab):
    deployed(lab, "1")
    git(lab.state, "clone", "--quiet", "--bare", "server.git", "copy.git")
    branch = Images(lab)
    assert branch.fetch() == git(lab.state / "server.git", "rev-parse", "lab-values")


def test_branch_can_be_written_where_no_remote_was_set_up(lab):
    deployed(lab, "1")
    assert (lab.state / "git-credentials").read_text() == "http://lab:secret@git.localhost%3a8080\n"


def test_server_without_the_branch(lab):
    assert Images(lab).fetch() is None


def entry(commit, tag, back_to=""):
    return Entry(commit, f"web:{tag}", f"migrations:{tag}", back_to)


@pytest.mark.parametrize(("history", "goal"), [
    ([entry("b", "2"), entry("a", "1")], "a"),
    ([entry("c", "2"), entry("b", "2"), entry("a", "1")], "a"),
    # Gone back from 3 to 2, and again: 1.
    ([entry("d", "2", "b"), entry("c", "3"), entry("b", "2"), entry("a", "1")], "a"),
    # Deployed after having gone back: what ran before is what was gone back to.
    ([entry("d", "4"), entry("c", "1", "a"), entry("b", "2"), entry("a", "1")], "c"),
])  # fmt: skip
def test_rollback_goes_to_what_ran_before(history, goal):
    assert before(history).commit == goal


@pytest.mark.parametrize("history", [
    [entry("a", "1")],
    [entry("c", "1", "a"), entry("b", "2"), entry("a", "1")],
    # Back to c, which itself was going back to a: nothing is older than a.
    [entry("e", "1", "c"), entry("d", "4"), entry("c", "1", "a"), entry("b", "2"), entry("a", "1")],
], ids=["first", "gone back to the first", "gone back to a going back"])  # fmt: skip
def test_nothing_to_go_back_to_is_said(history):
    with pytest.raises(GitopsError, match="nothing to go back to: 1 is the first"):
        before(history)


def test_going_back_is_read_from_the_commit(lab):
    deployed(lab, "1", "2")
    branch = Images(lab)
    goal = before(branch.history())
    branch.write(*goal.images, f"Go back\n\n{images.TRAILER}: {goal.commit}\n")
    assert branch.history()[0].back_to == goal.commit
