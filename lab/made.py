"""What a living cluster is made of that only a new one has otherwise: its nodes, what kubeadm put on them, and its data's format."""

from __future__ import annotations

from collections.abc import Mapping

from lab.catalog import Catalog
from lab.gitops.state import named

# How these components reach a cluster: with the node image, or by kubeadm when it is created.
INSTALLS = ("node", "kubeadm")
NODES = ("node", "nodebase")
# Whose data directory is of the major version that made it.
DATA = "postgres"


def made_of(components: Catalog) -> dict[str, str]:
    """Return the versions of what a cluster that is created now is made of, by component."""
    found = {name: item.version for name, item in components.components.items() if item.install in INSTALLS or name in NODES}
    if DATA in components.components:
        found[DATA] = components[DATA].version.partition(".")[0]
    return found


def changed(recorded: Mapping[str, str], components: Catalog, *, existing: bool = False) -> dict[str, tuple[str, str]]:
    """Return what the catalog has in another version than the living cluster was made of: component to (was, is).

    Of an `existing` cluster the lab made none of the nodes.
    """
    now = {name: version for name, version in made_of(components).items() if name == DATA or not existing}
    return {name: (str(was), now[name]) for name, was in recorded.items() if name in now and now[name] != str(was)}


def commands(lab: str) -> str:
    """Return what keeps the variables over a new lab; what was built stays, too."""
    name = named(lab)
    return f"make backup{name}, make down up{name}, make restore{name} FILE=.lab/{lab}/backups/<time>.dump (what was built stays)"


def refusal(changes: Mapping[str, tuple[str, str]], name: str) -> str:
    """Return the line that says what cannot change in the lab called `name`, and what to type instead."""
    what = ", ".join(f"{component} {was} -> {now}" for component, (was, now) in changes.items())
    return f"what this lab's cluster is made of cannot change while it lives ({what}): {commands(name)}"
