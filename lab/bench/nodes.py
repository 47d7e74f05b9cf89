"""Measure what more nodes cost: a lab with one, with three and with five is stood up, checked, weighed and taken down.

Memory is the working set that the kernel accounts to the containers which are the nodes, once the checks are over.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups
from lab.bench.up import CHECKOUT, DOWN, PORTS, UP, Result, Watch, answers, free_ports, run_phase

MIB = 1024**2
# Without the options of the project, whose second -q leaves the counts out.
CHECKS = ("-m", "pytest", "tests/infra", "--override-ini=addopts=", "--import-mode=importlib", "-q", "-m", "not long")


@dataclass(frozen=True)
class Row:
    """What a lab with so many nodes took: seconds until the first answer and until all stood, those of a second run, bytes; its checks."""

    nodes: int
    first_answer: float | None
    seconds: float
    again: float
    changed: str
    checks: str
    memory: int
    well: bool


def changed(recap: str) -> str:
    """Return how many tasks changed something, from a play's recap."""
    return (re.findall(r"changed=(\d+)", recap) or ["?"])[0]


def node_groups(name: str, ask: Callable[..., str], group: Callable[[str], Path | None] = cgroups.engine_group) -> list[Path]:
    """Return the control groups of the containers that are a lab's nodes; `ask` runs docker. Raises OSError where one has none."""
    identities = ask("ps", "--no-trunc", "--quiet", f"--filter=label=io.x-k8s.kind.cluster={name}").split()
    found = [group(identity) for identity in identities]
    if not found or None in found:
        raise OSError(f"no control group of a node of {name}: {identities}")
    return [path for path in found if path]


def docker(*words: str) -> str:
    """Return what docker says. Raises OSError."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise OSError(f"docker {words[0]}: {done.stderr.strip()}")
    return done.stdout


def check(name: str, log: Path) -> tuple[str, bool]:
    """Run the checks of a running lab, their output in `log`; return their counts, and whether all passed."""
    with log.open("w", encoding="utf-8") as output:
        code = subprocess.run([sys.executable, *CHECKS], cwd=CHECKOUT, env={**os.environ, "LAB_NAME": name}, stdout=output,
                              stderr=subprocess.STDOUT, check=False).returncode
    said = re.findall(r"\d+ (?:passed|failed|error)[^\n]*? in ([\d.]+)s", log.read_text(encoding="utf-8"))
    counts = re.findall(r"(\d+ (?:passed|failed|errors?))\b", log.read_text(encoding="utf-8").splitlines()[-1] if said else "")
    return f"{', '.join(counts) or 'none ran'}{f' in {float(said[-1]):.0f} s' if said else ''}", code == 0


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table in Markdown, the last columns with what each further node took."""
    lines = ["| nodes | first answer, s | all of it, s | again, s (changed) | checks | memory of the nodes, MiB | for each added node, s | MiB |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for before, row in zip([None, *rows], rows, strict=False):
        first = "none" if row.first_answer is None else f"{row.first_answer:.0f}"
        more = ["", ""]
        if before and row.nodes > before.nodes:
            added = row.nodes - before.nodes
            more = [f"{(row.seconds - before.seconds) / added:+.0f}", f"{(row.memory - before.memory) / MIB / added:+.0f}"]
        cells = [row.nodes, first, f"{row.seconds:.0f}", f"{row.again:.0f} ({row.changed})", row.checks, f"{row.memory / MIB:,.0f}", *more]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def measure(nodes: int, run: Callable[[str, str, bool], Result], checks: Callable[[], tuple[str, bool]], weigh: Callable[[], int]) -> Row | None:
    """Stand a lab up, run it again, check and weigh it, take it down; None where it did not stand up."""
    try:
        up = run(f"up-{nodes}", UP, True)
        if up.code:
            return None
        again = run(f"again-{nodes}", UP, False)
        said, passed = checks()
        memory = weigh()
        return Row(nodes, up.first_answer, up.seconds, again.seconds, changed(again.recap), said, memory, passed and again.code == 0)
    finally:
        run(f"down-{nodes}", DOWN, False)


def main(argv: list[str]) -> int:
    """Run `python -m lab bench-nodes`; return 1 where a lab did not stand up or a check failed."""
    options = argparse.ArgumentParser(prog="python -m lab bench-nodes", description=__doc__.splitlines()[0])
    options.add_argument("--nodes", default="1,3,5", help="how many, comma-separated (default: %(default)s)")
    options.add_argument("--name", default="bench", help="the lab's name (default: %(default)s)")
    options.add_argument("--components", help="what stands beside the service, comma-separated (default: all)")
    options.add_argument("--reports", type=Path, default=CHECKOUT / ".lab" / "_reports", help="where logs go")
    args = options.parse_args(argv)
    if not re.fullmatch(r"([1-9]|10)(,([1-9]|10))*", args.nodes):
        print(f"bench-nodes: --nodes is '{args.nodes}': it must be numbers from 1 to 10, comma-separated", file=sys.stderr)
        return 2
    counts = [int(count) for count in args.nodes.split(",")]
    logs = args.reports / f"bench-nodes-{time.strftime('%Y%m%dT%H%M%S')}"
    logs.mkdir(parents=True)
    rows: list[Row] = []
    for nodes in counts:
        variables = {"lab_name": args.name, "lab_workers": nodes - 1, **dict(zip(PORTS, free_ports(len(PORTS)), strict=True))}
        if args.components is not None:
            variables["lab_components"] = args.components

        def run(phase: str, playbook: str, watched: bool, variables=variables) -> Result:
            print(f"{phase}: {playbook} runs; its output goes to {logs / phase}.log", flush=True)
            watch = (lambda: Watch(lambda: answers(int(str(variables[PORTS[0]]))))) if watched else None
            return run_phase(phase, playbook, variables, {}, logs / f"{phase}.log", watch)

        row = measure(nodes, run, lambda nodes=nodes: check(args.name, logs / f"checks-{nodes}.log"),
                      lambda: sum(cgroups.memory(group).working_set for group in node_groups(args.name, docker)))
        if row is None:
            print(f"bench-nodes: a lab with {nodes} node(s) did not stand up: see {logs}", file=sys.stderr)
            break
        rows.append(row)
    print(f"\n{table(rows)}\n\n{os.cpu_count()} CPUs. Logs: {logs}")
    return 0 if len(rows) == len(counts) and all(row.well for row in rows) else 1
