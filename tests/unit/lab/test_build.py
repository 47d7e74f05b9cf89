"""`python -m lab build`: one build at a time, tools linked, and what roles are told."""

import fcntl
import os

import pytest

from lab import build
from lab.build import engine
from lab.build.jobs import JobError
from lab.build.tools import ToolError
from lab.cache import Store


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def held(lock):
    """Hold the lock as another build does."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("4711")
        file.flush()
        yield


@pytest.fixture
def built(small, plan_of):
    """Return a plan whose `tool` and `proxy` are built."""
    small["components"]["proxy"]["packages"]["manifest"] = "deploy.yaml"
    plan = plan_of(small)
    for name in ("tool", "proxy"):
        with plan.store.make(name, plan.key(name)) as folder:
            (folder / name).write_text(name)
    return plan


def test_lock_names_its_owner(lock):
    with build.locked(lock, print):
        assert lock.read_text() == str(os.getpid())


def test_lock_is_free_again_afterwards(lock):
    for _ in range(2):
        with build.locked(lock, print, timeout=0):
            pass


def test_lock_is_free_again_after_an_error(lock):
    with pytest.raises(RuntimeError), build.locked(lock, print):
        raise RuntimeError
    with build.locked(lock, print, timeout=0):
        pass


def test_lock_that_stays_taken_is_an_error_that_says_by_whom(lock, held):
    with pytest.raises(JobError, match="process 4711 still holds"), build.locked(lock, print, timeout=0.1):
        pytest.fail("two builds at once")


def test_waiting_for_a_lock_is_said_once(lock, held):
    said = []
    with pytest.raises(JobError), build.locked(lock, said.append, timeout=0.1):
        pass
    assert said == ["waiting for process 4711, which does the same, 0 min at most"]


def test_lock_is_taken_once_its_owner_is_gone(lock):
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def gone(line):
            fcntl.flock(file, fcntl.LOCK_UN)

        with build.locked(lock, gone, timeout=0.1):
            assert lock.read_text() == str(os.getpid())


def test_tools_are_linked_and_images_are_not(built, tmp_path):
    assert build.link_tools(built, ["tool", "proxy"], tmp_path / "bin")
    assert [(path.name, path.read_text()) for path in (tmp_path / "bin").iterdir()] == [("tool", "tool")]


def test_links_that_are_right_are_no_change(built, tmp_path):
    build.link_tools(built, ["tool"], tmp_path / "bin")
    assert not build.link_tools(built, ["tool"], tmp_path / "bin")


@pytest.mark.parametrize("spoil", [lambda path: path.symlink_to("/nowhere"), lambda path: path.write_text("x")])
def test_links_that_are_wrong_are_repaired(built, tmp_path, spoil):
    (tmp_path / "bin").mkdir()
    spoil(tmp_path / "bin" / "tool")
    assert build.link_tools(built, ["tool"], tmp_path / "bin")
    assert (tmp_path / "bin" / "tool").read_text() == "tool"


def test_roles_are_told_references_versions_hosts_and_manifests(built, tmp_path):
    assert build.summary(built, ["tool", "base", "proxy"], tmp_path) == {
        "refs": {"base": "docker.io/library/base:12", "proxy": "docker.io/library/proxy:v3.7"},
        "versions": {"tool": "1.2.3", "base": "12", "proxy": "3.7"},
        "hosts": ["docker.io"],
        "manifests": {"proxy": str(built.artifact("proxy") / "manifest.yaml")},
        "charts": {}, "pull_policy": "Always",
    }


def test_unknown_source_is_one_line_and_not_0(capsys):
    assert build.main(["--source=elsewhere", "--missing"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("build: catalog: there is no source 'elsewhere' ")
    assert said.err.count("\n") == 1


def test_unknown_stage_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as refusal:
        build.main(["--stage=later"])
    assert refusal.value.code == 2
    assert "service" in capsys.readouterr().err


def test_a_build_behind_everything_else_is_nice_and_so_is_its_session(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("os.nice", asked.append)
    build.yield_cpu(tmp_path / "autogroup")
    assert (asked, (tmp_path / "autogroup").read_text()) == ([19], "19")


def test_a_kernel_without_autogroups_is_no_reason_not_to_build(monkeypatch, tmp_path):
    monkeypatch.setattr("os.nice", lambda _: None)
    build.yield_cpu(tmp_path / "no" / "autogroup")


def test_a_machine_without_apt_has_no_proxy_that_only_apt_knows(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert engine.proxy_args() == ["--build-arg", "https_proxy=http://proxy:3128"]


def test_where_nothing_is_to_be_made_nobody_elses_build_is_waited_for(built, tmp_path):
    with build.locked(built.store.root / "lock", print):
        result = build.build(built, ["tool"], tmp_path / "state", [])
    assert (result["built"], result["loaded"]) == ({}, [])


@pytest.fixture
def docker(monkeypatch):
    """Stand in for an engine with three images: `old` under `new`, and `used`, from which a container runs."""
    images = ["old", "new", "used"]

    def output(words):
        if words[2] == "ls":
            return "\n".join(images)
        image = words[-1]
        if image == "used" or (image == "old" and "new" in images):
            raise ToolError("conflict")
        images.remove(image)
        return ""

    monkeypatch.setattr(engine, "output", output)
    return images


def test_images_are_removed_in_the_order_that_goes_and_what_is_in_use_is_kept(docker):
    assert engine.remove_all() == (["new", "old"], ["used"])


def test_cleaning_says_what_the_engine_keeps(docker, tmp_path):
    store = Store(tmp_path / "cache")
    assert build.clean(store) == {"changed": True, "images": ["new", "old"], "kept": ["used"]}
    assert not store.root.exists()
