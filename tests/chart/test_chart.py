"""The service's chart, rendered: what every object has, what values it refuses, and what no rendering may hold."""

from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
IMAGES = {name: f"registry.example/vars/{name}:1a2b" for name in ("postgres", "web", "migrations")}
PODS = ("deployment/db", "deployment/web", "job/migrations")


@pytest.fixture(scope="session")
def render(template):
    """Return a function that renders the chart with values and gives back its objects by kind/name."""

    def run(**values):
        objects = template("vars", CHECKOUT / "app" / "chart", "vars", {"images": IMAGES, **values})
        return {f"{item['kind'].lower()}/{item['metadata']['name']}": item for item in objects}

    return run


@pytest.fixture(scope="session")
def objects(render):
    return render()


def pod(objects, name):
    (found,) = [item for key, item in objects.items() if key.startswith(name)]
    return found["spec"]["template"]["spec"]


def containers(spec):
    return [*spec.get("initContainers", []), *spec["containers"]]


@pytest.mark.parametrize("values", [
    {"colour": "blue"}, {"services": {"web": {"replica": 3}}}, {"services": {"web": {"replicas": "two"}}},
    {"services": {"web": {"autoscaling": {"enabled": "yes"}}}}, {"services": {"web": {"autoscaling": {"replicas": 3}}}},
    {"services": {"web": {"maxUnavailable": 0}}}, {"database": {"password": "secret"}}, {"images": {**IMAGES, "web": "no image"}}, {"ingress": {"hosts": "one"}},
])  # fmt: skip
def test_value_that_the_schema_does_not_know_is_refused(render, values):
    with pytest.raises(ValueError, match="schema"):
        render(**values)


def test_every_object_says_what_it_belongs_to(objects):
    labels = {key: item["metadata"]["labels"] for key, item in objects.items()}
    assert {value["app.kubernetes.io/part-of"] for value in labels.values()} == {"vars"}
    assert {value["app.kubernetes.io/component"] for value in labels.values()} == {"database", "migrations", "web"}


def test_chart_makes_no_secret(objects):
    assert [key for key in objects if key.startswith("secret/")] == []


@pytest.mark.parametrize("name", PODS)
def test_pod_meets_the_restricted_level(objects, name):
    spec = pod(objects, name)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in containers(spec):
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]
        assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)


@pytest.mark.parametrize("name", PODS)
def test_every_container_asks_the_registry_and_has_a_memory_limit(objects, name):
    for container in containers(pod(objects, name)):
        assert container["imagePullPolicy"] == "Always"
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", PODS)
def test_no_password_stands_in_a_pod(objects, name):
    for container in containers(pod(objects, name)):
        for variable in container.get("env", []):
            if "PASSWORD" in variable["name"]:
                assert set(variable["valueFrom"]) == {"secretKeyRef"}, variable


def test_web_waits_for_the_database_and_then_for_the_schema(objects):
    waits = pod(objects, "deployment/web")["initContainers"]
    assert [(item["name"], "--schema" in item["command"]) for item in waits] == [("wait-for-database", False), ("wait-for-schema", True)]


def test_rollout_takes_no_replica_away_before_the_next_is_ready(objects):
    assert objects["deployment/web"]["spec"]["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_another_image_of_the_migrations_is_another_job(render, objects):
    other = render(images={**IMAGES, "migrations": "registry.example/vars/migrations:3c4d"})
    jobs = [{key for key in rendered if key.startswith("job/")} for rendered in (objects, other)]
    assert jobs[0].isdisjoint(jobs[1])


def test_same_values_give_the_same_job(render, objects):
    assert {key for key in render() if key.startswith("job/")} == {key for key in objects if key.startswith("job/")}


def test_job_can_have_a_name_that_stays(render):
    assert "job/migrations" in render(services={"migrations": {"name": "migrations"}})


def test_replicas_can_be_left_to_an_autoscaler(render):
    assert "replicas" not in render(services={"web": {"replicas": None}})["deployment/web"]["spec"]


@pytest.fixture(scope="session")
def scaled(render):
    wanted = {"enabled": True, "minReplicas": 3, "maxReplicas": 7, "targetCPUUtilizationPercentage": 60}
    return render(services={"web": {"autoscaling": wanted}})


def test_autoscaler_has_the_count_to_itself(scaled):
    assert "replicas" not in scaled["deployment/web"]["spec"]


def test_autoscaler_goes_by_cpu_between_its_bounds(scaled):
    spec = scaled["horizontalpodautoscaler/web"]["spec"]
    (metric,) = spec["metrics"]
    assert (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]) == ("Deployment", "web")
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 7)
    assert metric["resource"] == {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}


def test_pods_have_the_request_that_the_autoscaler_goes_by(scaled):
    (container,) = pod(scaled, "deployment/web")["containers"]
    assert container["resources"]["requests"]["cpu"]


def test_nobody_scales_where_it_was_not_asked_for(objects):
    assert objects["deployment/web"]["spec"]["replicas"] == 2
    assert "horizontalpodautoscaler/web" not in objects


def test_pods_are_spread_over_nodes_where_they_can_be(objects):
    deployment = objects["deployment/web"]["spec"]
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["maxSkew"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", 1, "ScheduleAnyway")
    assert spread["labelSelector"] == deployment["selector"]


def test_drained_nodes_take_one_pod_at_a_time_and_never_wait_for_a_broken_one(objects):
    spec = objects["poddisruptionbudget/web"]["spec"]
    assert (spec["maxUnavailable"], spec["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert spec["selector"] == objects["deployment/web"]["spec"]["selector"]


def test_no_budget_keeps_the_databases_node_from_being_drained(objects):
    assert [name for name in objects if name.startswith("poddisruptionbudget/")] == ["poddisruptionbudget/web"]


def test_claim_is_one_gibibyte_for_one_node(objects):
    spec = objects["persistentvolumeclaim/db"]["spec"]
    assert (spec["accessModes"], spec["resources"]["requests"]["storage"]) == (["ReadWriteOnce"], "1Gi")


def test_database_lets_go_of_its_data_before_the_new_one_starts(objects):
    assert objects["deployment/db"]["spec"]["strategy"] == {"type": "Recreate"}


def test_database_answers_nobody_but_web_and_migrations(objects):
    (rule,) = objects["networkpolicy/db"]["spec"]["ingress"]
    allowed = {item["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for item in rule["from"]}
    assert allowed == {"web", "migrations"}
