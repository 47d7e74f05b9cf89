"""What comes from Debian's packages: the root file system that images stand on, and apt's settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lab.build.tools import output, run

EXTRA_CAS = Path("/usr/local/share/ca-certificates")


def extra_cas() -> list[Path]:
    """Return the certificate authorities that the host trusts beyond its distribution's."""
    return sorted(EXTRA_CAS.rglob("*.crt")) if EXTRA_CAS.is_dir() else []


def sources(suite: str) -> list[str]:
    """Return the host's own apt sources for `suite` (one-line format), or none where the host is another release.

    With none, mmdebstrap's built-in mirror for the suite is used.
    """
    text = output(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT) $(CREATED_BY)", "Created-By: Packages"],
        env={"LC_ALL": "C"},
    )  # fmt: skip
    lines = set()
    for row in text.splitlines():
        site, release, component, _ = row.split(" ", 3)
        if (release == suite or release.startswith(f"{suite}-")) and component == "main":
            lines.add(f"deb {site} {release} {component}")
    return sorted(lines)


def rootfs(suite: str, target: Path, log: Path) -> None:
    """Make a minimal root file system of `suite` as the tar `target`.

    The host's extra authorities go in, so that a build in a container trusts what the host trusts. Documentation
    stays out, as in the images of that name.
    """
    with tempfile.TemporaryDirectory() as scratch:
        acquire = Path(scratch) / "acquire.conf"
        acquire.write_text(output(["apt-config", "dump", "Acquire"]))
        command: list[str | Path] = ["mmdebstrap", "--variant=minbase", "--mode=root", f"--aptopt={acquire}"]
        for path in ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/doc/*"):
            command.append(f"--dpkgopt=path-exclude={path}")
        # As in the images of that name: what a build installs need not survive a power cut half-way.
        command.append("--dpkgopt=force-unsafe-io")
        command.append("--dpkgopt=path-include=/usr/share/doc/*/copyright")
        # aptopt leaves the settings behind in the image; they are the host's, and may hold a proxy's password.
        command.append(
            '--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/resolv.conf "$1"/etc/hostname'
        )
        command.append('--customize-hook=echo \'Acquire::Languages "none";\' > "$1"/etc/apt/apt.conf.d/90no-languages')
        if cas := extra_cas():
            command.append(f'--customize-hook=mkdir -p "$1"{EXTRA_CAS}')
            command += [f'--customize-hook=cp "{ca}" "$1"{EXTRA_CAS}/' for ca in cas]
        listed = Path(scratch) / "sources.list"
        listed.write_text("\n".join(sources(suite)) + "\n")
        command += [suite, target]
        if listed.read_text().strip():
            command.append(listed)
        run(command, log, env={"SOURCE_DATE_EPOCH": "0", "TMPDIR": os.environ.get("TMPDIR", "/tmp")})
