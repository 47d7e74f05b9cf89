"""What goes into a bundle: what the cluster and this machine run, and what the checkout's own images can be built of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lab.build.oci import Layouts
from lab.build.plan import Plan
from lab.cache import digest
from lab.catalog import Catalog, Component


def carried(catalog: Catalog, parts: Iterable[str] | None = None) -> list[str]:
    """Return the components that a lab with these parts (none given: every part) needs to have, whatever made them.

    That is every image which the cluster or its checks pull, hooks' and operators' included, since the catalog names them; the node's and
    the registry's; the tools; and what the checkout's own images stand on. What only a build needs stays where it was built.
    """
    wanted = None if parts is None else {None, *parts}
    chosen = {name: item for name, item in catalog.components.items() if wanted is None or item.part in wanted}
    names = {name for name, item in chosen.items() if item.deployed or item.pulled or item.install == "host" or item.manifest or item.kind == "chart"}
    names |= {base for name in names for base in catalog.bases(chosen[name]) if chosen[name].kind == "dockerfile"}
    return sorted(names)


def entry(component: Component) -> str:
    """Return a digest of what the catalog says of a component, by which a checkout knows its own."""
    return digest(component.version, component.image, component.build, component.manifest, component.install, component.part)


def blobs(folder: Path, layouts: Layouts) -> Iterator[str]:
    """Yield the blobs, as paths below the folder of blobs, of every image layout in an artifact's folder."""
    for layout in sorted(index.parent for index in folder.rglob("index.json")):
        manifest = layouts.manifest(layout)
        digests = [layouts.digest(layout), manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        yield from (digest.replace(":", "/") for digest in digests)
        # Which blob unpacks to what: an image built on these need not compress them again.
        for diff_id in layouts.config(layout)["rootfs"]["diff_ids"]:
            note = f"diff-{diff_id.removeprefix('sha256:')}"
            if (layouts.blobs / note).is_file():
                yield note


def files(plan: Plan, folders: dict[str, Path]) -> dict[str, Path]:
    """Return every file of the artifacts in `folders` (name: folder) and of their images, by its path in the bundle."""
    found: dict[str, Path] = {}
    for name, folder in folders.items():
        found |= {f"artifacts/{name}/{path.relative_to(folder)}": path for path in sorted(folder.rglob("*")) if not path.is_dir()}
        found |= {f"blobs/{blob}": plan.store.blobs / blob for blob in blobs(folder, plan.layouts)}
    return found
