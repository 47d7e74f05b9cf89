"""Images that upstream has, brought into the cache: at home nodes pull them, on the plane there is nobody to pull from."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from lab.build.plan import Plan
from lab.build.tools import run
from lab.bundle import BundleError


def have(plan: Plan, names: list[str], log: Path) -> None:
    """Have the image of each of `names` that is pulled, exactly its digest where the catalog gives one, as an artifact."""
    missing = [name for name in names if plan.catalog[name].pulled and not plan.store.has(name, plan.key(name))]
    if missing and not shutil.which("skopeo"):
        raise BundleError("upstream's images are fetched with skopeo, which is not there: apt-get install skopeo")
    for name in missing:
        print(f"bundle: fetch {plan.reference(name)}", flush=True)
        with plan.store.make(name, plan.key(name)) as folder, tempfile.TemporaryDirectory() as certificates:
            run([*command(plan, Path(certificates)), f"docker://{source(plan, name)}", f"oci:{folder}/oci:image"], log)


def source(plan: Plan, name: str) -> str:
    """Return where the image of a component is asked for: by digest where there is one."""
    reference, digest = plan.mirrors.image(plan.reference(name)), plan.catalog[name].build.get("digest")
    return f"{reference.rpartition(':')[0]}@{digest}" if digest else reference


def command(plan: Plan, certificates: Path) -> list[str]:
    """Return the command that copies an image into the cache, blobs shared with all others."""
    words = ["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-shared-blob-dir", str(plan.store.blobs)]
    if plan.mirrors.extra_ca:
        shutil.copy(plan.mirrors.extra_ca, certificates / "ca.crt")
        words += ["--src-cert-dir", str(certificates)]
    if any(url.startswith("http://") for url in plan.mirrors.hosts.values()):
        words.append("--src-tls-verify=false")
    return words
