"""`python -m lab bundle`: what has to be there, and what it writes."""

import pytest

from lab.build.jobs import Job
from lab.bundle import BundleError, contents, make, packages, wheels
from lab.bundle.archive import Bundle
from lab.catalog import load


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


def test_what_no_lab_has_needed_so_far_is_made(maker, at_hand, tmp_path, monkeypatch):
    away = tmp_path / "away"
    maker.artifact("proxy").rename(away)
    monkeypatch.setattr(maker, "jobs", lambda names: [Job("proxy", lambda log: away.rename(maker.artifact("proxy")), "fetch")])
    make.make(maker, ["tool", "proxy"], tmp_path / "x.tar.zst", tmp_path / "logs")
    assert "proxy" in Bundle(tmp_path / "x.tar.zst").manifest.components
    assert "build: proxy done" in (tmp_path / "logs" / "progress.log").read_text()


def test_machine_where_nothing_was_made_is_told_to_begin_with_that(maker, at_hand, tmp_path):
    for name in ("tool", "proxy"):
        maker.artifact(name).rename(tmp_path / name)
    with pytest.raises(BundleError, match="nothing of it has been made here yet: make up first"):
        make.make(maker, ["tool", "proxy"], tmp_path / "x.tar.zst", tmp_path / "logs")
    assert not (tmp_path / "x.tar.zst").exists()


@pytest.fixture
def catalog():
    return load(make.DEFAULT)


@pytest.fixture
def lab(tmp_path):
    """Return a function that has a lab of a name in a checkout, from a source, and returns its folder."""

    def have(name, source=None):
        folder = tmp_path / ".lab" / name
        folder.mkdir(parents=True)
        if source:
            (folder / "lab.yml").write_text(f"lab_source: {source}\nlab_http_port: 1\nlab_https_port: 3\nlab_registry_port: 2\n")
        return folder

    return have


def test_the_source_is_that_of_the_lab(lab):
    assert make.source_of(lab("two", "upstream")) == "upstream"


def test_the_lab_that_every_target_means_need_not_be_up(lab):
    assert make.source_of(lab("lab")) == make.DEFAULT


def test_another_lab_that_is_not_up_is_refused_by_name(lab):
    with pytest.raises(BundleError, match="no lab called tow is up: make up NAME=tow"):
        make.source_of(lab("tow"))


def test_a_lab_that_came_from_a_bundle_says_to_copy_that(lab):
    with pytest.raises(BundleError, match="came from a bundle: copy that file"):
        make.source_of(lab("lab", "bundle"))


def test_parts_that_there_are_are_taken(catalog):
    assert make.parts_of(None, catalog) is None
    assert make.parts_of("cluster, argocd", catalog) == ["cluster", "argocd"]


@pytest.mark.parametrize("text", ["foo", "argocd,", "", "argocd,,cluster"])
def test_part_that_there_is_not_is_refused_with_those_that_there_are(catalog, text):
    with pytest.raises(BundleError, match="a lab's are argocd, autoscaling, cluster, monitoring"):
        make.parts_of(text, catalog)


def test_file_that_cannot_be_written_or_is_something_else_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for name, said in (("", "is a folder"), ("away/x.zst", "in a folder that is not there"), ("notes.txt", "is there and is no bundle")):
        with pytest.raises(BundleError, match=said):
            make.refuse_target(tmp_path / name)
    make.refuse_target(tmp_path / "new.tar.zst")
