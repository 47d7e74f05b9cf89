"""Which plan a source has: the one place that knows."""

from __future__ import annotations

from pathlib import Path

from lab import catalog, mirrors
from lab.build.plan import Plan
from lab.bundle import BundleError
from lab.bundle.manifest import Manifest
from lab.bundle.plan import BundlePlan
from lab.cache import Store, cache_dir
from lab.catalog import CatalogError

CHECKOUT = Path(__file__).parents[2]
BUNDLE, DEFAULT = "bundle", "packages"


def names() -> list[str]:
    """Return every value that `lab_source` may have."""
    return sorted([*catalog.sources(), BUNDLE])


def catalog_of(source: str, state_dir: Path) -> catalog.Catalog:
    """Return what the checkout's catalog says of the source of the lab with this state folder; of a bundle, of what that carries."""
    if source != BUNDLE:
        return catalog.load(source)
    try:
        manifest = Manifest.kept(state_dir)
    except BundleError as error:
        raise CatalogError(str(error)) from None
    return catalog.load(manifest.source).only(manifest.components)


def plan_of(
    source: str, state_dir: Path, registry_port: int = 5001, checkout: Path = CHECKOUT, store: Store | None = None,
    registry: str = "",
) -> Plan:  # fmt: skip
    """Return the plan of the lab with this state folder; raise CatalogError where its source cannot be used."""
    if source != BUNDLE:
        known = catalog.load(source)
        # A source that nobody knows is refused before there is a cache.
        return Plan(known, store or Store(cache_dir()), checkout, registry_port, mirrors.load(state_dir), registry)
    try:
        manifest = Manifest.kept(state_dir)
        return BundlePlan(manifest, store or Store(cache_dir()), checkout, registry_port, registry)
    except BundleError as error:
        raise CatalogError(str(error)) from None
