"""Say what a play is at, what it waits for and for how long at most, and how long each stage took."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import yaml
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stages
type: aggregate
short_description: the stages of a play, the progress of long tasks, and the time that each took
description:
  - A stage is one of the roles that a play lists, whatever roles it calls itself. It is announced with its outcome, and ends with
    the time it took.
  - Ansible shows what a task printed when the task is over. So one that has run for a second is named, with the longest time it may
    take, and again every half minute; lines that a build adds to logs/progress.log of the lab's state folder are shown as they come.
  - At the end a table says how long each stage took, and which tasks took longest; the same goes to reports/stages.json.
  - Where a play fails, its reason is the last thing that is said, below the table, and without Ansible's own lines around it.
"""

# Seconds after which a task is worth a line, and between two lines on the same one.
FIRST, AGAIN = 1.0, 30.0
# How many of the slowest tasks are named at the end, and the seconds from which on one is.
NAMED, LEAST = 3, 1.0
# How many lines of what a failed command said are shown again at the end.
SHOWN = 12


class Stages:
    """Which stage and which task a play is at, and the seconds of those before; `say` shows a line, `clock` counts seconds."""

    def __init__(self, say, clock=time.monotonic) -> None:
        self.seconds: dict[str, float] = {}
        self.tasks: list[tuple[float, str, str]] = []
        self._say, self._clock = say, clock
        self._stage: tuple[str, float] | None = None
        self._task: tuple[str, float] | None = None
        self._next, self._announced = 0.0, False

    def begin(self, stage: str, outcome: str, task: str) -> None:
        """Begin a task, and with it the stage where that is another one; the play's own tasks have no outcome to announce."""
        if self._stage is None or self._stage[0] != stage:
            self.end()
            self._stage, self._announced = (stage, self._clock()), bool(outcome)
            if outcome:
                self._say(f"\nSTAGE {stage}: {outcome}")
        self._end_task()
        self._task, self._next = (task, self._clock()), FIRST

    def look(self) -> None:
        """Name the task if it has been running for so long that somebody wonders."""
        task = self._task
        if task is None or (running := self._clock() - task[1]) < self._next:
            return
        self._say(f"  {task[0]} ..." if self._next == FIRST else f"  {task[0]}: {running:.0f} s so far")
        self._next = AGAIN if self._next == FIRST else self._next + AGAIN

    def end(self) -> None:
        """End the task and the stage under way."""
        self._end_task()
        if self._stage:
            stage, began = self._stage
            took = self._clock() - began
            self.seconds[stage] = self.seconds.get(stage, 0.0) + took
            self._stage = None
            if self._announced:
                self._say(f"  {stage} took {took:.1f} s")

    def _end_task(self) -> None:
        if self._task and self._stage:
            name, began = self._task
            self.tasks.append((self._clock() - began, self._stage[0], name))
        self._task = None

    def table(self, total: float) -> list[str]:
        """Return the table of stages, slowest marked, and below it the tasks that took longest."""
        slowest = max(self.seconds, key=self.seconds.__getitem__)
        lines = [f"{stage:<16}{took:8.1f} s{'  slowest' if stage == slowest else ''}" for stage, took in self.seconds.items()]
        lines.append(f"{'all':<16}{total:8.1f} s")
        named = [task for task in sorted(self.tasks, reverse=True)[:NAMED] if task[0] >= LEAST]
        return lines + (["", "what took longest:"] if named else []) + [f"  {took:.1f} s in {stage}: {name}" for took, stage, name in named]


def reason(result: dict) -> list[str]:
    """Return why a task failed, as lines: of a loop its first item's reason, of a command the end of its standard error, too."""
    result = next((item for item in result.get("results", []) if item.get("failed")), result)
    message = result.get("msg") or result.get("censored") or "no reason given"
    lines = [str(line) for line in message] if isinstance(message, list) else str(message).splitlines()
    return lines + [f"  {line}" for line in (result.get("stderr_lines") or [])[-SHOWN:]]


class CallbackModule(CallbackBase):
    """Tell Ansible's events to `Stages`, and follow the lab's progress file."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stages"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._stages = Stages(lambda line: self._display.display(line, color="cyan"))
        self._began = time.monotonic()
        self._state: Path | None = None
        self._failure: tuple[str, list[str]] | None = None
        self._stop = threading.Event()
        self._follower: threading.Thread | None = None

    def v2_playbook_on_play_start(self, play) -> None:
        """Learn where the lab's state is, and start to follow what goes on."""
        variables = play.get_variable_manager().get_vars(play=play, host=_first_host(play))
        from ansible.template import Templar

        try:
            state = Templar(play.get_loader(), variables=variables).template(variables["lab_state_dir"])
        except Exception:  # a play without a lab has no progress to follow
            return
        self._state = Path(str(state))
        if self._follower is None:
            self._follower = threading.Thread(target=self._follow, daemon=True)
            self._follower.start()

    def _follow(self) -> None:
        path = self._state / "logs" / "progress.log"
        seen = path.stat().st_size if path.exists() else 0
        while not self._stop.wait(0.5):
            self._stages.look()
            if path.exists() and path.stat().st_size > seen:
                with path.open() as file:
                    file.seek(seen)
                    text = file.read()
                    seen = file.tell()
                for line in text.splitlines():
                    self._display.display(f"  {line}", color="cyan")

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        """Begin the task, in the stage that it belongs to."""
        role = _outermost_role(task)
        self._stages.begin(role.get_name() if role else "playbook", _outcome(role) if role else "", task.get_name().strip().rpartition(" : ")[2])

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:
        """Keep why a task failed; the last one is what a play ended for."""
        if not ignore_errors:
            self._failure = (result.task.get_name().strip(), reason(result.result))

    def v2_playbook_on_stats(self, stats) -> None:
        """Print the table, and leave it where benchmarks find it."""
        self._stages.end()
        self._stop.set()
        if not self._stages.seconds:
            return
        total = time.monotonic() - self._began
        self._display.banner("STAGES")
        for line in self._stages.table(total):
            self._display.display(line)
        # A lab that was taken down has no record any more, and gets no report.
        if self._state and (self._state / "lab.yml").is_file():
            reports = self._state / "reports"
            reports.mkdir(exist_ok=True)
            (reports / "stages.json").write_text(json.dumps({"stages": self._stages.seconds, "total": total}, indent=1))
        if self._failure and any(stats.failures.values()):
            task, lines = self._failure
            self._display.banner(f"FAILED: {task}", color="red")
            for line in lines:
                self._display.display(line, color="red")


def _outermost_role(task):
    """Return the role that the play lists, however deep in it the task is; None for a task of the play's own."""
    found = None
    while task is not None:
        found = task._role or found
        task = task._parent
    return found


def _outcome(role) -> str:
    """Return what the role's own specification says that it is for."""
    specs = Path(role._role_path) / "meta" / "argument_specs.yml"
    return yaml.safe_load(specs.read_text())["argument_specs"]["main"]["short_description"] if specs.is_file() else ""


def _first_host(play):
    hosts = play.get_variable_manager()._inventory.get_hosts(play.hosts)
    return hosts[0] if hosts else None
