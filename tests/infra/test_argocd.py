"""Argo CD and the git server, as a running lab has them."""

import base64
import json
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from lab.gitops.api import Api
from lab.gitops.state import Lab

CHECKOUT = Path(__file__).parents[2]
ROOT = ["Deployment/db", "Deployment/web", "Ingress/web", "PersistentVolumeClaim/db", "PodDisruptionBudget/web", "Service/db",
        "Service/web"]


@pytest.fixture(scope="module", autouse=True)
def argocd(cluster):
    """Leave these checks out of a lab that stands without Argo CD."""
    if cluster.run("get", "namespace", "argocd").returncode:
        pytest.skip("this lab stands without Argo CD (lab_components): nothing of it was checked")


@pytest.fixture
def application(cluster):
    """Return the Application."""
    return cluster.get("applications.argoproj.io", "vars", "argocd")


@pytest.fixture(scope="module")
def api(lab):
    """Return a session of Argo CD's API as admin."""
    return Api(Lab(lab.name, lab.state, lab.http, lab.registry, lab.source))


def git(lab, *words, password=None, stdin=None):
    """Run git against the lab's server, with a password or without one."""
    who = f"lab:{urllib.parse.quote(password)}@" if password else ""
    url = f"http://{who}git.localhost:{lab.http}/vars.git"
    command = ["git", "-c", "credential.helper=", "-c", "http.proxy=", "-c", f"http.curloptResolve=git.localhost:{lab.http}:127.0.0.1"]
    return subprocess.run([*command, *(url if word == "URL" else word for word in words)], cwd="/", capture_output=True, text=True,
                          timeout=30, check=False, input=stdin, env={"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0"})  # fmt: skip


def test_application_is_synced(application):
    assert application["status"]["sync"]["status"] == "Synced"


def test_application_is_healthy(application):
    assert application["status"]["health"]["status"] == "Healthy"


def test_application_syncs_prunes_and_heals_by_itself(application):
    assert application["spec"]["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}


def test_application_takes_no_other_owner_with_it(application):
    assert "finalizers" not in application["metadata"]


@pytest.mark.parametrize("name", ROOT)
def test_argocd_has_the_object(application, name):
    found = {f"{item['kind']}/{item['name']}": item.get("status") for item in application["status"]["resources"]}
    assert found[name] == "Synced"


@pytest.mark.parametrize("kind, name", [("deployment", "web"), ("deployment", "db"), ("service", "web")])
def test_object_is_noted_as_argocds_in_an_annotation(cluster, kind, name):
    assert cluster.get(kind, name)["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"].startswith("vars:")


@pytest.mark.parametrize("component", ["web", "database"])
def test_pods_know_nothing_of_argocd(cluster, component):
    noted = [key for pod in cluster.component(component) for key in pod["metadata"].get("annotations", {}) if "argocd" in key]
    assert noted == []


@pytest.mark.parametrize("kind, name", [("deployment", "web"), ("deployment", "db"), ("persistentvolumeclaim", "db")])
def test_nobody_but_argocd_applies_the_object(cluster, kind, name):
    text = cluster.text("get", kind, name, "--namespace", "vars", "--output=json", "--show-managed-fields")
    applied = {item["manager"] for item in json.loads(text)["metadata"]["managedFields"] if item["operation"] == "Apply"}
    assert applied == {"argocd-controller"}


def test_migrations_ran_as_a_hook(cluster):
    names = [job["metadata"]["name"] for job in cluster.all("jobs", "--namespace", "vars")]
    assert names == ["migrations"]


@pytest.mark.parametrize("namespace", ["argocd", "git"])
def test_namespace_enforces_the_restricted_level(cluster, namespace):
    assert cluster.get("namespace", namespace)["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", ["dex-server", "notifications-controller", "applicationset-controller"])
def test_what_the_lab_does_not_use_does_not_run(cluster, name):
    assert cluster.run("get", "deployment", f"argocd-{name}", "--namespace", "argocd").returncode


def test_password_opens_the_api(api):
    assert api.get("/resource-tree")["nodes"]


def test_nobody_else_is_answered(client):
    assert client.get("/api/v1/applications", host="argocd.localhost").status == 401


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_api_answers(client, tls):
    assert json.loads(client.get("/api/version", host="argocd.localhost", tls=tls).text)["Version"].startswith("v")


def test_hash_of_the_password_is_no_password(cluster, secrets):
    held = base64.b64decode(cluster.get("secret", "argocd-secret", "argocd")["data"]["admin.password"]).decode()
    assert held.startswith("$2a$10$") and secrets["argocd_admin"] not in held


def test_anyone_may_read(lab):
    assert "refs/heads/main" in git(lab, "ls-remote", "URL").stdout


@pytest.mark.parametrize("password", [None, "wrong"], ids=["none", "wrong"])
def test_push_without_the_password_is_refused(lab, password, tmp_path):
    git(lab, "init", "--quiet", "--bare", str(tmp_path))
    blob = git(lab, "-C", str(tmp_path), "hash-object", "-w", "--stdin", stdin="x").stdout.strip()
    tree = git(lab, "-C", str(tmp_path), "mktree", stdin=f"100644 blob {blob}\tx\n").stdout.strip()
    identity = ["-c", "user.name=u", "-c", "user.email=u@localhost"]
    commit = git(lab, *identity, "-C", str(tmp_path), "commit-tree", tree, "-m", "x").stdout.strip()
    done = git(lab, "-C", str(tmp_path), "push", "URL", f"{commit}:refs/heads/intruder", password=password)
    assert done.returncode
    assert "intruder" not in git(lab, "ls-remote", "URL").stdout


def test_main_is_what_is_checked_out(lab, machine):
    head = machine.check_output("git rev-parse HEAD")
    assert git(lab, "ls-remote", "URL", "refs/heads/main").stdout.split()[0] == head


def test_remote_leads_to_the_lab(lab, machine):
    assert machine.check_output(f"git remote get-url {lab.name}") == f"http://git.localhost:{lab.http}/vars.git"


def test_credential_is_only_the_owners(lab, mode_of):
    assert mode_of(lab.state / "git-credentials") == 0o600


def test_status_says_that_all_is_well(lab, machine):
    # From wherever the tests were started; the verb is the checkout's.
    done = machine.run(f"cd {CHECKOUT} && {sys.executable} -m lab status --name {lab.name}")
    assert done.rc == 0, done.stdout + done.stderr
