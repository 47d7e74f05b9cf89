"""What every run of pytest leaves at its end: the figures that tests recorded, and for `make test` which tests failed."""

import os
from pathlib import Path

from tests.suite import FAILURES


def note(report, when):
    """Note what failed for the closing lines of `make test`."""
    if report.failed and (file := os.environ.get(FAILURES)):
        reason = getattr(report.longrepr, "reprcrash", None)
        said = reason.message.splitlines()[:1] if reason else str(report.longrepr).splitlines()[-1:]
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(f"{report.nodeid} ({when}): {''.join(said)[:300]}\n")


def pytest_runtest_logreport(report):
    """Note a failed test."""
    note(report, report.when)


def pytest_collectreport(report):
    """Note a file whose tests cannot be had."""
    note(report, "collect")


def pytest_terminal_summary(terminalreporter):
    """Print the figures that tests recorded with `record_property`."""
    reports = [report for found in terminalreporter.stats.values() for report in found if getattr(report, "when", "") == "teardown"]
    lines = [f"{report.nodeid.partition('::')[2]}: {name}: {value}" for report in reports for name, value in report.user_properties]
    if lines:
        terminalreporter.section("figures")
    for line in lines:
        terminalreporter.line(line)
