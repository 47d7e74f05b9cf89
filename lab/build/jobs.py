"""Run jobs that depend on each other, on a few lanes, and say what is under way."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

# How many lines of a failed job's log are shown where the user looks.
SHOWN = 12


class JobError(Exception):
    """A job failed; the message says which, why, and where its log is."""


@dataclass
class Job:
    """One unit of work. `lane` says what it competes for; jobs of one lane run one after the other."""

    name: str
    run: Callable[[Path], None]
    lane: str
    deps: set[str] = field(default_factory=set)
    what: str = ""


class Progress:
    """Say what starts and what is done, on standard output and in a file others can follow."""

    def __init__(self, file: Path, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._file, self._total, self._clock = file, total, clock
        self._done = 0
        self._lock = threading.Lock()
        self._started: dict[str, float] = {}

    def start(self, job: Job) -> None:
        """Note that `job` starts."""
        with self._lock:
            self._started[job.name] = self._clock()
            self.say(f"build: {job.name} ... {job.what}".rstrip())

    def end(self, job: Job) -> float:
        """Note that `job` is done; return its seconds."""
        with self._lock:
            seconds = self._clock() - self._started.pop(job.name)
            self._done += 1
            rest = f"; under way: {', '.join(self._started)}" if self._started else ""
            self.say(f"build: {job.name} done in {seconds:.0f} s ({self._done}/{self._total}{rest})")
            return seconds

    def fail(self, job: Job, failure: JobError, log: Path) -> None:
        """Note that `job` failed, with the end of its log: a compiler says what is wrong some lines before the last."""
        with self._lock:
            self._started.pop(job.name, None)
            self.say(f"build: FAILED {failure}")
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            for line in lines[-SHOWN:]:
                self.say(f"  | {line}")

    def say(self, line: str) -> None:
        """Write one line where the user looks."""
        # Who looked may be gone; a build that stopped for that would keep others from theirs.
        with contextlib.suppress(BrokenPipeError):
            print(line, flush=True)
        with self._file.open("a") as file:
            file.write(line + "\n")


def run(jobs: list[Job], lanes: dict[str, int], logs: Path, progress: Progress) -> dict[str, float]:
    """Run every job once those it depends on are done; return seconds per job.

    Jobs start in the order given, as far as their lane (how many at once) and their dependencies allow.
    The first failure stops new jobs from starting, waits for those under way, and raises JobError.
    """
    logs.mkdir(parents=True, exist_ok=True)
    waiting, done, active = list(jobs), set[str](), dict.fromkeys(lanes, 0)
    seconds: dict[str, float] = {}
    failures: list[JobError] = []
    changed = threading.Condition()

    def work(job: Job) -> None:
        log = logs / f"build-{job.name}.log"
        log.write_text("")
        try:
            job.run(log)
            took = progress.end(job)
            with changed:
                seconds[job.name] = took
                done.add(job.name)
        except Exception as error:  # a job's failure of any kind stops the build, by name
            failure = JobError(f"{job.name}: {error} (log: {log})")
            with changed:
                failures.append(failure)
            progress.fail(job, failure, log)
        finally:  # whatever happened: who waits would wait for ever
            with changed:
                active[job.lane] -= 1
                changed.notify()

    with changed:
        while True:
            ready = [] if failures else [job for job in waiting if job.deps <= done]
            for job in ready:
                if active[job.lane] < lanes[job.lane]:
                    waiting.remove(job)
                    active[job.lane] += 1
                    progress.start(job)
                    threading.Thread(target=work, args=(job,), name=job.name, daemon=True).start()
            if not any(active.values()):
                break
            changed.wait()
    if failures:
        raise failures[0]
    if waiting:
        raise JobError(f"nothing can provide what {waiting[0].name} needs: {', '.join(sorted(waiting[0].deps - done))}")
    return seconds
