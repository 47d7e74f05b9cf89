"""Every role keeps the house's rules: its inputs are specified, explained and its own, its tasks readable."""
import re
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
# Roles without a `<role>_state`, each with its reason.
STATELESS: dict[str, str] = {}
TABLE_OF_CONTENTS = 40
FORBIDDEN_MODULES = {"ansible.builtin.shell", "shell", "ansible.legacy.shell"}

role = pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir() if path.is_dir()))


def read(role, path):
    """Return a role's YAML file, {} where it has none."""
    file = ROLES / role / path
    return yaml.safe_load(file.read_text()) or {} if file.is_file() else {}


def specified(role):
    """Return the options of a role's main entry point."""
    return read(role, "meta/argument_specs.yml")["argument_specs"]["main"].get("options") or {}


def keys(node):
    """Yield every key of a YAML document, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from keys(value)
    elif isinstance(node, list):
        for value in node:
            yield from keys(value)


def task_files(role):
    """Return the files that hold a role's tasks and handlers."""
    return [path for folder in ("tasks", "handlers") for path in sorted((ROLES / role / folder).glob("*.yml"))]


@role
def test_every_default_is_specified_and_every_optional_input_has_a_default(role):
    optional = {name for name, option in specified(role).items() if not option.get("required")}
    assert set(read(role, "defaults/main.yml")) == optional


@role
def test_a_default_is_the_one_its_specification_tells(role):
    defaults = read(role, "defaults/main.yml")
    told = {name: option["default"] for name, option in specified(role).items() if "default" in option}
    assert {name: defaults[name] for name in told} == told


@role
def test_every_input_is_described_and_typed(role):
    assert [name for name, option in specified(role).items() if not option.get("description") or not option.get("type")] == []


@role
def test_every_default_has_a_comment_over_it(role):
    lines = (ROLES / role / "defaults/main.yml").read_text().splitlines()
    bare = [line for above, line in zip(["", *lines], lines, strict=False)
            if re.match(r"\w+:", line) and not above.startswith("# ")]
    assert bare == []


@role
def test_inputs_carry_the_roles_name(role):
    assert [name for name in specified(role) if not name.startswith(f"{role}_")] == []


@role
def test_taking_down_is_the_same_role(role):
    if role in STATELESS:
        pytest.skip(STATELESS[role])
    choices = specified(role)[f"{role}_state"]["choices"]
    assert (choices[0], choices[-1]) == ("present", "absent")


@role
def test_the_roles_readme_is_there(role):
    assert (ROLES / role / "README.md").read_text().startswith(f"# {role}\n")


@role
def test_the_main_tasks_are_a_table_of_contents(role):
    assert len((ROLES / role / "tasks/main.yml").read_text().splitlines()) <= TABLE_OF_CONTENTS


@role
def test_nothing_is_ignored_and_no_shell_is_run(role):
    found = {path.name: sorted({"ignore_errors", *FORBIDDEN_MODULES} & set(keys(yaml.safe_load(path.read_text()))))
             for path in task_files(role)}
    assert {name: words for name, words in found.items() if words} == {}


@role
def test_registered_values_are_the_roles_own(role):
    registered = {name for path in task_files(role) for name in re.findall(r"^\s+register: (\w+)", path.read_text(), re.MULTILINE)}
    assert [name for name in registered if not name.startswith(f"__{role}_")] == []


def test_a_role_without_a_state_is_a_role():
    assert set(STATELESS) <= {path.name for path in ROLES.iterdir()}
