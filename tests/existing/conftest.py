"""A cluster made by hand, with a registry and things of somebody else's in it, that stands in for one a user has."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab import build, catalog, registry
from lab.build.plan import Plan
from lab.cache import Store, cache_dir
from tests.lifecycle.conftest import CHECKOUT, Lab

NAME = "standin"
# Of this machine: the registry, and the ingress over HTTP and TLS.
REGISTRY, HTTP, HTTPS = 29310, 29311, 29312
# Kinds whose objects come and go by themselves.
RESTLESS = {"events", "events.events.k8s.io", "leases.coordination.k8s.io", "componentstatuses"}
CONFIG = {
    "kind": "Cluster",
    "apiVersion": "kind.x-k8s.io/v1alpha4",
    # With kube-router a Service without endpoints refuses calls only so (roles/kind/templates/cluster.yml.j2).
    "networking": {"disableDefaultCNI": True, "kubeProxyMode": "nftables"},
    "containerdConfigPatches": ['[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n'],
}
KUBEADM = [
    {"kind": "KubeletConfiguration", "failCgroupV1": False, "cgroupRoot": "/kubelet"},
    {"kind": "KubeProxyConfiguration", "conntrack": {"maxPerCore": 0, "min": 0}},
]
OTHERS = """\
apiVersion: v1
kind: Namespace
metadata: {name: others}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: theirs, namespace: others}
data: {key: value}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: restricted, namespace: others}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: restricted-views}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: restricted, namespace: others}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
"""


def run(*words: object, stdin: str | None = None, timeout: float = 120, **environment: str) -> str:
    """Return what a program prints; fail with what it complains about."""
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(Path.home()), **environment}
    done = subprocess.run([str(word) for word in words], input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env=env)
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, words))}: {done.stderr.strip()[-1500:]}", pytrace=False)
    return done.stdout


@dataclass
class Standin:
    """The cluster: its folder, which the lab never sees, and kubectl as its owner runs it."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        """The owner's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def context(self) -> str:
        """The owner's context."""
        return f"kind-{NAME}"

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Return what kubectl prints."""
        return run(self.folder / "bin" / "kubectl", f"--kubeconfig={self.kubeconfig}", *words, stdin=stdin)

    def objects(self) -> set[tuple[str, str, str, str]]:
        """Return everything in the cluster: kind, namespace, name, UID."""
        kinds = set(self.kubectl("api-resources", "--verbs=list", "--output=name").split()) - RESTLESS
        items = json.loads(self.kubectl("get", ",".join(sorted(kinds)), "--all-namespaces", "--output=json"))["items"]
        return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"], item["metadata"].get("uid", "")) for item in items}

    def settled(self, before: set, seconds: float = 60) -> tuple[set, set]:
        """Return what is missing of `before`, and what is there beside it, once that is nothing, or after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            now = self.objects()
            if now == before or time.monotonic() >= end:
                return before - now, now - before
            time.sleep(3)


def make_cluster(folder: Path) -> Standin:
    """Make the cluster as somebody would by hand, with the lab's own kind and node image, and what others have in it."""
    plan = Plan(catalog.load("packages"), Store(cache_dir()), CHECKOUT, REGISTRY)
    names = [name for name, item in plan.catalog.components.items() if item.part == "cluster"]
    build.build(plan, [*names, "kubectl"], folder, ["registry", "node"])
    run("docker", "network", "create", NAME)
    run("docker", "run", "--detach", f"--name={NAME}-registry", f"--network={NAME}", f"--publish=127.0.0.1:{REGISTRY}:5000", plan.reference("registry"))
    shelf = registry.Registry(f"127.0.0.1:{REGISTRY}")
    shelf.wait(60)
    registry.push(plan, names, shelf, folder / "push.log")
    # Mirrors for what the cluster itself is made of, and the name by which the user's images are pushed and pulled.
    mirrors = registry.own_hosts(["docker.io", "registry.k8s.io", f"localhost:{REGISTRY}"], f"{NAME}-registry:5000")
    registry.configure_mirrors(mirrors, folder / "certs.d")
    ports = [{"containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1"} for inside, outside in ((30080, HTTP), (30443, HTTPS))]
    mount = {"hostPath": str(folder / "certs.d"), "containerPath": "/etc/containerd/certs.d"}
    dns = {"kind": "ClusterConfiguration", "dns": {"imageTag": plan.reference("coredns").rpartition(":")[2]}}
    node = {"role": "control-plane", "image": plan.reference("node"), "extraPortMappings": ports, "extraMounts": [mount]}
    patches = [yaml.safe_dump(item) for item in [*KUBEADM, dns]]
    (folder / "cluster.yml").write_text(yaml.safe_dump({**CONFIG, "kubeadmConfigPatches": patches, "nodes": [node]}))
    standin = Standin(folder)
    run(folder / "bin" / "kind", "create", "cluster", f"--name={NAME}", f"--config={folder / 'cluster.yml'}", f"--kubeconfig={standin.kubeconfig}",
        timeout=400, KIND_EXPERIMENTAL_PROVIDER="docker", KIND_EXPERIMENTAL_DOCKER_NETWORK=NAME)  # fmt: skip
    standin.kubectl("apply", "--filename", str(plan.artifact("kube-router") / "manifest.yaml"))
    standin.kubectl("apply", "--filename=-", stdin=OTHERS)
    standin.kubectl("wait", "--for=condition=Ready", "nodes", "--all", "--timeout=110s")
    for namespace in ("kube-system", "local-path-storage"):
        standin.kubectl("wait", "--for=condition=Available", "deployments", "--all", "--namespace", namespace, "--timeout=110s")
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "theirs", "namespace": "others"}}
    standin.kubectl("create", "--filename=-", stdin=json.dumps(widget))
    return standin


def remove_cluster() -> None:
    """Remove it, whatever there is of it."""
    listed = run("docker", "ps", "--all", "--quiet", f"--filter=label=io.x-k8s.kind.cluster={NAME}").split()
    listed += run("docker", "ps", "--all", "--quiet", f"--filter=name=^{NAME}-registry$").split()
    if listed:
        run("docker", "rm", "--force", "--volumes", *listed)
    for network in run("docker", "network", "ls", "--quiet", f"--filter=name=^{NAME}$").split():
        run("docker", "network", "rm", network)


class Elsewhere(Lab):
    """A lab on the stand-in."""

    components = "argocd,monitoring"

    def __init__(self, standin: Standin) -> None:
        super().__init__("existing")
        self.standin = standin
        self.settings = {
            "lab_cluster": "existing", "lab_existing_kubeconfig": standin.kubeconfig, "lab_existing_context": standin.context,
            "lab_registry": f"localhost:{REGISTRY}/team", "lab_http_port": HTTP, "lab_https_port": HTTPS,
        }  # fmt: skip

    def up(self, **changed: object):
        """Stand the lab up, some settings changed."""
        settings = [word for key, value in {**self.settings, **changed}.items() for word in ("-e", f"{key}={value}")]
        return self.play("site.yml", *settings)


@pytest.fixture(scope="session")
def standin(tmp_path_factory):
    """The cluster; it goes at the end."""
    remove_cluster()
    try:
        yield make_cluster(tmp_path_factory.mktemp(NAME))
    finally:
        remove_cluster()


@pytest.fixture(scope="session")
def lab(standin):
    """A lab that can be stood up there; tests do it."""
    made = Elsewhere(standin)
    yield made
    if made.state.exists():
        made.down()
