"""`python -m lab bundle`: what has to be there, and what it writes."""

import pytest

from lab.bundle import BundleError, contents, make, packages, wheels
from lab.bundle.archive import Bundle


@pytest.fixture
def at_hand(monkeypatch, maker):
    """Have wheels without asking a registry, and no apt."""

    def have_host(store, checkout, log):
        if not store.has(wheels.HOST, "5" * 64):
            with store.make(wheels.HOST, "5" * 64) as folder:
                (folder / "zstandard-1-cp311.whl").write_text("zstandard")
        return wheels.HOST, "5" * 64

    monkeypatch.setattr(wheels, "have_host", have_host)
    monkeypatch.setattr(packages, "have", lambda store, checkout, log: None)


def test_it_carries_what_was_made_and_the_wheels(maker, at_hand, tmp_path):
    names = contents.carried(maker.catalog)
    make.make(maker, names, tmp_path / "x.tar.zst", tmp_path / "logs")
    manifest = Bundle(tmp_path / "x.tar.zst").manifest
    assert set(manifest.artifacts) == {*names, wheels.HOST, wheels.APP}
    assert set(manifest.components) == set(names)
    assert (manifest.release, manifest.packages) == ("", [])


def test_twice_is_the_same(maker, at_hand, tmp_path):
    for name in ("one", "two"):
        make.make(maker, contents.carried(maker.catalog), tmp_path / name, tmp_path / "logs")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_what_is_not_made_is_named(maker, at_hand, tmp_path):
    maker.artifact("proxy").rename(tmp_path / "away")
    with pytest.raises(BundleError, match="not made yet: proxy; make up makes it"):
        make.make(maker, ["tool", "proxy"], tmp_path / "x.tar.zst", tmp_path / "logs")
    assert not (tmp_path / "x.tar.zst").exists()


def test_the_source_is_that_of_the_lab(tmp_path):
    assert make.source_of(tmp_path) == make.DEFAULT
    (tmp_path / "lab.yml").write_text("lab_source: upstream\n")
    assert make.source_of(tmp_path) == "upstream"


def test_a_lab_that_came_from_a_bundle_says_to_copy_that(tmp_path):
    (tmp_path / "lab.yml").write_text("lab_source: bundle\n")
    with pytest.raises(BundleError, match="came from a bundle: copy that file"):
        make.source_of(tmp_path)
