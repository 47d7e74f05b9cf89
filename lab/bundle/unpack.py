"""Bring what a bundle carries into the cache: `python -m lab.bundle.unpack --file FILE --state-dir FOLDER`.

Standard output carries one JSON document for whoever called.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from lab import build
from lab.build.tools import run
from lab.bundle import BundleError, packages
from lab.bundle.archive import Bundle
from lab.bundle.manifest import Manifest, release
from lab.cache import Store, cache_dir


def lacking(manifest: Manifest, store: Store) -> list[str]:
    """Return the artifacts that the cache does not have."""
    return [name for name, artifact in manifest.artifacts.items() if not store.has(name, artifact.key)]


def unpack(bundle: Bundle, store: Store) -> bool:
    """Have the bundle's artifacts in the cache; say whether any was missing. Whoever calls holds the cache's lock.

    An artifact appears under its name when it and its images' blobs are complete and checked.
    """
    manifest = bundle.manifest
    missing = lacking(manifest, store)
    if not missing:
        return False
    scratch = Path(tempfile.mkdtemp(dir=store.root))
    try:
        bundle.extract(scratch)
        if nowhere := [name for name in missing if not (scratch / "artifacts" / name).is_dir()]:
            raise BundleError(f"{bundle.path} names {', '.join(nowhere)} and does not carry it: make bundle writes one that does")
        for blob in sorted(path for path in (scratch / "blobs").rglob("*") if path.is_file()):
            target = store.blobs / blob.relative_to(scratch / "blobs")
            target.parent.mkdir(parents=True, exist_ok=True)
            blob.replace(target)
        for name in missing:
            (scratch / "artifacts" / name).rename(store.path(name, manifest.artifacts[name].key))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return True


def apt(manifest: Manifest, store: Store, folder: Path, log: Path) -> bool:
    """Have settings in `folder` by which apt knows the bundle's packages and no others; say whether that changed anything."""
    if packages.DEBS not in manifest.artifacts or release() != manifest.release:
        return False
    changed = packages.settings(folder, store.path(packages.DEBS, manifest.artifacts[packages.DEBS].key))
    if changed:
        run(["apt-get", "update", "--quiet"], log, env={"APT_CONFIG": str(folder / "apt.conf")})
    return changed


def have(manifest: Manifest, bundle: Bundle | None, store: Store, state_dir: Path) -> bool:
    """Have all that the lab with this state folder needs of its bundle; say whether that changed anything."""
    log = state_dir / "logs" / "bundle.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    changed = False
    if bundle and lacking(manifest, store):
        with build.locked(store.root / "lock", lambda line: print(line, file=sys.stderr)):
            store.sweep()
            changed = unpack(bundle, store)
    changed |= manifest.keep(state_dir)
    return apt(manifest, store, state_dir / "apt", log) or changed


def main(argv: list[str]) -> int:
    """Unpack; return 0, or 1 after one line that says why it cannot be."""
    options = argparse.ArgumentParser(prog="python -m lab.bundle.unpack", description=__doc__.splitlines()[0])
    options.add_argument("--file", default="", help="the bundle; without it, that of the lab is there already")
    options.add_argument("--state-dir", type=Path, required=True, help="the lab's state folder")
    options.add_argument("--check", action="store_true", help="only say whether that would change anything")
    args = options.parse_args(argv)
    store = Store(cache_dir())
    try:
        bundle = Bundle(Path(args.file)) if args.file else None
        manifest = bundle.manifest if bundle else Manifest.kept(args.state_dir)
        if args.check:
            changed = bool(lacking(manifest, store)) or not manifest.is_kept(args.state_dir)
        else:
            changed = have(manifest, bundle, store, args.state_dir)
    except (BundleError, OSError, *build.ERRORS) as error:
        print(f"bundle: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"changed": changed}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
