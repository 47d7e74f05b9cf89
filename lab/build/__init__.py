"""Have the lab's components, made or from upstream: `python -m lab build`.

Standard output carries one JSON document for whoever called; what is going on goes to standard error and to
`logs/progress.log` of the lab's state folder.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab import catalog
from lab.build import engine, golang, jobs, tools
from lab.build.elsewhere import manifest
from lab.build.plan import LANES, Plan
from lab.build.sources import CHECKOUT, DEFAULT, plan_of
from lab.cache import Store, cache_dir

# How long to wait for another build that uses the same cache, in seconds; then it is doing something unusual.
LOCK_TIMEOUT = 2400
ERRORS = (catalog.CatalogError, golang.ChecksumError, jobs.JobError, tools.ToolError)


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options every verb that reads the catalog has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--source", default=DEFAULT, help="where components come from (default: %(default)s)")
    options.add_argument(
        "--stage", choices=[*catalog.STAGES, "all"], default="all", help="which components (default: %(default)s)"
    )
    options.add_argument(
        "--parts", help="parts of the lab, comma-separated, whose components are meant (default: every part)"
    )
    options.add_argument("--state-dir", type=Path, default=CHECKOUT / ".lab" / "lab", help="the lab's state folder")
    options.add_argument(
        "--registry-port", type=int, default=5001, help="where the lab's registry listens on 127.0.0.1"
    )
    options.add_argument(
        "--registry",
        default="",
        help="host[:port][/path] that an existing cluster pulls from (default: the lab's own registry, which nodes have as a mirror)",
    )
    return options


def plan_for(args: argparse.Namespace) -> tuple[Plan, list[str]]:
    """Return the plan for the parsed `args`, and the names of the components that are asked for."""
    plan = plan_of(args.source, args.state_dir, args.registry_port, registry=args.registry)
    wanted = None if args.parts is None else {None, *args.parts.split(",")}
    return plan, [
        name
        for name, item in plan.catalog.components.items()
        if args.stage in (item.stage, "all") and (wanted is None or item.part in wanted)
    ]


@contextlib.contextmanager
def locked(path: Path, say: Any, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
    """Hold the lock file `path`; say whom one waits for, and raise JobError after `timeout` seconds."""
    with path.open("a+") as file:
        deadline = time.monotonic() + timeout
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                owner = file.read().strip() or "?"
                if not told:
                    say(f"waiting for process {owner}, which does the same, {timeout / 60:.0f} min at most")
                    told = True
                if time.monotonic() > deadline:
                    raise jobs.JobError(f"process {owner} still holds {path}") from None
                time.sleep(min(1, timeout))
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def links(plan: Plan, names: list[str], folder: Path) -> list[tuple[Path, Path]]:
    """Return the links that `folder` is to have to the host's tools (kind, kubectl, helm), each with its target."""
    tools = [name for name in names if plan.catalog[name].install == "host" and plan.catalog[name].image is None]
    return [(folder / name, plan.artifact(name) / name) for name in tools]


def link_tools(plan: Plan, names: list[str], folder: Path) -> bool:
    """Have the links in `folder`; say whether anything changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = False
    for link, target in links(plan, names, folder):
        if not link.is_symlink() or link.readlink() != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
            changed = True
    return changed


def summary(plan: Plan, names: list[str], state_dir: Path) -> dict[str, Any]:
    """Return what roles need to know: references, manifests and charts of the components `names`."""
    images = [name for name in names if plan.catalog[name].image]
    manifests = [name for name in names if plan.catalog[name].manifest]
    charts = {
        plan.catalog[name].build["chart"]: plan.artifact(name) for name in names if plan.catalog[name].kind == "chart"
    }
    return {
        "refs": {name: plan.pulled(name) for name in images},
        "versions": {name: plan.catalog[name].version for name in names},
        "hosts": sorted(
            {catalog.repository(plan.reference(name)).split("/")[0] for name in images if plan.catalog[name].pushed}
        ),
        "manifests": {name: str(manifest(plan, name, state_dir)) for name in manifests},
        "pull_policy": pull_policy(plan, names),
        "charts": {name: str(folder / "chart") for name, folder in charts.items()},
    }


def pull_policy(plan: Plan, names: list[str]) -> str:
    """Return when nodes ask for an image that they have: where upstream's names are the lab's own images, a tag may change."""
    own = [name for name in names if plan.catalog[name].pushed and not plan.reference(name).startswith("localhost:")]
    return "Always" if own else "IfNotPresent"


def build(plan: Plan, names: list[str], state_dir: Path, load: list[str]) -> dict[str, Any]:
    """Make what `names` lack, bring `load` into the engine, link the tools; return the summary with what was done.

    Where nothing is to be made or loaded, nobody else's build is waited for.
    """
    logs = state_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, float] = {}
    loaded: list[str] = []
    todo = plan.jobs(names)
    if todo or absent(plan, load, logs):
        progress = jobs.Progress(logs / "progress.log", len(todo))
        with locked(plan.store.root / "lock", progress.say):
            plan.store.sweep()
            todo = plan.jobs(names)  # another build may have made some of it meanwhile
            seconds = jobs.run(todo, LANES, logs, progress)
            loaded = absent(plan, load, logs)
            for name in loaded:
                plan.in_engine(name, logs / f"load-{name}.log")
    linked = link_tools(plan, names, state_dir / "bin")
    return {
        **summary(plan, names, state_dir),
        "built": seconds,
        "loaded": loaded,
        "changed": bool(seconds or loaded or linked),
    }


def compare(plan: Plan, names: list[str], state_dir: Path, load: list[str]) -> dict[str, Any]:
    """Return the summary that `build` would, and whether it would change anything; nothing is made."""
    stale = [
        link
        for link, target in links(plan, names, state_dir / "bin")
        if not link.is_symlink() or link.readlink() != target
    ]
    missing = [name for name in load if not plan.engine_has(name)]
    return {
        **summary(plan, names, state_dir),
        "built": {},
        "loaded": [],
        "changed": bool(plan.missing(names) or missing or stale),
    }


def absent(plan: Plan, names: list[str], logs: Path) -> list[str]:
    """Return those of `names` whose image the engine lacks, once an engine answers."""
    for name in names[:1]:
        engine.wait(logs / f"load-{name}.log")
    return [name for name in names if not plan.engine_has(name)]


def clean(store: Store) -> dict[str, Any]:
    """Remove the cache folder and every image that the engine has from it; return whether there was any, and what the engine keeps."""
    removed, kept = engine.remove_all()
    with locked(store.root / "lock", print):
        had = any(store.artifacts.iterdir())
        shutil.rmtree(store.root)
    return {"changed": bool(had or removed), "images": removed, "kept": kept}


def yield_cpu(autogroup: Path = Path("/proc/self/autogroup")) -> None:
    """Let everything else on this machine go first: this process, what it starts, and the session it is in.

    Where the kernel shares the processor out by sessions (sched(7), autogroup), nice alone weighs within one of them.
    """
    os.nice(19)
    with contextlib.suppress(OSError):  # a kernel without them
        autogroup.write_text("19")


def made(args: argparse.Namespace) -> dict[str, Any]:
    """Make what the parsed `args` ask for, or only say what is missing or would change."""
    plan, names = plan_for(args)
    load = [name for name in args.load.split(",") if name]
    if args.missing:
        return {"missing": plan.missing(names)}
    return (compare if args.check else build)(plan, names, args.state_dir, load)


def main(argv: list[str]) -> int:
    """Run `python -m lab build`; return 0, or 1 after one line that says what could not be made."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--load", default="", help="components to bring into the Docker engine, comma-separated")
    options.add_argument("--clean", action="store_true", help="remove the cache, and the engine's images made from it")
    options.add_argument("--missing", action="store_true", help="make nothing; list what is missing")
    options.add_argument(
        "--check", action="store_true", help="make nothing; say what would be named, and whether anything would change"
    )
    options.add_argument("--behind", action="store_true", help="let everything else on this machine go first")
    args = options.parse_args(argv)
    if args.behind:
        yield_cpu()
    # What people read goes to standard error, so that standard output stays one document.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            result = clean(Store(cache_dir())) if args.clean else made(args)
        except ERRORS as error:
            print(f"build: {error}")
            return 1
    print(json.dumps(result))
    return 0
