"""The catalog: what it refuses, by name; what an image reference means; and that versions agree with go.mod."""

import pytest

from lab import catalog
from lab.build import golang
from lab.build.plan import GO_MODULE
from lab.catalog import Catalog, CatalogError, repository

ALL = catalog.load("packages")
GO = sorted(name for name, item in ALL.components.items() if item.kind == "go")


def test_version_is_filled_into_the_image(small):
    assert Catalog(small, "packages")["proxy"].image == "docker.io/library/proxy:v3.7"


def test_numeric_version_is_text(small):
    small["components"]["base"]["packages"]["version"] = 15
    assert Catalog(small, "packages")["base"].version == "15"


def test_source_that_is_not_there_is_refused_with_those_that_are(small):
    with pytest.raises(CatalogError, match=r"there is no source 'bundle' \(there are: packages\)"):
        Catalog(small, "bundle")


def test_component_that_a_source_does_not_have_is_not_in_it(small):
    small["components"]["tool"]["upstream"] = small["components"]["tool"].pop("packages")
    assert set(Catalog(small, "packages").components) == {"base", "proxy"}


def test_component_that_nothing_provides_is_refused_by_name(small):
    with pytest.raises(CatalogError, match="source 'packages' provides no component 'gopher'"):
        Catalog(small, "packages")["gopher"]


def test_image_that_nothing_provides_is_refused_by_name(small):
    with pytest.raises(CatalogError, match=r"nothing in source 'packages' provides the image quay.io/other/proxy:v3.7"):
        Catalog(small, "packages").by_image("quay.io/other/proxy:v3.7")


@pytest.mark.parametrize("asked", ["proxy", "proxy:v1", "library/proxy", "docker.io/proxy:v3.7", "docker.io/library/proxy@sha256:0"])
def test_image_is_found_whatever_the_tag_and_however_short(small, asked):
    assert Catalog(small, "packages").by_image(asked).name == "proxy"


def test_base_that_nothing_provides_is_refused_by_both_names(small):
    del small["components"]["base"]
    with pytest.raises(CatalogError, match="proxy is based on base, which source 'packages' does not provide"):
        Catalog(small, "packages")


def test_build_base_counts_as_a_base(small):
    small["components"]["proxy"]["packages"]["build"]["build_base"] = "python-build"
    with pytest.raises(CatalogError, match="proxy is based on python-build"):
        Catalog(small, "packages")


def test_scratch_is_no_component(small):
    small["components"]["proxy"]["packages"]["build"]["base"] = "scratch"
    assert Catalog.bases(Catalog(small, "packages")["proxy"]) == []


@pytest.mark.parametrize("key", ["version", "stage", "install", "build"])
def test_component_that_lacks_something_is_refused_by_name(small, key):
    del small["components"]["proxy"]["packages"][key]
    with pytest.raises(CatalogError, match=f"proxy lacks {key}$"):
        Catalog(small, "packages")


def test_build_without_a_kind_is_refused_by_name(small):
    del small["components"]["proxy"]["packages"]["build"]["kind"]
    with pytest.raises(CatalogError, match="proxy lacks build.kind"):
        Catalog(small, "packages")


@pytest.mark.parametrize(("given", "paths"), [(None, []), ("a.yaml", ["a.yaml"]), (["a.yaml", "b.yaml"], ["a.yaml", "b.yaml"])])
def test_component_has_any_number_of_manifests(small, given, paths):
    small["components"]["proxy"]["packages"]["manifest"] = given
    assert Catalog(small, "packages")["proxy"].manifests == paths


def test_module_may_call_the_version_otherwise(small):
    small["components"]["proxy"]["packages"]["build"]["release"] = "0.307.3"
    assert (Catalog(small, "packages")["proxy"].version, Catalog(small, "packages")["proxy"].release) == ("3.7", "0.307.3")


def test_unknown_stage_is_refused_with_the_known_ones(small):
    small["components"]["proxy"]["packages"]["stage"] = "later"
    with pytest.raises(CatalogError, match="proxy has stage 'later', not one of service, platform"):
        Catalog(small, "packages")


@pytest.mark.parametrize("key", ["imgae", "name"])
def test_unknown_key_is_refused_by_name(small, key):
    small["components"]["proxy"]["packages"][key] = "x"
    with pytest.raises(CatalogError, match=f"proxy has the unknown key '{key}'"):
        Catalog(small, "packages")


@pytest.mark.parametrize(
    ("install", "deployed"),
    [("kubeadm", True), ("manifest", True), ("chart", True), ("node", True), ("host", False), ("none", False)],
)
def test_what_the_cluster_pulls(small, install, deployed):
    small["components"]["proxy"]["packages"]["install"] = install
    assert Catalog(small, "packages")["proxy"].deployed is deployed


def test_what_is_no_image_is_not_pulled(small):
    small["components"]["tool"]["packages"]["install"] = "node"
    assert Catalog(small, "packages")["tool"].deployed is False


@pytest.mark.parametrize(
    ("reference", "meaning"),
    [
        ("busybox", "docker.io/library/busybox"),
        ("busybox:1.35.0", "docker.io/library/busybox"),
        ("library/busybox:1.35.0", "docker.io/library/busybox"),
        ("docker.io/busybox:1.35.0", "docker.io/library/busybox"),
        ("docker.io/library/busybox:1.35.0", "docker.io/library/busybox"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox"),
        ("rancher/local-path-provisioner:v0.0.30", "docker.io/rancher/local-path-provisioner"),
        ("registry.k8s.io/pause:3.10.1", "registry.k8s.io/pause"),
        ("registry.k8s.io/coredns/coredns:v1.12.3", "registry.k8s.io/coredns/coredns"),
        ("localhost/web", "localhost/web"),
        ("localhost:5001/vars/web:0123", "localhost:5001/vars/web"),
        ("localhost:5001/vars/web", "localhost:5001/vars/web"),
        ("registry:5000/web:1", "registry:5000/web"),
        ("busybox@sha256:" + "0" * 64, "docker.io/library/busybox"),
        ("registry.k8s.io/pause:3.10.1@sha256:" + "0" * 64, "registry.k8s.io/pause"),
    ],
)
def test_what_an_image_reference_means(reference, meaning):
    assert repository(reference) == meaning


@pytest.mark.parametrize("name", GO)
def test_go_component_has_the_version_that_go_mod_requires(name):
    assert ALL[name].release == golang.required(GO_MODULE)[ALL[name].build["module"]]


@pytest.mark.parametrize("name", GO)
def test_go_component_is_in_a_batch_of_no_later_stage(name):
    stage = ALL.batches[ALL[name].build["batch"]]["stage"]
    assert catalog.STAGES.index(stage) <= catalog.STAGES.index(ALL[name].stage)


def test_node_runs_the_version_of_its_binaries():
    assert {ALL[name].version for name in ALL["node"].build["binaries"]} == {ALL["node"].version}


# Images that are called otherwise than their component.
OTHERWISE = {"nodebase": "base", "python-build": "python", "grafana-sidecar": "k8s-sidecar"}


@pytest.mark.parametrize("source", ["packages", "upstream"])
def test_an_image_is_called_as_its_component(source):
    # What nobody asks for under its own name is found by nobody: a slip would only be seen once nodes pull.
    called = {name: item.image.rpartition(":")[0].rpartition("/")[2].removeprefix("cluster-lab-")
              for name, item in catalog.load(source).components.items() if item.image}
    assert called == {name: OTHERWISE.get(name, name) for name in called}


def test_no_two_components_share_a_repository():
    names = [repository(item.image) for item in ALL.components.values() if item.image]
    versioned = [item.image for item in ALL.components.values() if item.image]
    assert len(versioned) == len(set(versioned))
    assert {name for name in names if names.count(name) > 1} <= {"docker.io/library/python"}


def test_every_source_the_catalog_names_is_listed(tmp_path):
    path = tmp_path / "catalog.yml"
    path.write_text("components: {a: {packages: {}, upstream: {}}, b: {packages: {}, bundle: {}}}")
    assert catalog.sources(path) == ["bundle", "packages", "upstream"]


@pytest.mark.parametrize("source", catalog.sources())
@pytest.mark.parametrize("name", ["kind", "kubectl", "helm", "registry", "node", "traefik", "postgres", "web", "migrations", "argocd", "redis", "git",
                                  "prometheus", "alertmanager", "prometheus-operator", "prometheus-config-reloader", "kube-state-metrics",
                                  "node-exporter", "postgres-exporter"])
def test_every_source_provides_what_roles_ask_for(source, name):
    assert name in catalog.load(source).components


UPSTREAM = catalog.load("upstream")


def test_kubectl_is_no_more_than_one_version_from_the_cluster():
    minors = [int(UPSTREAM[name].version.split(".")[1]) for name in ("kubectl", "node")]
    assert abs(minors[0] - minors[1]) <= 1


def test_the_node_is_pinned_by_digest():
    assert UPSTREAM["node"].build["digest"].startswith("sha256:")


@pytest.mark.parametrize("name", [name for name, item in UPSTREAM.components.items() if item.kind == "download"])
def test_download_has_a_digest_for_each_platform(name):
    digests = UPSTREAM[name].build["sha256"]
    assert {"linux-amd64", "linux-arm64", "darwin-arm64"} <= set(digests)
    assert all(len(value) == 64 for value in digests.values())
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize(("kind", "pulled", "pushed"), [("pull", True, False), ("pip", False, True)])
def test_what_is_pulled_from_upstream_is_not_in_the_labs_registry(small, kind, pulled, pushed):
    small["components"]["proxy"]["packages"]["build"]["kind"] = kind
    proxy = Catalog(small, "packages")["proxy"]
    assert (proxy.pulled, proxy.pushed, proxy.deployed) == (pulled, pushed, True)


def test_another_catalog_may_be_named(tmp_path, monkeypatch):
    (tmp_path / "own.yml").write_text("components: {}")
    monkeypatch.setenv("LAB_CATALOG", str(tmp_path / "own.yml"))
    assert catalog.read() == {"components": {}}
    monkeypatch.setenv("LAB_CATALOG", str(tmp_path / "none.yml"))
    with pytest.raises(CatalogError, match="none.yml cannot be read .*: check LAB_CATALOG"):
        catalog.read()
