"""What a living lab was made with, and whether another run is at work on it."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from lab import made
from lab.catalog import Catalog
from lab.gitops import GitopsError, state
from lab.preflight import processes
from lab.preflight.finding import Finding

LOCK = "run.lock"
# Written by the role kind once a cluster is complete: the identifiers of its nodes' containers, the control plane's first.
NODES = "cluster.id"
# What a record from before there was such a setting means.
BEFORE = {"lab_workers": 0}
RUN = "ansible-playbook"
# What is recorded for those who read it: a load balancer's address is not known before there is one.
MAY_CHANGE = ("lab_address",)
# What follows from other settings is refused by their names.
FOLLOWS = {"kind_ports": ("lab_http_port", "lab_https_port"), "registry_port": ("lab_registry_port",)}
# What leads to a cluster that was created completely.
LEADS = ("cluster.id", "kubeconfig", "bin/kubectl", "bin/helm")


def changed_settings(record: Path, asked: Mapping[str, Any]) -> list[Finding]:
    """Refuse to change what a living lab was made with: everything in its record that is asked for differently."""
    try:
        recorded = state.record(record)
    except FileNotFoundError:
        return []
    except GitopsError as error:
        return [Finding("record", str(error))]
    changed = {key: was for key, was in (BEFORE | recorded if recorded else {}).items()
               if key in asked and key not in MAY_CHANGE and text(asked[key]) != text(was)}  # fmt: skip
    return [Finding("record", f"this lab was made with {key}={text(was)} and cannot change to {text(asked[key])}: leave {key} as it was"
                              f"{back(key, was)}, or have a new lab: {made.commands(record.parent.name)}")
            for key, was in changed.items() if not any(other in changed for other in FOLLOWS.get(key, ()))]  # fmt: skip


def text(value: Any) -> str:
    """Return a setting as text, the same whether a number in it was written as one or quoted, and in whatever order keys are."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {text(item)}' for key, item in sorted(value.items()))}}}"
    return f"[{', '.join(map(text, value))}]" if isinstance(value, list) else str(value)


def back(key: str, was: Any) -> str:
    """Return what to type to have a setting as it was; nothing for what is no variable of its own."""
    return f" (-e {key}={was})" if "." not in key and not isinstance(was, (list, dict)) else ""


def begun(state_dir: Path, *, existing: bool = False) -> bool:
    """Say whether the lab has, or may have, what is in its cluster: one of its own is complete, or the `existing` one is led to."""
    return (state_dir / (LEADS[1] if existing else LEADS[0])).exists()


def changed_cluster(state_dir: Path, name: str, components: Catalog, *, existing: bool = False) -> list[Finding]:
    """Refuse other versions of what the living cluster was made of."""
    try:
        was = state.record(state_dir / "lab.yml").get("lab_made_of") or {}
    except (FileNotFoundError, GitopsError):  # no record is no lab; one that cannot be read is refused above
        return []
    changes = made.changed(was, components, existing=existing) if begun(state_dir, existing=existing) else {}
    return [Finding("cluster", made.refusal(changes, name))] if changes else []


def complete(state_dir: Path, *, existing: bool = False) -> bool:
    """Say whether the lab's folder has what leads to its cluster; an `existing` one was not created by the lab."""
    return all((state_dir / name).exists() for name in (LEADS[1:] if existing else LEADS))


def lost_passwords(state_dir: Path, fresh: bool, *, existing: bool = False) -> list[Finding]:
    """Refuse a living lab whose passwords are gone: new ones would lock it out of its own database."""
    if fresh or not begun(state_dir, existing=existing) or (state_dir / "credentials.yml").exists():
        return []
    return [Finding("passwords", f"{state_dir / 'credentials.yml'} is gone, and with it the passwords of a lab that is up: put it back, or "
                                 f"{made.commands(state_dir.name)}")]


def lost_nodes(marker: Path, nodes: Collection[str], name: str) -> list[Finding]:
    """Refuse to go on with a cluster that lost a worker: kind cannot add one. `nodes` are the identifiers of those there are."""
    try:
        created = marker.read_text(encoding="utf-8").split()
    except OSError:
        return []
    lost = len(set(created) - set(nodes))
    # Without its control plane it is no cluster any more, and is made anew.
    if not lost or created[0] not in nodes:
        return []
    return [Finding("cluster", f"{lost} of the {len(created)} nodes of this lab were removed, and a node cannot be added: {made.commands(name)}; "
                               "a backup needs the node that has the variables")]


def run_of(pid: int, proc: Path = processes.PROC) -> int:
    """Return the run that process `pid` belongs to: its outermost ancestor that is ansible-playbook, else itself."""
    found = pid
    for parent in processes.parents(pid, proc):
        words = processes.command(parent, proc).split()
        if any(Path(word).name == RUN for word in words[:2]):
            found = parent
    return found


def in_progress(lock: Path, mine: int, proc: Path = processes.PROC) -> list[Finding]:
    """Refuse where the lock names a living run other than `mine`; one whose process is gone, killed say, counts as none."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        pid, start = int(holder["pid"]), holder["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if pid == mine or not processes.command(pid, proc) or processes.started(pid, proc) != start:
        return []
    return [Finding("lock", f"another run is at work on this lab (pid {pid}: {processes.command(pid, proc)[:60]}): wait until it has "
                            f"ended, or end it (kill {pid})")]


def take(lock: Path, mine: int, proc: Path = processes.PROC) -> list[Finding]:
    """Write the run `mine` into the lock unless another living one has it; of two at the same moment one gets it."""
    # The first thing that a lab has: its folder is for its owner only.
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        findings = in_progress(lock, mine, proc)
        if not findings:
            file.truncate(0)
            json.dump({"pid": mine, "started": processes.started(mine, proc)}, file)
        return findings
