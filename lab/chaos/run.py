"""`python -m lab chaos`: break one thing after the other under load; say what a client saw, when it was back, and what was lost."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from lab.chaos import ChaosError, report
from lab.chaos.faults import FAULTS, Fault
from lab.chaos.place import Place
from lab.chaos.report import Round
from lab.chaos.trial import one_round
from lab.gitops import GitopsError, state
from lab.kubectl import ClusterError

# A lab of this name is somebody's, and only broken when that is said.
SPARED = "lab"

Say = Callable[[str], None]


def mend(place: Place, faults: Sequence[Fault], say: Say) -> None:
    """Undo what an earlier run that was ended left behind."""
    for fault in faults:
        try:
            fault.undo(place)
            fault.restore(place)
        except (ChaosError, ClusterError) as error:
            say(f"what {fault.name} may have left cannot be undone: {error}")


def commit(checkout: Path) -> str:
    """Return the commit that is checked out; empty where there is none, or no git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, timeout=10, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def run(place: Place, faults: Sequence[Fault], rounds: int, path: Path, kept: Sequence[Round], say: Say) -> list[Round]:
    """Run each fault so many times, in turn, and keep the report after each; rounds that are in it already are not run again."""
    found, at = list(kept), commit(place.lab.checkout)
    for number in range(1, rounds + 1):
        for fault in faults:
            if sum(item.fault == fault.name and not item.complaints for item in kept) >= number:
                continue
            say(f"{fault.name}, round {number}: {fault.what}; undone: {fault.undone}")
            item = one_round(place, fault, Round(fault.name, number, datetime.now(UTC).isoformat(timespec="seconds"), at, fault.bound))
            found.append(item)
            report.write(path, found)
            say(f"  {item.line()}")
    return found


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    options = argparse.ArgumentParser(prog="python -m lab chaos", description=__doc__.splitlines()[0])
    options.add_argument("--name", default="chaos", help="which lab (default: %(default)s)")
    options.add_argument("--fault", action="append", choices=list(FAULTS), default=[], help="only this one; may be given more than once")
    options.add_argument("--rounds", type=int, default=1, help="how often each (default: %(default)s)")
    options.add_argument("--resume", action="store_true", help="leave out rounds of this commit that the report has, and add to it")
    options.add_argument("--report", type=Path, help="where it is kept as JSON (default: reports/chaos.json in the lab's folder)")
    options.add_argument("--list", action="store_true", help="only say which faults there are")
    options.add_argument(f"--break-{SPARED}", action="store_true", dest="break_it", help=f"break even a lab that is named {SPARED}")
    args = options.parse_args(argv)
    if args.rounds < 1:
        options.error(f"--rounds {args.rounds}: 1 or more is meant")
    return args


def main(argv: list[str]) -> int:
    """Run the faults and print the table; return 0, or 1 after a line for each thing that was not as it should be."""
    args = arguments(argv)
    if args.list:
        print("\n".join(f"{fault.name:<12} {fault.what}; undone: {fault.undone}; back within {fault.bound:.0f} s" for fault in FAULTS.values()))
        return 0
    if args.name == SPARED and not args.break_it:
        print(f"chaos: the lab {SPARED} is spared: make chaos NAME=chaos breaks one that make up VARS=\"-e lab_name=chaos\" made; "
              f"make chaos NAME={SPARED} BREAK=yes means it", file=sys.stderr)  # fmt: skip
        return 1
    # Whoever ends this has the lab brought back all the same.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    faults = [fault for name, fault in FAULTS.items() if name in args.fault or not args.fault]
    try:
        lab = state.load(args.name)
        if lab.at:
            raise ChaosError(f"the lab {lab.name} stands on a cluster that was there before: only nodes that the lab made are broken")
        place = Place(lab)
        path = args.report or place.lab.state / "reports" / "chaos.json"
        kept = [item for item in report.read(path) if item.commit == commit(place.lab.checkout)] if args.resume else []
        mend(place, faults, print)
        found = run(place, faults, args.rounds, path, kept, lambda text: print(text, flush=True))
    except (GitopsError, ClusterError, ChaosError) as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    print("", *report.summary(found), "", f"all of it: {path}", sep="\n")
    said = report.complaints(found)
    for line in said:
        print(f"chaos: {line}", file=sys.stderr)
    return 1 if said else 0

