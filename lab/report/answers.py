"""Ask what panels ask, and put the answers into the form in which they are drawn."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.report import units
from lab.report.dashboards import Dashboard, Panel, Query
from lab.report.prometheus import Prometheus, PrometheusError, Series, Span


@dataclass(frozen=True)
class Line:
    """One line of a chart: its name, and its points as (seconds, value); None where there is no number."""

    name: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True)
class Answer:
    """What a panel shows: lines of a chart, values with names, or rows of a table."""

    panel: Panel
    lines: tuple[Line, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[dict[str, Any], ...] = field(default=())

    @property
    def words(self) -> set[str]:
        """The columns of a table that hold words; the others hold numbers."""
        return {column for column in self.columns if any(isinstance(row[column], str) for row in self.rows)}

    def cell(self, row: dict[str, Any], column: str) -> str:
        """Return one cell of a table as people read it."""
        value = row[column]
        return value if isinstance(value, str) else units.text(value, self.panel.units.get(column, self.panel.unit))


# A dashboard with its answers, and those of its panels that the report cannot draw.
Section = tuple[Dashboard, Sequence[Answer], Sequence[Panel]]


def ask(panel: Panel, prometheus: Prometheus, span: Span) -> Answer:
    """Return what a panel shows. Raises ReportError where a query is rejected, or nothing is there in this span."""
    if span.end <= span.start:
        raise panel.fail("the range of time is empty")
    found: list[tuple[Query, list[Series]]] = []
    for query in panel.queries:
        expr = span.fill(query.expr)
        try:
            series = prometheus.over(expr, span) if panel.kind == "timeseries" else prometheus.instant(expr, span.end)
        except PrometheusError as error:
            raise panel.fail(f"query {query.ref}: {error}") from None
        found.append((query, series))
    if not any(series for _, series in found):
        raise panel.fail("nothing was recorded in this range of time")
    if panel.kind == "table":
        columns, rows = table(panel, found)
        return Answer(panel, columns=columns, rows=rows)
    return Answer(panel, lines=lines(found))


def number(value: float) -> float | None:
    """Return a number, or None for what is none."""
    return value if math.isfinite(value) else None


def lines(found: list[tuple[Query, list[Series]]]) -> tuple[Line, ...]:
    """Return the lines of a chart: by query, then by name. Where two would have one name, their labels follow it."""
    taken = Counter(name(query, series) for query, group in found for series in group)
    made = []
    for query, group in found:
        named = []
        for series in group:
            called = name(query, series)
            if taken[called] > 1:
                called = f"{called} ({labels(series)})"
            named.append(Line(called, tuple((time, number(value)) for time, value in series.points)))
        made += sorted(named, key=lambda line: line.name)
    return tuple(made)


def labels(series: Series) -> str:
    """Return a series' labels as text."""
    return ", ".join(f"{key}={value}" for key, value in sorted(series.labels.items()))


def name(query: Query, series: Series) -> str:
    """Return a series' name by its query's template, or by its labels."""
    if query.legend:
        return re.sub(r"{{\s*(\w+)\s*}}", lambda match: series.labels.get(match[1], ""), query.legend)
    return labels(series) or query.expr


def table(panel: Panel, found: list[tuple[Query, list[Series]]]) -> tuple[tuple[str, ...], tuple[dict[str, Any], ...]]:
    """Return a table's columns and rows: one for each set of labels, as the transformations `merge` and `organize` have it."""
    rows: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for query, group in found:
        value = "Value" if len(found) == 1 else f"Value #{query.ref}"
        for series in group:
            key = tuple(sorted(series.labels.items()))
            rows.setdefault(key, dict(series.labels))[value] = number(series.points[-1][1])
    organize: dict[str, Any] = {}
    for item in panel.transformations:
        if item.get("id") == "organize":
            organize = item.get("options") or {}
        elif item.get("id") != "merge":
            raise panel.fail(f"the report knows no transformation '{item.get('id')}'")
    hidden, order, shown = (organize.get(key) or {} for key in ("excludeByName", "indexByName", "renameByName"))
    names = sorted({key for row in rows.values() for key in row if not hidden.get(key)}, key=lambda key: (order.get(key, 99), key))
    columns = tuple(shown.get(key, key) for key in names)
    made = [{shown.get(key, key): row.get(key) for key in names} for row in rows.values()]
    made.sort(key=lambda row: [str(row[column]) for column in columns])
    if panel.sort in columns:
        made.sort(key=lambda row: row[panel.sort] if isinstance(row[panel.sort], float) else -math.inf, reverse=True)
    return columns, tuple(made)
