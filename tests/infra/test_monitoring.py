"""What watches the lab: everything is asked and answers, nothing fires, every dashboard shows something."""

import json
import time

import pytest

from lab.cgroups import containers, engine_group
from lab.report import dashboards
from lab.report.answers import ask
from lab.report.prometheus import Prometheus, Span

# What is scraped, by its job, and how many targets each has: for each node, and for each replica, where a word says so.
JOBS = {
    "apiserver": 1, "kubelet": "two a node", "kube-state-metrics": 1, "node-exporter": "one a node", "traefik": 1, "vars": "replicas", "postgres-exporter": 1,
    # Upstream's chart has what reloads their settings scraped, too.
    "kube-prometheus-stack-operator": 1, "kube-prometheus-stack-prometheus": "one or two", "kube-prometheus-stack-alertmanager": "one or two",
}  # fmt: skip
# They say that alerts arrive, and that notes are kept quiet.
MAY_FIRE = {"Watchdog", "InfoInhibitor"}
QUERIES = [(panel, query) for found in dashboards.load() for panel in found.panels for query in panel.queries]
NAMES = [f"{panel.file}, {panel.title}, {query.ref}" for panel, query in QUERIES]
MIB = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def watched(cluster):
    """Skip where the lab was made without monitoring."""
    if cluster.run("get", "namespace", "monitoring").returncode:
        pytest.skip("this lab was made without monitoring (lab_components): nothing watches it")


@pytest.fixture(scope="module")
def prometheus(lab, client, eventually):
    """Return the lab's Prometheus, reached as a user reaches it, once it has recorded a few requests."""
    found = Prometheus(lab.http)

    def recorded():
        # One after the other: a replica that just started has no earlier count to which one burst would be an increase.
        client.get("/var/check-monitoring")
        return found.instant('rate(vars_http_requests_total{route!~"/healthz|/readyz|/metrics"}[1m]) > 0', time.time())

    eventually(recorded, "requests were recorded", 60)
    return found


@pytest.fixture(scope="module")
def alertmanager(client):
    """Return a function that tells which alerts Alertmanager has, by name."""
    return lambda: {alert["labels"]["alertname"] for alert in json.loads(client.get("/api/v2/alerts", "alertmanager.localhost").text)}


@pytest.fixture(scope="module")
def value(prometheus):
    """Return a function that asks for the one value of an expression."""

    def ask(expr):
        (found,) = prometheus.instant(expr, time.time())
        return found.points[0][1]

    return ask


@pytest.mark.parametrize("job", JOBS)
def test_every_target_of_a_job_is_up(value, eventually, nodes, cluster, job):
    words = {"two a node": {2 * len(nodes)}, "one a node": {len(nodes)}, "replicas": {len(cluster.component("web"))}, "one or two": {1, 2}}
    wanted = words.get(JOBS[job], {JOBS[job]})
    eventually(lambda: value(f'sum(up{{job="{job}"}})') in wanted, f"{wanted} targets of {job} were up", 60)


def test_no_target_is_down(prometheus, eventually):
    # A replica on its way out may have been asked once more.
    eventually(lambda: not prometheus.instant("up == 0", time.time()), "no target was down", 60)


def test_no_alert_fires_but_those_that_are_to(prometheus, eventually):
    def firing():
        found = prometheus.instant('ALERTS{alertstate="firing"}', time.time())
        return {series.labels["alertname"] for series in found} - MAY_FIRE

    # What other checks did to the lab may need a moment to be forgotten.
    eventually(lambda: not firing(), f"no alert fired but {', '.join(sorted(MAY_FIRE))}: {firing()}", 120)


def test_watchdog_arrives_at_alertmanager(alertmanager, eventually):
    eventually(lambda: "Watchdog" in alertmanager(), "the watchdog arrived", 60)


def test_every_rule_is_evaluated_without_error(prometheus):
    groups = prometheus.get("rules")["groups"]
    broken = {rule["name"]: rule.get("lastError") for group in groups for rule in group["rules"] if rule["health"] == "err"}
    assert (bool(groups), broken) == (True, {})


@pytest.mark.parametrize(("panel", "query"), QUERIES, ids=NAMES)
def test_query_of_a_dashboard_returns_data(prometheus, panel, query):
    span = Span.until(time.time(), 120)
    expr = span.fill(query.expr)
    found = prometheus.over(expr, span) if panel.kind == "timeseries" else prometheus.instant(expr, span.end)
    assert [series for series in found if any(value == value for _, value in series.points)]


@pytest.mark.parametrize(("panel", "query"), QUERIES, ids=NAMES)
def test_metric_of_a_dashboard_exists(prometheus, panel, query):
    names = metrics(prometheus.get("parse_query", query=Span(0, 60, 15).fill(query.expr)))
    missing = {name for name in names if not prometheus.instant(f"count({name})", time.time())}
    assert (bool(names), missing) == (True, set())


def metrics(node):
    """Return the names of metrics in what Prometheus makes of an expression."""
    if isinstance(node, list):
        return set().union(*map(metrics, node))
    if not isinstance(node, dict):
        return set()
    own = {node["name"]} if node.get("type") in ("vectorSelector", "matrixSelector") and node.get("name") else set()
    return own.union(*(metrics(child) for child in node.values()))


def test_monitoring_takes_600_mib_at_most(value):
    used = value('sum(container_memory_working_set_bytes{namespace=~"monitoring|node-exporter", container!=""})')
    assert used < 600 * MIB


@pytest.mark.parametrize(("namespace", "level"), [("monitoring", "restricted"), ("node-exporter", "privileged")])
def test_namespace_enforces_its_pod_security_level(cluster, namespace, level):
    labels = json.loads(cluster.text("get", "namespace", namespace, "--output", "json"))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == level


@pytest.mark.parametrize("found", dashboards.load(), ids=lambda found: found.name)
def test_dashboard_is_there_for_grafanas_sidecar(cluster, found):
    config = cluster.get("configmap", f"kube-prometheus-stack-{found.name}", "monitoring")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert config["data"][found.file] == (dashboards.FOLDER / found.file).read_text()


def test_role_of_the_exporter_reads_statistics(sql):
    assert sql("vars_monitor", "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = 'vars' AND query IS NOT NULL")[1] == "t"


@pytest.mark.parametrize("statement", [
    "SELECT * FROM public.variables", "DELETE FROM public.variables", "CREATE TABLE public.t ()", "CREATE ROLE r",
])  # fmt: skip
def test_role_of_the_exporter_may_not(sql, statement):
    code, output = sql("vars_monitor", statement)
    assert code
    assert "permission denied" in output


# The memory table


@pytest.fixture(scope="module")
def table():
    """Return the panel of the memory dashboard that lists pods."""
    (found,) = [panel for one in dashboards.load() for panel in one.panels if panel.title == "Memory by pod"]
    return found


@pytest.fixture(scope="module")
def accounted(lab, machine, cluster):
    """Return a function that tells the working set of each pod, by the kernel's own accounts of its containers."""
    identities = machine.check_output(f"docker inspect --format '{{{{.Id}}}}' {' '.join(lab.nodes)}").split()
    groups = dict(zip(lab.nodes, map(engine_group, identities), strict=True))
    assert all(groups.values()), f"a node has no control group under /sys/fs/cgroup: {groups}"
    running = {
        status["containerID"].removeprefix("containerd://"): pod["metadata"]["name"]
        for pod in cluster.all("pods")
        for status in pod["status"]["containerStatuses"]
        if "running" in status["state"]
    }

    def sums():
        found = dict.fromkeys(running.values(), 0)
        for group in groups.values():
            for container, memory in containers(group).items():
                if container in running:
                    found[running[container]] += memory.working_set
        return found

    return sums


@pytest.mark.own_cluster
def test_memory_table_agrees_with_the_kernel_within_five_in_a_hundred(prometheus, table, accounted):
    agreed, last = set(), {}
    # A pod whose memory moves is caught at a moment at which the last scrape is fresh.
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        kernel = accounted()
        for row in ask(table, prometheus, Span(time.time() - 60, time.time(), 15)).rows:
            pod, told = row["Pod"], row["Working set"]
            last[pod] = (told, kernel.get(pod))
            if abs(told - kernel.get(pod, 0)) <= 0.05 * kernel.get(pod, 0):
                agreed.add(pod)
        if set(kernel) == agreed:
            break
        time.sleep(1)
    assert {pod: last.get(pod) for pod in kernel if pod not in agreed} == {}
