"""Say what would keep the lab from coming up, changing nothing: `python -m lab preflight --vars-file FILE`.

The file (`-` for standard input) is JSON: `checkout`, `settings` (the lab's variables, resolved), `record` (those that a living
lab does not change), `given` (the extra variables as the user wrote them), `defined` (the names of all variables), `needs` (the thresholds), `to_build` (true,
false or auto), `state` (present or absent) and `lock` (whether to note that this run is at work on the lab).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from lab import cache, catalog, made, mirrors
from lab.build import sources
from lab.build.plan import Plan
from lab.preflight import bundle, docker, host, living, ports, processes, registries, repository, source, variables
from lab.preflight.finding import Finding


def check_variables(wanted: Mapping[str, Any]) -> list[Finding]:
    """Refuse what nobody knows."""
    checkout = Path(wanted["checkout"])
    options = variables.role_options(checkout)
    roles = [path.name for path in (checkout / "roles").iterdir() if path.is_dir()]
    known = variables.group_variables(checkout) | set(options)
    facts = variables.role_facts(checkout)
    return (variables.unknown(wanted["given"], set(wanted["defined"]) - facts, known, roles)
            + variables.between_roles(wanted["given"])
            + variables.wrong_values(wanted["given"], options)
            + variables.contradictions(wanted["given"], wanted["settings"])
            + variables.wrong_settings(wanted["settings"], [source.AUTO, *sources.names()]))


def missing_components(wanted: Mapping[str, Any], plan: Plan) -> list[str]:
    """Return what has still to be built; where it was said that something has, without looking, that is everything."""
    if str(wanted["to_build"]).lower() == "false":
        return []
    parts = wanted["settings"].get("lab_parts", [])
    names = [name for name, item in plan.catalog.components.items() if item.part is None or item.part in parts]
    return plan.missing(names) if wanted["to_build"] == "auto" else names


def elsewhere(settings: Mapping[str, Any]) -> bool:
    """Say whether the lab stands on a cluster that it does not make."""
    return settings.get("lab_cluster") == "existing"


def look_at_bundle(wanted: Mapping[str, Any]) -> bundle.Look:
    """Return what is known of the bundle that the lab is made of."""
    store = cache.Store(cache.cache_dir())
    return bundle.look(wanted["settings"], Path(wanted["checkout"]), store, host.why_not_install(host.os_release()))


def engine_pid() -> int | None:
    """Return the process of the Docker engine on this host, if it is on this host."""
    pids = [int(path.parent.name) for path in processes.PROC.glob("[0-9]*/comm") if _text(path).strip() == "dockerd"]
    return pids[0] if pids else None


def _text(path: Path) -> str:
    """Return a file's text, "" where it went away."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def check_host(wanted: Mapping[str, Any], engine: docker.Engine, to_build: bool, carried: bundle.Look | None) -> list[Finding]:
    """Refuse a machine that lacks something; what a lab that is up already uses is not asked for again.

    `carried` is what is known of the lab's bundle, None where it has none.
    """
    settings = wanted["settings"]
    needs = {name: int(value) for name, value in wanted["needs"].items()}
    can_install = carried.cannot_install if carried else host.why_not_install(host.os_release())
    pid, existing = engine_pid(), elsewhere(settings)
    packages = settings["lab_source"] == "packages"
    findings = host.builds(can_install, to_build and packages)
    findings += [] if existing and not to_build else docker.unable_engine(engine, can_install)
    if pid is not None and not existing:
        findings += docker.powerless_engine(engine, host.lacking_capabilities(processes.PROC / str(pid) / "status"), pid)
    nodes = 1 + int(settings.get("lab_workers", 0))
    room = []
    if to_build:
        empty = not any((cache.cache_dir() / "artifacts").glob("*"))
        room.append((cache.cache_dir(), needs["disk_build_gib" if empty and packages else "disk_rebuild_gib"], "builds"))
    if carried and carried.gib:
        room.append((cache.cache_dir(), carried.gib, "what the bundle holds"))
    if not existing and not engine.nodes(settings["lab_name"]):
        if settings["lab_source"] in ("packages", "bundle"):  # The nodes of others have a kube-proxy that works with iptables.
            findings += docker.old_kernel(engine, os.uname().release)
        root = Path((engine.info or {}).get("DockerRootDir", "/var/lib/docker"))
        if os.access(root.parent, os.X_OK):  # The engine may be in a virtual machine.
            room.append((root, needs["disk_gib"], "images and volumes"))
        findings += host.memory(host.available_memory(), engine.info, nodes, needs["memory_mib"], needs["memory_per_worker_mib"])
        # The kernel counts for all of this machine: nodes of other clusters have theirs, too.
        others = engine.nodes_of_others(settings["lab_name"])
        instances = (1 + others) * needs["inotify_instances"] + (nodes - 1) * needs["inotify_instances_per_worker"]
        findings += host.inotify(host.inotify_limit, nodes + others, {
            "max_user_instances": instances, "max_user_watches": (nodes + others) * needs["inotify_watches_per_node"]})
    return findings + host.disk(room)


def check_existing(wanted: Mapping[str, Any], plan: Plan) -> tuple[str, list[Finding]]:
    """Return what an existing cluster is known by, and refuse one that the lab cannot stand on."""
    from lab.existing import check

    return check.check(wanted["settings"], plan.artifact("kubectl") / "kubectl")


def given_mirrors(settings: Mapping[str, Any]) -> mirrors.Mirrors:
    """Return what the user gave to ask in place of upstream's addresses."""
    return mirrors.Mirrors(settings.get("lab_mirrors") or {}, mirrors.with_home(settings.get("lab_extra_ca") or ""))


def check_registries(settings: Mapping[str, Any]) -> list[Finding]:
    """Refuse to begin where those who are to be asked do not answer."""
    if settings["lab_source"] == "upstream":
        return source.upstream(settings, given_mirrors(settings))
    proxies = getproxies()
    return registries.registries(registries.configured(), {"pip": proxies, "go": proxies, "apt": registries.apt_proxies()})


@dataclass
class Report:
    """What a look at the machine brings: what is wrong, what is to be built, whether no node is there yet, which source.

    `stands` says that the lab's containers run, and its folder has what leads to them: it can be compared with.
    """

    findings: list[Finding] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    fresh: bool = False
    stands: bool = False
    made_of: dict[str, str] = field(default_factory=dict)
    # Whether an engine is needed: for the cluster, or to build.
    engine: bool = True
    # What an existing cluster is known by.
    cluster: str = ""
    choice: source.Choice = source.Choice("", "")


def preflight(wanted: Mapping[str, Any]) -> Report:
    """Run the checks; those whose ground an earlier one took away are left out."""
    findings = host.python_version()
    try:
        findings += check_variables(wanted) + host.no_folder(cache.cache_dir())
    except catalog.CatalogError as error:
        findings.append(Finding("catalog", str(error)))
    if findings:
        return Report(findings)
    asked, state_dir = wanted["settings"], Path(wanted["settings"]["lab_state_dir"])
    choice = source.choose(asked["lab_source"], state_dir / "lab.yml", lambda: source.why_not(asked, given_mirrors(asked)),
                           look_around=wanted["state"] == "present")
    settings = {**asked, "lab_source": choice.source}
    wanted = {**wanted, "settings": settings}
    carried, plan, missing = None, None, []
    try:
        if wanted["state"] == "present" and settings["lab_source"] == sources.BUNDLE:
            carried = look_at_bundle(wanted)
            if carried.findings:
                return Report(living.changed_settings(state_dir / "lab.yml", settings) + carried.findings)
            plan = carried.plan
        elif wanted["state"] == "present":
            plan = sources.plan_of(settings["lab_source"], state_dir, int(settings["lab_registry_port"]), Path(wanted["checkout"]))
            missing = missing_components(wanted, plan)
    except catalog.CatalogError as error:
        return Report([Finding("catalog", str(error))])
    lock, mine = state_dir / living.LOCK, living.run_of(os.getpid())
    report = Report(living.in_progress(lock, mine), missing, made_of=made.made_of(plan.catalog) if plan else {}, choice=choice)
    if wanted["state"] == "present" and not report.findings:
        engine = docker.ask()
        taken = {name: int(value) for name, value in settings.items() if name.endswith("_port")}
        existing = elsewhere(settings)
        report.fresh, report.engine = not existing and not engine.nodes(settings["lab_name"]), not existing or bool(missing)
        report.stands = (existing or engine.stands(settings["lab_name"], str(state_dir))) and living.complete(state_dir, existing=existing)
        report.findings += living.changed_settings(state_dir / "lab.yml", {**settings, **wanted.get("record", {}), "lab_source": choice.source})
        report.findings += [] if report.fresh else living.changed_cluster(state_dir, settings["lab_name"], plan.catalog, existing=existing)
        report.findings += living.lost_passwords(state_dir, report.fresh, existing=existing)
        nodes = [row["ID"] for row in engine.nodes(settings["lab_name"])]
        report.findings += living.lost_nodes(state_dir / living.NODES, nodes, settings["lab_name"])
        report.findings += repository.repository(settings, Path(wanted["checkout"])) + source.programs(settings)
        if existing and not report.findings:
            report.cluster, report.findings = check_existing(wanted, plan)
        if not existing:
            report.findings += docker.foreign_cluster(engine, settings["lab_name"], str(state_dir))
            report.findings += ports.taken_ports(taken, engine, str(state_dir))
        report.findings += check_host(wanted, engine, bool(missing), carried)
        # A lab that cannot become what is asked for needs nobody's answer.
        refused = any(found.check == "record" for found in report.findings)
        report.findings += check_registries(settings) if missing and not refused else []
    if wanted["state"] == "absent":
        report.findings += living.changed_settings(state_dir / "lab.yml", {"lab_cluster": settings.get("lab_cluster", "kind")})
        if not elsewhere(settings) and not (state_dir / "lab.yml").is_file():
            report.findings += docker.not_to_remove(docker.ask(), settings["lab_name"], str(state_dir))
    # Taking down a lab that is not there is no reason to make its folder.
    there = wanted["state"] == "present" or state_dir.is_dir()
    if wanted["lock"] and all(found.warning for found in report.findings) and there:
        report.findings += living.take(lock, mine)
    return report


def main(argv: list[str]) -> int:
    """Run `python -m lab preflight`; print one line for each finding, return 1 where one of them is no warning."""
    options = argparse.ArgumentParser(prog="python -m lab preflight", description=__doc__.splitlines()[0])
    options.add_argument("--vars-file", required=True, help="the variables as JSON; - for standard input")
    options.add_argument("--json", action="store_true", help="print findings and warnings as JSON, and return 0")
    args = options.parse_args(argv)
    text = sys.stdin.read() if args.vars_file == "-" else Path(args.vars_file).read_text(encoding="utf-8")
    report = preflight(json.loads(text))
    findings = report.findings
    refused = [found.message for found in findings if not found.warning]
    warned = [found.message for found in findings if found.warning]
    if args.json:
        print(json.dumps({"findings": refused, "warnings": warned, "missing": report.missing, "fresh": report.fresh,
                          "stands": report.stands, "made_of": report.made_of, "engine": report.engine, "cluster": report.cluster,
                          "source": report.choice.source, "why": report.choice.why}))
        return 0
    for line in [*refused, *(f"warning: {line}" for line in warned)]:
        print(line, file=sys.stderr)
    return 1 if refused else 0
