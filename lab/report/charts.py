"""Describe charts in Vega-Lite (version 6), and draw them as PNG; the page draws the same descriptions itself."""

from __future__ import annotations

import math
from typing import Any

import vl_convert

from lab.report.answers import Answer
from lab.report.units import scaled

VEGA_LITE = "6.4"
HEIGHT = 220
# Colours that can be told apart, by those who see no red or green, too, on light and on dark ground.
COLOURS = ["#3b82c4", "#d9822b", "#2f9e77", "#c2508f", "#8f6fc9", "#a3912a", "#4bb3c9", "#c4574c", "#7a8794", "#5fa03a"]
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]


def chart(answer: Answer) -> dict[str, Any]:
    """Return the description of a panel's chart; times are UTC, values are scaled to the axis' unit."""
    factor, axis = scaled(answer.panel.unit)
    names = [line.name for line in answer.lines]
    values = [
        {"t": round(time * 1000), "v": None if value is None else value / factor, "s": line.name}
        for line in answer.lines
        for time, value in line.points
    ]
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(names))]
    dashes = [DASHES[place // len(COLOURS) % len(DASHES)] for place in range(len(names))]
    longest = max(map(len, names))
    legend = {"orient": "bottom", "columns": 2 if longest < 30 else 1, "title": None, "labelLimit": 320, "symbolType": "stroke"}
    # Less than a quarter of an hour has several marks in one minute.
    clock = "%H:%M:%S" if values[-1]["t"] - values[0]["t"] < 900_000 else "%H:%M"
    # Nothing but zeros would be a line in the middle of an axis without numbers.
    top = max((value["v"] for value in values if value["v"]), default=0)
    scale = {} if top else {"domain": [0, 1]}
    # What has no unit is counted: few have no halves between them.
    ticks = 5 if axis else min(5, max(1, math.ceil(top)))
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE}.json",
        "width": "container",
        "height": HEIGHT,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "data": {"values": values},
        "mark": {"type": "line", "strokeWidth": 1.6, "point": len(values) <= len(names), "tooltip": True},
        "encoding": {
            "x": {"field": "t", "type": "temporal", "scale": {"type": "utc"},
                  "axis": {"title": None, "format": clock, "labelOverlap": True, "tickCount": 6}},
            "y": {"field": "v", "type": "quantitative", "scale": scale, "axis": {"title": axis or None, "tickCount": ticks}},
            "color": {"field": "s", "type": "nominal", "sort": names, "scale": {"domain": names, "range": colours}, "legend": legend},
            "strokeDash": {"field": "s", "type": "nominal", "sort": names, "scale": {"domain": names, "range": dashes}, "legend": legend},
            "tooltip": [
                {"field": "s", "type": "nominal", "title": "series"},
                {"field": "t", "type": "temporal", "title": "time (UTC)", "format": "%H:%M:%S"},
                {"field": "v", "type": "quantitative", "title": axis or "value", "format": ",.4~g"},
            ],
        },
    }  # fmt: skip


def png(description: dict[str, Any], title: str, width: int = 860) -> bytes:
    """Return a chart as a picture of `width` points, at twice as many pixels."""
    fixed = {**description, "width": width, "title": {"text": title, "anchor": "start"}, "background": "white"}
    return vl_convert.vegalite_to_png(fixed, vl_version=VEGA_LITE, scale=2)


def script() -> str:
    """Return the JavaScript that draws charts in a page: Vega, Vega-Lite and Vega-Embed, in one piece."""
    return vl_convert.javascript_bundle(vl_version=VEGA_LITE)
