"""Artifacts' keys and the store: what changes a digest, and that nothing half-made looks finished."""

from pathlib import Path

import pytest

from lab.cache import Store, cache_dir, digest, file_digest, tree_digest

KEY = "k" * 64


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache")


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_text("one")
    (root / "sub" / "b").write_text("two")
    return root


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"LAB_CACHE": "/some/where", "XDG_CACHE_HOME": "/x"}, Path("/some/where")),
        ({"XDG_CACHE_HOME": "/x"}, Path("/x/cluster-lab")),
        ({}, Path.home() / ".cache" / "cluster-lab"),
        ({"LAB_CACHE": "", "XDG_CACHE_HOME": ""}, Path.home() / ".cache" / "cluster-lab"),
    ],
)
def test_where_the_cache_is(environ, folder):
    assert cache_dir(environ) == folder


def test_relative_cache_folder_is_made_absolute():
    assert cache_dir({"LAB_CACHE": "here"}) == Path.cwd() / "here"


def test_digest_is_the_same_for_the_same_parts():
    assert digest("a", {"x": 1, "y": [2]}) == digest("a", {"y": [2], "x": 1})


@pytest.mark.parametrize("other", [("ab", ""), ("a", "b", ""), ("a", ["b"]), ("b", "a"), ("a", None)])
def test_digest_tells_parts_apart(other):
    assert digest("a", "b") != digest(*other)


def test_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert file_digest(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a").write_text("other"),
        lambda root: (root / "a").rename(root / "z"),
        lambda root: (root / "sub" / "b").rename(root / "b"),
        lambda root: (root / "a").chmod(0o755),
        lambda root: (root / "new").write_text(""),
        lambda root: (root / "a").unlink(),
    ],
    ids=["content", "name", "folder", "executable bit", "more", "less"],
)
def test_tree_digest_changes_with(tree, change):
    before = tree_digest(tree)
    change(tree)
    assert tree_digest(tree) != before


@pytest.mark.parametrize("left", ["__pycache__/a.pyc", "sub/__pycache__/b.pyc", "a~"])
def test_tree_digest_stays_with_what_tools_leave_behind(tree, left):
    before = tree_digest(tree)
    (tree / left).parent.mkdir(exist_ok=True)
    (tree / left).write_text("x")
    assert tree_digest(tree) == before


def test_tree_digest_does_not_depend_on_where_the_tree_is(tree, tmp_path):
    before = tree_digest(tree)
    assert tree_digest(tree.rename(tmp_path / "moved")) == before


def test_finished_artifact_is_found_with_its_content(store):
    with store.make("web", KEY) as folder:
        (folder / "file").write_text("x")
    assert store.has("web", KEY)
    assert (store.path("web", KEY) / "file").read_text() == "x"


@pytest.mark.parametrize(("name", "key"), [("web", "j" * 64), ("db", KEY)])
def test_artifact_of_another_key_or_name_is_another(store, name, key):
    with store.make("web", KEY):
        pass
    assert not store.has(name, key)


def test_artifact_under_way_does_not_look_finished(store):
    with store.make("web", KEY) as folder:
        (folder / "file").write_text("x")
        assert not store.has("web", KEY)


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_interrupted_artifact_leaves_nothing(store, interruption):
    with pytest.raises(interruption), store.make("web", KEY) as folder:
        (folder / "file").write_text("x")
        raise interruption
    assert list(store.artifacts.iterdir()) == []


def test_finished_artifact_is_readable_by_others(store):
    with store.make("web", KEY):
        pass
    assert store.path("web", KEY).stat().st_mode & 0o777 == 0o755


def test_sweep_removes_what_a_killed_build_left(store):
    for left in (store.artifacts / ".web-abc", store.root / "tmpabc", store.blobs / "tmpdef"):
        left.mkdir()
        (left / "file").write_text("x")
    (store.blobs / "tmpghi").write_text("half a blob")
    store.sweep()
    assert sorted(path.name for path in store.root.rglob("*")) == ["artifacts", "blobs", "sha256"]


def test_sweep_keeps_what_is_finished(store):
    with store.make("web", KEY):
        pass
    (store.blobs / "sha256" / "0").write_text("blob")
    (store.root / "lock").write_text("")
    store.sweep()
    assert store.has("web", KEY)
    assert (store.blobs / "sha256" / "0").exists()
    assert (store.root / "lock").exists()
