"""Refuse unknown variables and values, by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lab import mirrors
from lab.gitops.state import NAME, NAME_IS
from lab.preflight.finding import Finding

# Names that Ansible and molecule bring along, and those that belong to no user (registered values, facts).
FOREIGN = re.compile(r"_|ansible_|molecule_|vault_")
# What `lab_components` may name.
PARTS = ("argocd", "monitoring", "autoscaling")
PARTS_MEANT = f"a list of {', '.join(PARTS[:-1])} and {PARTS[-1]}, or empty"
CLUSTERS = ("kind", "existing")
INGRESS_TYPES = ("NodePort", "LoadBalancer")
REGISTRY = re.compile(r"[a-zA-Z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*")
# A host's name (RFC 1123, 2.1), or four numbers; the second is one that a part's name and a dot go before, as Kubernetes wants it.
LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
ADDRESS, DOMAIN = re.compile(rf"(?i:{LABEL}(\.{LABEL})*)"), re.compile(rf"{LABEL}(\.{LABEL})*")
TRUTH = {"true", "false", "yes", "no", "on", "off", "1", "0", "y", "n", "t", "f"}


def group_variables(checkout: Path) -> set[str]:
    """Return the names in the checkout's group_vars: what the lab itself sets and a user may override."""
    names: set[str] = set()
    for path in sorted((checkout / "inventory/group_vars/all").glob("*.yml")):
        names |= set(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return names


def role_options(checkout: Path) -> dict[str, dict[str, Any]]:
    """Return every role's inputs with their argument specs."""
    options: dict[str, dict[str, Any]] = {}
    for path in sorted((checkout / "roles").glob("*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        for spec in specs.values():
            options |= spec.get("options") or {}
    return options


def role_facts(checkout: Path) -> set[str]:
    """Return the facts that roles export: they are defined, too, once their role has run in the same play."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    names: set[str] = set()

    def walk(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node if isinstance(node, list) else []):
            if key == "ansible.builtin.set_fact" and isinstance(value, dict):
                names.update(value)
            elif key == "register":
                names.add(value)
            else:
                walk(value)

    for path in sorted((checkout / "roles").glob("*/tasks/*.yml")):
        walk(yaml.load(path.read_text(encoding="utf-8"), Loader=loader))
    return names


def ours(name: str, roles: Iterable[str]) -> bool:
    """Say whether a variable's name claims to be the lab's: it begins with `lab_` or a role's name."""
    return any(name.startswith(f"{prefix}_") for prefix in ("lab", *roles))


# Roles whose inputs other roles give them: what a user gave would hold for each of these at once.
BETWEEN = ("objects_", "chart_")


def between_roles(given: Iterable[str]) -> list[Finding]:
    """Refuse inputs that only roles give each other."""
    return [Finding("variables", f"{name} is what roles tell the role {name.partition('_')[0]}, and no setting of a lab: "
                                 "known ones are in inventory/group_vars/all/ and the other roles' defaults/main.yml")
            for name in sorted(given) if name.startswith(BETWEEN)]


def unknown(given: Iterable[str], defined: Iterable[str], known: set[str], roles: Iterable[str]) -> list[Finding]:
    """Refuse every extra variable nobody knows, and every other one with a name like the lab's that nobody knows."""
    roles = list(roles)
    names = {name for name in given if not FOREIGN.match(name)}
    names |= {name for name in defined if ours(name, roles)}
    findings = []
    for name in sorted(names - known):
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        hint = f"did you mean {near[0]}?" if near else "known names: inventory/group_vars/all/ and roles/*/defaults/main.yml"
        findings.append(Finding("variables", f"unknown variable {name}: {hint}"))
    return findings


def is_integer(value: Any) -> bool:
    """Say whether a value is a whole number, written as one or as text."""
    return not isinstance(value, bool) and re.fullmatch(r"-?\d+", str(value).strip()) is not None


def is_boolean(value: Any) -> bool:
    """Say whether Ansible takes a value for true or false."""
    return str(value).lower() in TRUTH


FITS = {
    "int": (is_integer, "a whole number"),
    "float": (lambda value: not isinstance(value, bool) and re.fullmatch(r"-?\d+(\.\d*)?", str(value)), "a number"),
    "bool": (is_boolean, "true or false"),
    "list": (lambda value: isinstance(value, (list, str)), "a list"),
    "dict": (lambda value: isinstance(value, Mapping), "a dictionary"),
    "text": (lambda value: isinstance(value, str), "a text"),
}


def misfit(value: Any, option: Mapping[str, Any]) -> str | None:
    """Return what a role's option asks for where `value` is not that, else None; templates are not judged."""
    if isinstance(value, str) and "{{" in value:
        return None
    fits, meant = FITS.get(option.get("type", "str"), (lambda value: True, ""))
    if not fits(value):
        return meant
    choices = [str(choice) for choice in option.get("choices") or []]
    if choices and str(value) not in choices:
        return f"one of {', '.join(choices)}"
    return None


# What roles are given under another name.
GIVEN_ON = {"vars_values": {"type": "dict"}}


def wrong_values(given: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Refuse extra variables whose value a role would refuse later, when half of the lab stands."""
    findings = []
    options = GIVEN_ON | options
    for name, value in given.items():
        meant = misfit(value, options[name]) if name in options else None
        if meant:
            findings.append(Finding("variables", f"{name} is '{value}': it must be {meant}"))
    return findings


# Settings that count with one value of another only.
ONLY_WITH = {
    "lab_mirrors": ("lab_source", "upstream"), "lab_extra_ca": ("lab_source", "upstream"), "lab_pull_credentials": ("lab_source", "upstream"),
    "lab_bundle": ("lab_source", "bundle"), "lab_existing_context": ("lab_cluster", "existing"), "lab_existing_kubeconfig": ("lab_cluster", "existing"),
    "lab_storage_class": ("lab_cluster", "existing"), "lab_ingress_type": ("lab_cluster", "existing"), "lab_address": ("lab_cluster", "existing"),
    "lab_domain": ("lab_cluster", "existing"), "lab_workers": ("lab_cluster", "kind"),
}  # fmt: skip


def contradictions(given: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Finding]:
    """Refuse extra variables that would have no effect, as another setting says so; what is left to the lab (`auto`) is none."""
    return [Finding("variables", f"{name} has no effect with {other}={settings[other]}: leave it out, or say -e {other}={value}")
            for name, (other, value) in ONLY_WITH.items()
            if given.get(name) and str(given[name]) != "0" and settings.get(other, value) not in (value, "auto")]  # fmt: skip


# Settings of one kind each, that kind, and what they stand for.
KINDS = {
    "lab_extra_ca": ("text", "the path of a PEM file"), "lab_pull_credentials": ("text", "the path of a file that docker login wrote"),
    "lab_bundle": ("text", "the path of a file that make bundle wrote"), "lab_registry": ("text", "host[:port][/path]"),
    "lab_existing_context": ("text", "the name of a context"), "lab_existing_kubeconfig": ("text", "the path of a kubeconfig"),
    "lab_storage_class": ("text", "the name of a class"), "lab_components": ("list", PARTS_MEANT),
}  # fmt: skip


def wrong_types(settings: Mapping[str, Any]) -> list[Finding]:
    """Refuse settings that are of another kind than what they stand for: nothing else can be said of them."""
    return [Finding("variables", f"{name} is '{settings[name]}': it must be {meant}")
            for name, (kind, meant) in KINDS.items() if name in settings and not FITS[kind][0](settings[name])]  # fmt: skip


def wrong_settings(settings: Mapping[str, Any], sources: list[str]) -> list[Finding]:
    """Refuse values of the lab's own settings, by name."""
    if findings := wrong_types(settings):
        return findings

    def refuse(name: str, value: Any, meant: str) -> None:
        findings.append(Finding("variables", f"{name} is '{value}': it must be {meant}"))

    name = settings["lab_name"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        refuse("lab_name", name, NAME_IS)
    if settings["lab_source"] not in sources:
        refuse("lab_source", settings["lab_source"], f"one of {', '.join(sources)}")
    hosts = settings.get("lab_mirrors") or {}
    if isinstance(hosts, Mapping):
        findings += [Finding("variables", line) for line in mirrors.wrong(hosts, settings.get("lab_extra_ca") or "",
                                                                              settings.get("lab_pull_credentials") or "")]
    else:
        refuse("lab_mirrors", hosts, "a dictionary, such as -e '{\"lab_mirrors\": {\"docker.io\": \"https://MIRROR\"}}'")
    parts = settings.get("lab_components", [])
    for part in parts.split(",") if isinstance(parts, str) else parts:
        if part and part not in PARTS:
            refuse("lab_components", part, PARTS_MEANT + (", without spaces" if " " in part else ""))
    for key, value in settings.items():
        if key.endswith("_port") and not (is_integer(value) and 1 <= int(value) <= 65535):
            refuse(key, value, "a port, 1 to 65535")
    workers = settings.get("lab_workers", 0)
    if not is_integer(workers) or not 0 <= int(workers) <= 9:
        refuse("lab_workers", workers, "a number of worker nodes, 0 to 9")
    cluster, registry = settings.get("lab_cluster", "kind"), settings.get("lab_registry", "")
    if cluster not in CLUSTERS:
        refuse("lab_cluster", cluster, f"one of {', '.join(CLUSTERS)}")
    if cluster == "existing" and not REGISTRY.fullmatch(registry):
        refuse("lab_registry", registry, "host[:port][/path], where images are pushed to and the cluster pulls them")
    if cluster == "kind" and registry:
        refuse("lab_registry", registry, "empty: the lab's own cluster pulls from its own registry")
    if settings.get("lab_ingress_type", INGRESS_TYPES[0]) not in INGRESS_TYPES:
        refuse("lab_ingress_type", settings["lab_ingress_type"], f"one of {', '.join(INGRESS_TYPES)}")
    address, domain = str(settings.get("lab_address", "localhost")), str(settings.get("lab_domain", "localhost"))
    if not ADDRESS.fullmatch(address):
        refuse("lab_address", address, "the address or the name of a host, with neither a port nor a scheme")
    if not DOMAIN.fullmatch(domain):
        refuse("lab_domain", domain, "what names end in, such as lab.example.org: lower-case letters, digits, hyphens and dots")
    replicas = settings.get("lab_replicas", "")
    if replicas != "" and not (is_integer(replicas) and 1 <= int(replicas) <= 50):
        refuse("lab_replicas", replicas, "a number of replicas, 1 to 50, or empty for what the chart says")
    ports = [(key, int(value)) for key, value in settings.items() if key.endswith("_port") and is_integer(value)]
    for position, (key, port) in enumerate(ports):
        for other, same in ports[:position]:
            if port == same:
                refuse(key, port, f"another port than {other}")
    return findings
