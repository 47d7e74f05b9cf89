"""Run git, bounded and without ever asking anybody for a password."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.gitops import GitopsError
from lab.gitops.state import Lab

# Seconds one command may take: a push of this repository's whole history over loopback takes about one.
TIMEOUT = 60
# What a caller set for another repository must not lead these commands astray.
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_PARAMETERS")


def store(lab: Lab) -> Path:
    """Return the file that holds the credential of the lab's git server, as git's own helper `store` keeps it."""
    return lab.state / "git-credentials"


def keep_credential(lab: Lab, *, check: bool = False) -> bool:
    """Write the file that git's helper `store` reads; say whether it changed. Under `check` it stays as it is."""
    # As the helper itself writes it after a push, the colon before the port included.
    file, text = store(lab), f"http://lab:{lab.password('git_push')}@{lab.host('git')}%3a{lab.http}\n"
    if file.exists() and file.read_text() == text:
        return False
    if not check:
        file.touch(mode=0o600)
        file.write_text(text)
    return True


def ip(address: str) -> str:
    """Return the IP address of what may be a name: git takes no other. A name that leads nowhere stays, for git to complain about."""
    try:
        return socket.getaddrinfo(address, None, type=socket.SOCK_STREAM)[0][4][0]
    except OSError:
        return address


def quoted(path: Path) -> str:
    """Return a path as a word of a shell command, which is what git makes of a credential helper."""
    return "'" + str(path).replace("'", "'\\''") + "'"


def settings(lab: Lab) -> dict[str, list[str]]:
    """Return what git has to know to reach the lab's server: who we are, where the name leads, and no proxy.

    The first, empty helper forgets those of the user, so that no key chain learns a password that ends with the lab.
    """
    base = f"http://{lab.host('git')}:{lab.http}"
    return {
        f"credential.{base}.helper": ["", f"store --file={quoted(store(lab))}"],
        f"credential.{base}.username": ["lab"],
        f"http.{base}/.proxy": [""],
        f"http.{base}/.curloptResolve": [f"{lab.host('git')}:{lab.http}:{ip(lab.address)}"],
    }


class Git:
    """Git in one folder, with the settings that lead to the lab's server."""

    def __init__(self, folder: Path, lab: Lab | None = None, run: Callable[..., Any] = subprocess.run) -> None:
        self.folder, self._run = folder, run
        values = settings(lab) if lab else {}
        self._options = [word for key, items in values.items() for item in items for word in ("-c", f"{key}={item}")]

    def __call__(self, *words: str, stdin: str | None = None, timeout: float = TIMEOUT, env: dict[str, str] | None = None) -> str:
        """Return what `git WORDS` prints, stripped; raise GitopsError with the line that says why it failed."""
        environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(env or {})}
        try:
            done = self._run(
                ["git", *self._options, *words], cwd=self.folder, env=environment, input=stdin, capture_output=True, text=True,
                timeout=timeout, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise GitopsError("git is not there: apt-get install git") from None
        except subprocess.TimeoutExpired:
            raise GitopsError(f"git {words[0]} did not end within {timeout:.0f} s") from None
        if done.returncode:
            raise GitopsError(f"git {words[0]}: {reason(done.stderr)}")
        return done.stdout.strip()


def reason(text: str) -> str:
    """Return the line of git's complaint that says most: what it calls fatal, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    grave = [line for line in lines if re.match(r"(fatal|error|remote: error):", line)]
    return (grave or lines or ["no reason given"])[0]


def patiently(action: Callable[[], Any], url: str, timeout: float, clock: Any = time) -> Any:
    """Return what `action` returns, tried for `timeout` seconds while a server starts; raise GitopsError with its last reason."""
    end = clock.monotonic() + timeout
    while True:
        try:
            return action()
        except GitopsError as error:
            if clock.monotonic() >= end:
                raise GitopsError(f"no answer that helps from {url} within {timeout:.0f} s: {error}") from None
        clock.sleep(1)


def head(checkout: Path) -> str:
    """Return the commit of the checkout's HEAD; raise GitopsError that says what to type where there is none."""
    git = Git(checkout)
    try:
        inside = git("rev-parse", "--show-toplevel")
    except GitopsError as error:
        if "not a git repository" not in str(error):
            raise
        inside = ""
    if not inside or Path(inside).resolve() != checkout.resolve():
        raise GitopsError(
            f"{checkout} is no git repository, and Argo CD deploys from one: git init && git add --all && git commit -m first, "
            "or argocd_repo_url=URL, or leave argocd out of lab_components"
        )
    try:
        return git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitopsError:
        raise GitopsError(f"{checkout} has no commit yet, and Argo CD deploys commits: git add --all && git commit -m first") from None
