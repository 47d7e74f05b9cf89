"""Write values as people read them; the units are those that Grafana's dashboards name."""

from __future__ import annotations

import math
from datetime import UTC, datetime

MIB = 1024 * 1024


def text(value: float | None, unit: str) -> str:
    """Return a value with its unit; a dash for what is no number."""
    if value is None or not math.isfinite(value):
        return "–"
    if unit == "bytes":
        return f"{value / MIB:,.1f} MiB"
    if unit == "percentunit":
        return f"{value * 100:,.1f} %"
    if unit == "s":
        return f"{value:,.2f} s" if value >= 1 else f"{value * 1000:,.1f} ms"
    if unit in ("reqps", "ops"):
        return f"{value:,.1f} /s"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def moment(seconds: float) -> str:
    """Return a moment as date and time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def scaled(unit: str) -> tuple[float, str]:
    """Return what to divide values by for an axis, and what the axis is called."""
    return {
        "bytes": (MIB, "MiB"),
        "percentunit": (0.01, "%"),
        "s": (0.001, "ms"),
        "reqps": (1, "per second"),
        "ops": (1, "per second"),
    }.get(unit, (1, ""))
