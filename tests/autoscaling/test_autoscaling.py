"""Under load there are more replicas, and nobody who asks notices that they come."""

import json
import time

import pytest

from tests.deploy.load import Load
from tests.lifecycle.conftest import Lab

pytestmark = pytest.mark.long


class Scaled(Lab):
    """A lab whose cluster decides how many replicas there are."""

    components = "argocd,autoscaling"


@pytest.fixture(scope="module")
def lab():
    with Scaled("scaled").standing() as made:
        yield made


def replicas(lab):
    """Return how many replicas are ready."""
    found = json.loads(lab.kubectl("get", "deployment", "web", "--namespace=vars", "--output=json"))
    return found["status"].get("readyReplicas", 0)


def scaling(lab):
    """Return whether the autoscaler knows what the replicas use."""
    found = json.loads(lab.kubectl("get", "horizontalpodautoscaler", "web", "--namespace=vars", "--output=json"))
    return any(item["type"] == "ScalingActive" and item["status"] == "True" for item in found["status"].get("conditions", []))


def test_a_second_run_changes_nothing(lab):
    run = lab.up()
    assert run.code == 0, run.output[-3000:]
    assert run.changes == []


def test_load_brings_more_replicas_and_no_request_fails(lab, record_property):
    lab.until(lambda: scaling(lab), "the autoscaler knows what the replicas use")
    assert replicas(lab) == 2
    with Load(lab.http_port, "/var/load/1", rate=1000) as load:
        seconds = lab.until(lambda: replicas(lab) > 2, "more replicas under load")
        time.sleep(10)
    record_property("figure", f"more than 2 replicas after {seconds:.0f} s; {load.counts}")
    assert load.failures == []
    assert len(load.pods) > 2


def test_what_the_autoscaler_did_is_left_alone(lab):
    before = replicas(lab)
    run = lab.up()
    assert run.changes == []
    assert replicas(lab) >= before > 2


def test_without_autoscaling_there_are_as_many_as_the_chart_says(lab):
    lab.components = "argocd"
    run = lab.up()
    assert run.code == 0, run.output[-3000:]
    lab.until(lambda: replicas(lab) == 2, "two replicas")
    assert "horizontalpodautoscaler" not in lab.kubectl("get", "horizontalpodautoscalers", "--namespace=vars", "--output=name")
    assert "metrics.k8s.io" not in lab.kubectl("get", "apiservices", "--output=name")
