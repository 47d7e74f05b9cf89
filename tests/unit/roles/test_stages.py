"""What a play says of itself while it runs: its stages, what takes long, and what took longest."""

import importlib.util
from pathlib import Path

import pytest

from tests.unit.clock import Clock

pytest.importorskip("ansible", reason="Ansible is not installed: what a play says of itself was not checked")

PLUGIN = Path(__file__).parents[3] / "lab" / "ansible" / "callback_plugins" / "stages.py"


@pytest.fixture(scope="module")
def plugin():
    """Load the plugin, which is in no package."""
    spec = importlib.util.spec_from_file_location("stages", PLUGIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said():
    return []


@pytest.fixture
def stages(plugin, clock, said):
    return plugin.Stages(said.append, clock.monotonic)


def test_stage_says_its_name_its_outcome_and_what_it_took(stages, clock, said):
    stages.begin("kind", "A cluster runs", "Look")
    clock.sleep(2)
    stages.begin("network", "Pods reach each other", "Have it")
    assert said == ["\nSTAGE kind: A cluster runs", "  kind took 2.0 s", "\nSTAGE network: Pods reach each other"]


def test_task_of_less_than_a_second_is_not_named(stages, clock, said):
    stages.begin("kind", "x", "Look")
    clock.sleep(0.9)
    stages.look()
    assert said == ["\nSTAGE kind: x"]


def test_task_that_takes_long_is_named_and_then_again_every_half_minute(stages, clock, said):
    stages.begin("kind", "x", "Run kind, at most (s): 180")
    for _ in range(140):
        clock.sleep(0.5)
        stages.look()
    assert said[1:] == ["  Run kind, at most (s): 180 ...", "  Run kind, at most (s): 180: 30 s so far", "  Run kind, at most (s): 180: 60 s so far"]


def test_next_task_is_named_anew(stages, clock, said):
    for name in ("one", "two"):
        stages.begin("kind", "x", name)
        clock.sleep(1)
        stages.look()
    assert said[1:] == ["  one ...", "  two ..."]


def test_tasks_of_the_play_itself_are_no_stage(stages, clock, said):
    stages.begin("playbook", "", "Look")
    stages.end()
    assert said == []
    assert stages.seconds == {"playbook": 0}


def test_stage_that_comes_twice_is_added_up(stages, clock):
    for stage, took in (("images", 3), ("kind", 1), ("images", 4)):
        stages.begin(stage, "", "x")
        clock.sleep(took)
    stages.end()
    assert stages.seconds == {"images": 7, "kind": 1}


def test_table_marks_the_slowest_stage_and_names_the_slowest_tasks(stages, clock):
    for stage, task, took in (("images", "Build", 3), ("kind", "Look", 0.5), ("kind", "Run kind", 2), ("git", "Push", 1), ("git", "Wait", 1.5)):
        stages.begin(stage, "", task)
        clock.sleep(took)
    stages.end()
    assert [line.strip() for line in stages.table(8)] == [
        "images               3.0 s  slowest", "kind                 2.5 s", "git                  2.5 s", "all                  8.0 s",
        "", "what took longest:", "3.0 s in images: Build", "2.0 s in kind: Run kind", "1.5 s in git: Wait"]  # fmt: skip
