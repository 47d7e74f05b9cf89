"""What goes into a bundle: all that a lab runs, nothing that only builds need."""

import pytest

from lab import catalog
from lab.build.oci import Entry
from lab.bundle import contents

SOURCES = catalog.sources()


@pytest.fixture(params=SOURCES)
def everything(request):
    return catalog.load(request.param)


def test_every_image_that_the_cluster_pulls_is_carried(everything):
    pulled = {name for name, item in everything.components.items() if item.deployed}
    assert pulled
    assert pulled - set(contents.carried(everything)) == set()


def test_images_that_hooks_and_operators_start_are_carried(everything):
    started = {"migrations", "busybox", "pause", "prometheus", "alertmanager", "prometheus-config-reloader"}
    assert started & everything.components.keys() - set(contents.carried(everything)) == set()


def test_every_tool_of_this_machine_is_carried(everything):
    tools = {name for name, item in everything.components.items() if item.install == "host"}
    assert tools - set(contents.carried(everything)) == set()


def test_what_the_checkouts_images_stand_on_is_carried(everything):
    bases = {base for item in everything.components.values() if item.kind == "dockerfile" for base in everything.bases(item)}
    assert bases - set(contents.carried(everything)) == set()


def test_what_only_builds_need_stays():
    assert {"debian", "netfilter", "nodebase", "kubeadm", "kubelet", "argocd-base", "kustomize"} & set(contents.carried(catalog.load("packages"))) == set()


def test_parts_that_are_left_out_are_not_carried(everything):
    names = contents.carried(everything, ["argocd"])
    parts = {everything[name].part for name in names}
    assert parts == {None, "argocd"}


def test_a_catalog_entry_that_changed_has_another_digest(small):
    before = contents.entry(catalog.Catalog(small, "packages")["proxy"])
    small["components"]["proxy"]["packages"]["version"] = "3.8"
    assert contents.entry(catalog.Catalog(small, "packages")["proxy"]) != before


@pytest.fixture
def made(small, plan_of):
    """Return a plan whose `base` and `proxy` are images, one on the other."""
    plan = plan_of(small)
    for name, base in (("base", None), ("proxy", "base")):
        with plan.store.make(name, plan.key(name)) as folder:
            layer = plan.layouts.layer([Entry(f"usr/bin/{name}", name.encode())])
            plan.layouts.image(folder / "oci", [layer], {}, plan.artifact(base) / "oci" if base else None)
            (folder / "manifest.yaml").write_text(name)
    return plan


def test_files_are_the_artifact_and_every_blob_of_its_image(made):
    found = contents.files(made, {"proxy": made.artifact("proxy")})
    manifest = made.layouts.manifest(made.artifact("proxy") / "oci")
    wanted = {made.layouts.digest(made.artifact("proxy") / "oci"), manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    assert len(manifest["layers"]) == 2
    assert {name.removeprefix("blobs/").replace("/", ":") for name in found if name.startswith("blobs/sha256")} == wanted
    assert {name for name in found if name.startswith("artifacts/")} == {f"artifacts/proxy/{path}" for path in ("manifest.yaml", "oci/index.json", "oci/oci-layout")}
    assert all(path.is_file() for path in found.values())
