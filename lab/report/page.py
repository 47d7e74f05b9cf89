"""Write the report as one page that opens from disk: tiles, tables and charts; nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

from lab.report import units
from lab.report.answers import Answer, Section
from lab.report.charts import chart
from lab.report.prometheus import Span
from lab.report.units import moment

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
.grid { display: grid; gap: .8rem; grid-template-columns: repeat(24, minmax(0, 1fr)); }
.card { background: var(--card); border: 1px solid var(--edge); border-radius: 8px; padding: .7rem .8rem; min-width: 0;
  grid-column: span var(--width, 24); }
.stat b { display: block; font-size: 1.35rem; font-weight: 600; } .stat small { color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--edge); text-align: right; white-space: nowrap; }
th.text, td.text { text-align: left; }
/* Long names give way to numbers where there is no room for both. */
th, td.text { white-space: normal; } td.text { min-width: 5rem; overflow-wrap: anywhere; }
.plot { width: 100%; min-height: 220px; }
@media (max-width: 760px) {
  body { padding: .6rem; } .card { grid-column: span 24; } .stat { grid-column: span 12; }
  .card { padding: .5rem; } table { font-size: .74rem; } th, td { padding: .2rem; }
}
"""

# Draws every chart in the colours of the page, and again when these change. A narrow one has one column of names.
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
function fitted(spec, width) {
  const limits = width < 450 ? { columns: 1, labelLimit: width - 60 } : {};
  const { color, strokeDash } = spec.encoding, legend = { ...color.legend, ...limits };
  return { ...spec, encoding: { ...spec.encoding, color: { ...color, legend }, strokeDash: { ...strokeDash, legend } } };
}
async function draw() {
  for (const [id, spec] of Object.entries(charts)) {
    const width = document.getElementById(id).clientWidth;
    await vegaEmbed('#' + id, fitted(spec, width), { actions: false, renderer: 'svg', config: colours() });
  }
  document.body.dataset.drawn = String(document.querySelectorAll('.plot svg').length);
}
dark.addEventListener('change', draw);
draw();
})();
"""


def page(title: str, span: Span, sections: Sequence[Section], script: str) -> str:
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


def card(answer: Answer, plot: str) -> str:
    """Return one panel: a tile, a table, or the place of a chart."""
    panel = answer.panel
    head = f"<h3>{escape(panel.title)}</h3>" + (f"<p>{escape(panel.description)}</p>" if panel.description else "")
    width = f'style="--width: {panel.width}"'
    if panel.kind == "timeseries":
        return f'<div class="card chart" {width}>{head}<div class="plot" id="{plot}"></div></div>'
    if panel.kind == "table":
        return f'<div class="card table" {width}>{head}<div class="scroll">{table(answer)}</div></div>'
    values = "".join(
        f"<b>{escape(units.text(line.points[-1][1], panel.unit))}</b><small>{escape(line.name)}</small>" for line in answer.lines
    )
    return f'<div class="card stat" {width}><h3>{escape(panel.title)}</h3>{values}</div>'


def table(answer: Answer) -> str:
    """Return a table's HTML; columns of words stand to the left, numbers to the right."""
    words = answer.words

    def cell(tag: str, column: str, text: str) -> str:
        return f'<{tag}{" class=text" if column in words else ""}>{escape(text)}</{tag}>'

    head = "".join(cell("th", column, column) for column in answer.columns)
    rows = "".join(
        "<tr>" + "".join(cell("td", column, answer.cell(row, column)) for column in answer.columns) + "</tr>" for row in answer.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
