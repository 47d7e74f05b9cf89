"""Argo CD deploys the chart from a repository of the user's own, which the lab knows nothing of but its URL."""

import json
import shutil
import subprocess

import pytest

PATH = "charts/mine"
NAMESPACE = "elsewhere"
LABELS = {"app.kubernetes.io/name": "elsewhere"}


def server(image):
    """Return a git server with an empty repository `mine`, on a port of every node: this machine and pods reach it alike."""
    container = {
        "name": "git", "image": image, "env": [{"name": "GIT_REPOSITORIES", "value": "mine"}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/mine.git/HEAD", "port": "http"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/srv/git"}, {"name": "users", "mountPath": "/etc/git-server"}],
    }  # fmt: skip
    pod = {"containers": [container], "securityContext": {"fsGroup": 10002}, "terminationGracePeriodSeconds": 1,
           "volumes": [{"name": "data", "emptyDir": {}}, {"name": "users", "secret": {"secretName": "users"}}]}  # fmt: skip
    own = {"namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", **own}, "stringData": {"users": "me:mine\n"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "git", **own},
         "spec": {"type": "NodePort", "selector": LABELS, "ports": [{"port": 80, "targetPort": "http"}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "git", **own},
         "spec": {"selector": {"matchLabels": LABELS}, "template": {"metadata": {"labels": LABELS}, "spec": pod}}},
    ]}  # fmt: skip


class Elsewhere:
    """A repository on that server, which has the lab's chart under another path."""

    def __init__(self, work, address):
        self.work, self.url, self._push = work, f"http://{address}/mine.git", f"http://me:mine@{address}/mine.git"

    def git(self, *words):
        """Return what git prints in the user's clone."""
        return subprocess.run(["git", *words], cwd=self.work, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def commit(self, old, new):
        """Replace text in the chart's values, commit and push that."""
        values = self.work / PATH / "values.yaml"
        assert old in values.read_text()
        values.write_text(values.read_text().replace(old, new))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Change the chart")
        self.git("push", "--quiet", self._push, "HEAD:main")


@pytest.fixture(scope="module")
def elsewhere(lab, tmp_path_factory):
    """A repository that the lab did not set up; afterwards the lab deploys from its own again."""
    folder = tmp_path_factory.mktemp("elsewhere")
    image = lab.kubectl("get", "deployment", "git", "--namespace=git", "--output=jsonpath={.spec.template.spec.containers[0].image}")
    (folder / "server.json").write_text(json.dumps(server(image)))
    lab.kubectl("apply", f"--filename={folder / 'server.json'}")
    lab.kubectl("rollout", "status", "deployment/git", f"--namespace={NAMESPACE}", "--timeout=50s")
    node = lab.kubectl("get", "nodes", "--output=jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}")
    port = lab.kubectl("get", "service", "git", f"--namespace={NAMESPACE}", "--output=jsonpath={.spec.ports[0].nodePort}")
    made = Elsewhere(folder / "work", f"{node}:{port}")
    shutil.copytree(lab.checkout / "app" / "chart", made.work / PATH)
    made.git("init", "--quiet", "--initial-branch=main")
    for key, value in (("user.name", "tests"), ("user.email", "tests@localhost"), ("commit.gpgsign", "false")):
        made.git("config", key, value)
    # A moment passes until the node leads its port there.
    lab.until(lambda: subprocess.run(["git", "ls-remote", made.url], capture_output=True, timeout=30).returncode == 0, "it answers")
    made.commit("drainSeconds: 5", "drainSeconds: 6")
    yield made
    run = lab.up()
    assert run.code == 0, run.output[-3000:]
    assert sources(lab)[0]["repoURL"] != made.url
    assert lab.git("remote") == f"{lab.name}\norigin"
    lab.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


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
