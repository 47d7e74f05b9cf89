"""A chart of upstream's from its repository, and the kinds that it brings."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from urllib.parse import urljoin

from lab.build import fetch
from lab.build.tools import ToolError
from lab.catalog import Component
from lab.mirrors import Mirrors

# What kinds that are templates are rendered for.
RELEASE = "kinds"


def make(component: Component, folder: Path, log: Path, mirrors: Mirrors, helm: Path | None, kubernetes: str) -> None:
    """Have the chart unpacked as `chart` in `folder`, and its kinds in one file beside it, `kinds.yaml`, if it has any.

    What of them is a template is rendered by `helm` for that version of `kubernetes`. They are long, and the same until the version changes: a play need not read them to apply the rest.
    """
    build = component.build
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        index, archive = Path(scratch) / "index.yaml", Path(scratch) / "chart.tgz"
        address = f"{build['repository'].rstrip('/')}/index.yaml"
        fetch.download(address, index, mirrors, log)
        found = location(index.read_text(), build["chart"], component.version)
        if found is None:
            raise ToolError(
                f"{mirrors.url(address)} lists no {build['chart']} {component.version}; is it the right repository?"
            )
        # Relative to where the index was asked for; an absolute one may have a mirror, too.
        fetch.checked(urljoin(mirrors.url(address), found), build["sha256"], archive, mirrors, log)
        with tarfile.open(archive) as tar:
            unpack(tar, Path(scratch))
        (Path(scratch) / build["chart"]).rename(folder / "chart")
    if "kinds" in build:
        (folder / "kinds.yaml").write_text(kinds(folder / "chart", build["kinds"], helm, kubernetes))


def unpack(tar: tarfile.TarFile, into: Path) -> None:
    """Write the files of an archive below `into`; raise ToolError for one that would be elsewhere.

    tarfile's own filter for that is not in every Python 3.11: Debian 12's is older.
    """
    for member in tar:
        target = into / member.name
        if not target.resolve().is_relative_to(into.resolve()):
            raise ToolError(f"the chart's archive has {member.name}, which is outside of it")
        # A chart is files: what links and devices would be for is not known, and they are left where they are.
        if member.isfile():
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(tar.extractfile(member), file)


def location(index: str, chart: str, version: str) -> str | None:
    """Return where a repository's index says that a chart's archive is: a URL, or a path beside the index.

    Found as text: an index is megabytes, and reading it as YAML takes half a minute.
    """
    name = re.escape(f"{chart}-{version}.tgz")
    found = re.search(rf"^\s*-\s+[\"']?((?:\S*/)?{name})[\"']?\s*$", index, re.MULTILINE)
    return found.group(1) if found else None


def kinds(chart: Path, pattern: str, helm: Path | None, kubernetes: str = "") -> str:
    """Return the CustomResourceDefinitions in the files `pattern` of a chart; templates among them are rendered by `helm`."""
    files = sorted(chart.glob(pattern))
    if not files:
        raise ToolError(f"the chart has no {pattern}")
    if not pattern.startswith("templates/"):
        return "\n---\n".join(file.read_text() for file in files)
    return template(
        helm or "helm",
        RELEASE,
        chart,
        *(f"--show-only={file.relative_to(chart)}" for file in files),
        kubernetes=kubernetes,
    )


def template(
    helm: Path | str, release: str, chart: Path | str, *words: str, kubernetes: str = "", values: str = ""
) -> str:
    """Return what helm renders of a chart for that version of `kubernetes`; raise ToolError with its own word.

    `values` are what `--values=-` reads. Without a version it renders for the cluster that it was compiled for.
    """
    words += (f"--kube-version={kubernetes}",) if kubernetes else ()
    done = subprocess.run(
        [helm, "template", release, chart, *words], capture_output=True, text=True, input=values, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error:")] or done.stderr.splitlines()
        raise ToolError(f"helm: {lines[0].removeprefix('Error: ') if lines else 'no output'}")
    return done.stdout
