"""Whatever waits says for how long at most, in the name that is shown while it does, and says why where it was not enough."""

import re
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]
FILES = sorted([*(CHECKOUT / "roles").glob("*/tasks/*.yml"), *(CHECKOUT / "playbooks").glob("*.yml")])
# Modules that fetch from elsewhere: nothing in them ends by itself.
FETCHES = {"ansible.builtin.apt"}


def tasks(node):
    """Yield every task of a document, those in blocks and plays too."""
    for item in node or []:
        inner = [task for key in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks") for task in tasks(item.get(key))]
        yield from inner or ([item] if "block" not in item and "hosts" not in item else [])


TASKS = [pytest.param(path, task, id=f"{path.relative_to(CHECKOUT)}: {task['name']}")
         for path in FILES for task in tasks(yaml.safe_load(path.read_text())) if "name" in task]  # fmt: skip


def words(path, task):
    """Return a task as text, with those of the role's variables that it is made of."""
    text = yaml.safe_dump({key: value for key, value in task.items() if key != "name"}, width=10_000)
    own = path.parents[1] / "vars" / "main.yml"
    known = yaml.safe_load(own.read_text()) if own.is_file() else {}
    for _ in range(2):
        text += "".join(yaml.safe_dump(known[name], width=10_000) for name in set(re.findall(r"__\w+", text)) if name in known)
    return text


def waits(path, task):
    """Say whether a task may take long because of something else."""
    module = next((key for key in task if "." in key), "")
    if module in ("ansible.builtin.include_role", "ansible.builtin.include_tasks", "ansible.builtin.fail", "ansible.builtin.set_fact"):
        return False
    text = words(path, task)
    return module in FETCHES or "async" in task or bool(re.search(r"wait_timeout|--timeout[ =]|\btimeout\b, |^ *- timeout$", text, re.MULTILINE))


WAITS = [param for param in TASKS if waits(*param.values)]


def test_there_is_something_to_check():
    assert len(WAITS) > 15


@pytest.mark.parametrize(("path", "task"), WAITS)
def test_what_waits_says_for_how_long_at_most(path, task):
    assert "at most" in task["name"]


def test_nothing_is_tried_again_without_saying_why_it_failed():
    # Ansible says `FAILED - RETRYING` a hundred times, and at the end nothing of what was waited for: a module of lab/ does.
    assert [param.id for param in TASKS if "until" in param.values[1]] == []


@pytest.mark.parametrize(("path", "task"), [param for param in WAITS if next(k for k in param.values[1] if "." in k) in FETCHES])
def test_what_fetches_is_ended(path, task):
    assert 0 < task["timeout"] <= 1800
