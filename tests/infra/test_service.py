"""The service as a user meets it: through Traefik, by every name, over both ports."""

import json
import socket
import ssl
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

WAYS = {
    "localhost": {"host": "localhost"},
    "vars.localhost": {"host": "vars.localhost"},
    "vars.localhost over TLS": {"host": "vars.localhost", "tls": True},
}
REQUESTS = 20


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def way(request):
    """Return how the service is reached: host, and whether over TLS."""
    return request.param


def test_healthz_answers(client, way):
    answer = client.get("/healthz", **way)
    assert (answer.status, answer.text.strip()) == (200, "ok")


def test_readyz_answers(client, way):
    answer = client.get("/readyz", **way)
    assert (answer.status, answer.text.strip()) == (200, "ready")


def test_setting_a_variable_answers_name_and_value(client, way, variable):
    answer = client.get(f"/var/{variable}/1", **way)
    assert (answer.status, answer.text) == (200, f"{variable} = 1")


def test_variable_that_was_set_is_read(client, way, variable):
    client.get(f"/var/{variable}/two", **way)
    answer = client.get(f"/var/{variable}", **way)
    assert (answer.status, answer.text) == (200, f"{variable} = two")


def test_variable_that_was_set_again_has_the_new_value(client, variable):
    for value in ("old", "new"):
        client.get(f"/var/{variable}/{value}")
    assert client.get(f"/var/{variable}").text == f"{variable} = new"


def test_variable_that_is_not_there_is_a_404_that_says_so(client, way, variable):
    answer = client.get(f"/var/{variable}", **way)
    assert (answer.status, answer.text.strip()) == (404, "Variable name not found")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_name_in_another_script_survives_the_way(client, variable, tls):
    client.get(f"/var/{variable}/%C3%BC%20%2F", tls=tls)
    assert client.get(f"/var/{variable}", tls=tls).text == f"{variable} = ü /"


def test_unknown_host_is_a_404_of_the_proxy(client):
    answer = client.get("/healthz", host="unknown.localhost")
    assert (answer.status, answer.served_by, answer.text.strip()) == (404, None, "404 page not found")


@pytest.fixture(scope="module")
def certificates(lab):
    """Return the certificate that the proxy shows for the service, and the lab's authority."""
    context = ssl.create_default_context(cafile=str(lab.state / "ca.crt"))
    with socket.create_connection((lab.address, lab.https), timeout=10) as plain, context.wrap_socket(plain, server_hostname="vars.localhost") as secure:
        shown = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True))
    return shown, x509.load_pem_x509_certificate((lab.state / "ca.crt").read_bytes())


def test_certificate_is_signed_by_the_labs_authority(certificates):
    shown, authority = certificates
    shown.verify_directly_issued_by(authority)
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)


def test_certificate_is_for_this_labs_names_and_lasts_for_thirty_days_at_least(certificates):
    shown, _ = certificates
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    assert {"localhost", "vars.localhost"} <= set(names)
    assert shown.not_valid_after_utc - datetime.now(UTC) > timedelta(days=30)


def test_client_that_does_not_know_the_authority_refuses(lab):
    context = ssl.create_default_context()
    with socket.create_connection((lab.address, lab.https), timeout=10) as plain, pytest.raises(ssl.SSLCertVerificationError):
        context.wrap_socket(plain, server_hostname="vars.localhost")


def test_certificate_is_not_taken_for_another_host(client):
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for|mismatch"):
        client.get("/healthz", host="other.localhost", tls=True)


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/readyz", 200), ("/var/{}/1", 200), ("/var/{}", 404), ("/nowhere", 404)]
)
def test_every_answer_says_which_pod_it_is_from(client, cluster, variable, path, status):
    answer = client.get(path.format(variable))
    assert answer.status == status
    assert answer.served_by in {pod["metadata"]["name"] for pod in cluster.component("web")}


@pytest.fixture(scope="module")
def split(client, cluster):
    """Send concurrent requests, each with an id of its own; return the replicas, the answers, and the ids."""
    replicas = sorted(pod["metadata"]["name"] for pod in cluster.component("web"))
    ids = [f"check-{uuid.uuid4().hex}" for _ in range(REQUESTS)]
    with ThreadPoolExecutor(REQUESTS) as pool:
        answers = list(pool.map(lambda identity: client.get("/var/check-split", X_Request_Id=identity), ids))
    return replicas, answers, ids


def test_concurrent_requests_are_all_answered(split):
    _, answers, _ = split
    assert Counter(answer.status for answer in answers) == {404: REQUESTS}


def test_concurrent_requests_are_split_evenly(split):
    replicas, answers, _ = split
    counts = Counter(answer.served_by for answer in answers)
    assert set(counts) == set(replicas)
    # In turn: exactly, where their number goes into that of the requests.
    assert max(counts.values()) - min(counts.values()) <= (1 if REQUESTS % len(replicas) else 0), counts


def test_answers_carry_the_id_of_their_request(split):
    _, answers, ids = split
    assert [answer.headers["x-request-id"] for answer in answers] == ids


def test_pods_own_logs_count_the_same(split, cluster, eventually):
    replicas, answers, ids = split

    def logged():
        lines = {pod: cluster.text("logs", pod, "--namespace", "vars", "--container", "web", "--tail", "400") for pod in replicas}
        found = Counter(pod for pod, text in lines.items() for line in text.splitlines() if request_id(line) in ids)
        return found if found.total() >= REQUESTS else None

    counts = eventually(logged, f"the pods logged {REQUESTS} requests")
    assert counts == Counter(answer.served_by for answer in answers)


def request_id(line):
    """Return the request id of a log line, if it is one of a request."""
    return json.loads(line).get("request_id") if line.startswith("{") else None


def through(cluster, pod, path):
    """Return the answer of one pod, asked through the API server and past every proxy of the lab."""
    return cluster.text("get", "--raw", f"/api/v1/namespaces/vars/pods/{pod}:8080/proxy{path}")


def test_value_set_through_one_replica_is_read_from_each(cluster, variable):
    replicas = [pod["metadata"]["name"] for pod in cluster.component("web")]
    through(cluster, replicas[0], f"/var/{variable}/shared")
    assert {pod: through(cluster, pod, f"/var/{variable}") for pod in replicas} == dict.fromkeys(replicas, f"{variable} = shared")
