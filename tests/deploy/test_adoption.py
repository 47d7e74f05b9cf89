"""Argo CD takes over what the roles applied, and lets go of it again, without replacing a pod."""

import json
import subprocess
import time


def test_argocd_keeps_its_state_when_the_node_restarts(lab):
    history = len(application(lab)["status"]["history"])
    subprocess.run(["docker", "restart", f"{lab.name}-control-plane"], check=True, capture_output=True, timeout=120)
    deadline = time.monotonic() + 180
    while lab.run("status").returncode:
        assert time.monotonic() < deadline, lab.run("status").stdout
        time.sleep(2)
    assert len(application(lab)["status"]["history"]) == history
    assert lab.up().changes == []


def application(lab):
    """Return the Application."""
    return json.loads(lab.kubectl("get", "applications.argoproj.io", "vars", "--namespace", "argocd", "--output", "json"))


def test_pods_stay_when_argocd_goes_and_when_it_comes_back(lab):
    before = lab.pods("web") | lab.pods("database")
    assert lab.up("-e", "lab_components=").code == 0
    assert lab.pods("web") | lab.pods("database") == before
    assert "argocd" not in lab.kubectl("get", "namespaces", "--output=name")
    run = lab.up()
    assert run.code == 0, run.output[-3000:]
    assert lab.pods("web") | lab.pods("database") == before
    assert lab.up().changes == []
