"""`git push lab` is a deployment of the chart."""

import re
import time

import pytest

# A change of one line that gives new pods: an annotation would not.
VALUES = "app/chart/values.yaml"


@pytest.fixture
def restored(lab, record_property):
    """Return a function that waits until what was changed by hand is as it was."""

    def wait(ask):
        record_property("seconds until it is restored", f"{lab.until(ask, 'what was changed by hand is restored'):.1f}")
        lab.settle()

    return wait


def drain(lab):
    """Return the value that the next change is made from."""
    return int(re.search(r"drainSeconds: (\d+)", (lab.checkout / VALUES).read_text())[1])


def test_rerun_of_the_play_changes_nothing(lab):
    assert lab.up().changes == []


def test_push_of_one_line_has_new_pods_ready_and_no_request_fails(lab, load, record_property):
    before, seconds = lab.pods("web"), drain(lab)
    lab.commit(VALUES, f"drainSeconds: {seconds}", f"drainSeconds: {seconds + 1}")
    start = time.monotonic()
    commit = lab.push()
    lab.settle(commit)
    record_property("seconds from push to Ready", f"{time.monotonic() - start:.1f}")
    assert not set(before) & set(lab.pods("web"))


def test_revert_and_push_rolls_the_chart_back(lab, load):
    seconds = drain(lab)
    lab.git("revert", "--no-edit", "HEAD")
    lab.settle(lab.push())
    environment = lab.document("deployment", "web")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "DRAIN_SECONDS", "value": str(seconds - 1)} in environment


def test_deployment_that_was_deleted_is_restored(lab, restored):
    lab.kubectl("delete", "deployment", "web", "--namespace", "vars", "--cascade=orphan")
    restored(lambda: "deployment.apps/web" in lab.kubectl("get", "deployments", "--namespace", "vars", "--output=name"))


def test_scaling_by_hand_is_taken_back(lab, restored):
    lab.kubectl("scale", "deployment", "web", "--replicas=1", "--namespace", "vars")
    restored(lambda: lab.document("deployment", "web")["spec"]["replicas"] == 2)


def test_edited_service_is_taken_back(lab, restored):
    lab.kubectl("patch", "service", "web", "--namespace", "vars", "--patch", '{"spec": {"selector": {"app.kubernetes.io/component": "x"}}}')
    restored(lambda: lab.document("service", "web")["spec"]["selector"]["app.kubernetes.io/component"] == "web")


def test_chart_that_cannot_be_rendered_leaves_the_old_version_and_is_named(lab, load):
    lab.commit("app/chart/templates/service-web.yaml", "type: NodePort", "type: {{ .Values.nothing.there }}")
    lab.push()
    lab.until(lambda: "ComparisonError" in lab.run("status").stdout, "make status names the error")
    status = lab.run("status")
    assert status.returncode == 1
    assert "nil pointer" in status.stdout and "git revert" in status.stdout
    lab.git("revert", "--no-edit", "HEAD")
    lab.settle(lab.push())
    assert lab.run("status").returncode == 0


def test_image_that_does_not_exist_leaves_the_old_version_and_is_named(lab, load):
    lab.commit("app/chart/templates/deployment-web.yaml", "image: {{ .Values.images.web }}", "image: {{ .Values.images.web }}-gone")
    lab.push()
    lab.until(lambda: re.search(r"(ErrImagePull|ImagePullBackOff)", lab.run("status").stdout), "make status names the image")
    assert "-gone" in lab.run("status").stdout
    lab.git("revert", "--no-edit", "HEAD")
    lab.settle(lab.push())
