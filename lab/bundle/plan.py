"""A plan that takes what a bundle carries, and builds of it alone what the checkout has of its own."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable
from pathlib import Path

from lab import catalog
from lab.build import engine
from lab.build.jobs import Job
from lab.build.oci import Entry
from lab.build.plan import Plan
from lab.build.tools import ToolError, output
from lab.bundle.contents import carried, entry
from lab.bundle.manifest import Manifest
from lab.bundle.wheels import APP, app_key
from lab.cache import Store, digest
from lab.catalog import CatalogError, Component

# How an image is had that its maker pulled.
CARRIED = "carried"
# Where the wheels are in the image that installs them.
WHEELS = "wheels"
NEWER = "make the bundle with this checkout, or use the checkout that it was made with"


class BundlePlan(Plan):
    """The catalog of the source that the bundle was made from, with what the bundle has of it; nothing is fetched.

    A key is the one that the maker computed: here its inputs (certificate authorities, the Go module) are others.
    """

    def __init__(self, manifest: Manifest, store: Store, checkout: Path, registry_port: int = 5001, registry: str = "") -> None:
        self.manifest = manifest
        everything = catalog.load(manifest.source)
        if other := differing(everything, manifest):
            raise CatalogError(f"the bundle has another {', '.join(other)} than this checkout's catalog: {NEWER}")
        carried = everything.only(manifest.components)
        # What others pull from upstream is here like what is made: a layout, to be pushed and loaded.
        for name, component in carried.components.items():
            if component.pulled:
                carried.components[name] = dataclasses.replace(component, build={**component.build, "kind": CARRIED})
        super().__init__(carried, store, checkout, registry_port, registry=registry)

    def key(self, name: str) -> str:
        """Return the manifest's key; that of what is built from the checkout follows from the checkout and its bases."""
        if self.catalog[name].kind == "dockerfile":
            return super().key(name)
        return self.manifest.artifacts[name].key

    def engine_has(self, name: str) -> bool:
        """Say whether the engine has a component's image; upstream's carry no key, and are known by what their layers hold.

        Not by their identifier, which is the configuration's digest or the manifest's, as the engine keeps images.
        """
        if self.catalog[name].kind != CARRIED:
            return super().engine_has(name)
        wanted = self.layouts.config(self.artifact(name) / "oci")["rootfs"]["diff_ids"]
        try:
            return json.loads(output(["docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", self.reference(name)])) == wanted
        except ToolError:
            return False

    def jobs(self, names: list[str]) -> list[Job]:
        """Return the jobs that build what the checkout has of its own; raise CatalogError for all else that is missing."""
        missing = self.missing(names)
        own = [name for name in missing if self.catalog[name].kind == "dockerfile"]
        if others := [name for name in missing if name not in own]:
            raise CatalogError(f"what the bundle brought is no longer in the cache ({', '.join(others)}): make up BUNDLE=FILE brings it back")
        if own and (why := self.why_not_build()):
            raise CatalogError(why)
        makers = ((name, functools.partial(self._make, self.catalog[name], self._make_dockerfile)) for name in own)
        return [Job(name, make, "assemble", what=self.catalog[name].version) for name, make in makers]

    def why_not_build(self) -> str | None:
        """Return why the checkout's images cannot be built of what the bundle carries, None where they can."""
        if self.manifest.artifacts[APP].key != app_key(self.checkout, self.catalog["python"].version):
            return f"app/requirements.txt asks for other packages than the bundle has: {NEWER}"
        return None

    def build_image(self, component: Component, log: Path) -> str:
        """Return an image like the one to build in, which has the wheels and tells pip to ask nobody else."""
        base = component.build["build_base"]
        wheels = self.store.path(APP, self.manifest.artifacts[APP].key)
        key = digest("build image with wheels", self.key(base), self.manifest.artifacts[APP].key)
        name = f"{base}-{WHEELS}"
        reference = f"{self.reference(base)}-{WHEELS}"
        engine.wait(log)
        if not engine.has(reference, key):
            if not self.store.has(name, key):
                layout = self.artifact(base) / "oci"
                config = dict(self.layouts.config(layout)["config"])
                config["Env"] = [*(config.get("Env") or []), "PIP_NO_INDEX=1", f"PIP_FIND_LINKS=/{WHEELS}"]
                config["Labels"] = {engine.KEY_LABEL: key}
                layer = self.layouts.layer([Entry(f"{WHEELS}/{path.name}", path, 0o644) for path in wheels.glob("*.whl")])
                with self.store.make(name, key) as folder:
                    self.layouts.image(folder / "oci", [layer], config, layout)
            engine.load(self.layouts, self.store.path(name, key) / "oci", reference, log)
        return reference


def differing(everything: catalog.Catalog, manifest: Manifest) -> list[str]:
    """Return the components that the bundle has otherwise than the catalog, or that the catalog does not know."""
    known = everything.components
    return [name for name, artifact in manifest.components.items() if name not in known or entry(known[name]) != artifact.entry]


def absent(manifest: Manifest, parts: Iterable[str]) -> list[str]:
    """Return what a lab with these parts needs and the bundle does not carry."""
    return [name for name in carried(catalog.load(manifest.source), parts) if name not in manifest.artifacts]
