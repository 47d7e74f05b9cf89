"""Measure how long a lab takes: cold (nothing built), warm (built, no cluster), a rerun, and down.

A lab of its own name and ports is stood up and taken down; the user's lab and cache stay as they are. Images that the Docker
engine holds from earlier builds, and Debian packages on this machine, cannot be put away without harming others: the
report says how many images there were.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.cache import cache_dir

CHECKOUT = Path(__file__).parents[2]
PHASES = ("cold", "warm", "rerun", "down")
# What each phase is to take at most, in seconds: until the first answer, and until the play's end.
TARGETS = {"cold": (600, 960), "warm": (90, 150), "rerun": (None, 45), "down": (None, None)}
PORTS = ("lab_http_port", "lab_https_port", "lab_registry_port")
# The one beside this interpreter: a virtual environment need not be activated.
PROGRAM = str(Path(sys.executable).parent / "ansible-playbook")
UP, DOWN = "site.yml", "playbooks/down.yml"
QUESTION = "/var/a/1"
HOST = "vars.localhost"


class BenchError(Exception):
    """Say why a phase could not be measured."""


@dataclass
class Result:
    """One phase: its seconds, those until the first answer, those of each stage, and how it ended."""

    phase: str
    seconds: float
    first_answer: float | None
    code: int
    recap: str
    stages: dict[str, float] = field(default_factory=dict)


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def answers(port: int, timeout: float = 2.0) -> bool:
    """Say whether the service answers through the ingress: connect to 127.0.0.1 and name the host, as no DNS is asked."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", QUESTION, headers={"Host": HOST})
        reply = connection.getresponse()
        return reply.status == 200 and reply.read().decode().strip() == "a = 1"
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return False
    finally:
        connection.close()


class Watch:
    """Ask from the start, in a thread, until the first answer; `seconds` says when it came, None if it never did."""

    def __init__(self, ask: Callable[[], bool], clock: Callable[[], float] = time.monotonic, pause: float = 0.25) -> None:
        self.seconds: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(ask, clock, clock(), pause), daemon=True)
        self._thread.start()

    def _watch(self, ask: Callable[[], bool], clock: Callable[[], float], began: float, pause: float) -> None:
        while not self._ended.is_set():
            if ask():
                self.seconds = clock() - began
                return
            self._ended.wait(pause)

    def wait(self, timeout: float) -> None:
        """Wait for the answer some seconds longer."""
        self._thread.join(timeout)

    def end(self) -> float | None:
        """Stop asking and return the seconds until the first answer."""
        self._ended.set()
        self._thread.join()
        return self.seconds


def read_output(text: str) -> tuple[dict[str, float], str]:
    """Return the stages of a play's last table, role to seconds, and its recap's counts."""
    table = text.rpartition("\nSTAGES")[2] if "\nSTAGES" in text else ""
    stages = {role: float(seconds) for role, seconds in re.findall(r"^(\S+)\s+([\d.]+) s\b", table, re.MULTILINE) if role != "all"}
    recaps = re.findall(r"^localhost\s+: (ok=.*?)\s*$", text, re.MULTILINE)
    return stages, recaps[-1] if recaps else ""


def run_phase(phase: str, playbook: str, variables: Mapping[str, object], environ: Mapping[str, str], log: Path,
              watch: Callable[[], Watch] | None, program: str | None = None) -> Result:
    """Run one playbook, its output in `log`; measure it, and the first answer where there is something to `watch`."""
    words = [program or PROGRAM, playbook, *(f"--extra-vars={name}={value}" for name, value in variables.items())]
    began = time.monotonic()
    watching = watch() if watch else None
    with log.open("w", encoding="utf-8") as output:
        code = subprocess.run(words, cwd=CHECKOUT, env={**os.environ, **environ, "ANSIBLE_NOCOLOR": "1"}, stdout=output,
                              stderr=subprocess.STDOUT, check=False).returncode
    seconds = time.monotonic() - began
    if watching and code == 0:
        watching.wait(2.0)  # The play may end between two questions.
    stages, recap = read_output(log.read_text(encoding="utf-8", errors="replace"))
    return Result(phase, seconds, watching.end() if watching else None, code, recap, stages)


def keep(diagnostics: Path, target: Path) -> None:
    """Copy what a lab saved of its failure, if anything, to where it outlives the lab."""
    if diagnostics.is_dir():
        shutil.copytree(diagnostics, target, symlinks=True, dirs_exist_ok=True)


def environ_of(phase: str, cache: Path | None) -> dict[str, str]:
    """Return what a phase's environment has more: the cache folder, and for `cold` that no layer of an earlier build counts."""
    return {**({"LAB_CACHE": str(cache)} if cache else {}), **({"LAB_NO_LAYERS": "1"} if phase == "cold" else {})}


def verdict(seconds: float | None, target: float | None) -> str:
    """Return a figure beside its target: met, missed, or none set."""
    if seconds is None:
        return "none" if target else ""
    if target is None:
        return f"{seconds:.1f} s"
    return f"{seconds:.1f} s of {target} s{'' if seconds <= target else ' MISSED'}"


def table(results: list[Result]) -> str:
    """Return the stages of every phase side by side, then the totals against their targets."""
    stages = list(dict.fromkeys(stage for result in results for stage in result.stages))
    width = max([len(stage) for stage in stages] + [len("first answer")])
    lines = [f"{'stage':<{width}}" + "".join(f"{result.phase:>9}" for result in results)]
    for stage in stages:
        cells = (f"{result.stages[stage]:9.1f}" if stage in result.stages else f"{'-':>9}" for result in results)
        lines.append(f"{stage:<{width}}" + "".join(cells))
    lines.append("")
    for result in results:
        first, whole = TARGETS[result.phase]
        parts = [f"all {verdict(result.seconds, whole)}"]
        if first is not None:
            parts.insert(0, f"first answer {verdict(result.first_answer, first)}")
        lines.append(f"{result.phase:<6} {', '.join(parts)}; {result.recap or 'no recap'}"
                     + ("" if result.code == 0 else f"; FAILED with code {result.code}"))
    return "\n".join(lines)


def images() -> int | None:
    """Return how many images the Docker engine holds, None where it does not say."""
    try:
        rows = subprocess.run(["docker", "images", "--quiet"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return len(set(rows.stdout.split()))


def measure(phases: list[str], run: Callable[[str, str, bool], Result], say: Callable[[str], None]) -> list[Result]:
    """Run the phases in their order; what a phase needs that was not asked for is done unmeasured. Ends at a failure.

    `run` takes a name, a playbook and whether to watch for the first answer.
    """
    results: list[Result] = []
    up = False

    def prepare(name: str, playbook: str) -> None:
        if run(name, playbook, False).code != 0:
            raise BenchError(f"{playbook} failed before {name.removeprefix('before-')} could be measured")

    try:
        for phase in [phase for phase in PHASES if phase in phases]:
            if phase in ("cold", "warm") and up:
                prepare(f"before-{phase}", DOWN)
            if phase in ("rerun", "down") and not up:
                up = True
                prepare(f"before-{phase}", UP)
            up = phase != "down"
            results.append(run(phase, UP if up else DOWN, phase in ("cold", "warm")))
            say(f"{phase}: {results[-1].seconds:.1f} s{'' if results[-1].code == 0 else ', FAILED'}")
            if results[-1].code != 0:
                break
    finally:
        if up:
            run("after", DOWN, False)
    return results


def main(argv: list[str]) -> int:
    """Run `python -m lab bench-up`; return 1 where a phase failed. A missed target is shown and is no failure."""
    options = argparse.ArgumentParser(prog="python -m lab bench-up", description=__doc__.splitlines()[0])
    options.add_argument("--phases", default=",".join(PHASES), help="which to measure, comma-separated (default: %(default)s)")
    options.add_argument("--name", default="bench", help="the lab's name (default: %(default)s)")
    options.add_argument("--cache", type=Path, help="cache folder (default: a fresh one with cold, else the user's own)")
    options.add_argument("--reports", type=Path, default=CHECKOUT / ".lab" / "_reports", help="where report and logs go")
    args = options.parse_args(argv)
    phases = [phase for phase in args.phases.split(",") if phase]
    unknown = sorted(set(phases) - set(PHASES))
    if unknown or not phases:
        print(f"bench-up: unknown phase {', '.join(unknown) or '(none)'}; one of: {', '.join(PHASES)}", file=sys.stderr)
        return 2
    began = time.strftime("%Y%m%dT%H%M%S")
    logs = args.reports / f"bench-up-{began}"
    logs.mkdir(parents=True)
    beside = cache_dir().parent  # The same disk as the user's own cache, which /tmp may not be.
    beside.mkdir(parents=True, exist_ok=True)
    before = images()
    with tempfile.TemporaryDirectory(prefix="cluster-lab-bench-", dir=beside) as fresh:
        cache = args.cache or (Path(fresh) if "cold" in phases else None)
        variables = {"lab_name": args.name, **dict(zip(PORTS, free_ports(len(PORTS)), strict=True))}

        def run(phase: str, playbook: str, watched: bool) -> Result:
            log = logs / f"{phase}.log"
            print(f"{phase}: {playbook} runs; its output goes to {log}", flush=True)
            watch = (lambda: Watch(lambda: answers(int(str(variables[PORTS[0]]))))) if watched else None
            result = run_phase(phase, playbook, variables, environ_of(phase, cache), log, watch)
            if result.code != 0:
                keep(CHECKOUT / ".lab" / args.name / "diagnostics", logs / f"{phase}-diagnostics")
            return result

        try:
            if (CHECKOUT / ".lab" / args.name).exists():
                run("left-behind", DOWN, False)
            results = measure(phases, run, lambda line: print(line, flush=True))
        except BenchError as error:
            print(f"bench-up: {error}: see {logs}", file=sys.stderr)
            return 1
    report = args.reports / f"bench-up-{began}.json"
    report.write_text(json.dumps({"images_before": before, "cpus": os.cpu_count(), "targets": TARGETS,
                                  "phases": [asdict(result) for result in results]}, indent=1), encoding="utf-8")
    print(f"\n{table(results)}\n\nImages in the engine before: {before}. Report: {report}")
    return 0 if len(results) == len(set(phases)) and all(result.code == 0 for result in results) else 1
