"""Manifests as a cluster gets them whose nodes have no mirror, and in which others have objects, too."""

from __future__ import annotations

from pathlib import Path

import yaml

from lab.build.plan import Loader, Plan, containers, dump
from lab.cache import digest
from lab.kubectl import MARK


def manifest(plan: Plan, name: str, state_dir: Path) -> Path:
    """Return the file of a component's manifest; definitions of kinds, where it has some, are in `kinds.yaml` beside it.

    For the lab's own cluster that is the artifact's own. For an existing one it is a copy in the lab's folder, made once:
    images are named as that cluster pulls them, and kinds say which lab they are of.
    """
    made = plan.artifact(name)
    if not plan.registry:
        return made / "manifest.yaml"
    folder = state_dir / "manifests" / f"{made.name}-{digest(plan.registry)[:8]}"
    if not (folder / "manifest.yaml").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        if (made / "kinds.yaml").is_file():
            write(folder / "kinds.yaml", [marked(kind, state_dir.name) for kind in read(made / "kinds.yaml")])
        # Last, because it is what is looked for.
        write(folder / "manifest.yaml", [repointed(plan, document) for document in read(made / "manifest.yaml")])
    return folder / "manifest.yaml"


def marked(document: dict, lab: str) -> dict:
    """Return an object that says which lab it is of."""
    document["metadata"].setdefault("labels", {})[MARK] = lab
    return document


def repointed(plan: Plan, document: dict) -> dict:
    """Return an object, every image in it named as the cluster pulls it."""
    for container in containers(document):
        container["image"] = plan.pulled(plan.catalog.by_image(container["image"]).name)
    return document


def read(path: Path) -> list[dict]:
    """Return the objects of a manifest."""
    return [document for document in yaml.load_all(path.read_text(), Loader) if document]


def write(path: Path, documents: list[dict]) -> None:
    """Write objects as a manifest; whoever reads it finds all of it, or none."""
    partial = path.with_suffix(".partial")
    partial.write_text(dump(documents))
    partial.replace(path)
