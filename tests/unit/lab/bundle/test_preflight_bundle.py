"""A bundle that cannot be used here is refused in one line, before anything of it is unpacked."""

import pytest

from lab.bundle.archive import write
from lab.bundle.manifest import machine, release
from lab.bundle.unpack import unpack
from lab.cache import Store
from lab.preflight import bundle as check
from tests.unit.lab.bundle.conftest import BOOT, HEADER


@pytest.fixture
def store(tmp_path):
    """Return the cache of the machine that gets the carried."""
    return Store(tmp_path / "other")


@pytest.fixture
def look(carried, store, checkout, tmp_path):
    """Return a function that looks at a bundle as preflight does; every program is there unless `find` says otherwise."""

    def looked(file=carried.path, can_install=None, find=lambda name: name, **settings):
        settings = {"lab_bundle": str(file), "lab_state_dir": str(tmp_path / "state"), "lab_registry_port": 5001, **settings}
        return check.look(settings, checkout, store, can_install, find)

    return looked


def said(found):
    """Return what is refused, which is one line each."""
    lines = [finding.message for finding in found.findings]
    assert all("\n" not in line for line in lines)
    return lines


def changed(carried, tmp_path, **header):
    """Return a bundle with another header and no content."""
    artifacts = {name: vars(artifact) for name, artifact in carried.manifest.artifacts.items()}
    write(tmp_path / "changed.tar.zst", {**HEADER, "artifacts": artifacts, **header}, {}, BOOT)
    return tmp_path / "changed.tar.zst"


def test_a_good_bundle_is_no_finding_and_needs_room(look):
    found = look()
    assert (said(found), found.gib) == ([], 1)


def test_what_is_unpacked_needs_no_room_and_no_file(look, carried, store, tmp_path):
    unpack(carried, store)
    carried.manifest.keep(tmp_path / "state")
    found = look(file="")
    assert (said(found), found.gib) == ([], 0)


def test_no_bundle_at_all_says_what_to_type(look):
    assert said(look(file="")) == ["lab_source=bundle needs the bundle: make up BUNDLE=FILE, with the file that make bundle wrote"]


def test_a_lab_whose_cache_was_cleaned_says_what_to_type(look, carried, tmp_path):
    carried.manifest.keep(tmp_path / "state")
    assert said(look(file="")) == ["what the bundle brought is no longer in the cache: make up BUNDLE=FILE brings it back"]


def test_a_damaged_bundle_is_refused_before_anything_is_unpacked(look, carried, store):
    content = bytearray(carried.path.read_bytes())
    content[-len(content) // 3] ^= 0x10
    carried.path.write_bytes(content)
    (line,) = said(look())
    assert "is damaged or cut short" in line
    assert list(store.artifacts.iterdir()) == []


def test_a_file_that_is_none_is_refused(look, tmp_path):
    (tmp_path / "x").write_text("hello")
    assert said(look(tmp_path / "x")) == [f"{tmp_path / 'x'} is no bundle of the lab: make bundle writes one"]


def test_a_bundle_for_another_machine_is_refused(look, carried, tmp_path):
    (line,) = said(look(changed(carried, tmp_path, machine="linux riscv64")))
    assert line == f"the bundle is for linux riscv64 and this machine is {machine()}: make one on a machine like this"


def test_parts_that_it_lacks_are_named(look, carried, tmp_path):
    kept = {name: vars(artifact) for name, artifact in carried.manifest.artifacts.items() if name != "proxy"}
    (line,) = said(look(changed(carried, tmp_path, artifacts=kept)))
    assert line.startswith("the bundle has no proxy, which the lab's parts need")


def test_a_service_that_needs_other_packages_is_refused_before_anything_is_unpacked(look, checkout):
    (checkout / "app" / "requirements.txt").write_text("changed")
    (line,) = said(look())
    assert line.startswith("app/requirements.txt asks for other packages than the bundle has")


def test_a_service_that_changed_is_no_finding(look, checkout):
    (checkout / "app" / "service.py").write_text("changed")
    assert said(look()) == []


@pytest.mark.parametrize(("can_install", "reason"), [
    ("this user is not root", "this user is not root"),
    (None, f"its packages are for another 1 and this is {release()}"),
])  # fmt: skip
def test_a_program_that_the_bundle_cannot_bring_is_asked_for_by_name(look, carried, tmp_path, can_install, reason):
    file = changed(carried, tmp_path, release="another 1") if can_install is None else carried.path
    lines = said(look(file, can_install, find=lambda name: None if name == "skopeo" else name))
    assert lines == [f"this machine has no skopeo, and the bundle cannot bring it ({reason}): install it first"]


def test_where_every_program_is_there_packages_do_not_matter(look, carried, tmp_path):
    found = look(changed(carried, tmp_path, release="another 1"))
    assert (said(found), found.cannot_install) == ([], f"its packages are for another 1 and this is {release()}")


def test_a_bundle_without_packages_says_so(look, carried, tmp_path):
    assert look(changed(carried, tmp_path, release="")).cannot_install in ("it carries no packages", None)
