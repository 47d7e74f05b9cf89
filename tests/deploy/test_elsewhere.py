"""Argo CD deploys the chart from a repository of the user's own, which the lab knows nothing of but its URL."""

import json
import os
import subprocess

import pytest

PATH = "charts/mine"


def docker(*words):
    """Return what docker prints."""
    return subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=120).stdout.strip()


class Elsewhere:
    """A git server beside the cluster, with one repository that has the lab's chart under another path."""

    def __init__(self, folder, url):
        self.work, self.served, self.url = folder / "work", folder / "served" / "mine.git", url

    def git(self, *words):
        """Return what git prints in the user's clone."""
        return subprocess.run(["git", *words], cwd=self.work, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def commit(self, old, new):
        """Replace text in the chart's values, commit that, have the server serve it; return the commit."""
        values = self.work / PATH / "values.yaml"
        assert old in values.read_text()
        values.write_text(values.read_text().replace(old, new))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change the chart")
        self.git("push", "--quiet", str(self.served), "HEAD:main")
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def elsewhere(lab, tmp_path_factory):
    """A repository on a server outside the cluster; afterwards the lab deploys from its own again."""
    folder = tmp_path_factory.mktemp("elsewhere")
    made = Elsewhere(folder, "")
    chart = made.work / PATH
    chart.parent.mkdir(parents=True)
    subprocess.run(["cp", "--recursive", lab.checkout / "app" / "chart", chart], check=True)
    made.git("init", "--quiet", "--initial-branch=main")
    for key, value in (("user.name", "tests"), ("user.email", "tests@localhost"), ("commit.gpgsign", "false")):
        made.git("config", key, value)
    made.git("init", "--quiet", "--bare", "--initial-branch=main", str(made.served))
    made.commit("drainSeconds: 5", "drainSeconds: 6")
    # The image of the lab's own git server, from the lab's registry, as a container on the network of its nodes.
    image = json.loads(lab.kubectl("get", "deployment", "git", "--namespace", "git", "--output", "json"))
    (container,) = image["spec"]["template"]["spec"]["containers"]
    name = f"{lab.name}-elsewhere"
    docker("run", "--detach", "--name", name, "--network", lab.name, "--user", f"{os.getuid()}:{os.getgid()}",
           "--volume", f"{made.served.parent}:/srv/git:ro", f"localhost:{lab.registry_port}/{container['image']}")  # fmt: skip
    try:
        made.url = f"http://{docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', name)}:8080/mine.git"
        yield made
        run = lab.up()
        assert run.code == 0, run.output[-3000:]
        assert sources(lab)[0]["repoURL"] != made.url
        assert lab.git("remote") == f"{lab.name}\norigin"
    finally:
        docker("rm", "--force", "--volumes", name)


def sources(lab):
    """Return where the Application comes from."""
    return json.loads(lab.kubectl("get", "applications.argoproj.io", "vars", "--namespace", "argocd", "--output=json"))["spec"]["sources"]


def drain(lab):
    """Return how long the replicas drain, which the chart says."""
    (container,) = lab.document("deployment", "web")["spec"]["template"]["spec"]["containers"]
    return next(item["value"] for item in container["env"] if item["name"] == "DRAIN_SECONDS")


def up(lab, elsewhere, **changed):
    """Bring the lab up with the repository, and what else is said of it."""
    said = {"url": elsewhere.url, "path": PATH, **changed}
    return lab.up(*(word for key, value in said.items() for word in ("-e", f"argocd_repo_{key}={value}")))


@pytest.mark.parametrize(("changed", "said"), [
    ({"url": "http://127.0.0.1:9/x.git"}, "is this machine"),
    ({"revision": "v9"}, "argocd_repo_revision v9 is not in"),
    ({"path": "charts"}, "argocd_repo_path charts holds no chart"),
], ids=["loopback", "revision", "path"])  # fmt: skip
def test_what_it_lacks_is_said_before_anything_changes(lab, elsewhere, changed, said):
    before = sources(lab)
    run = up(lab, elsewhere, **changed)
    assert run.code != 0
    assert said in run.output and "TASK [argocd" not in run.output
    assert sources(lab) == before


def test_url_that_does_not_answer_is_said_before_anything_changes(lab, elsewhere):
    before, gone = sources(lab), elsewhere.url.replace("mine", "gone")
    run = up(lab, elsewhere, url=gone)
    assert run.code != 0
    assert f"argocd_repo_url {gone} does not answer" in run.output and f"git ls-remote {gone}" in run.output
    assert sources(lab) == before


def test_chart_comes_from_there(lab, elsewhere, load):
    # As in a lab that never had another repository.
    (lab.state / "git-credentials").unlink()
    run = up(lab, elsewhere)
    assert run.code == 0, run.output[-3000:]
    assert drain(lab) == "6"
    # A push to the lab's own server would go nowhere, so there is no remote for it.
    assert lab.git("remote") == "origin"


def test_second_run_changes_nothing(lab, elsewhere):
    assert up(lab, elsewhere).changes == []


def test_play_has_argocd_look_at_once(lab, elsewhere, load):
    elsewhere.commit("drainSeconds: 6", "drainSeconds: 7")
    run = up(lab, elsewhere)
    assert run.code == 0, run.output[-3000:]
    assert drain(lab) == "7"


def test_images_are_still_the_labs(lab, elsewhere, load):
    lab.answer_with("Nothing of that name")
    done = lab.run("deploy")
    assert done.returncode == 0, done.stderr
    lab.until(lambda: "Nothing of that name" in lab.answer("/var/none"), "the new code answers")
    lab.git("checkout", "--quiet", "--", "app")
    assert lab.run("rollback").returncode == 0


def test_chart_of_theirs_that_cannot_be_rendered_is_said_and_healed(lab, elsewhere, load):
    elsewhere.commit("drainSeconds: 7", "drainSeconds: seven")
    run = up(lab, elsewhere)
    assert run.code != 0
    assert "Argo CD cannot compare" in run.output and f"git push to {elsewhere.url}" in run.output
    assert drain(lab) == "7"
    elsewhere.commit("drainSeconds: seven", "drainSeconds: 8")
    run = up(lab, elsewhere)
    assert run.code == 0, run.output[-3000:]
    assert drain(lab) == "8"
