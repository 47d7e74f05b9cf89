"""Read the catalog: what the lab is made of, and how the chosen source provides each part."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

CATALOG = Path(__file__).with_name("catalog.yml")
STAGES = ("service", "platform")


class CatalogError(Exception):
    """The catalog cannot provide what was asked for; the message names it."""


@dataclass(frozen=True)
class Component:
    """One component as one source provides it.

    `image` is the reference with `{version}` filled in (`{key}` and `{registry_port}` are filled in by
    the builder, for what is built from the checkout), or None for what is no image. `part` is the part of the lab
    that wants it, or None where every lab does.
    """

    name: str
    version: str
    stage: str
    install: str
    build: dict[str, Any]
    image: str | None = None
    manifest: str | None = None
    part: str | None = None

    @property
    def kind(self) -> str:
        """How it is made: go, pip, apt, rootfs, node, c or dockerfile."""
        return self.build["kind"]

    @property
    def deployed(self) -> bool:
        """Whether the cluster pulls its image from the lab's registry."""
        return self.image is not None and self.install in ("kubeadm", "manifest", "chart", "node")


class Catalog:
    """The components of one source."""

    def __init__(self, data: dict[str, Any], source: str) -> None:
        """Check `data` for `source`; raise CatalogError naming the component and what it lacks."""
        self.data = data
        self.source = source
        self.toolchain: dict[str, Any] = data.get("toolchain", {})
        self.batches: dict[str, Any] = data.get("batches", {})
        self.components: dict[str, Component] = {}
        for name, sources in data["components"].items():
            if source not in sources:
                raise CatalogError(f"catalog: source '{source}' provides no {name} (it has: {', '.join(sources)})")
            self.components[name] = self._component(name, sources[source])
        for component in self.components.values():
            for base in self.bases(component):
                if base not in self.components:
                    raise CatalogError(f"catalog: {component.name} is based on {base}, which nothing provides")

    @staticmethod
    def _component(name: str, entry: dict[str, Any]) -> Component:
        missing = {"version", "stage", "install", "build"} - set(entry)
        if missing:
            raise CatalogError(f"catalog: {name} lacks {', '.join(sorted(missing))}")
        if entry["stage"] not in STAGES:
            raise CatalogError(f"catalog: {name} has stage '{entry['stage']}', not one of {', '.join(STAGES)}")
        if unknown := set(entry) - ({field.name for field in fields(Component)} - {"name"}):
            raise CatalogError(f"catalog: {name} has the unknown key '{min(unknown)}'")
        if "kind" not in entry["build"]:
            raise CatalogError(f"catalog: {name} lacks build.kind")
        values = dict(entry, version=str(entry["version"]))
        if image := values.get("image"):
            values["image"] = image.replace("{version}", values["version"])
        return Component(name=name, **values)

    def __getitem__(self, name: str) -> Component:
        """Return the component called `name`; raise CatalogError where nothing provides it."""
        try:
            return self.components[name]
        except KeyError:
            raise CatalogError(f"catalog: source '{self.source}' provides no component '{name}'") from None

    @staticmethod
    def bases(component: Component) -> list[str]:
        """Return the components whose images `component` stands on."""
        names = [component.build.get("base"), component.build.get("build_base")]
        return [name for name in names if name and name != "scratch"]

    def by_image(self, reference: str) -> Component:
        """Return the component that provides an image, whatever tag `reference` asks for.

        Raises CatalogError naming the image where nothing provides it.
        """
        wanted = repository(reference)
        for component in self.components.values():
            if component.image and repository(component.image) == wanted:
                return component
        raise CatalogError(f"catalog: nothing in source '{self.source}' provides the image {reference}")


def repository(reference: str) -> str:
    """Return an image reference's repository in full: host and path, without tag and digest.

    The rules for what a short name means are those of Docker's reference format: no host means
    docker.io, and there one path component alone is under library/.
    """
    name = reference.split("@")[0]
    if ":" in name.rsplit("/", 1)[-1]:
        name = name.rsplit(":", 1)[0]
    first, _, rest = name.partition("/")
    if not rest or ("." not in first and ":" not in first and first != "localhost"):
        first, rest = "docker.io", name
    if first in ("docker.io", "index.docker.io"):
        return f"docker.io/{rest if '/' in rest else f'library/{rest}'}"
    return f"{first}/{rest}"


def sources(path: Path = CATALOG) -> list[str]:
    """Return the names of every source the catalog knows."""
    components = yaml.safe_load(path.read_text())["components"]
    return sorted({source for entry in components.values() for source in entry})


def load(source: str, path: Path = CATALOG) -> Catalog:
    """Read the catalog for `source`; raise CatalogError, naming what is wrong."""
    return Catalog(yaml.safe_load(path.read_text()), source)
