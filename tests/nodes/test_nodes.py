"""A worker that is drained or killed costs no request that is sent again; the database's node takes no acknowledged write with it."""

import http.client
import subprocess
import time

import pytest

from tests.deploy.load import Load
from tests.nodes.conftest import WORKERS, docker

pytestmark = pytest.mark.long


def request(lab, method, path, body=None):
    """Return status, body and headers of an answer through Traefik; raise OSError or HTTPException where none comes within 3 s."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.http_port, timeout=3)
    try:
        headers = {"Host": "vars.localhost", "Connection": "close", "Content-Type": "text/plain"}
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def answered(lab, path):
    """Return status and headers of an answer, None and none where none comes."""
    try:
        code, _, headers = request(lab, "GET", path)
    except (OSError, http.client.HTTPException):
        return None, {}
    return code, headers


def status(lab, path):
    """Return the status of an answer, None where none comes."""
    return answered(lab, path)[0]


def turned_away(lab, path):
    """Wait for the service's own 503 and return its headers: where no replica is ready Traefik answers 503 in its place."""
    seen = []

    def ask():
        code, headers = answered(lab, path)
        if code == 503 and "X-Served-By" in headers:
            seen.append(headers)
        return seen

    lab.until(ask, "the service itself answers 503")
    return seen[0]


def without_database(lab):
    """Return a worker that has a replica and not the database."""
    (node,) = lab.workers - set(lab.pods("database"))
    assert lab.pods("web")[node]
    return node


def test_replicas_are_spread_over_the_workers(whole):
    assert whole.pods("web") == dict.fromkeys(whole.workers, 1)


def test_drained_worker_is_not_noticed(whole, record_property):
    node = without_database(whole)
    request(whole, "PUT", "/var/load", "1")
    with Load(whole.http_port) as load:
        time.sleep(2)
        start = time.monotonic()
        whole.drain(node)
        record_property("seconds of the drain", f"{time.monotonic() - start:.1f}")
        time.sleep(3)
    record_property("load", load.counts)
    assert load.failures == [], f"{len(load.failures)} of {load.sent}: {load.failures[:5]}"
    assert node not in whole.pods("web")


def test_databases_node_can_be_drained_and_the_service_says_when_to_come_back(whole, record_property):
    request(whole, "PUT", "/var/kept", "drained")
    (node,) = whole.pods("database")
    whole.drain(node)
    assert int(turned_away(whole, "/var/kept")["Retry-After"]) > 0
    assert status(whole, "/healthz") == 200
    whole.kubectl("uncordon", node)
    seconds = whole.until(lambda: status(whole, "/var/kept") == 200, "it answers again")
    record_property("seconds from uncordon to the first answer", f"{seconds:.1f}")
    assert request(whole, "GET", "/var/kept")[1] == "kept = drained"


def test_killed_worker_costs_no_request_that_is_sent_again(whole, record_property):
    node = without_database(whole)
    request(whole, "PUT", "/var/load", "1")
    with Load(whole.http_port, patience=3, tries=4) as load:
        time.sleep(2)
        docker("kill", node)
        missed = whole.until(lambda: node not in whole.ready(), "the node is missed")
        time.sleep(5)
        docker("start", node)
        back = whole.until(lambda: whole.pods("web").total() == 2, "both replicas are ready")
    record_property("load", load.counts)
    record_property("seconds until it was missed, and from its start until both replicas were ready", f"{missed:.1f}, {back:.1f}")
    assert load.failures == [], f"{len(load.failures)} of {load.sent}: {load.failures[:5]}"


def test_killed_node_of_the_database_keeps_every_acknowledged_write(whole, record_property):
    (node,) = whole.pods("database")
    acknowledged, killed = {}, 0.0
    start = time.monotonic()
    for number in range(100_000):
        if not killed and time.monotonic() - start > 5:
            docker("kill", node)
            killed = time.monotonic()
        try:
            if request(whole, "PUT", f"/var/write-{number}", str(number))[0] in (200, 201, 204):
                acknowledged[f"write-{number}"] = number
        except (OSError, http.client.HTTPException):
            pass
        if killed and time.monotonic() - killed > 5:
            break
    assert int(turned_away(whole, "/var/write-0")["Retry-After"]) > 0
    assert request(whole, "GET", "/readyz")[0] == 503
    whole.until(lambda: status(whole, "/healthz") == 200, "it lives")
    docker("start", node)
    seconds = whole.until(lambda: status(whole, "/var/write-0") == 200, "it answers again")
    record_property("acknowledged writes", len(acknowledged))
    record_property("seconds from the node's start to the first answer", f"{seconds:.1f}")
    whole.until(lambda: whole.pods("web").total() == 2, "both replicas are ready")
    read = {name: request(whole, "GET", f"/var/{name}")[1] for name in acknowledged}
    assert len(read) > 10
    assert {name: text for name, text in read.items() if text != f"{name} = {acknowledged[name]}"} == {}


def test_every_stopped_node_is_started_by_up(whole):
    request(whole, "PUT", "/var/kept", "stopped")
    docker("stop", *sorted(whole.workers), f"{whole.name}-control-plane")
    run = whole.up()
    assert run.code == 0, run.output[-3000:]
    assert whole.ready() >= whole.workers
    whole.until(lambda: status(whole, "/var/kept") == 200, "it answers again")
    assert request(whole, "GET", "/var/kept")[1] == "kept = stopped"
    assert whole.up().changed == 0


def test_other_number_of_workers_is_refused_by_name(lab):
    run = lab.up("-e", f"lab_workers={WORKERS + 1}")
    assert run.code != 0
    assert f"this lab was made with lab_workers={WORKERS} and cannot change to {WORKERS + 1}" in " ".join(run.output.split())


def test_worker_that_was_removed_is_missed(lab):
    subprocess.run(["docker", "rm", "--force", "--volumes", f"{lab.name}-worker2"], check=True, capture_output=True, timeout=120)
    run = lab.up()
    assert run.code != 0
    assert "1 of the 3 nodes of this lab were removed" in " ".join(run.output.split())
