"""Argo CD's resource tree as text: what stands on what, with sync and health."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

# What says nothing on its own: the slices that the cluster makes of every Service.
HIDDEN = {"EndpointSlice", "Endpoints", "ControllerRevision"}
# Old ReplicaSets are kept for a rollback that this lab does through git.
NONE = "-"


def age(created: str, now: datetime) -> str:
    """Return how old something is, in its largest unit: 42s, 3m, 5h, 2d."""
    if not created:
        return NONE
    seconds = int((now - datetime.fromisoformat(created.replace("Z", "+00:00"))).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{max(0, seconds)}s"


def table(rows: Iterable[Iterable[str]]) -> list[str]:
    """Return rows as lines with aligned columns."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _idle(node: dict) -> bool:
    """Say whether this is a ReplicaSet of an earlier rollout that runs nothing."""
    return node["kind"] == "ReplicaSet" and not node.get("_children")


def rows(nodes: list[dict], resources: list[dict]) -> list[list[str]]:
    """Return the tree's rows: name with its depth, sync, health, and the health's reason.

    `nodes` are those of Argo CD's resource tree, `resources` those of the Application's status, which know of sync.
    """
    sync = {(item["kind"], item.get("namespace", ""), item["name"]): item for item in resources}
    known = {node["uid"]: dict(node, _children=[]) for node in nodes if "uid" in node and node["kind"] not in HIDDEN}
    roots = []
    for node in known.values():
        parents = [known[parent["uid"]] for parent in node.get("parentRefs", []) if parent.get("uid") in known]
        (parents[0]["_children"] if parents else roots).append(node)
    found: list[list[str]] = []

    def show(node: dict, depth: int) -> None:
        key = (node["kind"], node.get("namespace", ""), node["name"])
        item = sync.get(key, {})
        health = node.get("health", {})
        state = "hook" if item.get("hook") else item.get("status", NONE if depth else "not in git")
        found.append([f"{'  ' * depth}{node['kind']}/{node['name']}", state, health.get("status", NONE), health.get("message", "")])
        for child in sorted(node["_children"], key=lambda child: (child["kind"], child["name"])):
            if not _idle(child):
                show(child, depth + 1)

    for node in sorted(roots, key=lambda node: (node["kind"], node["name"])):
        show(node, 0)
    there = {(node["kind"], node.get("namespace", ""), node["name"]) for node in known.values()}
    found += [[f"{kind}/{name}", item.get("status", NONE), "Missing", ""] for (kind, space, name), item in sync.items()
              if (kind, space, name) not in there and not item.get("hook")]  # fmt: skip
    return found
