"""What the kernel accounts to containers: trees as they were recorded, on both versions."""

import pytest

from lab.cgroups import Memory, containers, engine_group

ONE, TWO = "1" * 64, "2" * 64
# Recorded on kernel 6.18: a web container on v1; on v2 the same kernel's names for the same counters.
V1 = {
    "memory.usage_in_bytes": "57352192\n",
    "memory.stat": "cache 12288000\nrss 41943040\ninactive_file 100\ntotal_cache 12288000\ntotal_rss 41943040\ntotal_inactive_file 8192000\n",
}
V2 = {
    "memory.current": "57352192\n",
    "memory.stat": "anon 41943040\nfile 12288000\nkernel_stack 131072\ninactive_anon 41943040\ninactive_file 8192000\nactive_file 4096000\n",
}
EXPECTED = Memory(57352192, 8192000, 41943040)


@pytest.fixture
def tree(tmp_path):
    """Return a function that lays out groups: path and files of each."""

    def lay(groups):
        for path, files in groups.items():
            (tmp_path / path).mkdir(parents=True)
            for name, text in files.items():
                (tmp_path / path / name).write_text(text)
        return tmp_path

    return lay


@pytest.mark.parametrize(("files", "folder"), [
    (V1, f"kubelet/kubepods/burstable/pod0f/{ONE}"), (V2, f"kubelet.slice/kubepods.slice/cri-containerd-{ONE}.scope"),
    (V1, f"kubelet.slice/pod0f.slice/cri-containerd-{ONE}.scope"), (V2, ONE),
], ids=["v1, cgroupfs", "v2, systemd", "v1, systemd", "v2, no parent"])  # fmt: skip
def test_container_is_found_with_its_memory(tree, files, folder):
    assert containers(tree({folder: files})) == {ONE: EXPECTED}


def test_pods_and_slices_are_no_containers(tree):
    assert containers(tree({"kubepods/pod0f": V1, f"kubepods/pod0f/{ONE}": V1})) == {ONE: EXPECTED}


def test_every_container_counts(tree):
    assert set(containers(tree({f"a/{ONE}": V1, f"b/{TWO}": V2}))) == {ONE, TWO}


def test_working_set_is_what_cannot_be_taken_back_at_once():
    assert EXPECTED.working_set == 57352192 - 8192000


def test_working_set_is_never_below_zero():
    assert Memory(10, 20, 5).working_set == 0


def test_container_that_ends_meanwhile_is_left_out(tree):
    assert containers(tree({f"a/{ONE}": {}})) == {}


@pytest.mark.parametrize(
    "place", [f"memory/docker/{ONE}", f"memory/system.slice/docker-{ONE}.scope", f"docker/{ONE}", f"system.slice/docker-{ONE}.scope"]
)
def test_group_of_a_container_of_the_engine_is_found(tree, place):
    root = tree({place: V1})
    assert engine_group(ONE, root) == root / place


def test_container_that_the_engine_does_not_have_has_no_group(tree):
    assert engine_group(TWO, tree({f"docker/{ONE}": V2})) is None
