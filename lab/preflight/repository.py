"""Refuse a repository that Argo CD could not deploy from."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.gitops import GitopsError
from lab.gitops.git import Git, head
from lab.preflight.finding import Finding

# Seconds a repository may take to answer.
TIMEOUT = 30


def repository(settings: Mapping[str, Any], checkout: Path) -> list[Finding]:
    """Refuse a checkout that is no clone with a commit, or the user's own repository where it lacks what is named."""
    if "argocd" not in settings.get("lab_components", []):
        return []
    url = settings.get("argocd_repo_url", "")
    if url:
        return own(url, settings["argocd_repo_revision"], settings["argocd_repo_path"])
    try:
        head(checkout)
    except GitopsError as error:
        # Where git is not there yet, the role installs it.
        return [] if "apt-get install git" in str(error) else [Finding("repository", str(error))]
    return []


def own(url: str, revision: str, path: str) -> list[Finding]:
    """Refuse a URL that does not answer, a revision that it does not have, a path that holds no chart."""

    def refuse(text: str) -> list[Finding]:
        return [Finding("repository", text)]

    if any(name in url for name in ("//localhost", "//127.", "@localhost")):
        return refuse(f"argocd_repo_url {url} is this machine, which pods do not see under that name: give a name that they can reach")
    with tempfile.TemporaryDirectory() as folder:
        git = Git(Path(folder))
        try:
            git("init", "--quiet", "--bare")
            git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "--no-tags", "--", url, revision, timeout=TIMEOUT)
            if not git("ls-tree", "FETCH_HEAD", f"{path.strip('/')}/Chart.yaml"):
                return refuse(f"argocd_repo_path {path} holds no chart in {url} at {revision}: name a folder with a Chart.yaml")
        except GitopsError as error:
            if "remote ref" in str(error) or "not our ref" in str(error):
                return refuse(f"argocd_repo_revision {revision} is not in {url}: git ls-remote {url} lists what is")
            return refuse(f"argocd_repo_url {url} does not answer: {error}; try git ls-remote {url}")
    return []
