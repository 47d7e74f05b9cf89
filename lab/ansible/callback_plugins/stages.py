"""Show what a long task is doing while it runs, and how long each role took."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stages
type: aggregate
short_description: progress of long tasks, and the time each role took
description:
  - Ansible shows what a task printed when the task is over. A build takes minutes, so lines that it adds to
    logs/progress.log of the lab's state folder are shown as they come.
  - At the end a table says how long each role took; the same goes to reports/stages.json.
"""


class CallbackModule(CallbackBase):
    """Follow the lab's progress file; add up the seconds of each role."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stages"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._seconds: dict[str, float] = {}
        self._current: tuple[str, float] | None = None
        self._began = time.monotonic()
        self._state: Path | None = None
        self._stop = threading.Event()
        self._follower: threading.Thread | None = None

    def v2_playbook_on_play_start(self, play) -> None:
        """Learn where the lab's state is, and start to follow its progress."""
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
            if path.exists() and path.stat().st_size > seen:
                with path.open() as file:
                    file.seek(seen)
                    text = file.read()
                    seen = file.tell()
                for line in text.splitlines():
                    self._display.display(f"  {line}", color="cyan")

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:
        """End the stage under way where another role begins."""
        role = task._role.get_name() if task._role else "playbook"
        now = time.monotonic()
        if self._current is None or self._current[0] != role:
            self._end(now)
            self._current = (role, now)

    def _end(self, now: float) -> None:
        if self._current:
            role, began = self._current
            self._seconds[role] = self._seconds.get(role, 0.0) + now - began
            self._current = None

    def v2_playbook_on_stats(self, stats) -> None:
        """Print the table, slowest marked, and leave it where benchmarks find it."""
        self._end(time.monotonic())
        self._stop.set()
        if not self._seconds:
            return
        slowest = max(self._seconds, key=self._seconds.__getitem__)
        total = time.monotonic() - self._began
        self._display.banner("STAGES")
        for role, seconds in self._seconds.items():
            self._display.display(f"{role:<16}{seconds:8.1f} s{'  slowest' if role == slowest else ''}")
        self._display.display(f"{'all':<16}{total:8.1f} s")
        # A lab that was taken down has no record any more, and gets no report.
        if self._state and (self._state / "lab.yml").is_file():
            reports = self._state / "reports"
            reports.mkdir(exist_ok=True)
            (reports / "stages.json").write_text(json.dumps({"stages": self._seconds, "total": total}, indent=1))


def _first_host(play):
    hosts = play.get_variable_manager()._inventory.get_hosts(play.hosts)
    return hosts[0] if hosts else None
