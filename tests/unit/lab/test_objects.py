"""What is compared with the cluster, and what is waited for."""

import json
from types import SimpleNamespace

import pytest

from lab import objects
from lab.kubectl import ClusterError, Kubectl
from tests.unit.clock import Clock

PLACE = SimpleNamespace(kubectl="kubectl", kubeconfig="k", context="kind-x", cache="c", namespace="vars", selector="a=b", manager="cluster-lab")


def thing(kind, name="web", spec=None, status=None, **metadata):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "vars", **metadata},
            "spec": spec or {}, "status": status or {}}


def deployment(replicas=2, updated=2, available=2, total=2, generation=3, observed=3):
    status = {"observedGeneration": observed, "updatedReplicas": updated, "availableReplicas": available, "replicas": total}
    return thing("Deployment", spec={"replicas": replicas}, status=status, generation=generation)


def job(status):
    return thing("Job", "migrations-1a2b", spec={"completions": 1}, status=status)


GAVE_UP = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "gave up"}]}


class Cluster:
    """Answers with one list of objects after the other, and stays with the last."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def differs(self, definitions):
        return bool(definitions)

    def objects(self, kinds):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(("live", "said"), [
    (deployment(), None),
    (deployment(observed=2), "Deployment/web has not been looked at yet"),
    (deployment(updated=1, total=3), "Deployment/web has 1 of 2 new pods"),
    (deployment(total=3), "Deployment/web still has 1 old pods"),
    (deployment(available=1), "Deployment/web has 1 of 2 pods ready"),
    (deployment(replicas=0, updated=0, available=0, total=0), None),
    (thing("DaemonSet", status={"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1}),
     "DaemonSet/web has 1 of 2 pods ready"),
    (job({}), "Job/migrations-1a2b has not completed"),
    (job({"succeeded": 1}), None),
    (job(GAVE_UP), "Job/migrations-1a2b failed: gave up"),
    (thing("Service"), None),
    (thing("Service", deletionTimestamp="2026-01-01T00:00:00Z"), "Service/web is being deleted"),
])  # fmt: skip
def test_object_says_what_it_waits_for(live, said):
    assert objects.waiting_for(live) == said


def test_object_that_is_not_given_is_surplus():
    found = objects.compare([thing("Service"), thing("Service", "old")], {"Service/web"})
    assert found["surplus"] == [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "old", "namespace": "vars"}}]


def test_object_of_another_kind_does_not_stand_in_for_the_given_one():
    found = objects.compare([thing("ConfigMap")], {"Service/web"})
    assert [item["kind"] for item in found["surplus"]] == ["ConfigMap"]


def test_object_with_an_owner_is_left_to_it():
    assert objects.compare([thing("Job", "nightly-1", ownerReferences=[{}])], set())["surplus"] == []


def test_object_that_is_going_already_is_not_removed_again():
    assert objects.compare([thing("Service", deletionTimestamp="now")], set())["surplus"] == []


def test_job_that_gave_up_is_made_anew():
    found = objects.compare([job(GAVE_UP)], {"Job/migrations-1a2b"})
    assert [item["metadata"]["name"] for item in found["surplus"]] == ["migrations-1a2b"]


def test_look_waits_for_a_given_object_that_is_being_deleted():
    leaving, clock = thing("Service", deletionTimestamp="now"), Clock()
    found = objects.look(Cluster([leaving], [leaving], []), [thing("Service")], 10, clock)
    assert found == {"surplus": [], "pending": [], "differs": True}
    assert clock.now == 2


def test_look_names_what_does_not_go():
    leaving = thing("Namespace", "vars", deletionTimestamp="now")
    with pytest.raises(ClusterError, match=r"^Namespace/vars still being deleted after 10 s$"):
        objects.look(Cluster([leaving]), [thing("Namespace", "vars")], 10, Clock())


def test_wait_ends_when_everything_is_ready():
    assert objects.wait(Cluster([deployment(available=0)], [deployment()]), 10, Clock()) is None


def test_wait_is_bounded_and_says_what_is_missing():
    clock = Clock()
    said = objects.wait(Cluster([deployment(available=1)]), 10, clock)
    assert (said, clock.now) == ("not ready after 10 s: Deployment/web has 1 of 2 pods ready", 10)


def test_wait_ends_at_once_when_a_job_gave_up():
    clock = Clock()
    assert objects.wait(Cluster([job(GAVE_UP)]), 10, clock) == "Job/migrations-1a2b failed: gave up"
    assert clock.now == 0


def test_wait_outlasts_a_cluster_that_does_not_answer_for_a_moment():
    assert objects.wait(Cluster(ClusterError("kubectl get: refused"), [deployment()]), 10, Clock()) is None


def test_wait_says_when_the_cluster_never_answers():
    said = objects.wait(Cluster(ClusterError("kubectl get: refused")), 10, Clock())
    assert said == "not ready after 10 s: kubectl get: refused"


def kubectl(code=0, out="", err=""):
    """Return a cluster whose kubectl ends like this, and the command lines it was started with."""
    calls = []

    def run(command, input=None, **_):
        calls.append(command if input is None else [*command, json.loads(input)])
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return Kubectl(PLACE, run=run), calls


def test_kubectl_asks_this_cluster_and_these_labels():
    cluster, calls = kubectl(out=json.dumps({"items": [thing("Service")]}))
    assert [objects.label(item) for item in cluster.objects("services")] == ["Service/web"]
    assert calls == [["kubectl", "--kubeconfig", "k", "--context", "kind-x", "--cache-dir", "c", "--request-timeout=15s",
                      "get", "services", "--namespace", "vars", "--output=json", "--selector", "a=b"]]  # fmt: skip


def test_kubectl_fails_with_its_own_last_line():
    cluster, _ = kubectl(code=1, err="warning\nThe connection was refused\n")
    with pytest.raises(ClusterError, match="^kubectl get: The connection was refused$"):
        cluster.objects("services")


def test_kubectl_that_is_not_there_is_an_error_of_the_cluster():
    def run(*_, **__):
        raise FileNotFoundError("no kubectl")

    with pytest.raises(ClusterError, match="no kubectl"):
        Kubectl(PLACE, run=run).objects("services")


@pytest.mark.parametrize(("code", "differs"), [(0, False), (1, True), (2, True)])
def test_a_difference_is_what_the_api_server_calls_one(code, differs):
    cluster, _ = kubectl(code=code)
    assert cluster.differs([thing("Service")]) is differs


def test_nothing_given_does_not_differ():
    cluster, calls = kubectl(code=1)
    assert (cluster.differs([]), calls) == (False, [])


def test_all_namespaces_are_asked_at_once():
    place = SimpleNamespace(**{**vars(PLACE), "namespace": ""})
    calls = []

    def run(command, **_):
        calls.append(command)
        return SimpleNamespace(returncode=0, stdout='{"items": []}', stderr="")

    cluster = Kubectl(place, run=run)
    assert (cluster.differs([]), calls) == (False, [])
    cluster.differs([thing("Service", namespace="a"), thing("Role", namespace="b")])
    cluster.objects("services")
    assert ["--namespace" in call for call in calls] == [False, False]
    assert "--all-namespaces" in calls[1]


def test_each_object_is_compared_in_its_own_namespace():
    cluster, calls = kubectl()
    own, other = thing("Service"), thing("Role", namespace="kube-system")
    bare = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vars"}}
    cluster.differs([own, other, bare])
    asked = [(call[call.index("--namespace") + 1], call[-1]["items"]) for call in calls]
    assert asked == [("vars", [own, bare]), ("kube-system", [other])]


def operated(reconciled="True", available="True", observed=3, **more):
    conditions = [{"type": "Reconciled", "status": reconciled, "observedGeneration": observed, **more},
                  {"type": "Available", "status": available, "observedGeneration": observed, "message": "pod a: waits\nfor b"}]
    return thing("Prometheus", "p", status={"conditions": conditions}, generation=3)


@pytest.mark.parametrize(("live", "said"), [
    (operated(), None),
    (operated(observed=2), "Prometheus/p has not been looked at yet"),
    (thing("Prometheus", "p", generation=1), "Prometheus/p has not been looked at yet"),
    (operated(reconciled="False", reason="NoSecret"), "Prometheus/p is not reconciled: NoSecret"),
    (operated(available="False"), "Prometheus/p is not available: pod a: waits"),
    (operated(reconciled="False"), "Prometheus/p is not reconciled: no reason given"),
])  # fmt: skip
def test_what_an_operator_makes_is_waited_for(live, said):
    assert objects.waiting_for(live) == said


def served(status, **more):
    return thing("APIService", "v1", status={"conditions": [{"type": "Available", "status": status, **more}]})


@pytest.mark.parametrize(("live", "said"), [
    (served("True"), None),
    (served("False", message="no endpoints\nat all"), "APIService/v1 is not available: no endpoints"),
    (thing("APIService", "v1"), "APIService/v1 is not available: it has not been looked at yet"),
])  # fmt: skip
def test_server_of_an_api_is_waited_for(live, said):
    assert objects.waiting_for(live) == said


class Kinds:
    """Remembers which kinds were asked for; there is nothing of any."""

    def objects(self, kinds):
        self.kinds = kinds.split(",")
        return []


def test_more_kinds_are_waited_for(monkeypatch):
    cluster = Kinds()
    monkeypatch.setattr(objects, "Kubectl", lambda options: cluster)
    place = ["--kubeconfig=k", "--context=c", "--namespace=n", "--selector=a=b"]
    assert objects.main(["wait", "--kinds=prometheuses.monitoring.coreos.com", *place]) == 0
    assert cluster.kinds == [*objects.WORKLOADS.split(","), "prometheuses.monitoring.coreos.com"]
