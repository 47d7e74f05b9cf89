"""Refuse a bundle that this machine, this checkout or this lab cannot use, before anything of it is unpacked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.build.sources import BUNDLE
from lab.bundle import BundleError
from lab.bundle.archive import Bundle
from lab.bundle.manifest import Manifest, machine, release
from lab.bundle.plan import BundlePlan, absent
from lab.bundle.unpack import lacking
from lab.cache import Store
from lab.catalog import CatalogError
from lab.preflight.finding import Finding
from lab.preflight.host import without

GIB = 1024**3
# What the lab calls on this machine; a bundle's packages bring it.
PROGRAMS = ("docker", "git", "skopeo")


@dataclass
class Look:
    """What a look at a bundle brings: what is wrong, GiB that unpacking takes, why it cannot install packages here, and its plan."""

    findings: list[Finding] = field(default_factory=list)
    gib: int = 0
    cannot_install: str | None = None
    plan: BundlePlan | None = None


def look(settings: Mapping[str, Any], checkout: Path, store: Store, can_install: str | None,
         find: Callable[[str], str | None] = shutil.which) -> Look:
    """Read the bundle that is named, or that of a lab that is there; `can_install` says why packages cannot be installed here.

    All of the file is read and checked where anything of it has still to be unpacked.
    """
    try:
        bundle = Bundle(Path(settings["lab_bundle"])) if settings.get("lab_bundle") else None
        manifest = bundle.manifest if bundle else Manifest.kept(Path(settings["lab_state_dir"]))
        plan = BundlePlan(manifest, store, checkout, int(settings["lab_registry_port"]))
        found = foreign(manifest) + unfit(manifest, plan, settings)
        missing = lacking(manifest, store)
        if bundle and missing and not found:
            bundle.verify()
        elif missing and not bundle:
            found += refuse("what the bundle brought is no longer in the cache: make up BUNDLE=FILE brings it back")
    except (BundleError, CatalogError) as error:
        return Look(refuse(str(error)))
    reason = can_install or other_release(manifest)
    if not found and reason:
        # An engine is for the lab's own nodes.
        needed = PROGRAMS[1:] if settings.get("lab_cluster") == "existing" else PROGRAMS
        said = without(needed, f"the bundle cannot bring it ({reason})", find)
        found += refuse(said) if said else []
    return Look(found, -(-2 * manifest.size // GIB) if missing else 0, reason, plan)


def refuse(text: str) -> list[Finding]:
    """Return what keeps the lab from coming up."""
    return [Finding(BUNDLE, text)]


def foreign(manifest: Manifest) -> list[Finding]:
    """Refuse a bundle for other machines."""
    if manifest.machine == machine():
        return []
    return refuse(f"the bundle is for {manifest.machine} and this machine is {machine()}: make one on a machine like this")


def unfit(manifest: Manifest, plan: BundlePlan, settings: Mapping[str, Any]) -> list[Finding]:
    """Refuse a bundle that lacks what the lab wants, or that the checkout's own images cannot be built of."""
    parts = settings.get("lab_parts") or []
    if missing := absent(manifest, parts.split(",") if isinstance(parts, str) else parts):
        return refuse(f"the bundle has no {', '.join(missing)}, which the lab's parts need: leave them out (-e lab_components=...), or "
                      "make it with them (make bundle)")
    own = [name for name, item in plan.catalog.components.items() if item.kind == "dockerfile"]
    carried = [plan.key(name) == manifest.artifacts[name].key for name in own]
    return [] if all(carried) or not (why := plan.why_not_build()) else refuse(why)


def other_release(manifest: Manifest) -> str | None:
    """Return why the bundle's packages cannot be installed on this machine, None where they can."""
    if manifest.release == release():
        return None
    return f"its packages are for {manifest.release} and this is {release()}" if manifest.release else "it carries no packages"
