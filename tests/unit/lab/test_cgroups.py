"""What the kernel accounts to containers, on both versions of control groups."""

import re
from pathlib import Path

import pytest

from lab.cgroups import Memory, containers, engine_group

ONE, TWO = "1" * 64, "2" * 64
RECORDED = Path(__file__).with_name("cgroups")
# What kernel 6.18 said of a lab's database.
V1 = {file.name: file.read_text() for file in (RECORDED / "v1").iterdir()}
EXPECTED = Memory(usage=56684544, inactive_file=3956736, rss=17154048)
# What Debian's kernel 6.1 said, as user-mode-linux with nothing but cgroup v2: every group below the engine's, named as kind,
# kubelet and containerd name them for each driver. Processes in them held memory and had read files.
V2 = {
    "systemd": ("b63eea075713d36c0f3998117f92adec9ccaa6af6452c146eed9278bd9e5875a", {
        "5bbf5a52": Memory(usage=11595776, inactive_file=6275072, rss=5238784),
        "ddd77470": Memory(usage=110592, inactive_file=0, rss=61440),
        "c193497a": Memory(usage=4304896, inactive_file=2211840, rss=2019328),
        "febe6995": Memory(usage=1040384, inactive_file=0, rss=983040),
    }),
    "cgroupfs": ("12ad545a87e00eb6ad682fdaf9f45a49b10bc638cdffe550b16675891e4fc6dc", {
        "386155ce": Memory(usage=9396224, inactive_file=5357568, rss=3960832),
        "aad3aa97": Memory(usage=114688, inactive_file=0, rss=61440),
        "821173b0": Memory(usage=2871296, inactive_file=1163264, rss=1634304),
        "9f69846c": Memory(usage=966656, inactive_file=0, rss=720896),
    }),
}  # fmt: skip


@pytest.fixture
def tree(tmp_path):
    """Return a function that lays out groups: path and files of each."""

    def lay(groups):
        for path, files in groups.items():
            (tmp_path / path).mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (tmp_path / path / name).write_text(text)
        return tmp_path

    return lay


@pytest.fixture(params=V2)
def recorded(request, tree):
    """Return what was recorded with one driver: where it is mounted, the node's id, and its containers by the start of their ids."""
    identity, expected = V2[request.param]
    groups = {}
    for part in re.split(r"^==> ", (RECORDED / f"v2-{request.param}.txt").read_text(), flags=re.MULTILINE)[1:]:
        path, text = part.split(" <==\n")
        groups.setdefault(path.rpartition("/")[0], {})[Path(path).name] = text.rstrip("\n") + "\n"
    return tree(groups), identity, expected


def test_containers_of_a_node_are_found_on_v2(recorded):
    mount, identity, expected = recorded
    found = containers(engine_group(identity, mount))
    assert {identity[:8]: memory for identity, memory in found.items()} == expected


@pytest.mark.parametrize("folder", [f"kubelet/kubepods/burstable/pod0f/{ONE}", f"kubelet.slice/pod0f.slice/cri-containerd-{ONE}.scope", ONE])
def test_container_is_found_on_v1(tree, folder):
    assert containers(tree({folder: V1})) == {ONE: EXPECTED}


def test_pods_and_slices_are_no_containers(tree):
    assert containers(tree({"kubepods/pod0f": V1, f"kubepods/pod0f/{ONE}": V1})) == {ONE: EXPECTED}


def test_every_container_counts(tree):
    assert set(containers(tree({f"a/{ONE}": V1, f"b/{TWO}": V1}))) == {ONE, TWO}


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
    assert engine_group(TWO, tree({f"docker/{ONE}": V1})) is None
