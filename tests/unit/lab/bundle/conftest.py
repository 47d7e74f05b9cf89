"""What tests of bundles share: a small one, made of a few files, and one of a small catalog."""

import pytest
import yaml

from lab import catalog
from lab.build.oci import Entry
from lab.bundle import archive, contents, manifest, wheels

HEADER = {"source": "packages", "machine": manifest.machine(), "python": manifest.python(), "release": "debian 12", "packages": ["git"],
          "artifacts": {"tool": {"key": "1" * 64, "entry": "2" * 64}, "wheels": {"key": "3" * 64}}}  # fmt: skip
BOOT = b"a wheel"

PYTHON = {"version": "3.11", "image": "docker.io/library/python:{version}", "stage": "service", "install": "none",
          "build": {"kind": "apt", "base": "base"}}  # fmt: skip
WEB = {"version": "checkout", "image": "localhost:{registry_port}/vars/web:{key}", "stage": "service", "install": "chart",
       "build": {"kind": "dockerfile", "target": "release", "base": "base", "build_base": "python"}}  # fmt: skip


@pytest.fixture
def sources(tmp_path):
    """Return the files of the small bundle, by their paths in it."""
    folder = tmp_path / "sources"
    folder.mkdir()
    texts = {"artifacts/tool/tool": b"#!/bin/sh\n", "artifacts/wheels/a-1-py3-none-any.whl": b"wheel" * 40000, "blobs/sha256/abc": b"{}"}
    found = {}
    for number, (name, text) in enumerate(texts.items()):
        found[name] = folder / str(number)
        found[name].write_bytes(text)
    found["artifacts/tool/tool"].chmod(0o755)
    return found


@pytest.fixture
def bundle(tmp_path, sources):
    """Return the path of the small bundle."""
    target = tmp_path / "small.tar.zst"
    archive.write(target, HEADER, sources, BOOT)
    return target


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout with a service."""
    for name in ("Dockerfile", "app/service.py", "app/requirements.txt"):
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / name).write_text(name)
    return tmp_path / "checkout"


@pytest.fixture
def data(small, tmp_path, monkeypatch):
    """Have the small catalog, with a service in it, as the catalog."""
    small["components"] |= {"python": {"packages": PYTHON}, "web": {"packages": WEB}}
    file = tmp_path / "catalog.yml"
    file.write_text(yaml.safe_dump(small))
    monkeypatch.setattr(catalog, "load", lambda source: catalog.Catalog(yaml.safe_load(file.read_text()), source))
    small["file"] = file
    return small


@pytest.fixture
def maker(data, plan_of, checkout, monkeypatch):
    """Return the plan of the machine that makes the bundle: everything is made. What apt knows there, no test asks."""
    monkeypatch.setattr("lab.build.plan.Plan._inputs_apt", lambda self, component: "what is here")
    made = plan_of(data, checkout)
    for name in ("base", "tool", "proxy", "python", "web"):
        with made.store.make(name, made.key(name)) as folder:
            if made.catalog[name].image:
                made.layouts.image(folder / "oci", [made.layouts.layer([Entry(f"usr/bin/{name}", name.encode())])], {"Env": ["A=1"]})
            else:
                (folder / name).write_text(name)
    with made.store.make(wheels.APP, wheels.app_key(checkout, "3.11")) as folder:
        (folder / "falcon-1-py3-none-any.whl").write_text("falcon")
    return made


@pytest.fixture
def carried(maker, checkout, tmp_path):
    """Return the bundle of everything that was made, as it is read."""
    names = contents.carried(maker.catalog)
    folders = {name: maker.artifact(name) for name in names}
    artifacts = {name: {"key": maker.key(name), "entry": contents.entry(maker.catalog[name])} for name in names}
    folders[wheels.APP] = maker.store.path(wheels.APP, wheels.app_key(checkout, "3.11"))
    artifacts[wheels.APP] = {"key": wheels.app_key(checkout, "3.11")}
    archive.write(tmp_path / "x.tar.zst", {**HEADER, "artifacts": artifacts}, contents.files(maker, folders), BOOT)
    return archive.Bundle(tmp_path / "x.tar.zst")
