"""Ask the package registries that pip, Go and apt are set up to use; no address stands here."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.preflight.finding import Finding

TIMEOUT = 3.0
SETTINGS = {"pip": "pip's settings (pip config list)", "go": "Go's (go env GOPROXY)", "apt": "apt's (/etc/apt/sources.list.d)"}


def _run(*words: str) -> str:
    """Run a program and return its standard output, "" where it is absent or fails."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def pip_addresses(environ: Mapping[str, str] = os.environ, run: Callable[..., str] = _run) -> list[str]:
    """Return the index pip asks: from its settings, or its own default as its help tells it."""
    if environ.get("PIP_INDEX_URL"):
        return [environ["PIP_INDEX_URL"]]
    settings = run(sys.executable, "-m", "pip", "config", "list")
    chosen = re.findall(r"^(?:install|global|download)\.index-url='(.*)'$", settings, re.MULTILINE)
    if chosen:
        return chosen[-1:]
    return re.findall(r"default\s+(https?://[^\s)]+)", run(sys.executable, "-m", "pip", "install", "--help"))[:1]


def go_addresses(environ: Mapping[str, str] = os.environ, run: Callable[..., str] = _run) -> list[str]:
    """Return the module proxies Go asks; [] where no Go is there yet to say so."""
    proxies = environ.get("GOPROXY")
    if not proxies:
        file = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config", "go", "env")
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        written = re.findall(r"^GOPROXY=(.*)$", text, re.MULTILINE)
        proxies = written[-1] if written else run("go", "env", "GOPROXY").strip()
    return [address for address in re.split("[,|]", proxies) if address and address != "direct"]


def apt_addresses(run: Callable[..., str] = _run) -> list[str]:
    """Return an index file of every archive that apt is set up to use."""
    if not shutil.which("apt-get"):
        return []
    return re.findall(r"^'(\S+?/InRelease)'", run("apt-get", "--print-uris", "update"), re.MULTILINE)


def apt_proxies(run: Callable[..., str] = _run) -> dict[str, str]:
    """Return the proxies apt is set up with, for urllib; the environment's where it has none."""
    text = run("apt-config", "dump") if shutil.which("apt-config") else ""
    found = dict(re.findall(r'^Acquire::(https?)::Proxy "(\S+?)";$', text, re.MULTILINE))
    return {**urllib.request.getproxies(), **{scheme: proxy for scheme, proxy in found.items() if proxy != "DIRECT"}}


def configured() -> dict[str, list[str]]:
    """Return the addresses that each tool is set up with."""
    tools = {"pip": pip_addresses, "go": go_addresses, "apt": apt_addresses}
    with ThreadPoolExecutor() as pool:
        return dict(zip(tools, pool.map(lambda look: look(), tools.values()), strict=True))


def bare(address: str) -> str:
    """Return an address without the user and password it may carry."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def answer(address: str, proxies: Mapping[str, str], timeout: float = TIMEOUT) -> str | None:
    """Return None where something answers at `address`, else the reason.

    Only whether there is an answer is asked here: no credentials are sent, and whether its certificate is to be trusted
    is for pip, Go and apt to decide, each with its own settings.
    """
    if address == "off":
        return "it is switched off"
    if address.startswith("file:"):
        path = urllib.request.url2pathname(urllib.parse.urlsplit(address).path)
        return None if Path(path).exists() else "no such folder"
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(dict(proxies)),
                                         urllib.request.HTTPSHandler(context=context))
    try:
        opener.open(urllib.request.Request(bare(address), method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError as error:
        return f"it answers {error.code} {error.reason}" if error.code >= 500 or error.code == 407 else None
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
    return None


def registries(addresses: Mapping[str, list[str]], proxies: Mapping[str, Mapping[str, str]],
               ask: Callable[[str, Mapping[str, str]], str | None] = answer) -> list[Finding]:
    """Refuse each tool none of whose registries answers; all are asked at the same time."""
    asked = [(tool, address) for tool, found in addresses.items() for address in found]
    with ThreadPoolExecutor(max_workers=max(len(asked), 1)) as pool:
        reasons = list(pool.map(lambda pair: ask(pair[1], proxies.get(pair[0], {})), asked))
    findings = []
    for tool in addresses:
        answers = [(address, reason) for (name, address), reason in zip(asked, reasons, strict=True) if name == tool]
        if answers and all(reason for _, reason in answers):
            address, reason = answers[0]
            findings.append(Finding("registries", f"{tool}'s package registry {bare(address)} does not answer ({reason}): check "
                                                  f"the network, the proxy (https_proxy) and {SETTINGS[tool]}"))
    return findings
