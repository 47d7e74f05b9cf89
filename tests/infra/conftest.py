"""What the checks of a running lab stand on: which lab, its API, its files, and a client that needs no DNS.

`LAB_NAME` says which lab. The library behind a fixture is nobody else's business: checks see names, text and modes.
"""

import contextlib
import functools
import http.client
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
import testinfra
import yaml

from lab.build.plan import Plan
from lab.build.sources import plan_of

CHECKOUT = Path(__file__).parents[2]
NAMESPACE = "vars"
# Seconds one answer over HTTP may take.
PATIENCE = 10
# What is recorded of a lab on a cluster that somebody has: field of a Lab, and setting.
ELSEWHERE = {"address": "lab_address", "context": "lab_existing_context", "images": "lab_registry"}


@dataclass(frozen=True)
class Lab:
    """One lab: its name, its state folder, where it answers, the source of its components, and the cluster it is on."""

    name: str
    state: Path
    http: int
    https: int
    registry: int
    source: str
    address: str = "127.0.0.1"
    # On a cluster that somebody has: the context, and the registry that it pulls from.
    context: str = ""
    images: str = ""
    workers: int = 0

    @property
    def container(self) -> str:
        """The container that is the cluster's first node."""
        return f"{self.name}-control-plane"

    @property
    def nodes(self) -> list[str]:
        """The containers that are the cluster's nodes, which are called the same; kind numbers all workers but the first."""
        return [self.container, *(f"{self.name}-worker{'' if number == 1 else number}" for number in range(1, self.workers + 1))]


@dataclass(frozen=True)
class Answer:
    """What came back: the status, the body as text, the headers by lower-case name."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def served_by(self) -> str | None:
        """The pod that answered."""
        return self.headers.get("x-served-by")


class Client:
    """Sends each request over a connection of its own to the lab's address; the host is a name in it, never looked up."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def get(self, path: str, host: str = "vars.localhost", *, tls: bool = False, method: str = "GET", **headers: str) -> Answer:
        """Return the answer to one request. Over TLS the certificate is checked against the lab's own authority."""
        port = self._lab.https if tls else self._lab.http
        connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        connection.sock = socket.create_connection((self._lab.address, port), timeout=PATIENCE)
        if tls:
            context = ssl.create_default_context(cafile=str(self._lab.state / "ca.crt"))
            connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
        with contextlib.closing(connection):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers={"Host": f"{host}:{port}", **sent})
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.getheaders()})


class Cluster:
    """The lab's cluster, asked through kubectl."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def run(self, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess:
        """Run kubectl for this cluster, 60 s at most; return exit code and output."""
        command = [self._lab.state / "bin" / "kubectl", "--kubeconfig", self._lab.state / "kubeconfig",
                   "--context", self._lab.context or f"kind-{self._lab.name}", "--cache-dir", self._lab.state / "kubectl"]  # fmt: skip
        return subprocess.run([*map(str, command), *words], capture_output=True, text=True, timeout=60, input=stdin, check=False)

    def text(self, *words: str, stdin: str | None = None) -> str:
        """Return what kubectl prints; fail with what it complains about."""
        done = self.run(*words, stdin=stdin)
        if done.returncode:
            pytest.fail(f"kubectl {' '.join(words)}: {done.stderr.strip()}", pytrace=False)
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict:
        """Return one object."""
        return json.loads(self.text("get", kind, name, "--namespace", namespace, "--output", "json"))

    def all(self, kind: str, *words: str) -> list[dict]:
        """Return the objects of one kind, in every namespace unless `words` say which."""
        return json.loads(self.text("get", kind, *(words or ["--all-namespaces"]), "--output", "json"))["items"]

    def component(self, name: str) -> list[dict]:
        """Return the pods of one part of the service that are not on their way out."""
        pods = self.all("pods", "--namespace", NAMESPACE, "--selector", f"app.kubernetes.io/component={name}")
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def lab_name() -> str:
    """Return which lab is checked."""
    return os.environ.get("LAB_NAME", "lab")


@functools.cache
def recorded() -> Lab:
    """Return the lab that LAB_NAME names, as it was recorded when it was made; ends the run where it is not up."""
    name = lab_name()
    state = CHECKOUT / ".lab" / name
    if not (state / "lab.yml").is_file() or not (state / "kubeconfig").is_file():
        pytest.exit(f"no lab called {name} is up: make up NAME={name}", returncode=1)
    record = yaml.safe_load((state / "lab.yml").read_text())
    ports = {port: record[f"lab_{port}_port"] for port in ("http", "https", "registry")}
    there = {field: record[key] for field, key in ELSEWHERE.items() if key in record}
    return Lab(name, state, **ports, source=record["lab_source"], workers=record.get("lab_workers", 0), **there)


@pytest.fixture(scope="session")
def lab() -> Lab:
    """Return the lab that is checked."""
    return recorded()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Leave out what is about a cluster that the lab made itself, where it stands on another: before any fixture looks for one."""
    if item.get_closest_marker("own_cluster") and recorded().context:
        pytest.skip("this lab stands on a cluster that somebody has: it does not answer for that one's own parts")


@pytest.fixture(scope="session")
def cluster(lab) -> Cluster:
    """Return the lab's cluster."""
    return Cluster(lab)


@pytest.fixture(scope="session")
def nodes(cluster) -> list[str]:
    """Return the names of the cluster's nodes."""
    return sorted(node["metadata"]["name"] for node in cluster.all("nodes"))


@pytest.fixture(scope="session")
def client(lab) -> Client:
    """Return an HTTP client for the lab's two ports."""
    return Client(lab)


@pytest.fixture(scope="session")
def plan(lab) -> Plan:
    """Return what the catalog says of the lab: components and image references."""
    return plan_of(lab.source, lab.state, lab.registry, registry=lab.images)


@pytest.fixture(scope="session")
def machine():
    """Return the machine the lab runs on, as testinfra sees it."""
    return testinfra.get_host("local://")


@pytest.fixture(scope="session")
def mode_of(machine):
    """Return a function that tells a file's permission bits."""
    return lambda path: machine.file(str(path)).mode


@pytest.fixture(scope="session")
def listening(machine):
    """Return a function that tells on which addresses a TCP port of this machine is listened on."""

    def addresses(port: int) -> set[str]:
        # proc(5): local address and port in hexadecimal, each word in the host's byte order; state 0A is LISTEN.
        files = [machine.file(f"/proc/net/{name}") for name in ("tcp", "tcp6")]
        rows = [line.split() for file in files if file.exists for line in file.content_string.splitlines()[1:]]
        local = [row[1].split(":") for row in rows if row[3] == "0A"]
        return {address_of(address) for address, number in local if int(number, 16) == port}

    return addresses


def address_of(words: str) -> str:
    """Return the text form of an address as /proc/net/tcp has it."""
    data = b"".join(bytes.fromhex(words[start : start + 8])[::-1] for start in range(0, len(words), 8))
    return str(ipaddress.ip_address(data))


@pytest.fixture(scope="session")
def published(machine, lab):
    """Return the addresses that Docker binds for the lab's containers: (container, address, port)."""
    labels = f"--filter=name=^{lab.name}-(control-plane|worker[0-9]*|registry)$"
    names = machine.check_output(f"docker ps '{labels}' --format '{{{{.Names}}}}'").split()
    inspected = json.loads(machine.check_output(f"docker inspect {' '.join(names)}"))
    return [
        (item["Name"].lstrip("/"), binding["HostIp"], int(binding["HostPort"]))
        for item in inspected
        for bindings in item["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    ]


@pytest.fixture(scope="session")
def secrets(lab) -> dict[str, str]:
    """Return the passwords that the lab made, by name."""
    return yaml.safe_load((lab.state / "credentials.yml").read_text())


@pytest.fixture
def variable(client):
    """Return the name of a variable that no one else uses, and remove it afterwards."""
    name = f"check-{uuid.uuid4().hex[:12]}"
    yield name
    client.get(f"/var/{name}", method="DELETE")


@pytest.fixture
def sql(cluster):
    """Return a function that runs SQL in the database's own pod, as any role; it returns exit code and output."""

    def run(role: str, statement: str) -> tuple[int, str]:
        # Loopback inside the pod asks for no password, so none appears on a command line.
        done = cluster.run("exec", "--namespace", NAMESPACE, "deployment/db", "--", "psql", "--host=127.0.0.1",
                           f"--username={role}", "--dbname=vars", "--no-psqlrc", "--tuples-only", "--no-align",
                           "--set=ON_ERROR_STOP=1", f"--command={statement}")  # fmt: skip
        return done.returncode, (done.stdout + done.stderr).strip()

    return run


@pytest.fixture(scope="session")
def eventually():
    """Return a function that asks again until the answer is true, and fails with the reason after some seconds."""

    def wait(ask, reason: str, seconds: float = 15):
        deadline = time.monotonic() + seconds
        while not (answer := ask()):
            if time.monotonic() > deadline:
                pytest.fail(f"{reason}, not within {seconds:.0f} s", pytrace=False)
            time.sleep(0.5)
        return answer

    return wait
