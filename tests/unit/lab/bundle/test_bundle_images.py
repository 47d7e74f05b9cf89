"""Upstream's images in a bundle: fetched once, exactly what the catalog says, from where the mirrors say."""

import gzip
import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from lab.build.oci import Layouts
from lab.bundle import BundleError, contents, images, plan
from lab.bundle.manifest import Manifest
from lab.mirrors import Mirrors
from tests.unit.lab.bundle.conftest import HEADER

PULLED = {"version": "3.7", "image": "docker.io/library/proxy:v{version}", "stage": "service", "install": "chart", "build": {"kind": "pull"}}


@pytest.fixture
def pulling(small, plan_of):
    """Return a function that plans a catalog whose `proxy` is pulled."""

    def planned(mirrors=None, **build):
        small["components"]["proxy"]["packages"] = {**PULLED, "build": {"kind": "pull", **build}}
        return plan_of(small, mirrors=mirrors)

    return planned


@pytest.fixture
def fetched(monkeypatch):
    """Have a skopeo that makes an image of what it is asked for; return what it was asked."""
    asked = []

    def run(words, log):
        asked.append([str(word) for word in words])
        blobs = Path(words[words.index("--dest-shared-blob-dir") + 1])
        upstream_image(blobs, Path(str(words[-1]).removeprefix("oci:").removesuffix(":image")))

    monkeypatch.setattr("lab.bundle.images.run", run)
    monkeypatch.setattr("shutil.which", lambda name: name)
    return asked


def upstream_image(blobs, layout):
    """Write an image as skopeo does: its layer is compressed with gzip."""
    layer = gzip.compress(b"a tar", mtime=0)
    described = {}
    config = json.dumps({"config": {"Env": ["A=1"]}, "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(b'a tar').hexdigest()}"]}}).encode()
    for name, data, kind in (("layer", layer, "layer.v1.tar+gzip"), ("config", config, "config.v1+json")):
        value = hashlib.sha256(data).hexdigest()
        (blobs / "sha256" / value).write_bytes(data)
        described[name] = {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{value}", "size": len(data)}
    manifest = json.dumps({"schemaVersion": 2, "config": described["config"], "layers": [described["layer"]]}).encode()
    value = hashlib.sha256(manifest).hexdigest()
    (blobs / "sha256" / value).write_bytes(manifest)
    layout.mkdir(parents=True)
    (layout / "index.json").write_text(json.dumps({"manifests": [{"digest": f"sha256:{value}"}]}))


def test_what_is_pulled_is_fetched_once(pulling, fetched, tmp_path):
    there = pulling()
    for _ in range(2):
        images.have(there, ["tool", "proxy"], tmp_path / "log")
    assert [words[-2] for words in fetched] == ["docker://docker.io/library/proxy:v3.7"]
    assert there.store.has("proxy", there.key("proxy"))


def test_a_digest_is_what_is_asked_for(pulling, fetched, tmp_path):
    images.have(pulling(digest=f"sha256:{'1' * 64}"), ["proxy"], tmp_path / "log")
    assert fetched[0][-2] == f"docker://docker.io/library/proxy@sha256:{'1' * 64}"


def test_mirrors_are_asked_instead_and_the_users_authority_is_believed(pulling, fetched, tmp_path):
    (tmp_path / "ca.pem").write_text("certificate")
    images.have(pulling(Mirrors({"docker.io": "https://mirror.example.org/hub"}, str(tmp_path / "ca.pem"))), ["proxy"], tmp_path / "log")
    assert fetched[0][-2] == "docker://mirror.example.org/hub/library/proxy:v3.7"
    assert "--src-cert-dir" in fetched[0]
    assert "--src-tls-verify=false" not in fetched[0]


def test_without_skopeo_it_says_what_to_install(pulling, monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(BundleError, match="apt-get install skopeo"):
        images.have(pulling(), ["proxy"], tmp_path / "log")


@pytest.fixture
def carried(pulling, fetched, tmp_path, monkeypatch):
    """Return the plan of a bundle whose `proxy` was pulled by its maker, unpacked."""
    there = pulling()
    images.have(there, ["proxy"], tmp_path / "log")
    artifact = {"key": there.key("proxy"), "entry": contents.entry(there.catalog["proxy"])}
    monkeypatch.setattr("lab.catalog.load", lambda source: there.catalog)
    manifest = Manifest({**HEADER, "format": 1, "boot": "", "files": {}, "artifacts": {"proxy": artifact}})
    return plan.BundlePlan(manifest, there.store, tmp_path)


def test_on_the_plane_it_is_pushed_and_not_pulled(carried):
    component = carried.catalog["proxy"]
    assert (component.pulled, component.pushed, carried.missing(["proxy"])) == (False, True, [])


def test_its_blobs_are_carried(carried):
    found = {Path(name).name for name in contents.files(carried, {"proxy": carried.artifact("proxy")}) if name.startswith("blobs/")}
    assert found == {path.name for path in (carried.store.blobs / "sha256").iterdir()}


@pytest.mark.parametrize("has", [True, False])
def test_the_engine_has_it_where_it_has_its_layers(carried, monkeypatch, has):
    layers = carried.layouts.config(carried.artifact("proxy") / "oci")["rootfs"]["diff_ids"]
    monkeypatch.setattr("lab.bundle.plan.output", lambda words: f"{json.dumps(layers if has else ['sha256:other'])}\n")
    assert carried.engine_has("proxy") is has


def test_an_archive_for_the_engine_has_layers_that_it_can_read(carried, tmp_path):
    Layouts(carried.store.blobs).archive(carried.artifact("proxy") / "oci", "docker.io/library/proxy:v3.7", tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        (layer,) = json.load(tar.extractfile("manifest.json"))[0]["Layers"]
        assert gzip.decompress(tar.extractfile(layer).read()) == b"a tar"
