"""`python -m lab diagnostics`: status, events, logs, nodes and versions in one archive, every secret masked."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path

from lab import addresses
from lab.diagnostics import gather, secrets
from lab.diagnostics.mask import Mask
from lab.gitops import state
from lab.gitops.state import Lab
from lab.kubectl import Kubectl
from lab.preflight import docker


def write(path: Path, parts: Iterable[tuple[str, str]], mask: Mask) -> int:
    """Write parts (name, text) through the mask into an archive that only its owner can read; return how many there are."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    count = 0
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in parts:
            # A name may hold a secret as well as a text may.
            entry, data = tarfile.TarInfo(f"{path.name.removesuffix('.tar.gz')}/{mask(name)}"), mask(text).encode()
            entry.size, entry.mtime = len(data), int(time.time())
            archive.addfile(entry, io.BytesIO(data))
            count += 1
    return count


def parts(lab: Lab) -> gather.Parts:
    """Yield all that is gathered of a lab."""
    yield "versions.txt", gather.versions(lab, gather.run)
    yield from gather.cluster_state(lab, lambda space: Kubectl(lab.kubectl_options(space)))
    yield from gather.machine_state(lab, gather.run, docker.ask())
    yield from gather.folder_state(lab.state)


def main(argv: list[str], checkout: Path = state.CHECKOUT, clock=time.strftime) -> int:
    """Print where the archive is; return 0, or 1 after one line that says why there is none."""
    options = state.parser(__doc__.splitlines()[0])
    args = options.parse_args(argv)

    def make() -> list[str]:
        lab = state.load(args.name, checkout, up=False)
        path = lab.state / "diagnostics" / f"{lab.name}-{clock('%Y%m%d-%H%M%S')}.tar.gz"
        cluster = Kubectl(lab.kubectl_options(""))
        look = (lambda: addresses.spaces(cluster, lab.name)) if lab.at else None
        mask = Mask(secrets.known(lab.state, cluster, look))
        count = write(path, parts(lab), mask)
        return [f"{path.relative_to(lab.checkout)}: {count} files, {path.stat().st_size / 1024:,.0f} KiB, {mask.count:,} secrets masked"]

    return state.answer(make, "diagnostics")
