"""What the machine lacks is refused, with what to type."""
from pathlib import Path

import pytest

from lab.preflight import host

DEBIAN = {"ID": "debian", "PRETTY_NAME": "Debian"}


def test_an_old_python_is_refused():
    assert "3.10 is too old" in host.python_version((3, 10, 9))[0].message
    assert host.python_version((3, 11, 0)) == host.python_version((4, 0)) == []


@pytest.mark.parametrize("release, machine, user, why", [
    ({"ID": "fedora", "PRETTY_NAME": "Fedora 40"}, "x86_64", 0, "Fedora 40"),
    (DEBIAN, "aarch64", 0, "aarch64"),
    (DEBIAN, "x86_64", 1000, "not root"),
    ({}, "x86_64", 0, "not Debian"),
])
def test_why_nothing_can_be_installed(release, machine, user, why):
    reason = host.why_not_install(release, machine, user)
    assert why in reason
    assert reason in host.builds(reason, True)[0].message
    assert host.builds(reason, False) == []


def test_debian_and_its_likes_can_install():
    assert host.why_not_install(DEBIAN, "x86_64", 0) is None
    assert host.why_not_install({"ID": "mint", "ID_LIKE": "ubuntu debian"}, "amd64", 0) is None
    assert host.builds(None, True) == []


def test_the_system_describes_itself(tmp_path):
    (tmp_path / "os-release").write_text('# comment\nID=ubuntu\nPRETTY_NAME="Ubuntu 24.04 LTS"\n\n')
    assert host.os_release(tmp_path / "os-release") == {"ID": "ubuntu", "PRETTY_NAME": "Ubuntu 24.04 LTS"}
    assert host.os_release(tmp_path / "none") == {}


def test_memory_is_the_least_of_what_system_and_control_group_leave(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4096 kB\n")
    (tmp_path / "max").write_text("max\n")
    (tmp_path / "limit").write_text("1048576\n")
    limits = tuple(str(tmp_path / name) for name in ("max", "none"))
    assert host.available_memory(tmp_path / "meminfo", limits) == 4096 * 1024
    assert host.available_memory(tmp_path / "meminfo", (*limits, str(tmp_path / "limit"))) == 1048576
    assert host.available_memory(tmp_path / "none") is None


@pytest.mark.parametrize("available, engine, nodes, refused", [
    (3000, None, 1, False), (2999, None, 1, True), (3000, None, 2, True), (3700, {"MemTotal": 3700 * host.MIB}, 2, False),
    (9000, {"MemTotal": 2000 * host.MIB}, 1, True),
])
def test_too_little_memory_is_refused(available, engine, nodes, refused):
    assert bool(host.memory(available * host.MIB, engine, nodes, 3000, 700)) is refused


def test_memory_that_nobody_tells_is_not_refused():
    assert host.memory(None, None, 1, 3000, 700) == []


def test_needs_on_one_file_system_are_added_up():
    needs = [(Path("/a"), 20, "builds"), (Path("/b"), 6, "images")]
    found = host.disk(needs, lambda path: (1, 25 * host.GIB))
    assert len(found) == 1
    assert "25.0 GiB of disk are free and 26 are needed (20 GiB for builds in /a, 6 GiB for images in /b)" in found[0].message
    assert host.disk(needs, lambda path: (1, 26 * host.GIB)) == []
    assert host.disk(needs, lambda path: (hash(path), 25 * host.GIB)) == []


def test_the_disk_of_a_folder_to_be_is_its_parents(tmp_path):
    assert host.free_bytes(tmp_path / "a/b/c")[0] == tmp_path.stat().st_dev


@pytest.mark.parametrize("limit, kind", [(128, None), (127, "warning"), (64, "warning"), (63, "refused"), (None, None)])
def test_inotify_limits_that_are_too_low_are_named_with_the_command_that_raises_them(limit, kind):
    found = host.inotify(lambda name: limit, 3, {"max_user_instances": 64})
    assert [f.warning for f in found] == {None: [], "warning": [True], "refused": [False]}[kind]
    if found:
        assert "3 node(s)" in found[0].message
        assert "sysctl -w fs.inotify.max_user_instances=256" in found[0].message


def test_capabilities_that_the_bounding_set_lacks_are_named(tmp_path):
    (tmp_path / "last").write_text("40\n")
    (tmp_path / "status").write_text("CapBnd:\t000001fffeffffff\n")
    assert host.lacking_capabilities(tmp_path / "status", tmp_path / "last") == ["capability 24"]
    (tmp_path / "status").write_text("CapBnd:\t000001ffffffffff\n")
    assert host.lacking_capabilities(tmp_path / "status", tmp_path / "last") == []
    assert host.lacking_capabilities(tmp_path / "none", tmp_path / "last") == []


def test_cache_may_be_a_folder_that_is_not_there_yet(tmp_path):
    assert host.no_folder(tmp_path / "not" / "yet") == []


def test_cache_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (found,) = host.no_folder(tmp_path / "file" / "cache")
    assert found.message == f"the cache cannot be {tmp_path}/file/cache: {tmp_path}/file is no folder; name another (LAB_CACHE=FOLDER)"
