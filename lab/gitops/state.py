"""What is known of one lab: where it answers, its cluster, its passwords, its folder."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.gitops import GitopsError
from lab.kubectl import FIELD_MANAGER, ClusterError

CHECKOUT = Path(__file__).parents[2]
# The one Application, and where it is.
APPLICATION, NAMESPACE = "vars", "argocd"
# The service's own namespace.
SERVICE = "vars"
# What a lab may be called, in words, too: its name is part of those of containers, folders and hosts. Docker takes a name of hexadecimal
# digits for the beginning of an identifier, too, and so for any network of this machine.
NAME = re.compile(r"(?![0-9a-f]+$)[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")
NAME_IS = "1 to 20 lower-case letters, digits and hyphens, with no hyphen first or last, and not of 0 to 9 and a to f alone, as Docker's identifiers are"
# What is recorded only of a lab that stands on an existing cluster: field of a Lab, and setting.
ELSEWHERE = {"address": "lab_address", "domain": "lab_domain", "at": "lab_existing_context", "images": "lab_registry"}


# What is recorded of every lab.
RECORDED = {"lab_http_port", "lab_https_port", "lab_registry_port", "lab_source"}


@dataclass(frozen=True)
class Lab:
    """One lab, by its state folder."""

    name: str
    state: Path
    http: int
    registry: int
    source: str
    checkout: Path = CHECKOUT
    # Where it answers: an address or a name that is looked up, and the domain that the names of its parts end in.
    address: str = "127.0.0.1"
    domain: str = "localhost"
    # The context in the lab's own kubeconfig; empty means that of kind.
    at: str = ""
    # What an existing cluster pulls the lab's images from, host[:port][/path]; empty means the lab's own registry.
    images: str = ""

    def host(self, part: str) -> str:
        """Return the name under which a part of the lab answers: vars, argocd, git, prometheus or alertmanager."""
        return f"{part}.{self.domain}"

    @property
    def git_url(self) -> str:
        """Where this machine finds the lab's repository."""
        return f"http://{self.host('git')}:{self.http}/vars.git"

    @property
    def recorded(self) -> dict[str, Any]:
        """What the lab was made with; `lab_record` in inventory/group_vars/all/lab.yml names it."""
        return record(self.state / "lab.yml")

    @property
    def https(self) -> int:
        """The port that leads to the proxy over TLS."""
        return self.recorded["lab_https_port"]

    @property
    def context(self) -> str:
        """The cluster's name in the kubeconfig."""
        return self.at or f"kind-{self.name}"

    def password(self, name: str) -> str:
        """Return one of the passwords that the lab made."""
        try:
            passwords = yaml.safe_load((self.state / "credentials.yml").read_text())
        except FileNotFoundError:
            raise GitopsError(f"{self.state / 'credentials.yml'} is gone, and with it the passwords of the lab {self.name}: put it back, or have a "
                              f"new lab: make down up{named(self.name)}") from None
        if name not in passwords:
            raise GitopsError(f"the lab {self.name} has no password {name}: it was stood up without Argo CD; make up adds it")
        return passwords[name]

    def kubectl_options(self, namespace: str = SERVICE, selector: str = "") -> argparse.Namespace:
        """Return what `lab.kubectl.Kubectl` wants to know of this lab."""
        return argparse.Namespace(
            kubectl=str(self.state / "bin" / "kubectl"), kubeconfig=str(self.state / "kubeconfig"), context=self.context,
            cache=str(self.state / "kubectl"), namespace=namespace, selector=selector, manager=FIELD_MANAGER,
        )  # fmt: skip


def named(lab: str) -> str:
    """Return what goes behind a target of make for it to mean this lab; nothing for the one that it means anyway."""
    return "" if lab == "lab" else f" NAME={lab}"


def record(file: Path, keys: Set[str] = frozenset()) -> dict[str, Any]:
    """Return what a lab's record says; empty where it was never filled. Raises FileNotFoundError where there is none, and GitopsError
    where nobody can read it, or one of the `keys` is missing.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        if not isinstance(found, dict) or (found and not found.keys() >= keys):
            raise yaml.YAMLError("it is no record of a lab")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GitopsError(f"{file} cannot be read ({str(error).splitlines()[0]}): remove it, then make down up{named(file.parent.name)}") from None
    return found


def load(name: str, checkout: Path = CHECKOUT, *, up: bool = True) -> Lab:
    """Read the lab `name` of a checkout; raise GitopsError where it is not there, or not `up` where it has to be."""
    if not NAME.fullmatch(name):
        raise GitopsError(f"no lab can be called '{name}': a name is {NAME_IS}")
    state = checkout / ".lab" / name
    try:
        made = record(state / "lab.yml", RECORDED)
    except FileNotFoundError:
        made = {}
    if not made or (up and not (state / "kubeconfig").is_file()):
        raise GitopsError(f"no lab called {name} is up: make up{named(name)}")
    there = {key: made[setting] for key, setting in ELSEWHERE.items() if setting in made}
    return Lab(name, state, made["lab_http_port"], made["lab_registry_port"], made["lab_source"], checkout, **there)


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with the one option that every verb has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--name", default="lab", help="which lab (default: %(default)s)")
    return options


def answer(ask: Callable[[], dict | list[str]], verb: str = "", *errors: type[Exception]) -> int:
    """Print what `ask` returns and return 0: lines, or JSON for whoever reads that; else the reason, and return 1.

    The reason is that of a GitopsError, a ClusterError or one of `errors`, after the `verb` that a user typed.
    """
    try:
        found = ask()
    except (GitopsError, ClusterError, *errors) as error:
        print(f"{verb}: {error}" if verb else error, file=sys.stderr)
        return 1
    print(json.dumps(found) if isinstance(found, dict) else "\n".join(found))
    return 0
