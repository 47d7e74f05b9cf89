"""What a play says of itself while it runs: its stages, what takes long, and what took longest."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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


@pytest.mark.parametrize(("result", "lines"), [
    ({"msg": "port 1 is in use\nport 2 is in use"}, ["port 1 is in use", "port 2 is in use"]),
    ({"msg": ["Application vars: OutOfSync", "sync Failed"]}, ["Application vars: OutOfSync", "sync Failed"]),
    ({"msg": "non-zero return code", "stderr_lines": [str(line) for line in range(20)]},
     ["non-zero return code", *(f"  {line}" for line in range(8, 20))]),
    ({"msg": "One or more items failed", "results": [{"msg": "fine"}, {"failed": True, "msg": "no such pod"}]}, ["no such pod"]),
    ({"censored": "the output has been hidden"}, ["the output has been hidden"]),
    ({}, ["no reason given"]),
])  # fmt: skip
def test_reason_of_a_failure_is_the_tasks_own(plugin, result, lines):
    assert plugin.reason(result) == lines


def test_reason_is_the_last_thing_that_is_said(tmp_path):
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": [
        {"name": "Let pass", "ansible.builtin.fail": {"msg": "of no matter"}, "ignore_errors": True},
        {"name": "Refuse", "ansible.builtin.fail": {"msg": "one\ntwo"}}]}]))  # fmt: skip
    done = subprocess.run([Path(sys.executable).with_name("ansible-playbook"), playbook], cwd=PLUGIN.parents[3], capture_output=True, text=True,
                          timeout=120, check=False, env={**os.environ, "ANSIBLE_NOCOLOR": "1"})  # fmt: skip
    *_, banner, first, second = done.stdout.strip().splitlines()
    assert (done.returncode, banner.strip(" *"), first, second) == (2, "FAILED: Refuse", "one", "two")


def test_table_marks_the_slowest_stage_and_names_the_slowest_tasks(stages, clock):
    for stage, task, took in (("images", "Build", 3), ("kind", "Look", 0.5), ("kind", "Run kind", 2), ("git", "Push", 1), ("git", "Wait", 1.5)):
        stages.begin(stage, "", task)
        clock.sleep(took)
    stages.end()
    assert [line.strip() for line in stages.table(8)] == [
        "images               3.0 s  slowest", "kind                 2.5 s", "git                  2.5 s", "all                  8.0 s",
        "", "what took longest:", "3.0 s in images: Build", "2.0 s in kind: Run kind", "1.5 s in git: Wait"]  # fmt: skip
