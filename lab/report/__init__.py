"""Write what the dashboards show into files that need no Grafana: `python -m lab report`."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lab.gitops import GitopsError, state
from lab.report import dashboards, tables
from lab.report.answers import Section, ask
from lab.report.charts import chart, png, script
from lab.report.dashboards import FOLDER, Dashboard, ReportError
from lab.report.page import page
from lab.report.prometheus import Prometheus, Span

CHECKOUT = Path(__file__).parents[2]
# The dashboard whose tables are printed, and kept as Markdown and JSON.
TABLES = "memory"


def gather(found: Sequence[Dashboard], prometheus: Prometheus, span: Span) -> list[Section]:
    """Ask for every panel. Returns each dashboard with its answers and the panels that the report cannot draw."""
    sections = []
    for dashboard in found:
        answers = [ask(panel, prometheus, span) for panel in dashboard.panels if panel.drawn]
        left = [panel for panel in dashboard.panels if not panel.drawn and panel.kind not in dashboards.SILENT]
        sections.append((dashboard, answers, left))
    return sections


def write(sections: Sequence[Section], span: Span, title: str, into: Path) -> list[Path]:
    """Write page, pictures and tables into a folder that exists; returns what was written."""
    files = {"report.html": page(title, span, sections, script()).encode()}
    kept = [answer for dashboard, answers, _ in sections for answer in answers if dashboard.name == TABLES and answer.columns]
    files["memory.md"] = tables.markdown(kept, span.end).encode()
    files["memory.json"] = tables.document(kept, span.end).encode()
    for dashboard, answers, _ in sections:
        for answer in answers:
            if answer.panel.kind == "timeseries":
                files[f"{dashboard.name}-{slug(answer.panel.title)}.png"] = png(chart(answer), answer.panel.title)
    for name, content in files.items():
        (into / name).write_bytes(content)
    return [into / name for name in files]


def slug(title: str) -> str:
    """Return a title as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def replace(into: Path, made: Sequence[Path]) -> list[Path]:
    """Move a finished report to where the last one is; pictures of panels that are gone go."""
    for old in into.glob("*.png"):
        if old.name not in {path.name for path in made}:
            old.unlink()
    return [path.replace(into / path.name) for path in made]


def seconds(text: str) -> float:
    """Return a length of time like 90s, 15m or 2h in seconds."""
    match = re.fullmatch(r"(\d+)([smh])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no length of time like 90s, 15m or 2h")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def main(argv: list[str]) -> int:
    """Run `python -m lab report`; return 0, or 1 after one line that says why there is no report."""
    options = argparse.ArgumentParser(prog="python -m lab report", description=__doc__)
    options.add_argument("--name", default="lab", help="the lab's name (default: %(default)s)")
    options.add_argument("--since", type=seconds, default="15m", help="how far to look back: 90s, 15m, 2h (default: %(default)s)")
    options.add_argument("--until", type=float, help="until when, in seconds since the epoch (default: now)")
    options.add_argument("--dashboards", type=Path, default=FOLDER, help="folder of the dashboards (default: %(default)s)")
    args = options.parse_args(argv)
    try:
        lab = state.load(args.name, CHECKOUT, up=False)
    except GitopsError as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    span = Span.until(args.until or time.time(), args.since)
    reports = lab.state / "reports"
    reports.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".report-", dir=reports))
    try:
        found = sorted(dashboards.load(args.dashboards), key=lambda dashboard: dashboard.name != TABLES)
        sections = gather(found, Prometheus(lab.http, lab.host("prometheus"), lab.address), span)
        written = replace(reports, write(sections, span, f"Cluster lab: {args.name}", scratch))
    except (ReportError, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch)
    for dashboard, answers, left in sections:
        for panel in left:
            print(f"report: {dashboard.file}, panel '{panel.title}': not drawn, it is of type '{panel.kind}'", file=sys.stderr)
        print("".join(f"{tables.plain(answer)}\n\n" for answer in answers if dashboard.name == TABLES and answer.columns), end="")
    print("\n".join(str(path) for path in written))
    return 0
