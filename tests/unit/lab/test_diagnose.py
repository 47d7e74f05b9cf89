"""Which pod is shown when a wait failed, and what of it."""

import pytest

from lab import diagnose
from lab.kubectl import ClusterError


def pod(name="web-1", phase="Running", created="2026-01-01T00:00:00Z", conditions=(), init=(), main=()):
    status = {"phase": phase, "conditions": list(conditions), "initContainerStatuses": list(init), "containerStatuses": list(main)}
    return {"metadata": {"name": name, "namespace": "vars", "creationTimestamp": created}, "status": status}


def container(name="web", ready=False, state=None, last=None, restarts=0):
    return {"name": name, "ready": ready, "state": state or {"running": {}}, "lastState": last or {}, "restartCount": restarts}


def waiting(reason, message=None):
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def event(name, message="something", at="2026-01-01T00:00:01Z", kind="Pod"):
    return {"involvedObject": {"kind": kind, "name": name}, "metadata": {}, "type": "Warning", "reason": "Failed",
            "message": message, "lastTimestamp": at}  # fmt: skip


WELL = pod("web-well", main=[container(ready=True)])
NO_IMAGE = pod("web-ill", phase="Pending", main=[container(state=waiting("ImagePullBackOff", "Back-off pulling image"))])
CRASHING = pod("web-dies", main=[
    container(state=waiting("CrashLoopBackOff"), last={"terminated": {"exitCode": 3}}, restarts=2)])  # fmt: skip
NOWHERE = pod("web-nowhere", phase="Pending", conditions=[
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient memory"}])  # fmt: skip
INIT = pod("web-init", phase="Pending", init=[container("wait-for-schema")], main=[container(state=waiting("PodInitializing"))])
DONE = pod("job-done", phase="Succeeded", main=[container(state={"terminated": {"exitCode": 0, "reason": "Completed"}})])
FAILED = pod("job-failed", phase="Failed", main=[container(state={"terminated": {"exitCode": 1, "reason": "Error"}})])


@pytest.mark.parametrize(("ill", "said"), [
    (WELL, None),
    (DONE, None),
    (NO_IMAGE, ("web", "ImagePullBackOff: Back-off pulling image")),
    (CRASHING, ("web", "CrashLoopBackOff: last exit code 3")),
    (FAILED, ("web", "Error: exit code 1")),
    (NOWHERE, ("", "Unschedulable: Insufficient memory")),
    (INIT, ("wait-for-schema", "running, not ready")),
    (pod(main=[container()]), ("web", "running, not ready")),
    (pod(phase="Pending"), ("", "Pending")),
])  # fmt: skip
def test_pod_says_what_holds_it_up(ill, said):
    assert diagnose.trouble(ill) == said


@pytest.mark.parametrize("order", [1, -1])
def test_worst_pod_is_the_one_that_says_why(order):
    pods = [WELL, INIT, NO_IMAGE][::order]
    assert diagnose.report(pods, [], [], lambda _: {}).startswith("pod web-ill, container web: ImagePullBackOff")


def test_of_two_in_trouble_the_younger_is_shown():
    old, young = (pod(name, created=created, main=[container()]) for name, created in
                  (("web-old", "2026-01-01T00:00:00Z"), ("web-young", "2026-01-01T00:05:00Z")))  # fmt: skip
    assert diagnose.report([old, young], [], [], lambda _: {}).startswith("pod web-young")


def test_last_events_of_the_pod_are_shown_oldest_first_and_no_others():
    events = [event("web-ill", f"number {number}", f"2026-01-01T00:00:{number:02}Z") for number in (9, 1, 8, 2, 7, 3, 6, 4, 5)]
    text = diagnose.report([NO_IMAGE], [*events, event("db-1", "other")], [], lambda _: {})
    shown = [line.split()[-1] for line in text.splitlines() if "number" in line]
    assert shown == ["4", "5", "6", "7", "8", "9"]
    assert "other" not in text


def test_log_of_the_run_that_died_is_shown():
    text = diagnose.report([CRASHING], [], [], lambda _: {"web": "", "web.previous": "no database\n", "side": "noise\n"})
    assert text.endswith("last log lines:\n  no database")


def test_only_the_end_of_a_log_is_shown():
    text = diagnose.report([CRASHING], [], [], lambda _: {"web": "".join(f"line {number}\n" for number in range(100))})
    assert [line.strip() for line in text.splitlines() if "line " in line] == [f"line {number}" for number in range(85, 100)]


def test_without_a_pod_the_events_of_what_should_have_made_it_are_shown():
    workloads = [{"metadata": {"name": "web"}}]
    events = [event("web-7f9", "forbidden: violates PodSecurity", kind="ReplicaSet"), event("website", "other")]
    text = diagnose.report([], events, workloads, lambda _: {})
    assert text.startswith("no pod of web exists")
    assert "violates PodSecurity" in text
    assert "other" not in text


def test_event_of_several_lines_is_one_line():
    assert "\n" not in diagnose.event_line(event("web-1", "first\nsecond"))


class Cluster:
    def text(self, *words):
        if "--previous" in words:
            raise ClusterError("kubectl logs: previous terminated container not found")
        return f"log of {words[words.index('--container') + 1]} in {words[words.index('--namespace') + 1]}\n"


def test_logs_of_every_container_are_read_and_a_missing_one_says_so():
    found = diagnose.logs(Cluster(), CRASHING)
    assert found == {"web": "log of web in vars\n", "web.previous": "(kubectl logs: previous terminated container not found)\n"}


def test_saved_files_are_for_the_user_only(tmp_path):
    diagnose.save(tmp_path / "diagnostics" / "now", {"report.txt": "text"})
    folder = tmp_path / "diagnostics" / "now"
    assert (folder.stat().st_mode & 0o777, (folder / "report.txt").read_text()) == (0o700, "text")


@pytest.mark.parametrize(("message", "host"), [
    ('Failed to pull image "docker.io/library/traefik:v3": unexpected status: 429 Too Many Requests', "docker.io"),
    ('Failed to pull image "quay.io/a/b:1": toomanyrequests: slow down', "quay.io"),
])  # fmt: skip
def test_rate_limit_comes_with_what_to_type(message, host):
    said = "\n".join(diagnose.limited([{"message": message}]))
    assert f"{host} gives no more images" in said
    assert "-e lab_pull_credentials=" in said
    assert f'"{host}": "https://MIRROR"' in said


def test_other_events_come_without_it():
    assert diagnose.limited([{"message": "Back-off pulling image"}, {}]) == []
