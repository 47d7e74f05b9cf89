"""What the kernel accounts to containers, on both versions of control groups."""

from pathlib import Path

import pytest

from lab.cgroups import Memory, containers, engine_group

ONE, TWO = "1" * 64, "2" * 64
# v1 is what kernel 6.18 said of a lab's database; v2 the same figures under the names that the kernel's documentation has
# for them, since the machine they come from has v1.
RECORDED = Path(__file__).with_name("cgroups")
V1, V2 = ({file.name: file.read_text() for file in (RECORDED / version).iterdir()} for version in ("v1", "v2"))
EXPECTED = Memory(usage=56684544, inactive_file=3956736, rss=17154048)


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
    assert EXPECTED.working_set == 52727808


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
