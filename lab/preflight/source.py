"""Which source a lab is made from where that is left to it (`auto`), and whether upstream answers."""

from __future__ import annotations

import http.client
import queue
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from lab import catalog
from lab.build import binary, fetch
from lab.mirrors import Mirrors
from lab.preflight.finding import Finding
from lab.preflight.host import without
from lab.publish.registry import loopback

AUTO = "auto"
# Seconds that all of upstream together may take to answer.
PATIENCE = 3.0
# An address, and the statuses that say that what is asked for is there: a registry may want to know who asks.
Question = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Choice:
    """A source, and why it is this one."""

    source: str
    why: str


def choose(asked: str, record: Path, look: Callable[[], str | None], *, look_around: bool = True) -> Choice:
    """Return the source for what the user `asked` for and for the lab of which `record` is kept.

    A living lab keeps its own. `look` says why upstream cannot be had, None where it can; it is asked if nothing else decides.
    """
    if asked != AUTO:
        return Choice(asked, f"lab_source={asked}")
    if made := recorded(record):
        return Choice(made, "this lab was made from it")
    if not look_around:
        return Choice("packages", "there is no lab")
    silent = look()
    return Choice("packages", f"upstream cannot be had: {silent}") if silent else Choice("upstream", "its registries and repositories answer")


def programs(settings: Mapping[str, Any], find: Callable[[str], str | None] = shutil.which) -> list[Finding]:
    """Refuse a machine without what the lab calls on it: of upstream's source it installs none."""
    if settings["lab_source"] != "upstream":
        return []
    host = settings.get("lab_registry", "").partition("/")[0]
    needed = [*(["git"] if "argocd" in settings.get("lab_parts", []) else []), *(["skopeo"] if host and not loopback(host) else [])]
    lacking = without(needed, "lab_source=upstream installs nothing on it", find)
    return [Finding("source", lacking)] if lacking else []


def recorded(record: Path) -> str | None:
    """Return the source that a living lab was made from; None where there is no lab, or none that can be read."""
    try:
        return (yaml.safe_load(record.read_text(encoding="utf-8")) or {}).get("lab_source")
    except (OSError, yaml.YAMLError, AttributeError):
        return None


def questions(components: Iterable[catalog.Component], mirrors: Mirrors) -> list[Question]:
    """Return whom to ask whether `components` can be had: their registries, chart repositories and downloads."""
    found: dict[Question, None] = {}
    for item in components:
        if item.pulled:
            parts = urlsplit(mirrors.registry(item.host))
            found[f"{parts.scheme}://{parts.netloc}/v2/", (200, 401)] = None
        elif item.kind == "chart":
            found[mirrors.url(f"{item.build['repository'].rstrip('/')}/index.yaml"), (200,)] = None
        elif item.kind == "download":
            found[mirrors.url(binary.address(item)), (200,)] = None
    return list(found)


def silent(asked: list[Question], mirrors: Mirrors, patience: float = PATIENCE, *, every: bool = False) -> dict[str, str]:
    """Return who does not answer as it should, host to reason: the first that is known of, or `every` one.

    All are asked at the same time; who has not answered after `patience` seconds, names looked up included, does not count.
    """
    found: dict[str, str] = {}
    answers: queue.Queue[tuple[str, str | None]] = queue.Queue()
    for address, good in asked:
        arguments = (address, good, mirrors, patience, answers)
        threading.Thread(target=_ask, args=arguments, daemon=True).start()
    waiting = {address for address, _ in asked}
    end = time.monotonic() + patience
    while waiting:
        try:
            address, reason = answers.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            found |= {urlsplit(silence).netloc: f"within {patience:.0f} s" for silence in sorted(waiting)[: None if every else 1]}
            break
        if reason:
            found[urlsplit(address).netloc] = f"({reason})"
            if not every:
                break
        waiting.discard(address)
    return found


def said(found: Mapping[str, str]) -> str:
    """Return in words who does not answer, and why: those with the same reason together."""
    hosts: dict[str, list[str]] = {}
    for host, reason in found.items():
        hosts.setdefault(reason, []).append(host)
    return "; ".join(f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} not answer {reason}" for reason, names in hosts.items())


def _ask(address: str, good: tuple[int, ...], mirrors: Mirrors, patience: float, answers: queue.Queue) -> None:
    try:
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=patience, context=mirrors.context()) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except (OSError, ValueError, http.client.HTTPException) as error:
        answers.put((address, str(getattr(error, "reason", error)) or type(error).__name__))
        return
    answers.put((address, None if status in good else f"it answers {status}"))


def wanted(settings: Mapping[str, Any]) -> list[catalog.Component]:
    """Return upstream's components of the parts that the lab is to have; raise CatalogError where one is not for this platform."""
    parts = settings.get("lab_parts", [])
    return [item for item in catalog.load("upstream").components.values() if item.part is None or item.part in parts]


def why_not(settings: Mapping[str, Any], mirrors: Mirrors) -> str | None:
    """Say why upstream cannot be had, None where it can."""
    try:
        return said(silent(questions(wanted(settings), mirrors), mirrors)) or None
    except catalog.CatalogError as error:
        return str(error)


def upstream(settings: Mapping[str, Any], mirrors: Mirrors) -> list[Finding]:
    """Refuse to begin where upstream does not answer."""
    found = silent(questions(wanted(settings), mirrors), mirrors, every=True)
    return [Finding("source", f"upstream cannot be had: {said(found)}; {fetch.advice(said(found), *found, mirrors=mirrors)}")] if found else []
