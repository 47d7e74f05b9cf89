"""What stands in for upstream: a registry and a web server on this machine, and a catalog with the digests of what they have.

The images are those that were built from packages, under upstream's names and tags, and Grafana is none of them; the charts are the lab's own, or real ones
from a folder. Nothing else is different: whom the lab asks instead is what any user may say (`lab_mirrors`), and other digests
come by `LAB_CATALOG`.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab import catalog
from lab.build import binary, engine
from lab.build.oci import Entry
from lab.build.plan import Plan
from lab.build.tools import output, run
from lab.cache import Store, cache_dir, file_digest
from lab.registry import Registry, path_of
from lab.upload import upload

CHECKOUT = Path(__file__).parents[2]
# Where the lab's own chart of a name is; Argo CD's is made of its manifest.
CHARTS = {"traefik": "roles/traefik/files/chart", "kube-prometheus-stack": "roles/monitoring/files/chart"}
# What kubeadm asks for by a tag of its own.
ALSO = {"coredns": ["registry.k8s.io/coredns/coredns:v1.12.1"]}
# What keeps the version that was built. Alertmanager: its operator goes by the tag when it chooses the flags, and Debian's does not know
# newer ones. The node: it says itself which version it is.
AS_BUILT = ("alertmanager", "node")
# Argo CD's chart copies its program by `cp --update=none`, which coreutils have since 9.3; Debian 12's do not. Its manifest says `-n`.
COPY = """#!/bin/sh
case $1 in --update=none | -n) shift ;; esac
exec install "$@"
"""


@dataclass(frozen=True)
class StandIn:
    """A registry and a web server on this machine; `variables` and `environment` are what has the lab ask them."""

    registry: int
    web: int
    catalog: Path

    @property
    def variables(self) -> dict[str, object]:
        """The extra variables of a lab that is to be made of this."""
        images = {host: f"http://127.0.0.1:{self.registry}/{host}" for host in catalog.load("upstream").hosts}
        files = {address: f"http://127.0.0.1:{self.web}/{name}" for name, address in places(catalog.load("upstream")).items()}
        return {"lab_source": "upstream", "lab_mirrors": {**images, **files}}

    @property
    def environment(self) -> dict[str, str]:
        """What its commands find in their environment, beside everything else."""
        return {"LAB_CATALOG": str(self.catalog)}


def places(upstream: catalog.Catalog) -> dict[str, str]:
    """Return the folder of each chart and each tool on the web server, and the address that it stands in for."""
    charts = {name: item.build["repository"] for name, item in upstream.components.items() if item.kind == "chart"}
    tools = {name: binary.address(item).rpartition("/")[0] for name, item in upstream.components.items() if item.kind == "download"}
    return {name: address.partition("://")[2] for name, address in {**charts, **tools}.items()}


def stated() -> dict:
    """Return the catalog's data, with the versions that were built where upstream's would not do."""
    data = catalog.read()
    for name in AS_BUILT:
        data["components"][name]["upstream"]["version"] = data["components"][name]["packages"]["version"]
    return data


def plan(source: str) -> Plan:
    """Return the plan of a source, over what was built."""
    return Plan(catalog.Catalog(stated(), source), Store(cache_dir()), CHECKOUT)


def fill(registry: int, log: Path, scratch: Path) -> str:
    """Push what was built from packages, under its own names and under upstream's; return the digest of the node's image."""
    built, upstream = plan("packages"), plan("upstream")
    target = f"127.0.0.1:{registry}"
    Registry(target).wait(30)
    digest = ""
    for name, item in built.catalog.components.items():
        known = upstream.catalog.components.get(name)
        if known and known.pulled and not known.deployed:
            pushed = through_engine(built, name, f"{target}/{':'.join(path_of(upstream.reference(name)))}", log, scratch)
            digest = pushed if name == "node" else digest
        if item.deployed and item.kind != "dockerfile":
            names = [built.reference(name), *ALSO.get(name, []), *([upstream.reference(name)] if known and known.pulled and known.deployed else [])]
            layout = with_copy(built, scratch) if name == "argocd" else built.artifact(name) / "oci"
            for reference in names:
                upload(built.layouts.blobs, layout, f"{target}/{':'.join(path_of(reference))}", log)
    return digest


def through_engine(built: Plan, name: str, target: str, log: Path, scratch: Path) -> str:
    """Have the engine push what an engine is to pull, and return its digest: not every engine can read the layers that are kept here."""
    if name == "node":
        engine.load(built.layouts, with_network(built, scratch), target, log)
    else:
        run(["docker", "tag", built.in_engine(name, log), target], log)
    run(["docker", "push", "--quiet", target], log)
    digest = output(["docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", target]).strip().rpartition("@")[2]
    run(["docker", "image", "rm", target], log)
    return digest


def with_network(built: Plan, scratch: Path) -> Path:
    """Return the layout of a node that brings its own network, as kind's do; here that is kube-router."""
    base = built.artifact("node") / "oci"
    # Under the label by which kind's is known.
    manifest = (built.artifact("kube-router") / "manifest.yaml").read_bytes().replace(b"k8s-app: kube-router", b"k8s-app: kindnet")
    layer = built.layouts.layer([Entry("kind/manifests/default-cni.yaml", manifest, 0o644)])
    built.layouts.image(scratch / "node", [layer], built.layouts.config(base)["config"], base)
    return scratch / "node"


def with_copy(built: Plan, scratch: Path) -> Path:
    """Return the layout of an Argo CD whose `cp` takes what upstream's chart says."""
    base = built.artifact("argocd") / "oci"
    layer = built.layouts.layer([Entry("usr/bin/cp", COPY.encode(), 0o755)])
    built.layouts.image(scratch / "argocd", [layer], built.layouts.config(base)["config"], base)
    return scratch / "argocd"


def publish(root: Path, charts: Path | None, digest: str) -> Path:
    """Lay out the web server's folder; return a catalog with the digests of what is in it, and of the node's image.

    `charts` is a folder with upstream's real charts as archives; without one, the lab's own stand in.
    """
    data, upstream, built = stated(), plan("upstream").catalog, plan("packages")
    for name, item in upstream.components.items():
        folder, entry = root / name, data["components"][name]["upstream"]["build"]
        if item.kind == "download":
            file = folder / binary.address(item).rpartition("/")[2]
            folder.mkdir()
            tool(built.artifact(name) / name, file, entry.get("member", ""))
            entry["sha256"] = {"-".join(binary.here()): file_digest(file)}
        elif item.kind == "chart":
            folder.mkdir()
            file = folder / f"{entry['chart']}-{item.version}.tgz"
            shutil.copy(charts / file.name, file) if charts else own_chart(built, entry["chart"], item.version, file)
            helm = built.artifact("helm") / "helm"
            subprocess.run([helm, "repo", "index", folder], check=True, timeout=60)
            entry["sha256"] = file_digest(file)
            if not charts and "kinds" in entry:
                entry["kinds"] = "crds/*.yaml"
        elif item.pulled and name not in built.catalog.components:
            # No package registry has it, so nothing can stand in for it.
            del data["components"][name]["upstream"]
    data["components"]["node"]["upstream"]["build"]["digest"] = digest
    (root / "catalog.yml").write_text(yaml.safe_dump(data))
    return root / "catalog.yml"


def tool(program: Path, file: Path, member: str) -> None:
    """Lay a tool down as upstream releases it: alone, or in an archive."""
    if not member:
        shutil.copy(program, file)
        return
    system, machine = binary.here()
    with tarfile.open(file, "w:gz") as tar:
        tar.add(program, member.replace("{os}", system).replace("{arch}", machine))


def own_chart(built: Plan, name: str, version: str, file: Path) -> None:
    """Pack the lab's own chart of that name as `version`, with the kinds that upstream's brings."""
    folder = file.parent / name
    if name in CHARTS:
        shutil.copytree(CHECKOUT / CHARTS[name], folder)
    else:
        (folder / "templates").mkdir(parents=True)
        (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n")
        (folder / "templates" / "all.yaml").write_text(argocd_templates(built))
    kinds = {"kube-prometheus-stack": "prometheus-operator", "argo-cd": "argocd"}
    if name in kinds:
        (folder / "crds").mkdir()
        shutil.copy(built.artifact(kinds[name]) / "kinds.yaml", folder / "crds")
    subprocess.run([built.artifact("helm") / "helm", "package", folder, "--version", version, "--destination", file.parent],
                   check=True, capture_output=True, timeout=60)  # fmt: skip
    shutil.rmtree(folder)


def argocd_templates(built: Plan) -> str:
    """Return a small chart's templates: Argo CD's manifest, with the settings and images that the values of upstream's chart name."""
    images = {built.reference("argocd"): ".Values.global.image", built.reference("redis"): ".Values.redis.image"}
    settings = {"argocd-cm": ".Values.configs.cm", "argocd-cmd-params-cm": ".Values.configs.params"}
    documents = []
    for document in yaml.safe_load_all((built.artifact("argocd") / "manifest.yaml").read_text()):
        metadata = document["metadata"]
        left_out = any(word in metadata["name"] for word in ("applicationset", "notifications"))
        # The Secrets are the lab's.
        if document["kind"] == "Secret" or left_out:
            continue
        if not document["kind"].startswith("Cluster"):
            metadata["namespace"] = "argocd"
        for subject in document.get("subjects", []):
            subject["namespace"] = "argocd"
        if metadata["name"] in settings:
            document["data"] = "SETTINGS"
        text = yaml.safe_dump(document).replace("{{", '{{ "{{" }}')
        text = text.replace("data: SETTINGS", f"data: {{{{ {settings.get(metadata['name'], '')} | toJson }}}}")
        for reference, value in images.items():
            text = text.replace(f"image: {reference}", f'image: {{{{ {value}.repository }}}}:{{{{ {value}.tag }}}}')
        documents.append(text)
    return "---\n".join(documents)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *args):
        """Say nothing."""


@contextlib.contextmanager
def standing_in(root: Path, name: str, charts: Path | None = None) -> Iterator[StandIn]:
    """Have it on this machine, its files in the empty folder `root`; `name` is that of the registry's container."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    # On every address: nodes reach it by that of their network's gateway.
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as probe:
        port = probe.server_port
    subprocess.run(["docker", "run", "--detach", "--name", name, "--network", "host", "--env", f"REGISTRY_HTTP_ADDR=:{port}",
                    "--env", "REGISTRY_HTTP_DEBUG_ADDR=", plan("packages").in_engine("registry", root / "log")],
                   check=True, capture_output=True, timeout=120)  # fmt: skip
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        digest = fill(port, root / "log", root)
        yield StandIn(port, web.server_port, publish(root, charts, digest))
    finally:
        web.shutdown()
        subprocess.run(["docker", "rm", "--force", "--volumes", name], check=True, capture_output=True, timeout=60)


def main() -> None:
    """Have it until the process ends, and print how a lab is made of it: `python -m tests.sources.standin ROOT NAME [CHARTS]`."""
    import sys

    root, name, *charts = sys.argv[1:]
    Path(root).mkdir(parents=True)
    with standing_in(Path(root), name, Path(charts[0]) if charts else None) as found:
        print(json.dumps({"variables": found.variables, "environment": found.environment}), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
