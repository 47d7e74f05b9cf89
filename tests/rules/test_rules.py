"""The alerts, by promtool: what fires, when, with which words; and that every alert is tested and says what to do."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.tools import tool

HERE = Path(__file__).parent
RULES = sorted((HERE.parents[1] / "roles" / "monitoring" / "files" / "rules").glob("*.yml"))
ALERTS = [
    (path.stem, rule)
    for path in RULES
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


@pytest.fixture(scope="session")
def promtool():
    """Return a function that runs the promtool of the catalog, once a lab was built; else the one on the path."""
    found = tool("promtool")
    return lambda *words: subprocess.run([found, *words], cwd=HERE, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_are_valid(promtool, path):
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_do_what_they_say(promtool, path):
    done = promtool("test", "rules", path.name)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("file", "rule"), ALERTS, ids=lambda value: value["alert"] if isinstance(value, dict) else value)
def test_alert_is_tested(file, rule):
    assert rule["alert"] in (HERE / f"{file}.yml").read_text()


@pytest.mark.parametrize("key", ["summary", "runbook"])
@pytest.mark.parametrize("rule", [rule for _, rule in ALERTS], ids=lambda rule: rule["alert"])
def test_alert_says(rule, key):
    assert rule["annotations"][key].endswith(".")


@pytest.mark.parametrize("rule", [rule for _, rule in ALERTS], ids=lambda rule: rule["alert"])
def test_alert_has_a_severity(rule):
    assert rule["labels"]["severity"] in ("none", "info", "warning", "critical")
