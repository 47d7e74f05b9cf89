"""The catalogue of faults: what is done, what undoes it, and how long it may take until the lab is back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.chaos import acts, expiry, volume
from lab.chaos.acts import Missing
from lab.chaos.place import DATABASE, WEB, Place

PROXY, PROXY_NAMESPACE = "app.kubernetes.io/name=traefik", "traefik"
# Seconds that something lasts which is undone by hand; longer than requests, probes and the pool of connections wait.
HELD = 12


def leave(place: Place) -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class Fault:
    """One fault. `inflict` does it and returns what then has to come back; `undo` and `restore` do nothing where nothing is to undo.

    `prepare` and `restore` come before and after the load, `aim` under it: it waits for the moment at which to strike. `held` is for how many seconds it lasts until `undo`, from which
    on time counts; where it is 0 the lab helps itself, and time counts from the fault. `bound` is in seconds.
    """

    name: str
    what: str
    undone: str
    inflict: Callable[[Place], Missing]
    bound: float = 60
    held: float = 0
    undo: Callable[[Place], None] = leave
    prepare: Callable[[Place], None] = leave
    aim: Callable[[Place], None] = leave
    restore: Callable[[Place], None] = leave
    # What says that something is wrong while it lasts; it has to.
    notice: Callable[[Place], str] | None = None


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("web", "kill -9 of a replica's process", "the kubelet starts it again", acts.kill_pods(WEB)),
        Fault("database", "kill -9 of PostgreSQL's first process", "the kubelet starts it again", acts.kill_pods(DATABASE)),
        Fault("proxy", "kill -9 of Traefik's process", "the kubelet starts it again", acts.kill_pods(PROXY, PROXY_NAMESPACE)),
        Fault("kubelet", "kill -9 of the node's kubelet", "systemd starts it again", acts.kill_kubelet),
        Fault("node", "kill -9 of all processes of the node's container", "the engine starts it again", acts.kill_node, bound=120),
        Fault("restart", "docker restart of the node", "it is the restart", acts.restart_node, bound=120),
        Fault("stall", "SIGSTOP of every process of PostgreSQL", f"SIGCONT after {HELD} s", acts.stall, held=HELD, undo=acts.go_on),
        Fault("partition", "every packet to and from PostgreSQL is dropped", f"the rules go after {HELD} s", acts.cut, held=HELD, undo=acts.join),
        Fault("disk", "the database's volume is filled to the last byte", f"what fills it goes after {HELD} s", acts.fill, held=HELD,
              undo=volume.drain, prepare=volume.shrink, restore=volume.enlarge),
        Fault("certificate", "the proxy's certificate has expired", "the node makes another", expiry.expire, aim=expiry.wait_for_a_look,
              restore=expiry.restore, notice=expiry.noticed),
    )
}  # fmt: skip
