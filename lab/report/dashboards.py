"""Read dashboards: the JSON files that Grafana loads, as far as a report needs them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "roles" / "monitoring" / "files" / "dashboards"
# What a panel's type has to be for the report to draw it; rows and text hold no data.
DRAWN = ("timeseries", "stat", "table")
SILENT = ("row", "text")


class ReportError(Exception):
    """Why there is no report, in one line; it names the file and, where there is one, the panel."""

    def __init__(self, file: str, panel: str, why: str) -> None:
        super().__init__(f"{file}, panel '{panel}': {why}" if panel else f"{file}: {why}")


@dataclass(frozen=True)
class Query:
    """One expression; `legend` is a template like `{{pod}}` for the names of its series."""

    ref: str
    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel: what it is called, how it is drawn, what it asks, and its width in parts of 24."""

    file: str
    title: str
    kind: str
    unit: str = "short"
    description: str = ""
    queries: tuple[Query, ...] = ()
    transformations: tuple[dict[str, Any], ...] = ()
    units: dict[str, str] = field(default_factory=dict)
    sort: str = ""
    width: int = 24

    @property
    def drawn(self) -> bool:
        """Whether the report knows how to draw it."""
        return self.kind in DRAWN

    def fail(self, why: str) -> ReportError:
        """Return the error that names this panel."""
        return ReportError(self.file, self.title, why)


@dataclass(frozen=True)
class Dashboard:
    """One file: its title and its panels in the order they are looked at."""

    file: str
    title: str
    description: str
    panels: tuple[Panel, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.file.rsplit(".", 1)[0]


def load(folder: Path = FOLDER) -> list[Dashboard]:
    """Return every dashboard of a folder, by file name. Raises ReportError naming the file, and the panel."""
    files = sorted(folder.glob("*.json"))
    if not files:
        raise ReportError(str(folder), "", "holds no dashboard")
    return [read(path) for path in files]


def read(path: Path) -> Dashboard:
    """Return the dashboard of one file. Raises ReportError naming the file, and the panel."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ReportError(path.name, "", f"is not JSON: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("panels"), list):
        raise ReportError(path.name, "", "is no dashboard: it has no list of panels")
    panels = sorted(flat(path.name, data["panels"]), key=place)
    return Dashboard(path.name, str(data.get("title") or path.stem), data.get("description") or "",
                     tuple(panel(path.name, item) for item in panels))  # fmt: skip


def flat(file: str, panels: list[Any]) -> list[dict[str, Any]]:
    """Return panels with those inside of collapsed rows. Raises ReportError for what is none."""
    found = []
    for item in panels:
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            raise ReportError(file, "", f"has a panel without a type: {json.dumps(item)[:60]}")
        found += [item, *flat(file, item.get("panels") or [])]
    return found


def place(item: dict[str, Any]) -> tuple[int, int]:
    """Return where a panel is: row by row, from left to right."""
    at = item.get("gridPos") or {}
    return at.get("y", 0), at.get("x", 0)


def panel(file: str, data: dict[str, Any]) -> Panel:
    """Return one panel of a file. Raises ReportError where it should ask something and does not."""
    title, kind = str(data.get("title") or f"number {data.get('id', '?')}"), data["type"]
    if kind in SILENT:
        return Panel(file, title, kind)
    queries = tuple(
        Query(item.get("refId", ""), item.get("expr") or "", item.get("legendFormat") or "")
        for item in data.get("targets") or []
        if not item.get("hide")
    )
    if kind in DRAWN and not (queries and all(query.expr for query in queries)):
        raise ReportError(file, title, "asks nothing: it has no target with an `expr`")
    fields = data.get("fieldConfig") or {}
    units = {
        override["matcher"]["options"]: item["value"]
        for override in fields.get("overrides") or []
        for item in override["properties"]
        if override["matcher"]["id"] == "byName" and item["id"] == "unit"
    }
    sort = ((data.get("options") or {}).get("sortBy") or [{}])[0].get("displayName", "")
    return Panel(file, title, kind, (fields.get("defaults") or {}).get("unit", "short"), data.get("description") or "",
                 queries, tuple(data.get("transformations") or ()), units, sort, (data.get("gridPos") or {}).get("w", 24))  # fmt: skip
