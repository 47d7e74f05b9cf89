"""Write tables for people and for programs: plain text, Markdown, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lab.report.answers import Answer
from lab.report.units import moment


def cells(answer: Answer) -> list[list[str]]:
    """Return the table as text, its columns' names first."""
    return [list(answer.columns), *([answer.cell(row, column) for column in answer.columns] for row in answer.rows)]


def plain(answer: Answer) -> str:
    """Return the table for a terminal."""
    text, left = cells(answer), [column in answer.words for column in answer.columns]
    widths = [max(len(row[place]) for row in text) for place in range(len(answer.columns))]
    lines = [
        "  ".join(cell.ljust(width) if word else cell.rjust(width) for cell, width, word in zip(row, widths, left, strict=True)).rstrip()
        for row in text
    ]
    return "\n".join([answer.panel.title, "", *lines])


def markdown(answers: Sequence[Answer], at: float) -> str:
    """Return tables as Markdown, under the titles of their panels."""
    parts = [f"Measured at {moment(at)} UTC."]
    for answer in answers:
        head, *rows = [[cell.replace("|", "\\|") for cell in row] for row in cells(answer)]
        rule = ["---" if column in answer.words else "---:" for column in answer.columns]
        lines = [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
        parts.append("\n".join([f"## {answer.panel.title}", "", answer.panel.description, "", *lines]))
    return "\n\n".join(parts) + "\n"


def document(answers: Sequence[Answer], at: float) -> str:
    """Return tables as JSON: bytes and shares as the numbers that Prometheus gave."""
    tables = {answer.panel.title: list(answer.rows) for answer in answers}
    return json.dumps({"time": at, "tables": tables}, indent=2, ensure_ascii=False) + "\n"
