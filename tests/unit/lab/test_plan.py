"""The plan: keys that change when and only when an input changes, the jobs that follow, and manifests made over."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
import yaml
import zstandard

from lab import catalog
from lab.build import golang
from lab.build.plan import GO_MODULE, OVERLAYS, apart, containers, default_storage
from lab.catalog import CatalogError

WEB = {
    "version": "checkout",
    "image": "localhost:{registry_port}/vars/web:{key}",
    "stage": "service",
    "install": "chart",
    "build": {"kind": "dockerfile", "target": "release", "base": "base", "build_base": "base"},
}


@pytest.fixture
def checkout(tmp_path):
    """Return a checkout with the parts that go into the application's image, and some that do not."""
    root = tmp_path / "checkout"
    for path in ("Dockerfile", "app/service.py", "app/migrations/0001.sql", "app/chart/values.yaml", "README.md"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)
    return root


@pytest.fixture
def with_web(small, plan_of, checkout):
    """Return a function that plans the small catalog with an application in it."""

    def plan():
        return plan_of({**small, "components": {**small["components"], "web": {"packages": WEB}}}, checkout)

    return plan


def finish(plan, *names):
    for name in names:
        with plan.store.make(name, plan.key(name)):
            pass


def names(jobs):
    return [job.name for job in jobs]


# Keys


def test_key_is_the_same_for_the_same_catalog(small, plan_of):
    assert plan_of(small).key("proxy") == plan_of(small).key("proxy")


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(version="3.8"),
        lambda entry: entry.update(image="docker.io/library/other:v3.7"),
        lambda entry: entry.update(manifest="deploy.yaml"),
        lambda entry: entry["build"].update(sha256="3" * 64),
        lambda entry: entry["build"].update(entrypoint=["/proxy"]),
        lambda entry: entry["build"].update(user="65532:65532"),
    ],
    ids=["version", "image", "manifest", "checksum", "entrypoint", "user"],
)
def test_key_changes_with(small, plan_of, change):
    before = plan_of(small).key("proxy")
    change(small["components"]["proxy"]["packages"])
    assert plan_of(small).key("proxy") != before


def test_key_changes_with_the_base(small, plan_of):
    before = plan_of(small).key("proxy")
    small["components"]["base"]["packages"]["version"] = "13"
    assert plan_of(small).key("proxy") != before


@pytest.mark.parametrize("name", ["tool", "proxy"])
def test_key_stays_when_another_component_changes(small, plan_of, name):
    before = plan_of(small).key("base")
    small["components"][name]["packages"]["version"] = "99"
    assert plan_of(small).key("base") == before


@pytest.mark.parametrize(("field", "value"), [("stage", "service"), ("install", "manifest")])
def test_key_stays_when_only_its_use_changes(small, plan_of, field, value):
    before = plan_of(small).key("proxy")
    small["components"]["proxy"]["packages"][field] = value
    assert plan_of(small).key("proxy") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data["toolchain"]["go"].update(version="1.0.1"),
        lambda data: data["toolchain"]["go"].update(sha256="4" * 64),
        lambda data: data["batches"]["first"].update(overlays=[{"module": "m", "file": "f", "with": "kube-router/aws.go"}]),
        lambda data: data["components"]["tool"]["packages"].update(version="1.2.4"),
    ],
    ids=["toolchain's version", "toolchain's checksum", "overlays", "version"],
)
def test_key_of_a_go_component_changes_with(small, plan_of, change):
    before = plan_of(small).key("tool")
    change(small)
    assert plan_of(small).key("tool") != before


def test_key_changes_with_the_file_of_an_overlay(small, plan_of, monkeypatch, tmp_path):
    monkeypatch.setattr("lab.build.plan.OVERLAYS", tmp_path)
    small["batches"]["first"]["overlays"] = [{"module": "m", "file": "f.go", "with": "own.go"}]
    (tmp_path / "own.go").write_text("package a")
    before = plan_of(small).key("tool")
    (tmp_path / "own.go").write_text("package b")
    assert plan_of(small).key("tool") != before


def test_overlay_replaces_a_file_of_a_copy(small, plan_of, monkeypatch, tmp_path):
    small["batches"]["first"]["overlays"] = [{"module": "m", "file": "f.go", "with": "kube-router/aws.go"}]
    plan = plan_of(small)
    monkeypatch.setattr(plan, "_module_dir", lambda module: tmp_path / module)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/f.go").write_text("package theirs")
    (tmp_path / "scratch").mkdir()
    modfile = plan._modfile("first", tmp_path / "scratch")
    name, copy = modfile.read_text().splitlines()[-1].removeprefix("replace ").split(" => ")
    assert (name, Path(copy, "f.go").read_text()) == ("m", (OVERLAYS / "kube-router/aws.go").read_text())
    assert (modfile.parent / "go.sum").read_text() == (GO_MODULE / "go.sum").read_text()
    assert (tmp_path / "m/f.go").read_text() == "package theirs"


def test_overlay_of_a_file_that_is_not_there_is_refused(small, plan_of, monkeypatch, tmp_path):
    small["batches"]["first"]["overlays"] = [{"module": "m", "file": "f.go", "with": "own.go"}]
    plan = plan_of(small)
    monkeypatch.setattr(plan, "_module_dir", lambda module: tmp_path / module)
    (tmp_path / "m").mkdir()
    with pytest.raises(CatalogError, match="m has no f.go that own.go could replace"):
        plan._modfile("first", tmp_path)


def test_batch_without_overlays_has_the_modules_own_go_mod(small, plan_of, tmp_path):
    assert plan_of(small)._modfile("first", tmp_path) is None


def test_key_of_a_c_component_holds_the_version_of_the_module_its_source_comes_from(small, plan_of):
    plan = plan_of({**small, "components": catalog.load("packages").data["components"]})
    assert plan._inputs_c(plan.catalog["pause"]) == golang.required(GO_MODULE)["k8s.io/kubernetes"]


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "app/service.py").write_text("other"),
        lambda root: (root / "Dockerfile").write_text("other"),
        lambda root: (root / "app/migrations").rename(root / "app/moved"),
        lambda root: (root / "app/migrations/0001.sql").rename(root / "app/migrations/0002.sql"),
        lambda root: (root / "app/new.py").write_text(""),
    ],
    ids=["a source", "the Dockerfile", "a folder's name", "a file's name", "a new file"],
)
def test_key_of_the_application_changes_with(with_web, checkout, change):
    before = with_web().key("web")
    change(checkout)
    assert with_web().key("web") != before


@pytest.mark.parametrize("path", ["app/chart/values.yaml", "README.md", "app/__pycache__/service.pyc"])
def test_key_of_the_application_stays_with(with_web, checkout, path):
    before = with_web().key("web")
    (checkout / path).parent.mkdir(exist_ok=True)
    (checkout / path).write_text("other")
    assert with_web().key("web") == before


def test_key_of_the_application_does_not_depend_on_the_checkout(with_web, checkout, plan_of, tmp_path):
    before = with_web()
    other = plan_of(before.catalog.data, shutil.copytree(checkout, tmp_path / "elsewhere"))
    assert other.key("web") == before.key("web")


# References


def test_application_is_tagged_by_its_content_in_the_labs_registry(with_web):
    plan = with_web()
    assert plan.reference("web") == f"localhost:5001/vars/web:{plan.tag('web')}"


def test_release_and_migrations_have_one_tag(small, plan_of, checkout):
    other = {**WEB, "image": WEB["image"].replace("web", "migrations"), "build": {**WEB["build"], "target": "migrations"}}
    small["components"] |= {"web": {"packages": WEB}, "migrations": {"packages": other}}
    plan = plan_of(small, checkout)
    assert plan.tag("web") == plan.tag("migrations")
    assert plan.key("web") != plan.key("migrations")


@pytest.mark.parametrize("path", ["Dockerfile", "app/service.py"])
def test_tag_changes_with(with_web, checkout, path):
    before = with_web().tag("web")
    (checkout / path).write_text("other")
    assert with_web().tag("web") != before


def test_tag_changes_with_the_base(small, plan_of, checkout):
    small["components"]["web"] = {"packages": WEB}
    before = plan_of(small, checkout).tag("web")
    small["components"]["base"]["packages"]["version"] = "13"
    assert plan_of(small, checkout).tag("web") != before


def test_reference_names_the_registrys_own_port(small, plan_of, checkout):
    small["components"]["web"] = {"packages": WEB}
    assert plan_of(small, checkout, registry_port=20002).reference("web").startswith("localhost:20002/vars/web:")


def test_reference_of_what_is_no_image_is_refused_by_name(small, plan_of):
    with pytest.raises(CatalogError, match="tool is no image"):
        plan_of(small).reference("tool")


# Jobs


def test_everything_is_missing_at_first(small, plan_of):
    assert plan_of(small).missing(["tool", "base", "proxy"]) == ["tool", "base", "proxy"]


def test_what_is_finished_is_not_missing(small, plan_of):
    plan = plan_of(small)
    finish(plan, "base")
    assert plan.missing(["tool", "base", "proxy"]) == ["tool", "proxy"]


def test_what_is_finished_needs_no_job(small, plan_of):
    plan = plan_of(small)
    finish(plan, "tool", "base", "proxy")
    assert plan.jobs(["tool", "base", "proxy"]) == []


def test_base_is_planned_with_what_stands_on_it(small, plan_of):
    jobs = {job.name: job for job in plan_of(small).jobs(["proxy"])}
    assert jobs["proxy"].deps == {"base"}
    assert sorted(jobs) == ["base", "proxy"]


def test_finished_base_is_not_waited_for(small, plan_of):
    plan = plan_of(small)
    finish(plan, "base")
    assert [(job.name, job.deps) for job in plan.jobs(["proxy"])] == [("proxy", set())]


def test_go_component_waits_for_its_batch_and_that_for_the_toolchain(small, plan_of):
    jobs = plan_of(small).jobs(["tool"])
    assert names(jobs) == ["toolchain-go", "compile-first", "tool"]
    assert [job.deps for job in jobs] == [set(), {"toolchain-go"}, {"compile-first"}]


def test_finished_batch_is_not_compiled_again(small, plan_of):
    plan = plan_of(small)
    with plan.store.make("compile-first", plan.batch_key("first")):
        pass
    assert names(plan.jobs(["tool"])) == ["tool"]


def test_no_job_is_planned_twice(small, plan_of):
    planned = names(plan_of(small).jobs(["proxy", "base", "tool", "proxy"]))
    assert sorted(planned) == sorted(set(planned))


def test_every_job_of_the_real_catalog_waits_only_for_planned_jobs(small, plan_of):
    data = catalog.load("packages").data
    # Their keys hold the host's own apt sources, which a unit test does not ask for.
    data["components"]["debian"]["packages"]["build"] = {"kind": "pip"}
    jobs = plan_of(data).jobs([name for name, entry in data["components"].items() if "packages" in entry and name not in ("web", "migrations")])
    assert {name for job in jobs for name in job.deps} <= set(names(jobs))


def test_toolchain_and_batches_come_first(plan_of):
    data = catalog.load("packages").data
    data["components"]["debian"]["packages"]["build"] = {"kind": "pip"}
    planned = names(plan_of(data).jobs(["kubelet", "local-path-provisioner", "etcd", "debian"]))
    assert planned[:3] == ["toolchain-go", "compile-cluster", "compile-storage"]


# Manifests


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "DaemonSet", "spec": {"template": {"spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}}}},
        {"kind": "Pod", "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}},
        {
            "kind": "CronJob",
            "spec": {"jobTemplate": {"spec": {"template": {"spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}}}}},
        },
    ],
    ids=lambda document: document["kind"],
)  # fmt: skip
def test_containers_of(document):
    assert [item["name"] for item in containers(document)] == ["i", "c"]


@pytest.mark.parametrize(
    "document", [{"kind": "ConfigMap", "data": {}}, {"kind": "Service", "spec": {"ports": []}}, {"kind": "X", "spec": None}]
)
def test_objects_without_pods_have_no_containers(document):
    assert containers(document) == []


STORAGE = [
    {
        "kind": "Deployment",
        "spec": {"template": {"spec": {"containers": [{"image": "upstream:old", "command": ["local-path-provisioner", "start"]}]}}},
    },
    {"kind": "StorageClass", "metadata": {"name": "local-path"}, "provisioner": "rancher.io/local-path"},
    {
        "kind": "ConfigMap",
        "data": {
            "config.json": json.dumps({"nodePathMap": [{"paths": ["/opt/local-path-provisioner"]}]}),
            "helperPod.yaml": yaml.safe_dump({"kind": "Pod", "spec": {"containers": [{"name": "helper", "image": "busybox"}]}}),
        },
    },
]  # fmt: skip


@pytest.fixture
def storage():
    """Return the made-over manifest of local-path-provisioner, its documents by kind."""
    text = default_storage(yaml.safe_dump_all(STORAGE), {"local-path-provisioner": "ours:1", "busybox": "box:2"})
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


@pytest.fixture
def storage_pod(storage):
    return storage["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture
def helper_pod(storage):
    return yaml.safe_load(storage["ConfigMap"]["data"]["helperPod.yaml"])["spec"]


def test_storage_class_is_the_default_called_standard(storage):
    assert storage["StorageClass"]["metadata"] == {
        "name": "standard",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    }


def test_provisioner_runs_from_the_catalogs_image(storage_pod):
    assert storage_pod["containers"][0]["image"] == "ours:1"


def test_provisioner_starts_helpers_from_the_catalogs_image(storage_pod):
    assert storage_pod["containers"][0]["command"][-2:] == ["--helper-image", "box:2"]


def test_helper_pods_run_from_the_catalogs_image(helper_pod):
    assert [item["image"] for item in helper_pod["containers"]] == ["box:2"]


def test_provisioner_and_helpers_run_on_the_only_node(storage_pod, helper_pod):
    taint = {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
    assert storage_pod["tolerations"] == helper_pod["tolerations"] == [taint]


def test_volumes_live_under_var(storage):
    config = json.loads(storage["ConfigMap"]["data"]["config.json"])
    assert config["nodePathMap"][0]["paths"] == ["/var/local-path-provisioner"]


# Images of one binary


@pytest.fixture
def image_of(small, plan_of, tmp_path):
    """Return a function that makes the image of `proxy` with a build of its own; returns configuration and layers."""

    def make(**build):
        small["components"]["proxy"]["packages"]["build"] = {"kind": "pip", "package": "p", "sha256": "0", **build}
        plan = plan_of(small)
        (tmp_path / "binary").write_bytes(b"\x7fELF")
        plan._image(plan.catalog["proxy"], tmp_path / "image", tmp_path / "binary")
        layout = tmp_path / "image" / "oci"
        return plan.layouts.config(layout)["config"], plan.layouts.manifest(layout)["layers"]

    return make


def test_image_is_labelled_with_its_key(image_of):
    config, _ = image_of()
    assert len(config["Labels"]["cluster-lab.key"]) == 64


def test_image_has_entrypoint_and_user_of_the_catalog(image_of):
    config, _ = image_of(entrypoint=["/proxy"], user="65532:65532")
    assert (config["Entrypoint"], config["User"]) == (["/proxy"], "65532:65532")


def test_image_without_entrypoint_and_user_names_none(image_of):
    config, _ = image_of()
    assert not {"Entrypoint", "User"} & set(config)


def test_manifest_names_every_image_as_the_catalog_does(small, plan_of, tmp_path):
    small["components"]["proxy"]["packages"]["manifest"] = "deploy.yaml"
    plan = plan_of(small)
    pod = {"initContainers": [{"image": "base:latest"}], "containers": [{"image": "docker.io/proxy"}]}
    text = plan.renamed(yaml.safe_dump_all([{"kind": "Deployment", "spec": {"template": {"spec": pod}}}, None]))
    (document,) = yaml.safe_load_all(text)
    assert [item["image"] for item in containers(document)] == [plan.reference("base"), plan.reference("proxy")]


def test_manifest_with_an_image_that_nothing_provides_is_refused_by_name(small, plan_of):
    text = yaml.safe_dump({"kind": "Pod", "spec": {"containers": [{"image": "quay.io/other:1"}]}})
    with pytest.raises(CatalogError, match="provides the image quay.io/other:1"):
        plan_of(small).renamed(text)


def test_definitions_of_kinds_are_kept_apart():
    text = yaml.safe_dump_all([
        {"kind": "CustomResourceDefinition", "metadata": {"name": "k"}},
        None,
        {"kind": "Service", "metadata": {"name": "s"}},
    ])  # fmt: skip
    objects, kinds = apart(text, [])
    assert [document["metadata"]["name"] for part in (objects, kinds) for document in yaml.safe_load_all(part)] == ["s", "k"]


def test_manifest_without_kinds_has_none_apart():
    assert apart(yaml.safe_dump({"kind": "Service", "metadata": {"name": "s"}}), [])[1] == ""


def test_objects_named_by_omit_are_left_out():
    labels = {"app.kubernetes.io/name": "dex"}
    text = yaml.safe_dump_all([{"kind": "Service", "metadata": {"name": "d", "labels": labels}}, {"kind": "Service", "metadata": {"name": "s"}}])
    assert [document["metadata"]["name"] for document in yaml.safe_load_all(apart(text, ["dex"])[0])] == ["s"]


# Images that carry more than one binary


@pytest.fixture
def suite(small):
    """Return the small catalog with an image whose binary calls another component's."""
    small["components"]["suite"] = {"packages": {
        "version": "1", "image": "docker.io/library/suite:{version}", "stage": "platform", "install": "manifest",
        "build": {"kind": "go", "batch": "first", "module": "example.org/tool", "package": "example.org/suite",
                  "binaries": ["tool"], "links": ["suite-server"]},
    }}  # fmt: skip
    return small


def test_image_waits_for_the_binaries_beside_its_own(suite, plan_of):
    jobs = {job.name: job.deps for job in plan_of(suite).jobs(["suite"])}
    assert "tool" in jobs["suite"]


def test_key_changes_with_a_binary_beside_its_own(suite, plan_of):
    before = plan_of(suite).key("suite")
    suite["components"]["tool"]["packages"]["version"] = "9.9"
    assert plan_of(suite).key("suite") != before


def test_image_has_the_binaries_beside_its_own_and_its_other_names(suite, plan_of, tmp_path):
    plan = plan_of(suite)
    with plan.store.make("tool", plan.key("tool")) as folder:
        (folder / "tool").write_bytes(b"ELF tool")
    (tmp_path / "binary").write_bytes(b"ELF suite")
    plan._image(plan.catalog["suite"], tmp_path / "image", tmp_path / "binary")
    (layer,) = plan.layouts.manifest(tmp_path / "image" / "oci")["layers"]
    packed = (plan.layouts.blobs / layer["digest"].replace(":", "/")).open("rb")
    with packed, zstandard.ZstdDecompressor().stream_reader(packed) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as tar:
        files = {member.name: member.linkname for member in tar}
    assert files["usr/local/bin/suite-server"] == "/usr/local/bin/suite"
    assert {"usr/local/bin/suite", "usr/local/bin/tool"} <= set(files)

def test_lone_equals_sign_is_text():
    _, kinds = apart("kind: CustomResourceDefinition\nmetadata: {name: b}\nenum: [=, '!=']\n", [])
    assert yaml.safe_load(kinds)["enum"] == ["=", "!="]
