"""Refuse a repository that Argo CD could not deploy from."""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lab.gitops import GitopsError
from lab.gitops.git import Git, head
from lab.preflight.finding import Finding

# Seconds a repository may take to answer.
TIMEOUT = 30
# Argo CD has none of the passwords that this user's git knows.
ANYBODY = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential.helper", "GIT_CONFIG_VALUE_0": ""}


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
    """Refuse a URL that Argo CD's pods cannot use, and one that does not hold what is named."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https"):
        return refuse(f"argocd_repo_url {url} does not begin with https:// or http://, and Argo CD has neither keys nor this machine's files")
    if host.rpartition(".")[2] == "localhost" or loopback(host):
        return refuse(f"argocd_repo_url {url} is this machine, which pods do not see under that name: give a name that they can reach")
    return lacking(url, revision, path)


def refuse(text: str) -> list[Finding]:
    """Return what keeps the lab from coming up."""
    return [Finding("repository", text)]


def loopback(host: str) -> bool:
    """Say whether this is an address that means this machine to whoever uses it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def lacking(url: str, revision: str, path: str) -> list[Finding]:
    """Refuse a URL that does not answer, a revision that it does not have, a path that holds no chart."""
    with tempfile.TemporaryDirectory() as folder:
        git = Git(Path(folder))
        try:
            git("init", "--quiet", "--bare")
            git("fetch", "--quiet", "--depth=1", "--filter=blob:none", "--no-tags", "--", url, revision, timeout=TIMEOUT, env=ANYBODY)
            if not git("ls-tree", "FETCH_HEAD", f"{path.strip('/')}/Chart.yaml"):
                return refuse(f"argocd_repo_path {path} holds no chart in {url} at {revision}: name a folder with a Chart.yaml")
        except GitopsError as error:
            if any(words in str(error) for words in ("remote ref", "not our ref", "invalid refspec")):
                return refuse(f"argocd_repo_revision {revision} is not in {url}: git ls-remote {url} lists what is")
            if any(words in str(error) for words in ("could not read", "Authentication failed")):
                return refuse(f"argocd_repo_url {url} wants a password, and Argo CD has none: give one that anybody may read")
            return refuse(f"argocd_repo_url {url} does not answer: {error}; try git ls-remote {url}")
    return []
