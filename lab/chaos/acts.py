"""What is done to a lab, and what undoes it: processes killed and stopped, packets dropped, a volume filled.

Each act returns what tells whether all that it took away is there again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from lab.backup import BackupError
from lab.backup.database import SUPERUSER, Server
from lab.chaos import ChaosError, volume
from lab.chaos.place import DATABASE, Place
from lab.gitops.state import SERVICE

# Says what is still missing of what was taken away, or nothing.
Missing = Callable[[], str]
# Segments of the database's log, one after the other: those that it kept to use again, of which each round leaves more, at most
# 1 GiB of them (max_wal_size), and then a new one. Without a record in it a segment is not left.
USE_UP = """
DO $$ BEGIN FOR segment IN 1..80 LOOP
  PERFORM pg_logical_emit_message(false, 'chaos', '');
  PERFORM pg_switch_wal();
END LOOP; END $$
"""
# Between the replicas and the database, both ways, at the database's own network interface; what is established is cut, too.
CUT = """
for rule in "INPUT -p tcp --dport 5432 ! -i lo" "OUTPUT -p tcp --sport 5432 ! -o lo"; do
  nsenter --target "$1" --net iptables -w 5 $2 $rule -j DROP || [ "$2" = -D ]
done
"""


def nothing() -> str:
    """Nothing was taken away."""
    return ""


def kill_pods(selector: str, namespace: str = SERVICE, most: int = 1) -> Callable[[Place], Missing]:
    """Return what kills the first process of so many pods, of which nothing is told."""

    def inflict(place: Place) -> Missing:
        pods = place.pods(selector, namespace)[:most]
        victims = {node: [each for each in there if each.first] for node, there in place.processes(pods).items()}
        if not any(victims.values()):
            raise ChaosError(f"nothing runs with the labels {selector} in the namespace {namespace}")
        place.signal("KILL", victims)

        def missing() -> str:
            now = {node: [each for each in there if each.first] for node, there in place.processes(pods).items()}
            again = all(len(now[node]) == len(there) and not set(now[node]) & set(there) for node, there in victims.items())
            return "" if again else "what was killed does not run again"

        return missing

    return inflict


def kubelet_pid(place: Place, node: str) -> str:
    """Return the kubelet's first process in a node, "0" where it does not run.

    Systemd knows it. By its name there may be two for a moment: what the kubelet starts (mount, runc) has its name until it becomes that.
    """
    return place.inside(node, "systemctl show --property=MainPID --value kubelet").strip()


def kill_kubelet(place: Place) -> Missing:
    """Kill the kubelet of the node that the database is on. Raises ChaosError where none runs."""
    node = place.database()["spec"]["nodeName"]
    if (pid := kubelet_pid(place, node)) == "0":
        raise ChaosError(f"no kubelet runs in the node {node}: make up starts it")
    killed = datetime.now(UTC)
    place.inside(node, 'kill -s KILL "$1"', pid)

    def missing() -> str:
        if kubelet_pid(place, node) in ("0", pid):
            return "the kubelet does not run again"
        lease = place.kubectl("kube-node-lease").text("get", "lease", node, "--namespace=kube-node-lease", "--output=jsonpath={.spec.renewTime}")
        return "" if datetime.fromisoformat(lease) > killed else "the kubelet has not reported yet"

    return missing


def started_anew(place: Place, node: str, before: str) -> Missing:
    """Return what tells whether the container that is a node was started after `before`, the time it was started last."""

    def missing() -> str:
        state = place.container(node)["State"]
        return "" if state["Running"] and state["StartedAt"] != before else f"the node {node} does not run again"

    return missing


def is_node(pid: int, container: str, proc: Path = Path("/proc")) -> bool:
    """Say whether process `pid` of this machine is one of the container: an engine counts those of the machine that it is on."""
    return pid > 1 and container in (proc / str(pid) / "cgroup").read_text()


def kill_node(place: Place) -> Missing:
    """Kill the first process of the node that the database is on, and thereby every one in it, as a crash would.

    Not by the engine: to that a container that it was told to kill is one that is to stay down.
    """
    node = place.database()["spec"]["nodeName"]
    container = place.container(node)
    state = container["State"]
    try:
        if not is_node(state["Pid"], container["Id"]):
            raise ChaosError(f"the processes of the node {node} are not on this machine, whose engine is elsewhere: leave this fault out (FAULT=...)")
        os.kill(state["Pid"], signal.SIGKILL)
    except OSError as error:
        raise ChaosError(f"the processes of the node {node} cannot be killed from here: {error.strerror}") from error
    return started_anew(place, node, state["StartedAt"])


def restart_node(place: Place) -> Missing:
    """Have the engine restart the node that the database is on."""
    node = place.database()["spec"]["nodeName"]
    before = place.container(node)["State"]["StartedAt"]
    place.command("docker", "restart", node, timeout=120)
    return started_anew(place, node, before)


def stall(place: Place) -> Missing:
    """Stop every process of the database, so that connections stay and nothing answers."""
    place.signal("STOP", place.processes([place.database()]))
    return nothing


def go_on(place: Place) -> None:
    """Let the database's processes go on."""
    place.signal("CONT", place.processes(place.pods(DATABASE)))


def _cut(place: Place, verb: str, pods: list[dict]) -> None:
    for node, there in place.processes(pods).items():
        if there:
            place.inside(node, CUT, str(there[0].pid), verb)


def cut(place: Place) -> Missing:
    """Drop every packet between the database and the replicas."""
    _cut(place, "-I", [place.database()])
    return nothing


def join(place: Place) -> None:
    """Let packets through again."""
    _cut(place, "-D", place.pods(DATABASE))


def fill(place: Place) -> Missing:
    """Leave the database no room for data, and then none for its own log, without which it cannot run."""
    volume.fill(place)
    server = Server.of(place.lab)
    try:
        server.do(server.database, USE_UP, role=SUPERUSER)
    except BackupError:
        return nothing
    raise ChaosError("the volume is full, and the database still finds room for its log")
