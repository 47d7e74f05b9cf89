"""Write everything that the lab's source gave into one file: `python -m lab bundle`."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

from lab import build
from lab.build import jobs
from lab.build.plan import LANES, Plan
from lab.build.sources import BUNDLE, CHECKOUT, DEFAULT, plan_of
from lab.bundle import BundleError, archive, contents, images, manifest, packages, wheels
from lab.catalog import Catalog
from lab.gitops import GitopsError, state

MIB = 1 << 20
ERRORS = (BundleError, OSError, *build.ERRORS)


def source_of(folder: Path) -> str:
    """Return the source of the lab with this state folder; the one called lab need not be up, and has the default.

    Raises BundleError where no such lab is up, and for one that came from a bundle.
    """
    try:
        source = state.load(folder.name, folder.parents[1], up=False).source
    except GitopsError as error:
        if folder.name != "lab" or (folder / "lab.yml").is_file():
            raise BundleError(str(error)) from None
        source = DEFAULT
    if source == BUNDLE:
        raise BundleError(f"the lab {folder.name} came from a bundle: copy that file, or name a lab of another source (NAME=...)")
    return source


def folders(plan: Plan, names: list[str], logs: Path) -> dict[str, Path]:
    """Return the folder of each component; what no lab here has needed so far is made now, with its logs in `logs`.

    Raises BundleError where nothing has been made yet: such a machine need not have what builds call, and `make up` installs it.
    """
    missing = plan.missing(names)
    if missing and missing == [name for name in names if not plan.catalog[name].pulled]:
        raise BundleError("nothing of it has been made here yet: make up first, which makes it, and installs what that takes")
    if todo := plan.jobs(names):
        jobs.run(todo, LANES, logs, jobs.Progress(logs / "progress.log", len(todo)))
    return {name: plan.artifact(name) for name in names}


def parts_of(text: str | None, catalog: Catalog) -> list[str] | None:
    """Return the parts of a lab that a user named, comma-separated, None where every one is meant; raise BundleError where one is none."""
    if text is None:
        return None
    known = sorted({item.part for item in catalog.components.values() if item.part})
    parts = [part.strip() for part in text.split(",")]
    if wrong := [part for part in parts if part not in known]:
        raise BundleError(f"there is no part '{wrong[0]}': a lab's are {', '.join(known)}, of which one on kind needs cluster (PARTS=cluster,argocd)")
    return parts


def refuse_target(target: Path) -> None:
    """Raise BundleError where a bundle cannot be written, or would take the place of something else."""
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise BundleError(f"{target} is {'a folder' if target.is_dir() else 'in a folder that is not there'}: name a file (FILE=...)")
    if not os.access(target.absolute().parent, os.W_OK):
        raise BundleError(f"{target.absolute().parent} cannot be written to: name a file elsewhere (FILE=...)")
    if target.exists():
        try:
            archive.Bundle(target)
        except BundleError:
            raise BundleError(f"{target} is there and is no bundle: remove it, or name another file (FILE=...)") from None


def make(plan: Plan, names: list[str], target: Path, logs: Path) -> manifest.Manifest:
    """Write the bundle `target` of the components `names`, then read it back; return its manifest."""
    logs.mkdir(parents=True, exist_ok=True)
    made = folders(plan, names, logs)
    artifacts = {name: {"key": plan.key(name), "entry": contents.entry(plan.catalog[name])} for name in names}
    log = logs / "bundle.log"
    log.write_text("")
    images.have(plan, names, log)
    extras = [
        wheels.have_host(plan.store, plan.checkout, log),
        wheels.have_app(plan.store, plan.checkout, plan.catalog["python"].version, log),
        packages.have(plan.store, plan.checkout, log),
    ]
    for name, key in filter(None, extras):
        made[name] = plan.store.path(name, key)
        artifacts[name] = {"key": key}
    header = {
        "source": plan.catalog.source, "machine": manifest.machine(), "python": manifest.python(), "artifacts": artifacts,
        "release": manifest.release() if packages.DEBS in made else "",
        "packages": packages.wanted(plan.checkout) if packages.DEBS in made else [],
    }  # fmt: skip
    boot = next(made[wheels.HOST].glob("zstandard-*.whl")).read_bytes()
    written = archive.write(target, header, contents.files(plan, made), boot)
    archive.Bundle(target).verify()
    return written


def main(argv: list[str]) -> int:
    """Make the bundle; return 0, or 1 after one line that says why there is none."""
    options = state.parser(__doc__.splitlines()[0])
    options.add_argument("--file", default="", help="where to write it (default: .lab/cluster-lab-SOURCE.tar.zst)")
    options.add_argument("--parts", help="parts of the lab to carry, comma-separated: cluster, argocd, monitoring, autoscaling (default: every part)")
    args = options.parse_args(argv)
    folder, start = CHECKOUT / ".lab" / args.name, time.monotonic()
    try:
        source = source_of(folder)
        plan = plan_of(source, folder)
        names = contents.carried(plan.catalog, parts_of(args.parts, plan.catalog))
        target = Path(args.file).expanduser() if args.file else folder.parent / f"cluster-lab-{source}.tar.zst"
        folder.parent.mkdir(exist_ok=True)
        refuse_target(target)
        with contextlib.redirect_stdout(sys.stderr), build.locked(plan.store.root / "lock", print):
            written = make(plan, names, target, folder.parent / "logs")
    except (*ERRORS, GitopsError) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {target.stat().st_size / MIB:.0f} MiB in {time.monotonic() - start:.0f} s, {len(names)} components of the source {source}")
    print(f"for {written.machine}, Python {written.python}; content {written.digest[:16]}")
    print(f"on the other machine, in a checkout of this version: make up BUNDLE={target.name}")
    return 0
