"""Who reaches what, tried: pods that call the database, with permission and without, and what nobody answers."""

import json
import uuid

import pytest

# Seconds a call may take before it counts as refused, how often it is tried, and seconds a pod may take to come and go.
# Tried again, with and without permission: a new pod's address reaches the policies a moment after the pod runs.
CALL, TRIES, POD = 3, 8, 90
SCRIPT = """\
getent hosts {host} > /dev/null || exit 9
for try in $(seq {tries}); do
  said=$(timeout {call} bash -c '< /dev/tcp/{host}/{port}' 2>&1) && exit 0
  case $said in *refused*) code=2;; *) code=1;; esac
  sleep 1
done
exit $code
"""
# What the script ends with; a policy may drop what it forbids, or refuse it.
CONNECTED, FORBIDDEN, REFUSED = {0}, {1, 2}, {2}
# A Service without endpoints, of the checks' own.
ABANDONED = f"check-{uuid.uuid4().hex[:8]}"
MAY_CALL_THE_DATABASE = {"app.kubernetes.io/name": "vars", "app.kubernetes.io/component": "migrations"}
CALLS = {
    "from another namespace to the database": ("default", {}, "db.vars.svc.cluster.local", 5432, FORBIDDEN),
    "from a stranger in the namespace to the database": ("vars", {}, "db.vars.svc.cluster.local", 5432, FORBIDDEN),
    "from the migrations to the database": ("vars", MAY_CALL_THE_DATABASE, "db.vars.svc.cluster.local", 5432, CONNECTED),
    "from another namespace to the service": ("default", {}, "web.vars.svc.cluster.local", 80, CONNECTED),
    # Were it let out of the cluster, whoever has that address out there would answer, or nobody.
    "from a pod to a Service without endpoints": ("default", {}, f"{ABANDONED}.default.svc.cluster.local", 80, REFUSED),
}


def caller(name, labels, image, host, port, node):
    """Return a pod on a node that connects; it may run under the restricted Pod Security level."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": POD,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": "caller",
                    "image": image,
                    # The name is looked up first: a call that fails has reached the right address.
                    "command": ["sh", "-c", SCRIPT.format(host=host, port=port, tries=TRIES, call=CALL)],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def exits(cluster, nodes, eventually):
    """Let every caller call from every node at once; return their exit codes by call and node, and remove them."""
    run = uuid.uuid4().hex[:8]
    # The database's: it is there, wherever the cluster pulls from.
    image = cluster.get("deployment", "db")["spec"]["template"]["spec"]["containers"][0]["image"]
    calls = [(what, node) for what in CALLS for node in nodes]
    pods = {call: f"check-{run}-{number}" for number, call in enumerate(calls)}

    def code(name, namespace):
        statuses = cluster.get("pod", name, namespace)["status"].get("containerStatuses", [])
        ended = [item["state"]["terminated"]["exitCode"] for item in statuses if "terminated" in item["state"]]
        return ended or None

    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": ABANDONED}, "spec": {"ports": [{"port": 80}]}}
    try:
        cluster.text("create", "--namespace", "default", "--filename", "-", stdin=json.dumps(service))
        for (what, node), name in pods.items():
            namespace, labels, host, port, _ = CALLS[what]
            document = caller(name, labels, image, host, port, node)
            cluster.text("create", "--namespace", namespace, "--filename", "-", stdin=json.dumps(document))
        yield {
            call: eventually(lambda name=name, call=call: code(name, CALLS[call[0]][0]), f"the pod {name} ended", POD)[0]
            for call, name in pods.items()
        }
    finally:
        cluster.run("delete", "service", ABANDONED, "--namespace", "default", "--ignore-not-found", "--wait=false")
        for (what, _), name in pods.items():
            cluster.run("delete", "pod", name, "--namespace", CALLS[what][0], "--ignore-not-found", "--wait=false")


@pytest.mark.parametrize("what", CALLS)
def test_call(exits, nodes, what):
    expected = CALLS[what][-1]
    assert {node: exits[what, node] for node in nodes if exits[what, node] not in expected} == {}
