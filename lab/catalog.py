"""Read the catalog: what the lab is made of, and how the chosen source provides each part."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

# LAB_CATALOG names another catalog than the checkout's.
CATALOG = Path(os.environ.get("LAB_CATALOG") or Path(__file__).with_name("catalog.yml"))
STAGES = ("service", "platform")


class CatalogError(Exception):
    """The catalog cannot provide what was asked for; the message names it."""


@dataclass(frozen=True)
class Component:
    """One component as one source provides it.

    `image` is the reference with `{version}` filled in (`{key}` and `{registry_port}` are filled in by
    the builder, for what is built from the checkout), or None for what is no image. `part` is the part of the lab
    that wants it, or None where every lab does; `cluster` is wanted by a lab that makes its cluster itself.
    """

    name: str
    version: str
    stage: str
    install: str
    build: dict[str, Any]
    image: str | None = None
    manifest: str | list[str] | None = None
    part: str | None = None

    @property
    def kind(self) -> str:
        """How it is made (go, pip, apt, rootfs, node, c, dockerfile), or had from upstream (pull, download, chart)."""
        return self.build["kind"]

    @property
    def pulled(self) -> bool:
        """Whether it is an image that whoever needs it pulls from upstream, so that nothing is made."""
        return self.kind == "pull"

    @property
    def host(self) -> str:
        """The registry of its image under upstream's name."""
        return repository(self.image or "").partition("/")[0]

    @property
    def release(self) -> str:
        """The version of the module that it is built from."""
        return self.build.get("release", self.version)

    @property
    def manifests(self) -> list[str]:
        """The manifests that come with it, as paths in its module."""
        return [self.manifest] if isinstance(self.manifest, str) else self.manifest or []

    @property
    def deployed(self) -> bool:
        """Whether the cluster runs its image."""
        return self.image is not None and self.install in ("kubeadm", "manifest", "chart", "node")

    @property
    def pushed(self) -> bool:
        """Whether the cluster pulls its image from the lab's registry."""
        return self.deployed and not self.pulled


class Catalog:
    """The components of one source."""

    @property
    def hosts(self) -> list[str]:
        """The registries of those images that whoever needs them pulls."""
        return sorted({item.host for item in self.components.values() if item.pulled})

    def __init__(self, data: dict[str, Any], source: str) -> None:
        """Check `data` for `source`; raise CatalogError naming the component and what it lacks."""
        self.data = data
        self.source = source
        self.toolchain: dict[str, Any] = data.get("toolchain", {})
        self.batches: dict[str, Any] = data.get("batches", {})
        self.components: dict[str, Component] = {}
        for name, entries in data["components"].items():
            if source in entries:
                self.components[name] = self._component(name, entries[source])
        if not self.components:
            known = sorted({name for entries in data["components"].values() for name in entries})
            raise CatalogError(f"catalog: there is no source '{source}' (there are: {', '.join(known)})")
        for component in self.components.values():
            for base in self.bases(component):
                if base not in self.components:
                    raise CatalogError(f"catalog: {component.name} is based on {base}, which source '{source}' does not provide")

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

    def only(self, names: Collection[str]) -> Catalog:
        """Return the same catalog with the components `names` alone; what they are based on may be elsewhere."""
        some = copy.copy(self)
        some.components = {name: component for name, component in self.components.items() if name in names}
        return some

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


def path_of(reference: str) -> tuple[str, str]:
    """Return repository and tag of an image in a registry that the lab pushes to.

    The path of an upstream image includes its host, so that two hosts may have images of one name; an image of the
    lab's own registry (`localhost:...`) stands under its path alone.
    """
    name, tag = repository(reference), reference.rsplit(":", 1)[1]
    return (name.partition("/")[2] if name.startswith("localhost:") else name), tag


def located(reference: str, registry: str) -> str:
    """Return the reference of an image that was pushed to `registry`, host[:port][/path]."""
    return "{}/{}:{}".format(registry, *path_of(reference))


def unlocated(reference: str, registry: str) -> str:
    """Return the reference by which the catalog knows an image that was pushed to `registry`; any other as it is."""
    return reference.removeprefix(f"{registry}/") if registry else reference


def catalog_file() -> Path:
    """Return the catalog that is read: the lab's own, or the one that `LAB_CATALOG` names, with other versions or digests."""
    return Path(os.environ.get("LAB_CATALOG") or CATALOG)


def read(path: Path | None = None) -> dict[str, Any]:
    """Return the data of the catalog `path`, or of the one that is read by default; raise CatalogError where it cannot be read."""
    path = path or catalog_file()
    try:
        data = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise CatalogError(f"catalog: {path} cannot be read ({why}): check LAB_CATALOG") from None
    if not isinstance(data, dict) or not isinstance(data.get("components"), dict):
        raise CatalogError(f"catalog: {path} has no components, as lab/catalog.yml has: check LAB_CATALOG")
    return data


def sources(path: Path | None = None) -> list[str]:
    """Return the names of every source the catalog knows."""
    return sorted({source for entry in read(path)["components"].values() for source in entry})


def load(source: str, path: Path | None = None) -> Catalog:
    """Read the catalog for `source`; raise CatalogError, naming what is wrong."""
    return Catalog(read(path), source)
