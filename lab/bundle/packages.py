"""Debian packages: the engine, and the programs that the lab calls on this machine, with all they need."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import yaml

from lab.build.tools import output, run
from lab.cache import Store, digest, file_digest

# The artifact that holds them, with an index for apt.
DEBS = "debs"
# The one that Ansible's module for apt calls.
MODULE = "python3-apt"


def wanted(checkout: Path) -> list[str]:
    """Return the packages that the lab's roles may install on a machine that gets a bundle."""
    names = {MODULE}
    for role in ("bundle", "docker"):
        names |= set(yaml.safe_load((checkout / "roles" / role / "defaults" / "main.yml").read_text())[f"{role}_packages"])
    return sorted(names)


def _install(*words: str, scratch: Path) -> list[str]:
    """Return the apt-get command that gets all that `words` need into `scratch`, as if nothing was installed or fetched here."""
    (scratch / "status").touch()
    (scratch / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    options = [f"Dir::State::status={scratch}/status", f"Dir::Cache::archives={scratch}/archives/", "APT::Sandbox::User=root"]
    return ["apt-get", "install", "--yes", "--no-install-recommends", *(f"--option={option}" for option in options), *words]


def have(store: Store, checkout: Path, log: Path) -> tuple[str, str] | None:
    """Have the packages in the cache; return name and key, or None where this machine has no apt."""
    if not shutil.which("apt-get"):
        return None
    names = wanted(checkout)
    with tempfile.TemporaryDirectory() as folder_name:
        scratch = Path(folder_name)
        rows = output(_install("--print-uris", *names, scratch=scratch))
        chosen = sorted(re.findall(r"^'[^']+' (\S+_\S+\.deb) \d+ (\S+)$", rows, re.MULTILINE))
        key = digest(chosen)
        if not store.has(DEBS, key):
            with store.make(DEBS, key) as folder:
                run(_install("--download-only", *names, scratch=scratch), log, env={"DEBIAN_FRONTEND": "noninteractive"})
                for package in (scratch / "archives").glob("*.deb"):
                    shutil.move(package, folder)
                (folder / "Packages").write_text(index(folder))
    return DEBS, key


def index(folder: Path) -> str:
    """Return the index of a folder of packages, as apt reads it of a repository without a hierarchy."""
    stanzas = []
    for package in sorted(folder.glob("*.deb")):
        control = output(["dpkg-deb", "--field", package]).rstrip("\n")
        sha256 = file_digest(package)
        stanzas.append(f"{control}\nFilename: ./{package.name}\nSize: {package.stat().st_size}\nSHA256: {sha256}\n")
    return "\n".join(stanzas)


def settings(folder: Path, debs: Path) -> bool:
    """Write into `folder` the settings by which apt knows the packages in `debs` and no others; say whether that changed anything."""
    files = {
        "sources.list": f"deb [trusted=yes] copy:{str(debs).replace(' ', '%20')} ./\n",
        "apt.conf": "".join(f'{name} "{value}";\n' for name, value in {
            "Dir::Etc::SourceList": folder / "sources.list", "Dir::Etc::SourceParts": "/dev/null", "Dir::State::Lists": folder / "lists",
            "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "", "APT::Sandbox::User": "root",
        }.items()),
    }  # fmt: skip
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    changed = [name for name, text in files.items() if not (folder / name).is_file() or (folder / name).read_text() != text]
    for name in changed:
        (folder / name).write_text(files[name])
    return bool(changed)
