"""Write the report as one page that opens from disk: tiles, tables and charts; nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from lab.report import units
from lab.report.answers import Answer
from lab.report.charts import chart
from lab.report.dashboards import Dashboard, Panel
from lab.report.prometheus import Span

STYLE = """
:root { color-scheme: light dark; --ground: #fbfbfa; --card: #fff; --text: #1d2329; --soft: #5c6770; --edge: #dfe3e6; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14181b; --card: #1c2226; --text: #e4e8ea; --soft: #9aa6ae; --edge: #323b41; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1280px; padding: 1rem; background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .2rem 0; } h2 { font-size: 1.2rem; margin: 1.6rem 0 .2rem; }
h3 { font-size: .95rem; margin: 0 0 .2rem; } p { margin: .1rem 0 .5rem; color: var(--soft); font-size: .87rem; }
.grid { display: grid; gap: .8rem; grid-template-columns: repeat(12, minmax(0, 1fr)); }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 8px; padding: .7rem .8rem; min-width: 0; }
.stat { grid-column: span 3; } .chart { grid-column: span 6; } .table { grid-column: span 12; } .note { grid-column: span 12; }
.stat b { display: block; font-size: 1.35rem; font-weight: 600; } .stat small { color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--edge); text-align: right; white-space: nowrap; }
th.text, td.text { text-align: left; } .plot { width: 100%; min-height: 220px; }
@media (max-width: 760px) { .stat { grid-column: span 6; } .chart { grid-column: span 12; } body { padding: .6rem; } }
"""

# Draws every chart in the colours of the page, and again when these change.
DRAW = """
(() => {
const charts = JSON.parse(document.getElementById('charts').textContent);
const dark = window.matchMedia('(prefers-color-scheme: dark)');
function colours() {
  const text = dark.matches ? '#c9d1d6' : '#3d474e', lines = dark.matches ? '#323b41' : '#e4e7ea';
  return { background: null, font: 'system-ui, sans-serif', view: { stroke: lines },
    axis: { labelColor: text, titleColor: text, gridColor: lines, domainColor: lines, tickColor: lines },
    legend: { labelColor: text, titleColor: text } };
}
async function draw() {
  for (const [id, spec] of Object.entries(charts)) {
    await vegaEmbed('#' + id, spec, { actions: false, renderer: 'svg', config: colours() });
  }
  document.body.dataset.drawn = String(document.querySelectorAll('.plot svg').length);
}
dark.addEventListener('change', draw);
draw();
})();
"""


def page(title: str, span: Span, sections: Sequence[tuple[Dashboard, Sequence[Answer], Sequence[Panel]]], script: str) -> str:
    """Return the page: a section for each dashboard with its answers, and the panels that could not be drawn.

    `script` is the library that draws; where it is fetched from is nowhere, by the page's own policy.
    """
    charts: dict[str, Any] = {}
    body = [f"<h1>{escape(title)}</h1>", f"<p>{moment(span.start)} to {moment(span.end)} UTC, a point every {span.step:.0f} s</p>"]
    for dashboard, answers, left in sections:
        body += [f'<section id="{escape(dashboard.name)}"><h2>{escape(dashboard.title)}</h2>', f"<p>{escape(dashboard.description)}</p>",
                 '<div class="grid">']  # fmt: skip
        for answer in answers:
            if answer.panel.kind == "timeseries":
                charts[f"chart-{len(charts) + 1}"] = chart(answer)
            body.append(card(answer, f"chart-{len(charts)}"))
        body += [f'<div class="card note">Not drawn: {escape(panel.title)} (a panel of type {escape(panel.kind)})</div>' for panel in left]
        body.append("</div></section>")
    policy = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
    library = script.replace("</script", r"<\/script")
    data = json.dumps(charts, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + f'\n<script type="application/json" id="charts">{data}</script>\n'
        + f"<script>{{{library}}}</script>\n<script>{DRAW}</script>\n</body>\n</html>\n"
    )


def moment(seconds: float) -> str:
    """Return a moment as date and time, UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def card(answer: Answer, plot: str) -> str:
    """Return one panel: a tile, a table, or the place of a chart."""
    panel = answer.panel
    head = f"<h3>{escape(panel.title)}</h3>" + (f"<p>{escape(panel.description)}</p>" if panel.description else "")
    if panel.kind == "timeseries":
        return f'<div class="card chart">{head}<div class="plot" id="{plot}"></div></div>'
    if panel.kind == "table":
        return f'<div class="card table">{head}<div class="scroll">{table(answer)}</div></div>'
    values = "".join(
        f"<b>{escape(units.text(line.points[-1][1], panel.unit))}</b><small>{escape(line.name)}</small>" for line in answer.lines
    )
    return f'<div class="card stat"><h3>{escape(panel.title)}</h3>{values}</div>'


def table(answer: Answer) -> str:
    """Return a table's HTML; columns of words stand to the left, numbers to the right."""
    words = {column for column in answer.columns if any(isinstance(row[column], str) for row in answer.rows)}

    def cell(tag: str, column: str, text: str) -> str:
        return f'<{tag}{" class=text" if column in words else ""}>{escape(text)}</{tag}>'

    head = "".join(cell("th", column, column) for column in answer.columns)
    rows = "".join(
        "<tr>" + "".join(cell("td", column, shown(answer, row, column)) for column in answer.columns) + "</tr>" for row in answer.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def shown(answer: Answer, row: dict[str, Any], column: str) -> str:
    """Return one cell of a table as people read it."""
    value = row[column]
    return value if isinstance(value, str) else units.text(value, answer.panel.units.get(column, answer.panel.unit))
