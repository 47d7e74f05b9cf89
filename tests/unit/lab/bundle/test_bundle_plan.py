"""The plan of a bundle: keys from its manifest, nothing fetched, what it lacks refused by name."""

import copy

import pytest
import yaml

from lab.bundle import BundleError, plan, unpack, wheels
from lab.bundle.archive import Bundle, write
from lab.bundle.manifest import Manifest
from lab.cache import Store, digest
from lab.catalog import CatalogError
from tests.unit.lab.bundle.conftest import BOOT, HEADER


@pytest.fixture
def other(tmp_path, monkeypatch):
    """Return the store of the other machine, where the same inputs give other keys."""
    monkeypatch.setattr("lab.build.plan.Plan._inputs_apt", lambda self, component: "what is there")
    return Store(tmp_path / "other")


@pytest.fixture
def plan_there(carried, other, checkout):
    """Return the plan of the other machine, with nothing unpacked yet."""
    return plan.BundlePlan(carried.manifest, other, checkout)


def test_keys_are_the_makers(maker, plan_there, carried):
    assert {name: plan_there.key(name) for name in plan_there.catalog.components} == {name: maker.key(name) for name in carried.manifest.components}


def test_the_same_checkout_has_the_same_images(maker, plan_there):
    assert plan_there.reference("web") == maker.reference("web")


def test_only_what_is_carried_is_known(plan_there):
    assert set(plan_there.catalog.components) == {"tool", "proxy", "python", "web", "base"}
    with pytest.raises(CatalogError, match="no component 'gone'"):
        plan_there.catalog["gone"]


def test_nothing_is_missing_once_it_is_unpacked(carried, other, plan_there):
    assert set(plan_there.missing(list(plan_there.catalog.components))) == {"tool", "proxy", "python", "web", "base"}
    assert unpack.unpack(carried, other)
    assert plan_there.missing(list(plan_there.catalog.components)) == []
    assert plan_there.jobs(list(plan_there.catalog.components)) == []


def test_images_are_whole(carried, other, maker, plan_there):
    unpack.unpack(carried, other)
    layout = plan_there.artifact("proxy") / "oci"
    assert plan_there.layouts.digest(layout) == maker.layouts.digest(maker.artifact("proxy") / "oci")
    assert all((other.blobs / layer["digest"].replace(":", "/")).is_file() for layer in plan_there.layouts.manifest(layout)["layers"])


def test_unpacking_again_changes_nothing_and_does_not_read_the_file(carried, other):
    unpack.unpack(carried, other)
    carried.path.unlink()
    assert not unpack.unpack(carried, other)


def test_what_was_removed_from_the_cache_is_brought_back(carried, other, plan_there):
    unpack.unpack(carried, other)
    (plan_there.artifact("tool") / "tool").unlink()
    plan_there.artifact("tool").rmdir()
    assert unpack.unpack(carried, other)
    assert (plan_there.artifact("tool") / "tool").read_text() == "tool"


def test_a_damaged_bundle_leaves_nothing_in_the_cache(carried, other):
    content = bytearray(carried.path.read_bytes())
    content[len(content) // 2] ^= 0x10
    carried.path.write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        unpack.unpack(carried, other)
    assert [*other.artifacts.iterdir(), *(other.blobs / "sha256").iterdir(), *other.root.glob("tmp*")] == []


def test_what_is_not_unpacked_is_refused_and_not_fetched(plan_there):
    with pytest.raises(CatalogError, match=r"no longer in the cache \(tool\): make up BUNDLE=FILE"):
        plan_there.jobs(["tool"])


def test_a_checkout_with_another_service_builds_it_of_what_was_carried(carried, other, plan_there, checkout):
    unpack.unpack(carried, other)
    before = plan_there.reference("web")
    (checkout / "app" / "service.py").write_text("changed")
    changed = plan.BundlePlan(carried.manifest, other, checkout)
    assert [job.name for job in changed.jobs(list(changed.catalog.components))] == ["web"]
    assert changed.reference("web") != before


def test_a_service_that_needs_other_packages_is_refused(carried, other, checkout):
    unpack.unpack(carried, other)
    (checkout / "app" / "requirements.txt").write_text("changed")
    with pytest.raises(CatalogError, match=r"app/requirements.txt asks for other packages than the bundle has"):
        plan.BundlePlan(carried.manifest, other, checkout).jobs(["web"])


def test_the_image_to_build_in_has_the_wheels_and_asks_nobody(carried, other, checkout, monkeypatch, tmp_path):
    unpack.unpack(carried, other)
    there = plan.BundlePlan(carried.manifest, other, checkout)
    loaded = []
    monkeypatch.setattr("lab.build.engine.wait", lambda log: None)
    monkeypatch.setattr("lab.build.engine.has", lambda reference, key: False)
    monkeypatch.setattr("lab.build.engine.load", lambda layouts, layout, reference, log: loaded.append((layout, reference)))
    assert there.build_image(there.catalog["web"], tmp_path / "log") == "docker.io/library/python:3.11-wheels"
    config = there.layouts.config(loaded[0][0])
    assert config["config"]["Env"] == ["A=1", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels"]
    assert len(config["rootfs"]["diff_ids"]) == 2


@pytest.mark.parametrize("change", [
    lambda entry: entry.update(version="3.8"),
    lambda entry: entry["build"].update(sha256="9" * 64),
], ids=["version", "checksum"])  # fmt: skip
def test_a_bundle_of_another_catalog_is_refused_by_name(data, carried, other, checkout, change):
    changed = {name: value for name, value in copy.deepcopy(data).items() if name != "file"}
    change(changed["components"]["proxy"]["packages"])
    data["file"].write_text(yaml.safe_dump(changed))
    with pytest.raises(CatalogError, match="the bundle has another proxy than this checkout's catalog"):
        plan.BundlePlan(carried.manifest, other, checkout)


def test_parts_that_it_does_not_carry_are_named(carried, maker, tmp_path, data):
    kept = {name: vars(artifact) for name, artifact in carried.manifest.artifacts.items() if name != "proxy"}
    write(tmp_path / "less.tar.zst", {**HEADER, "artifacts": kept}, {}, BOOT)
    assert plan.absent(Bundle(tmp_path / "less.tar.zst").manifest, []) == ["proxy"]
    assert plan.absent(carried.manifest, []) == []


def test_a_lab_keeps_its_manifest(carried, tmp_path):
    assert carried.manifest.keep(tmp_path / "state")
    assert not carried.manifest.keep(tmp_path / "state")
    assert Manifest.kept(tmp_path / "state").digest == carried.manifest.digest


def test_a_key_says_what_it_is_of(checkout):
    assert wheels.app_key(checkout, "3.11") != wheels.app_key(checkout, "3.12")
    assert len(wheels.app_key(checkout, "3.11")) == len(digest(""))
